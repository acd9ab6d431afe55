"""Every real boot ends as predicted, with the map and the kinds that were read out of it."""

import json
import lzma

import pytest

from judge import boot_differences, judge_boot, judge_rows, real_boots, row_differences, tree_differences


@pytest.mark.parametrize("directory", real_boots(), ids=lambda path: path.name)
def test_real_boot(directory):
    wrong, _ = judge_boot(directory)
    assert wrong == []


def test_the_judge_can_fail():
    expected = {
        "outcome": "booted",
        "dom0_e820": [[0, 4096, "usable"]],
        "kinds": [[0, 2, "mfn"]],
        "remapped": 1,
    }
    good = {"outcome": "boots", "e820": [[0, 4096, 1]], "p2m": [[0, 2, "mfn", 5]], "remapped": 1}
    assert boot_differences(good, expected) == []
    for change in ({"outcome": "halts"}, {"e820": []}, {"p2m": [[0, 1, "mfn", 5]]}, {"remapped": 2}):
        assert boot_differences(good | change, expected)
    assert row_differences({"released": 1}, {"released": 2}) == ["released"]
    assert row_differences({"bug": "x"}, {}) == ["bug"]
    assert tree_differences({"out": {"ret": [1]}}, {"ret": [2]}) == ["ret"]
    assert "ret" in tree_differences({"error": "no"}, {"ret": [2]})


def test_rows_go_through_the_command_line(tmp_path):
    row = {
        "id": 5,
        "kernel": "3.12",
        "bits": 64,
        "in": {"nr_pages": 3, "ops": [["g", 1]]},
        "out": {"ret": [7]},
    }
    path = tmp_path / "rows.xz"
    path.write_bytes(lzma.compress(json.dumps(row).encode()))
    assert judge_rows(path, "replay", tree_differences) == ([5], 1)


def test_there_are_boots_of_every_outcome():
    outcomes = {json.loads((d / "expected.json").read_text())["outcome"] for d in real_boots()}
    assert outcomes == {"booted", "dom0 halted", "dom0 panic/crash"}
