"""Rows in, answers out: every given row of the kernels' own code, and rows that cannot be used."""

import json
import lzma
from pathlib import Path

import numpy as np
import pytest

from xenp2m.model.phys_to_machine import PhysToMachine
from xenp2m.model.rules import RULES
from xenp2m.replay import Outcome, parse_row, replay_row, run, start

VECTORS = sorted((Path(__file__).parent / "vectors").glob("tree-*.jsonl.xz"))
JUDGED = (
    "ret", "p2m", "struct", "brk_pages", "rt_pages", "bootmem_pages", "scribbled", "bug", "at", "p2m_end", "brk_budget_p2m",
)  # fmt: skip


def rows_of(path):
    with lzma.open(path, "rt") as file:
        return [json.loads(line) for line in file]


def differences(row):
    """Fields in which the answer to a row differs from what the kernel's own code said."""
    out = replay_row({key: value for key, value in row.items() if key != "out"})["out"]
    return [key for key in JUDGED if out.get(key) != row["out"].get(key)]


@pytest.mark.parametrize("path", VECTORS, ids=lambda p: p.name.split(".jsonl")[0])
def test_every_row_agrees(path):
    wrong = {row["id"]: bad for row in rows_of(path) if (bad := differences(row))}
    assert wrong == {}


def test_there_are_vectors():
    assert len(VECTORS) == 7


ROW = {"kernel": "3.12", "bits": 64, "in": {"nr_pages": 10, "ops": [["ri", 20, 30], ["rt"], ["g", 25]]}}


def test_the_answer_has_the_form_of_the_vectors():
    answer = replay_row(ROW | {"id": "x"})
    assert answer["schema"] == 1
    assert (answer["id"], answer["kernel"], answer["bits"], answer["verified"]) == ("x", "3.12", 64, True)
    assert answer["out"]["ret"] == [10, 0, 25 | 1 << 62]
    assert json.loads(json.dumps(answer)) == answer


def test_input_may_stand_at_the_top_and_name_rules_and_a_toy_tree():
    answer = replay_row({"rules": "seed", "entries": 2, "mfn_list": [70], "ops": [["ri", 5, 6], ["g", 4]]})
    assert answer["verified"] is False
    assert answer["out"]["ret"] == [1, 4]
    assert answer["out"]["p2m"] == [[0, 1, "mfn", 70], [1, 4, "missing"], [4, 8, "identity"]]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"kernel": "2.6.38"}, "Linux 2.6.39 or later"),
        ({"kernel": None}, "a Linux version or a rule set"),
        ({"rules": "seeds"}, "one of seed,"),
        ({"rules": ["seed"]}, "one of seed,"),
        ({"bits": 16}, "32 or 64"),
        ({"bits": True}, "32 or 64"),
        ({"bits": [64]}, "32 or 64"),
        ({"entries": 1}, "row, entries"),
        ({"entries": 1024}, "row, entries"),
        ({"kernel": "5.9", "bits": 32}, "no 32-bit PV"),
        ({"in": 5}, "row, in: expected an object"),
        ({"in": {"ops": []}}, "nr_pages"),
        ({"in": {"nr_pages": 0, "ops": []}}, "nr_pages"),
        ({"in": {"nr_pages": 1 << 40, "ops": []}}, "nr_pages"),
        ({"in": {"nr_pages": 1.5, "ops": []}}, "nr_pages"),
        ({"in": {"nr_pages": 5, "mfn_base": -1, "ops": []}}, "mfn_base"),
        ({"in": {"nr_pages": 5, "mfn_desc": 1, "ops": []}}, "mfn_desc"),
        ({"in": {"mfn_list": [], "ops": []}}, "mfn_list"),
        ({"in": {"mfn_list": [1, "2"], "ops": []}}, "mfn_list[1]"),
        ({"in": {"nr_pages": 5}}, "a list of operations"),
        ({"in": {"nr_pages": 5, "ops": ["g"]}}, "ops[0]"),
        (
            {"in": {"nr_pages": 5, "ops": [["g", 1], ["frob", 1, 2]]}},
            "ops[1]: expected one of ri, es, rt, __s, s, g",
        ),
        ({"in": {"nr_pages": 5, "ops": [["s", 1]]}}, "s and 2 numbers"),
        ({"in": {"nr_pages": 5, "ops": [["s", 1, 1 << 64]]}}, "0xffffffffffffffff"),
        ({"in": {"nr_pages": 5, "ops": [["g", -1]]}}, "ops[0]"),
        ({"in": {"nr_pages": 5, "ops": [["g", 1 << 60]]}}, "ops[0]"),
        ({"in": {"nr_pages": 5, "ops": [["rt"], ["ri", 1, 2]]}}, "ri before the end of the early phase"),
        ({"in": {"nr_pages": 5, "ops": [["rt"], ["es", 1, 2]]}}, "es before the end of the early phase"),
        ({"kernel": "2.6.39", "in": {"nr_pages": 5, "ops": [["es", 1, 2]]}}, "no early set"),
        ({"kernel": "6.1", "in": {"nr_pages": 5, "ops": [["es", 1, 2]]}}, "no early set"),
    ],
)
def test_a_bad_row_is_one_line_and_nothing_is_done(change, says):
    answer = replay_row(ROW | {"id": 7} | change)
    assert set(answer) == {"schema", "id", "error"}
    assert says in answer["error"]
    assert "\n" not in answer["error"]


@pytest.mark.parametrize("row", [None, [], "x", 5, 1e300])
def test_what_is_no_row_at_all_is_an_error_too(row):
    assert set(replay_row(row)) == {"schema", "error"}


def test_operations_can_be_followed_one_by_one():
    request = parse_row(ROW | {"in": {"nr_pages": 3, "ops": [["g", 0], ["__s", 1 << 27, 5], ["g", 1]]}})
    p2m = start(request)
    assert isinstance(p2m, PhysToMachine)
    outcomes = list(run(p2m, request.ops))
    assert [o.ret for o in outcomes] == [1 << 20, None]
    assert outcomes[1] == Outcome(request.ops[1], None, "store-beyond-p2m-end")


def test_a_stop_in_the_middle_is_told():
    out = replay_row(
        ROW | {"in": {"nr_pages": 3, "ops": [["__s", 1, 5], ["__s", 1 << 27, 5], ["__s", 2, 5]]}}
    )["out"]
    assert (out["bug"], out["at"], out["ret"]) == ("store-beyond-p2m-end", 1, [1])
    assert out["p2m"][:3] == [[0, 1, "mfn", 1 << 20], [1, 2, "mfn", 5], [2, 3, "mfn", (1 << 20) + 2]]


def test_an_endless_area_of_early_pages_does_not_exist():
    row = {
        "rules": "seed-builder",
        "bits": 32,
        "nr_pages": 3,
        "ops": [["__s", 1, 7], ["ri", 0, (1 << 30) - 1], ["g", 1]],
    }
    out = replay_row(row)["out"]
    assert (out["bug"], out["at"], out["ret"]) == ("brk-exhausted", 1, [1])
    assert out["brk_pages"] == 1 << 15


def test_the_linear_list_answers_in_the_same_form():
    ops = [["ri", 159, 256], ["rt"], ["s", 159, 5], ["s", 70000, 9], ["g", 159], ["__s", 1 << 30, 5]]
    out = replay_row({"kernel": "6.1", "in": {"nr_pages": 700, "ops": ops}})["out"]
    assert out["ret"] == [97, 0, 1, 1, 5, 0]
    assert out["p2m_end"] == 1 << 18
    assert [70000, 70001, "mfn", 9] in out["p2m"]
    assert out["generation"] == 2
    old = replay_row({"kernel": "5.10", "in": {"nr_pages": 700, "ops": ops}})["out"]
    assert (old["bug"], old["at"]) == ("store-beyond-p2m-end", 5)


HOLE = {"nr_pages": 262144, "ops": [["ri", 0x93C00, 0x100000]]}


@pytest.mark.parametrize("rules", [*RULES, "linear"])
def test_identity_that_nobody_asked_for_is_that_of_the_seed(rules):
    """The thread's hole: [0x80000, 0x93c00) and no more; none with what landed, none with the ways out."""
    wanted = [[524288, 605184]] if rules in ("seed", "seed-bit") else []
    assert replay_row({"rules": rules, "in": HOLE})["out"]["unasked"] == wanted


@pytest.mark.parametrize("rules", [name for name in RULES if name != "seed-void-identity"])
@pytest.mark.parametrize("seed", range(8))
def test_identity_that_nobody_asked_for_frame_by_frame(rules, seed):
    rng = np.random.default_rng(seed)
    ops = []
    for _ in range(6):
        start, end = sorted(rng.integers(0, 27, 2).tolist())
        ops.append(["ri", start, end])
        pfn = int(rng.integers(0, 27))
        ops.append(["__s", pfn, pfn if RULES[rules].by_value else pfn | 1 << 62])
        ops.append(["__s", int(rng.integers(0, 27)), (1 << 64) - 1])
    asked = set()
    for name, first, second in ops:
        asked |= set(range(first, second)) if name == "ri" else {first} if second != (1 << 64) - 1 else set()
    row = {"rules": rules, "entries": 3, "in": {"nr_pages": 4, "ops": ops}}
    out = replay_row(row)["out"]
    reads = {pfn for start, end, kind, *_ in out["p2m"] if kind == "identity" for pfn in range(start, end)}
    assert {pfn for start, end in out["unasked"] for pfn in range(start, end)} == reads - asked
