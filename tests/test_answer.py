"""Our own answers as maps: what was kept reads back as it was."""

import json

import pytest

import xenp2m
from guests import unpacked
from test_cli import xenp2m as command  # noqa: F401
from xenp2m.errors import InputError
from xenp2m.extents import Run
from xenp2m.frames import GEOMETRY_32, Kind
from xenp2m.hostrow import host_of_row
from xenp2m.plan import make_plan

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
