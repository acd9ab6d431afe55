"""Our own answers as maps: what was kept reads back as it was."""

import json

import pytest

import xenp2m
from guests import unpacked
from test_cli import xenp2m as command  # noqa: F401
from xenp2m.checks.map import map_findings
from xenp2m.errors import InputError
from xenp2m.extents import Run
from xenp2m.findings import Severity
from xenp2m.frames import GEOMETRY_32, Kind
from xenp2m.hostrow import host_of_row
from xenp2m.plan import make_plan
from xenp2m.views.answer import finding_object

HOST = {
    "kernel": "6.1",
    "in": {"nr_pages": 0x40000, "max_res": 0x60000, "e820": [[0, 0x9FC00, 1], [0x100000, 1 << 32, 1]]},
}


def kept(tmp_path, answer):
    path = tmp_path / "answer.json"
    path.write_text(answer if isinstance(answer, str) else json.dumps(answer))
    return path


def test_a_plan_reads_back(command, tmp_path):  # noqa: F811
    status, out, _ = command("plan", "--json", "-", stdin=json.dumps(HOST))
    source = xenp2m.open(kept(tmp_path, out))
    assert status in (0, 1)
    assert source.origin.format == "answer of plan"
    assert source.p2m.extents() == make_plan(host_of_row(HOST, "row")).p2m.extents()
    assert any(line.startswith("assumed: ") for line in source.inferred)


@pytest.mark.parametrize("name", ["tiny64-both.save", "tiny32pae.save"])
def test_a_reading_reads_back(name, command, tmp_path):  # noqa: F811
    save = unpacked(name, tmp_path)
    _, out, _ = command("show", "--json", str(save))
    source, real = xenp2m.open(kept(tmp_path, out)), xenp2m.open(save)
    assert source.origin.format == "answer of show"
    assert source.p2m.extents() == real.p2m.extents()
    assert source.guest.geometry == real.guest.geometry
    status, out, _ = command("diff", str(tmp_path / "answer.json"), str(save))
    assert status == 0


def test_every_kind_and_a_descending_run(tmp_path):
    runs = [
        [0, 2, "mfn", 9, -1],
        [2, 3, "identity"],
        [3, 4, "missing"],
        [4, 5, "foreign", 7],
        [5, 6, "unknown"],
    ]
    runs.append([6, 7, "other", (1 << 62) + 3])
    source = xenp2m.open(kept(tmp_path, {"schema": 1, "guest": {"bits": 32}, "p2m": runs}))
    assert source.guest.geometry == GEOMETRY_32
    assert source.p2m.extents()[0] == Run(0, 2, Kind.MFN, 9, -1)
    assert [run.kind.value for run in source.p2m.extents()] == [run[2] for run in runs]


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ('{"schema": 1, "p2m": [[0, 1, "mfn", 5]]} {}', "one JSON answer"),
        ('{"schema": 1, ', "one JSON answer"),
        ({"schema": 1}, "with a map"),
        ({"schema": 1, "p2m": []}, "with a map"),
        ({"schema": 1, "error": "no host"}, "no host"),
        ({"schema": 1, "p2m": [[1, 2, "missing"]]}, r"p2m\[0\]: expected \[0, end, kind\]"),
        ({"schema": 1, "p2m": [[0, 2, "missing"], [3, 4, "missing"]]}, r"p2m\[1\]: expected \[2, end"),
        ({"schema": 1, "p2m": [[0, 0, "missing"]]}, "p2m"),
        ({"schema": 1, "p2m": [[0, 1, "missing", 4]]}, "p2m"),
        ({"schema": 1, "p2m": [[0, 1, "mfn"]]}, "p2m"),
        ({"schema": 1, "p2m": [[0, 9, "mfn", 3, -1]]}, "p2m"),
        ({"schema": 1, "p2m": [[0, 9, "mfn", 3, 2]]}, "p2m"),
        ({"schema": 1, "p2m": [[0, 1 << 53, "missing"]]}, "p2m"),
        ({"schema": 1, "p2m": [[0, 1, "mfn", 1 << 62]]}, "p2m"),
        ({"schema": 1, "p2m": [[0, True, "missing"]]}, "p2m"),
        ({"schema": 1, "p2m": [[0, 1, "ram"]]}, "p2m"),
        ({"schema": 1, "p2m": [[0, 1, ["mfn"]]]}, "p2m"),
    ],
)
def test_what_is_no_answer_with_a_map(answer, words, tmp_path):
    with pytest.raises(InputError, match=words) as caught:
        xenp2m.open(kept(tmp_path, answer))
    assert "\n" not in str(caught.value)


def boot_that_dies():
    ram = [[0, 0x10000 << 12, 1]]
    return {"kernel": "6.1", "in": {"nr_pages": 0x10000, "e820": ram, "kernel": [0x1000000, 0x20000000]}}


def test_findings_and_outcome_are_kept(command, tmp_path):  # noqa: F811
    status, out, _ = command("plan", "--json", "-", stdin=json.dumps(HOST))
    told, source = json.loads(out), xenp2m.open(kept(tmp_path, out))
    assert str(source.outcome) == told["outcome"]
    assert told["findings"]
    assert [finding_object(finding) for finding in source.findings] == told["findings"]
    shown_status, shown, _ = command("show", "--json", str(tmp_path / "answer.json"))
    assert json.loads(shown)["findings"] == told["findings"]
    assert shown_status == status


def test_a_boot_that_dies_before_its_map_reads_back(command, tmp_path):  # noqa: F811
    status, out, _ = command("plan", "--json", "-", stdin=json.dumps(boot_that_dies()))
    told = json.loads(out)
    assert "p2m" not in told
    assert status == 1
    source = xenp2m.open(kept(tmp_path, out))
    assert len(source.p2m) == 0
    assert str(source.outcome) == told["outcome"] != "boots"
    page = tmp_path / "page.html"
    assert command("report", str(tmp_path / "answer.json"), "-o", str(page))[0] == 1
    text = page.read_text()
    assert f'<p class="answer error">{told["outcome"]}</p>' in text
    assert all(finding["code"] in text for finding in told["findings"])
    assert 'data-start="' not in text, "a button that leads to a map, and there is none"


def test_nothing_is_noticed_twice(command, tmp_path):  # noqa: F811
    _, out, _ = command("show", "--json", str(unpacked("tiny64-both.save", tmp_path)))
    codes = [finding["code"] for finding in json.loads(out)["findings"]]
    assert "map-foreign" in codes
    assert [finding.code for finding in map_findings(xenp2m.open(kept(tmp_path, out)))] == codes


def test_a_finding_of_a_later_version_brings_its_story(tmp_path):
    finding = {"code": "new", "severity": "warning", "what": "it is so", "why": "since", "fix": "wait"}
    answer = {"schema": 1, "outcome": "boots", "p2m": [[0, 1, "missing"]]}
    source = xenp2m.open(kept(tmp_path, answer | {"findings": [finding | {"pfns": [[0, 1]]}]}))
    (told,) = source.findings
    assert (told.code, told.severity, told.what, told.pfns) == (
        "new",
        Severity.WARNING,
        "it is so",
        ((0, 1),),
    )
    assert (told.story.title, told.story.fix) == ("since", "wait")


@pytest.mark.parametrize(
    ("part", "words"),
    [
        ({"outcome": "flies"}, "outcome: expected one of boots"),
        ({"outcome": ["boots"]}, "outcome: expected one of boots"),
        ({"findings": {}}, "findings: expected a list"),
        ({"assumed": ["x" * 10_000_000]}, "assumed: expected up to 1000 lines"),
        ({"assumed": ["x"] * 100_000}, "assumed: expected up to 1000 lines"),
        ({"findings": [{}] * 100_000}, "findings: expected a list of up to 1000"),
        ({"findings": [7]}, r"findings\[0\]"),
        ({"findings": [{"code": "x", "severity": "note", "what": "", "why": "", "fix": ""}]}, "findings"),
    ]
    + [
        ({"findings": [{"code": "x", "severity": s, "what": w, "why": "", "fix": "", "pfns": p}]}, "findings")
        for s, w, p in [
            ("fatal", "", []),
            (["note"], "", []),
            ("note", 5, []),
            ("note", "x" * 10_000_000, []),
            ("note", "", [[2, 1]]),
            ("note", "", [[0, 1 << 60]]),
            ("note", "", [["0", 1]]),
            ("note", "", [[0, 1, 2]]),
            ("note", "", [True]),
        ]
    ],
)
def test_findings_that_are_none_are_refused(part, words, tmp_path):
    with pytest.raises(InputError, match=words):
        xenp2m.open(kept(tmp_path, {"schema": 1, "p2m": [[0, 1, "missing"]]} | part))
