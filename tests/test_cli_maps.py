"""show, lookup, check, diff and export as their user meets them, on real guests."""

import json
import subprocess
import sys

import numpy as np
import pytest

from guests import live, unpacked
from sources import INVALID
from test_cli import one_line, xenp2m  # noqa: F401
from test_schema import validator
from xenp2m.frames import Kind
from xenp2m.p2m import P2M

TINY, SMALL = "tiny64-both.save", "domu2-s3.save"


def unwrapped(text):
    return " ".join(text.split())


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("guests")


@pytest.fixture
def tiny(folder):
    return unpacked(TINY, folder)


@pytest.fixture
def small(folder):
    return unpacked(SMALL, folder)


def test_show(xenp2m, tiny):  # noqa: F811
    status, out, err = xenp2m("show", tiny)
    assert (status, err) == (0, "")
    truth = P2M(live("tiny64-both.a.live")[:2460]).count()
    assert f"({truth[Kind.MFN]:,})" in out
    assert f"missing {truth[Kind.MISSING] * 4} KiB ({truth[Kind.MISSING]})" in unwrapped(out)
    assert all(len(line) <= 80 for line in out.splitlines() if str(tiny.parent) not in line)
    assert "run length" not in out
    assert "run length" in xenp2m("show", "-v", tiny)[1]


@pytest.mark.parametrize("name", [TINY, SMALL, "tiny32pae.save"])
def test_show_as_json_is_the_live_map(xenp2m, folder, name):  # noqa: F811
    path = unpacked(name, folder)
    status, out, _ = xenp2m("show", "--json", path)
    answer = json.loads(out)
    validator("show-answer.schema.json").validate(answer)
    assert status == 0
    truth = live({TINY: "tiny64-both.a.live", SMALL: "domu2-s2.live"}.get(name, "tiny32pae.a.live"))
    assert answer["p2m"] == [run.listed() for run in P2M(truth[: answer["entries"]]).extents()]
    assert sum(answer["kinds"].values()) == answer["entries"]
    hashed = subprocess.run(["sha256sum", path], capture_output=True, text=True, check=True).stdout.split()[0]
    assert answer["source"]["sha256"] == hashed


def test_lookup(xenp2m, tiny):  # noqa: F811
    truth = live("tiny64-both.a.live")
    mfn = int(truth[0x123])
    status, out, _ = xenp2m(
        "lookup", tiny, "0x123", f"mfn:{mfn}", f"maddr:{mfn << 12 | 7}", "0x7d8", "--json"
    )
    answers = [json.loads(line) for line in out.splitlines()]
    assert status == 0
    for answer in answers:
        validator("lookup-answer.schema.json").validate(answer)
    assert [(a["pfn"], a["mfn"]) for a in answers] == [(0x123, mfn)] * 3 + [(0x7D8, 0x7D8)]
    assert answers[2]["paddr"] == 0x123007
    assert answers[3]["kind"] == "identity"
    assert f"0x123 0x123 mfn {mfn:#x}" in unwrapped(xenp2m("lookup", tiny, "0x123")[1])


def test_lookup_of_a_virtual_address(xenp2m, tiny):  # noqa: F811
    # The guest is linked at 0xffffffff80000000, its first page at PFN 0 of the image: the list's own
    # virtual address must lead to the first leaf page that the stream names.
    status, out, _ = xenp2m("show", "--json", tiny)
    vaddr = json.loads(out)["guest"]["p2m_vaddr"]
    status, out, _ = xenp2m("lookup", tiny, f"vaddr:{vaddr:#x}", "--json")
    answer = json.loads(out)
    validator("lookup-answer.schema.json").validate(answer)
    assert status == 0
    assert answer["kind"] == "mfn"
    assert len(answer["walk"]) == 4
    from xenp2m.sources import detect

    source = detect.open(tiny)
    assert answer["pfn"] == int(source.leaves.frames[0])
    page = np.frombuffer(source.memory.page(answer["pfn"]), np.uint64)
    assert (page == live("tiny64-both.a.live")[:512]).all()


def test_lookup_in_bulk(xenp2m, tiny):  # noqa: F811
    truth = live("tiny64-both.a.live")
    pfns = list(range(0, len(truth), 3))
    status, out, err = xenp2m("lookup", tiny, stdin="\n".join(map(str, pfns)))
    assert (status, err) == (0, "")
    lines = [line.split("\t") for line in out.splitlines()]
    assert [int(line[1], 16) for line in lines] == pfns
    kinds = P2M(truth)
    assert [line[2] for line in lines] == [kinds.lookup(pfn)[0].value for pfn in pfns]


def test_a_bad_line_does_not_stop_the_others(xenp2m, tiny):  # noqa: F811
    status, out, err = xenp2m("lookup", tiny, "-", stdin="1\nnonsense\n\n2\n")
    assert status == 2
    assert [line.split("\t")[0] for line in out.splitlines()] == ["1", "2"]
    assert one_line(err)
    assert "standard input:2: expected a PFN" in err
    status, out, err = xenp2m("lookup", tiny, "--json", stdin="1\nnonsense\n2\n")
    assert (status, err) == (2, "")
    rows = [json.loads(line) for line in out.splitlines()]
    for row in rows:
        validator("lookup-answer.schema.json").validate(row)
    assert [row.get("pfn") for row in rows] == [1, None, 2]


def test_check(xenp2m, tiny):  # noqa: F811
    status, out, _ = xenp2m("check", tiny)
    assert status == 0
    assert "note map-foreign: 1 frame of other domains: PFN 0x814" in out
    status, out, _ = xenp2m("check", "--only", "save", "--json", tiny)
    answer = json.loads(out)
    validator("check-answer.schema.json").validate(answer)
    assert {f["code"] for f in answer["findings"]} == {"save-loses-entries"}
    assert answer["rules"] == ["save"]


def test_check_against_a_host(xenp2m, tiny, tmp_path):  # noqa: F811
    log = tmp_path / "map"
    log.write_text("0 200000 usable\n200000 400000 reserved\n400000 40000000 usable\n")
    status, out, _ = xenp2m("check", tiny, "--host", log, "--nr-pages", "2000", "--domu", "--kernel", "6.1")
    assert status == 1
    assert (
        "warning map-overlaps-e820: 512 frames with a machine frame where the E820 has no RAM"
        in unwrapped(out)
    )


def test_diff(xenp2m, tiny, small, tmp_path):  # noqa: F811
    status, out, _ = xenp2m("diff", tiny, tiny)
    assert status == 0
    assert "the same: 2,460 frames" in out
    status, out, _ = xenp2m("diff", tiny, small, "--json")
    answer = json.loads(out)
    validator("diff-answer.schema.json").validate(answer)
    assert status == 1
    assert not answer["same"]
    total = sum(after[1] - after[0] for _, after in answer["differences"])
    assert total == sum(pages for *_, pages in answer["kinds"])


def test_diff_with_a_plan(xenp2m, small):  # noqa: F811
    status, out, _ = xenp2m("diff", "plan:", small)
    assert status == 1
    assert "identity  mfn" in out
    status, out, _ = xenp2m("diff", "--json", "plan:", small, "--kernel", "6.1")
    answer = json.loads(out)
    validator("diff-answer.schema.json").validate(answer)
    assert (answer["numbers"], answer["elsewhere"], answer["moved"]) == (False, False, 0)


def test_export(xenp2m, tiny, tmp_path):  # noqa: F811
    target = tmp_path / "image"
    status, out, _ = xenp2m("export", tiny, "--to", "flat", "-o", target)
    assert status == 0
    assert "2,008 frames of memory" in out
    first = target.read_bytes()
    from xenp2m.sources import detect

    memory = detect.open(tiny).memory
    for pfn in memory.pfns().tolist()[::97]:
        assert first[pfn * 4096 : (pfn + 1) * 4096] == memory.page(pfn)
    status, _, err = xenp2m("export", tiny, "--to", "elf", "-o", target)
    assert status == 2
    assert one_line(err)
    assert "--force" in err
    assert target.read_bytes() == first
    assert xenp2m("export", tiny, "--to", "elf", "-o", target, "--force")[0] == 0
    assert target.read_bytes()[:4] == b"\x7fELF"
    assert [path.name for path in tmp_path.iterdir()] == ["image"]


def test_export_of_text(tiny, tmp_path):
    command = [sys.executable, "-m", "xenp2m"]
    shown = subprocess.run([*command, "show", "--json", tiny], capture_output=True, check=True).stdout
    told = subprocess.run([*command, "export", "--to", "json", tiny], capture_output=True, check=True).stdout
    assert json.loads(told) == json.loads(shown)
    table = subprocess.run([*command, "export", "--to", "csv", tiny], capture_output=True, check=True).stdout
    assert len(table.splitlines()) == 1 + len(json.loads(shown)["p2m"])


def test_nothing_is_left_of_an_export_that_fails(xenp2m, tiny, tmp_path):  # noqa: F811
    target = tmp_path / "out"
    status, _, err = xenp2m("export", tiny, "--to", "elf", "-o", tmp_path / "none" / "out")
    assert (status, one_line(err)) == (2, True)
    cut = tmp_path / "cut"
    cut.write_bytes(tiny.read_bytes()[: 1 << 20])
    status, _, err = xenp2m("export", cut, "--to", "flat", "-o", target)
    assert (status, one_line(err)) == (2, True)
    assert not target.exists()
    assert xenp2m("export", cut, "--to", "flat", "-o", target, "--salvage")[0] == 0
    assert target.exists()


@pytest.mark.parametrize("verb", ["show", "check", "lookup", "export"])
def test_bad_input_is_one_line(xenp2m, verb, tiny, tmp_path):  # noqa: F811
    more = {"lookup": ["0x1"], "export": ["--to", "json"]}.get(verb, [])
    empty, noise, cut = tmp_path / "empty", tmp_path / "noise", tmp_path / "cut"
    empty.write_bytes(b"")
    noise.write_bytes(b"\x01\x02" * 999)
    cut.write_bytes(tiny.read_bytes()[:100_000])
    for bad in (empty, noise, cut, tmp_path, tmp_path / "none"):
        status, out, err = xenp2m(verb, bad, *more)
        assert (status, out) == (2, ""), bad
        assert one_line(err), err


def test_what_salvage_says(xenp2m, tiny, tmp_path):  # noqa: F811
    cut = tmp_path / "cut"
    cut.write_bytes(tiny.read_bytes()[: 4 << 20])
    status, out, _ = xenp2m("show", "--salvage", cut)
    assert status == 1
    assert "lost: " in out
    assert "map-incomplete" in out
    assert "unknown" in out


def test_usage(xenp2m, tiny):  # noqa: F811
    for bad in (
        ("lookup", "-"),
        ("lookup", tiny, "0x1", "--cr3", "1", "--vcpu", "0"),
        ("export", tiny, "--to", "flat"),
        ("diff", "-", "-"),
        ("show",),
    ):
        status, _, err = xenp2m(*bad)
        assert (status, one_line(err)) == (2, True), bad


@pytest.fixture
def m2p(tmp_path):
    """What xen-mfndump dump-m2p prints where the tiny guest is alone on the machine."""
    words = live("tiny64-both.a.live").tolist()
    pfns = {mfn: pfn for pfn, mfn in enumerate(words) if mfn < 1 << 40}
    lines = [f"  mfn=0x{mfn:x} ==> pfn=0x{pfns.get(mfn, INVALID):x}" for mfn in range(max(pfns) + 1)]
    path = tmp_path / "m2p.txt"
    path.write_text(
        "\n".join([" --- Dumping M2P ---", f" Max MFN: {len(lines)}", *lines, " --- End of M2P ---"]) + "\n"
    )
    return path


def test_a_machines_m2p(xenp2m, tiny, m2p):  # noqa: F811
    status, _, err = xenp2m("check", tiny, "--only", "map", "--m2p", m2p)
    assert (status, err) == (0, "")
    status, out, _ = xenp2m("show", "--json", m2p)
    answer = json.loads(out)
    validator("show-answer.schema.json").validate(answer)
    assert (status, answer["m2p"][1]) == (0, 2008)
    assert "2,008 of them with a PFN" in unwrapped(xenp2m("show", m2p)[1])
    mfn = int(live("tiny64-both.a.live")[0x123])
    assert json.loads(xenp2m("lookup", m2p, f"mfn:{mfn}", "--json")[1])["pfn"] == 0x123
    m2p.write_text(m2p.read_text().replace("==> pfn=0x123\n", "==> pfn=0x124\n"))
    status, out, _ = xenp2m("check", tiny, "--m2p", m2p)
    assert status == 1
    assert "1 frame to which the M2P does not lead back: PFN 0x123" in unwrapped(out)
    for bad in (
        ("diff", m2p, tiny),
        ("check", tiny, "--m2p", tiny),
        ("export", m2p, "--to", "flat", "-o", m2p),
    ):
        status, _, err = xenp2m(*bad)
        assert (status, one_line(err)) == (2, True)


def test_export_of_npz_is_the_same_map(xenp2m, tiny, tmp_path):  # noqa: F811
    target = tmp_path / "map.npz"
    assert xenp2m("export", tiny, "--to", "npz", "-o", target)[0] == 0
    assert xenp2m("export", tiny, "--to", "npz", "-o", target)[0] == 2
    first, second = (json.loads(xenp2m("show", "--json", path)[1]) for path in (tiny, target))
    assert first == second
