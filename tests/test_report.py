"""The report: what stands in the file, and what does not."""

import hashlib
import io
import json
import lzma
import re
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hosts import MIB, pc, with_range
from xenp2m import P2M, Kind, Run
from xenp2m.cli import main
from xenp2m.extents import coalesce
from xenp2m.maps.account import account_of
from xenp2m.maps.mapdiff import compare
from xenp2m.plan import make_plan
from xenp2m.runtable import RunTable
from xenp2m.sources import detect
from xenp2m.sources.source import Guest, Origin, Source
from xenp2m.views.page.content import report_of_plan, report_of_source
from xenp2m.views.page.html import page
from xenp2m.views.page.picture import inline_svg
from xenp2m.views.page.rows import _thinned, rows_of_map, rows_of_plan
from xenp2m.views.plots.canvas import render
from xenp2m.views.plots.sheet import plan_figure

BOOTS = Path(__file__).parent / "boots"
Q35 = BOOTS / "q35-4g-1024_max1536" / "console.log.xz"


@pytest.fixture
def report(capsys, monkeypatch):
    """Run ``xenp2m report``; returns status, output, error output."""
    monkeypatch.setenv("COLUMNS", "80")

    def run(*words):
        with pytest.raises(SystemExit) as stop:
            main(["report", *map(str, words)])
        captured = capsys.readouterr()
        return stop.value.code, captured.out, captured.err

    return run


def data_of(text):
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', text)[1])


def test_a_report_is_one_file_with_the_hash_of_its_input(report, tmp_path):
    target = tmp_path / "host.html"
    assert report(Q35, "-o", target, "--dom0-mem", "2G,max:3G") == (0, "", "")
    text = target.read_text()
    assert hashlib.sha256(Q35.read_bytes()).hexdigest() in text
    assert "--dom0-mem=2G,max:3G" in text
    assert text.count("<svg") == 4
    assert not re.search(r"""(src|href)\s*=\s*["'](?!#)""", text)
    assert "http://" not in re.sub(r'xmlns(:\w+)?="[^"]*"', "", text)
    assert not re.search(r"<[^>]*\sstyle=", text)


@pytest.mark.parametrize(("packed", "told"), [
    ("cores/tiny32pae.core.xz", ("xen core, PV", "32 bits", "map-foreign")),
    ("guests/tiny64-both.save.xz", ("migration stream", "64 bits")),
])  # fmt: skip
def test_a_report_of_a_real_core_and_a_saved_domain(report, tmp_path, packed, told):
    raw = lzma.decompress((BOOTS.parent / packed).read_bytes())
    file, target = tmp_path / "guest", tmp_path / "r.html"
    file.write_bytes(raw)
    assert report(file, "-o", target) == (0, "", "")
    text = target.read_text()
    assert hashlib.sha256(raw).hexdigest() in text
    assert all(words in text for words in told)
    assert text.count("<svg") == 3
    source = detect.open(file)
    assert sum(row[0] for row in data_of(text)["rows"]) == len(source.p2m)
    target.unlink()
    status, _, err = report(file, "-o", target, "--kernel", "5.10")
    assert (status, err.count("\n")) == (2, 1)
    assert not target.exists()


def unpacked(packed, tmp_path):
    file = tmp_path / Path(packed).stem
    file.write_bytes(lzma.decompress((BOOTS.parent / packed).read_bytes()))
    return file


def test_a_map_against_another(report, tmp_path):
    before, after = (unpacked(f"cores/tiny64-{name}.core.xz", tmp_path) for name in ("classic", "both"))
    target = tmp_path / "r.html"
    assert report(before, "--against", after, "-o", target)[0] == 0
    text = target.read_text()
    assert all(hashlib.sha256(file.read_bytes()).hexdigest() in text for file in (before, after))
    diff = compare(*(detect.open(file).p2m for file in (before, after)))
    assert not diff.same
    told = re.search(r'<table id="changes"[^>]*>.*?</table>', text, re.DOTALL)[0]
    spans = [
        (int(a), int(b, 16)) for a, b in re.findall(r'data-start="(\d+)">0x[0-9a-f]+ – (0x[0-9a-f]+)<', told)
    ]
    assert spans == [(pair.before.start, pair.before.end) for pair in diff.differences()][:500]


def test_a_prediction_against_a_map_and_against_itself(report, tmp_path):
    core = unpacked("cores/tiny64-both.core.xz", tmp_path)
    target = tmp_path / "r.html"
    for words in ([Q35, "--against", core], [core, "--against", Q35, "--dom0-mem", "2G"]):
        assert report(*words, "-o", target, "--force")[0] == 0
        text = target.read_text()
        assert 'id="comparison"' in text
        assert "the plan of console.log.xz" in text
        assert "moved" not in re.search(r'id="comparison".*?</section>', text, re.DOTALL)[0]
    report(Q35, "--against", Q35, "-o", target, "--force")
    told = re.search(r'id="comparison".*?</section>', target.read_text(), re.DOTALL)[0]
    assert "the same kinds" in told
    assert "<svg" not in told


@pytest.mark.parametrize("words", [
    (Q35, "--against", "missing.core"), ("-", "--against", "-"), (Q35, "--against", "live:nobody"),
    (Q35, "--against", Q35, "--image", "0x7f000000-0x80000000"),
])  # fmt: skip
def test_a_comparison_refused_in_one_line(report, tmp_path, words):
    status, out, err = report(*words, "-o", tmp_path / "r.html")
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert not list(tmp_path.iterdir())


def test_the_same_input_gives_the_same_bytes(report, tmp_path):
    for name in ("one", "two"):
        report("-o", tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_the_script_gets_the_whole_map(report, tmp_path):
    report("-o", tmp_path / "r.html")
    data = data_of((tmp_path / "r.html").read_text())
    assert sum(row[0] for row in data["rows"]) == 0x8000000
    assert [data["looks"][row[1]][0] for row in data["rows"]] == [
        "mfn", "identity", "mfn", "mfn", "extra", "identity",
    ]  # fmt: skip
    assert data["shown"] == 0x180000


@pytest.mark.parametrize("words", [("missing.log",), ("-o", "x.html", "missing.log"), ("-o", "/"), ()])
def test_refused_in_one_line(report, tmp_path, monkeypatch, words):
    monkeypatch.chdir(tmp_path)
    status, out, err = report(*words)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert not list(tmp_path.iterdir())


def test_an_existing_file_is_kept(report, tmp_path):
    target = tmp_path / "r.html"
    target.write_text("mine")
    assert report("-o", target)[0] == 2
    assert target.read_text() == "mine"
    assert report("-o", target, "--force")[0] == 0


def test_a_boot_that_halts(report, tmp_path):
    status, _, _ = report("-o", tmp_path / "r.html", "--image", "0x7f000000-0x80000000")
    text = (tmp_path / "r.html").read_text()
    assert status == 1
    assert '<p class="answer error">halts</p>' in text
    assert 'id="strip"' not in text
    assert text.count("<svg") == 1


@pytest.mark.parametrize(("module", "extra", "status"), [("jinja2", "html", 2), ("matplotlib", "plot", 0)])
def test_what_is_not_installed_is_named(report, tmp_path, monkeypatch, module, extra, status):
    monkeypatch.setitem(sys.modules, module, None)
    target = tmp_path / "r.html"
    got, _, err = report("-o", target)
    assert got == status
    assert f"xenp2m[{extra}]" in (err or target.read_text().replace("&#39;", "'"))
    assert target.exists() == (status == 0)


def test_rows_of_a_plan_carry_their_reasons():
    plan = make_plan(pc())
    rows = rows_of_plan(plan)
    assert [row.start for row in rows.rows[1:]] == [row.end for row in rows.rows[:-1]]
    for row in rows.rows:
        stretch = next(part for part in plan.stretches if part.start <= row.start < part.end)
        assert row.why == stretch.why
        assert row.end <= stretch.end
        kind, number = plan.p2m.lookup(row.start)
        assert row.look == ("extra" if "extra memory" in row.why else kind.value)
        assert row.number == (number if kind is Kind.MFN else None)


@st.composite
def shattered(draw):
    lengths = draw(st.lists(st.integers(1, 9), min_size=30, max_size=120))
    kinds = st.sampled_from([Kind.MFN, Kind.MFN, Kind.MFN, Kind.MISSING, Kind.FOREIGN])
    runs, position = [], 0
    for length in lengths:
        kind = draw(kinds)
        numbered = kind is not Kind.MISSING
        runs.append(
            Run(
                position,
                position + length,
                kind,
                draw(st.integers(0, 999)) * 16 if numbered else 0,
                int(numbered),
            )
        )
        position += length
    return coalesce(runs)


@settings(max_examples=60)
@given(shattered(), st.integers(6, 25))
def test_thin_rows_still_cover_the_map(runs, bound):
    thin = _thinned(RunTable.of(runs), bound)
    assert len(thin.rows) <= bound
    assert thin.rows[0].start == 0
    assert thin.rows[-1].end == runs[-1].end
    assert [row.start for row in thin.rows[1:]] == [row.end for row in thin.rows[:-1]]
    assert sum(row.extents for row in thin.rows) == thin.extents == len(runs)
    assert thin.merged == sum(row.extents for row in thin.rows if row.extents > 1)
    exact = {(row.start, row.end): row for row in thin.rows if row.extents == 1}
    for run in runs:
        if (run.start, run.end) in exact:
            row = exact[run.start, run.end]
            assert (row.look, row.number) == (run.kind.value, run.mfn if run.step else None)
        else:
            assert run.pages < thin.shortest or run.kind is Kind.FOREIGN
    for row in thin.rows:
        if row.extents > 1:
            inside = [run for run in runs if row.start <= run.start < row.end]
            weight = {kind: sum(run.pages for run in inside if run.kind is kind) for kind in Kind}
            assert weight[Kind(row.look)] == max(weight.values())


def test_rare_kinds_keep_a_row_of_their_own():
    runs = [Run(i * 4, i * 4 + 4, Kind.MFN, i * 64, 1) for i in range(1000)]
    runs[500] = Run(2000, 2004, Kind.FOREIGN, 5, 1)
    assert [row.start for row in _thinned(RunTable.of(runs), 20).rows if row.look == "foreign"] == [2000]


def test_a_map_that_fits_is_not_thinned():
    thin = rows_of_map(P2M([Run(0, 5, Kind.MFN, 1, 1), Run(5, 9, Kind.OTHER, 1 << 62, 1)]))
    assert (thin.merged, thin.extents) == (0, 2)
    assert thin.listed() == [[5, 0, 1, 1], [4, 5, "0x4000000000000000", 1]]


def test_a_report_of_a_map():
    lost = ("pages 5 to 9 are cut off",)
    source = Source(
        Origin("vm.core", "xen core, PV", 4096, "ab" * 32), Guest(form="linear list", xen="4.17.7", vcpus=2),
        P2M([Run(0, 256, Kind.MFN, 7, 1)]), lost=lost,
    )  # fmt: skip
    text = page(report_of_source(source, account_of(source), []), "0", note="No pictures.").decode()
    for told in ("xen core, PV", "linear list", "4.17.7", "256 PFNs", lost[0], "ab" * 32, "No pictures."):
        assert told in text
    assert ">why<" not in text


def test_a_finding_tells_its_story():
    plan = make_plan(pc(e820=with_range(64 * MIB, 65 * MIB), kernel=(16 * MIB, 74 * MIB)))
    text = page(report_of_plan(plan, "a host", []), "0").decode()
    assert "image-conflict" in text
    assert plan.findings[0].story.fix in text.replace("&#34;", '"').replace("&#39;", "'")


@pytest.mark.parametrize("pack", [bytes, lzma.compress])
def test_standard_input_is_hashed_while_it_is_read(report, tmp_path, monkeypatch, pack):
    row = {"kernel": "6.1", "in": {"nr_pages": 0x10000, "e820": [[0, 0x10000 << 12, 1]]}}
    data = pack(json.dumps(row).encode())
    stdin = type("Stdin", (), {"buffer": io.BytesIO(data)})()
    monkeypatch.setattr("sys.stdin", stdin)
    assert report("-", "-o", tmp_path / "page.html")[0] == 0
    assert sys.stdin is stdin
    text = (tmp_path / "page.html").read_text()
    assert hashlib.sha256(data).hexdigest() in text
    assert f"<dd>{len(data):,} bytes</dd>" in text


def test_control_characters_do_not_reach_the_page():
    source = Source(Origin("a\x1b[31m\x00\u202eb\ud800", "core"), Guest(), P2M([]))
    text = page(report_of_source(source, account_of(source), []), "0").decode()
    assert not set("\x1b\x00\u202e") & set(text)
    assert "not known: the input can be read only once" in text


def test_a_picture_inside_a_page_needs_no_style():
    text = inline_svg(render(plan_figure(make_plan(pc()), "e820"), "svg"), "p-", "a <label>")
    root = ElementTree.fromstring(text)
    names = {each.get("id") for each in root.iter() if each.get("id")}
    used = set(re.findall(r'url\(#([^)]+)\)|href="#([^"]+)"', text))
    assert {a or b for a, b in used} <= names
    assert all(name.startswith("p-") for name in names)
    assert not [each for each in root.iter() if each.tag == "style" or each.get("style")]
    assert root.get("aria-label") == "a <label>"
    assert "host E820" in [each.text for each in root.iter("text")]
