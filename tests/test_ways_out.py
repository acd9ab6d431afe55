"""The ways out over random machines, beside the tree that keeps pages."""

import numpy as np
import pytest

from xenp2m.explore.ways_out import WAYS, compare, machines
from xenp2m.frames import GEOMETRY_64
from xenp2m.model.phys_to_machine import PhysToMachine
from xenp2m.model.rules import RULES

LAST = 5 << 18


def by_pages(machine, name):
    """Broken, too much, lost and pages of one machine, frame by frame."""
    p2m = PhysToMachine(RULES[name], GEOMETRY_64, np.arange(1 << 24, (1 << 24) + machine.nr_pages))
    built = p2m.pages.brk
    for start, end in machine.holes:
        p2m.set_range_identity(start, end)
    pfns = np.arange(LAST)
    identity = p2m.gather(pfns) == (pfns.astype(np.uint64) | np.uint64(p2m.identity(0)))
    asked = np.zeros(LAST, bool)
    for start, end in machine.holes:
        asked[start:end] = True
    extra = slice(*machine.extra)
    broken = bool((identity & ~asked)[extra].any())
    return broken, int((identity & ~asked).sum()), int((asked & ~identity).sum()), p2m.pages.brk - built


@pytest.mark.parametrize("name", WAYS)
def test_runs_and_pages_agree(name):
    sums = [by_pages(machine, name) for machine in machines(4, 7)]
    tally = compare(4, 7, ways=(name,))[0]
    assert (tally.broken, tally.over, tally.lost) == tuple(map(sum, list(zip(*sums, strict=True))[:3]))
    assert tally.pages == [pages for *_, pages in sums]


def test_what_the_thread_feared_and_what_each_way_costs():
    by_name = {tally.rules: tally for tally in compare(400, 2011)}
    assert by_name["seed"].broken == by_name["seed-bit"].broken > 100
    for name in WAYS[2:]:
        assert (by_name[name].broken, by_name[name].over, by_name[name].lost) == (0, 0, 0)
    assert max(by_name["2.6.39"].pages) < min(p for p in by_name["seed-early"].pages if p > 20)
    assert sum(by_name["2.6.39"].pages) * 10 < sum(by_name["seed-builder"].pages)
    assert by_name["seed"].unreserved == 0


def test_machines_are_the_same_for_a_seed_and_make_sense():
    assert list(machines(50, 1)) == list(machines(50, 1)) != list(machines(50, 2))
    for machine in machines(500, 3):
        assert machine.holes == sorted(machine.holes)
        assert all(a[1] <= b[0] for a, b in zip(machine.holes, machine.holes[1:], strict=False))
        assert 0 < machine.nr_pages <= machine.max_pages <= machine.holes[-1][0]
        start, end = machine.extra
        assert start <= end
        assert not [hole for hole in machine.holes if hole[0] < end and hole[1] > start]
