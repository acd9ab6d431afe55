"""Every real boot ends as predicted, with the map and the kinds that were read out of it; every row agrees."""

import json
import lzma
import re
from pathlib import Path

import pytest

from judge import boot_differences, judge_rows, judged, real_boots, row_differences, tree_differences, vectors

TOP = Path(__file__).parent.parent


def shown():
    """What the documents say that `make judge` prints."""
    (block,) = re.findall(r"\$ make judge\n(.*?)```", (TOP / "docs/verified.md").read_text(), re.DOTALL)
    return block.splitlines()


@pytest.mark.parametrize("path", [*real_boots(), *vectors()], ids=lambda path: path.name)
def test_no_difference(path):
    line, wrong = judged(path)
    assert wrong == []
    assert line in shown(), "make docs"


def test_the_documents_show_all_and_nothing_else():
    assert len(shown()) == len(real_boots()) + len(vectors()) + 1
    assert shown()[-1] == "0 differences"


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
    path = tmp_path / "tree-rows.jsonl.xz"
    path.write_bytes(lzma.compress(json.dumps(row).encode()))
    assert judge_rows(path) == (f"{path.name:34}     1 rows      0 agree  1 differ", ["5"])


def test_there_are_boots_of_every_outcome():
    outcomes = {json.loads((d / "expected.json").read_text())["outcome"] for d in real_boots()}
    assert outcomes == {"booted", "dom0 halted", "dom0 panic/crash"}
