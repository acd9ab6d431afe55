"""Every row that the kernels' own code answered, in every judged field."""

import json
import lzma
from pathlib import Path

import pytest

from xenp2m.hostrow import host_of_row
from xenp2m.plan import make_plan
from xenp2m.views.answer import answer

VECTORS = Path(__file__).parent / "vectors"
FILES = {
    "setup-2.6.39.jsonl.xz": 273, "setup-2.6.39-32.jsonl.xz": 272, "setup-3.6.jsonl.xz": 284, "setup-3.6-32.jsonl.xz": 261,
    "setup-3.12.jsonl.xz": 300, "setup-3.18.jsonl.xz": 267, "setup-3.18-32.jsonl.xz": 253, "setup-g3a.jsonl.xz": 394,
    "setup-5.10.jsonl.xz": 325, "setup-6.1.jsonl.xz": 333, "setup-7.0.jsonl.xz": 490,
}  # fmt: skip

JUDGED = ("e820", "extra_early", "extra", "released", "freed", "populated", "p2m", "p2m_end", "shared_max_pfn",
          "p2m_size", "alloc_p2m_pages", "brk_pages", "struct")  # fmt: skip
EVENTS = ("p2m_moved", "initrd_moved", "bug", "phase")
"""Fields whose absence means that it did not happen; the absence of others is not judged."""


def disagreements(row, given):
    """Judged fields in which the answer `given` is not that of the kernel."""
    wanted = row["out"]
    return [f for f in JUDGED if f in wanted and given.get(f) != wanted[f]] + [
        f for f in EVENTS if given.get(f) != wanted.get(f)
    ]


def read(name):
    with lzma.open(VECTORS / name, "rt") as file:
        return [json.loads(line) for line in file]


@pytest.mark.parametrize("name", FILES)
def test_every_row_agrees(name):
    rows = read(name)
    assert len(rows) == FILES[name]
    wrong = {}
    for row in rows:
        given = json.loads(json.dumps(answer(make_plan(host_of_row(row, row["id"])), row["id"])))
        if fields := disagreements(row, given):
            wrong[row["id"]] = fields
    assert not wrong


def test_a_row_judges_each_field():
    row = read("setup-7.0.jsonl.xz")[0]
    given = dict(row["out"])
    assert disagreements(row, given) == []
    for judged in set(JUDGED) & set(row["out"]):
        assert disagreements(row, given | {judged: "something else"}) == [judged]
    for event in EVENTS:
        assert disagreements(row, given | {event: 4}) == [event]
