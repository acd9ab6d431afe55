"""The tree on runs beside the tree of pages, and the map of runs beside a list."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from xenp2m.boot.rangemap import RangeMap
from xenp2m.boot.run_tree import Frames, RunTree
from xenp2m.frames import GEOMETRY_32, GEOMETRY_64, Geometry, Kind
from xenp2m.model.phys_to_machine import PhysToMachine
from xenp2m.model.rules import RULES
from xenp2m.model.shape import runs, shape

LANDED = [name for name in RULES if not name.startswith("seed")]


@given(
    st.integers(1, 20),
    st.lists(st.tuples(st.integers(0, 20), st.integers(0, 22), st.integers(0, 2)), max_size=12),
)
def test_a_range_map_is_a_list(end, edits):
    ranges, flat = RangeMap(end, 0), [0] * end
    for start, stop, value in edits:
        ranges.assign(start, stop, value)
        flat[start:stop] = [value] * len(flat[start:stop])
        assert [ranges[i] for i in range(end)] == flat
        found = list(ranges.items())
        assert [v for s, e, v in found for _ in range(s, e)] == flat
        assert all(left[2] != right[2] for left, right in pairwise(found))
        assert [v for s, e, v in ranges.items(start, stop) for _ in range(s, e)] == flat[start:stop]
        assert all(s <= i < e for i in range(end) for s, e, _ in [ranges.run_at(i)])


class RunTreeMachine(RuleBasedStateMachine):
    """What a boot does to a tree, on runs and on pages: same words, same pages, same places."""

    @initialize(
        name=st.sampled_from(list(RULES)),
        geometry=st.sampled_from([Geometry(8, 2), Geometry(8, 3), Geometry(4, 4), GEOMETRY_32, GEOMETRY_64]),
        pages=st.integers(1, 2500),
        descending=st.booleans(),
    )
    def build(self, name, geometry, pages, descending):
        n = geometry.entries
        pages = min(pages, n**3)
        self.pages_tree = PhysToMachine(
            RULES[name], geometry, range(5000, 5000 + pages)[:: -1 if descending else 1]
        )
        self.tree = RunTree(RULES[name], geometry)
        first = 5000 + pages - 1 if descending else 5000
        self.tree.graft(pages, Frames(Kind.MFN, first, -1 if descending else 1))
        self.end = n**3
        self.marks = [0, n, 3 * n, n * n, pages, 2 * n * n]
        self.fresh = 20000

    def range(self, mark, offset, count):
        start = min(max(0, self.marks[mark] + offset), self.end - 1)
        return start, min(start + count, self.end)

    @rule(mark=st.integers(0, 5), offset=st.integers(-5, 5), count=st.integers(0, 2100))
    def set_identity(self, mark, offset, count):
        start, end = self.range(mark, offset, count)
        self.pages_tree.set_range_identity(start, end)
        self.tree.set_identity(start, end)

    @rule(mark=st.integers(0, 5), offset=st.integers(-5, 5), count=st.integers(0, 1100))
    def empty(self, mark, offset, count):
        start, end = self.range(mark, offset, count)
        for low, high in () if self.pages_tree.rules.void_identity else self.tree.reads(start, end, Kind.MFN):
            for pfn in range(low, high):
                assert self.pages_tree.store(pfn, self.pages_tree.geometry.invalid)
        if not self.pages_tree.rules.void_identity:
            self.tree.empty(start, end)

    @rule(mark=st.integers(0, 5), offset=st.integers(-5, 5), count=st.integers(0, 1300))
    def fill(self, mark, offset, count):
        start, end = self.range(mark, offset, count)
        for low, high in self.tree.reads(start, end, Kind.MISSING):
            for pfn in range(low, high):
                assert self.pages_tree.early_set(pfn, self.fresh + pfn - low)
            self.tree.fill(low, high, Frames(Kind.MFN, self.fresh - low, 1))
            self.fresh += high - low + 1

    @invariant()
    def equal(self):
        if hasattr(self, "tree"):
            assert self.tree.runs() == runs(self.pages_tree)
            assert self.tree.brk == self.pages_tree.pages.brk
            mine = [(s, e, k.lower()) for t in self.tree.shape() if len(t) > 3 for s, e, k in t[3]]
            real = [(s, e, k.lower()) for t in shape(self.pages_tree.tree) if len(t) > 3 for s, e, k in t[3]]
            assert _joined(mine) == _joined(real)
            assert [t[:3] for t in self.tree.shape()] == [t[:3] for t in shape(self.pages_tree.tree)]


def _joined(parts):
    """Neighbours of one kind as one: where a page goes home again, only the pages' tree knows it."""
    joined = []
    for start, end, kind in parts:
        if joined and joined[-1][1:] == (start, kind):
            joined[-1] = (joined[-1][0], end, kind)
        else:
            joined.append((start, end, kind))
    return joined


TestRunTree = RunTreeMachine.TestCase
TestRunTree.settings = settings(max_examples=150, stateful_step_count=12, deadline=None)


@pytest.mark.parametrize("name", LANDED)
def test_identity_ranges_at_every_boundary_of_a_toy(name):
    geometry = Geometry(8, 3)
    for start in range(28):
        for end in range(start, 29):
            p2m = PhysToMachine(RULES[name], geometry, range(100, 107))
            tree = RunTree(RULES[name], geometry)
            tree.graft(7, Frames(Kind.MFN, 100, 1))
            p2m.set_range_identity(start, end)
            tree.set_identity(start, end)
            assert tree.runs() == runs(p2m), (start, end)
            assert tree.shape() == shape(p2m.tree), (start, end)
            assert tree.brk == p2m.pages.brk, (start, end)


@given(st.integers(0, 60), st.sampled_from([1, -1]), st.integers(0, 30), st.integers(0, 30))
def test_a_page_with_its_own_number_can_be_left_alone(offset, step, start, count):
    geometry = Geometry(8, 4)
    frames = Frames(Kind.MFN, offset, step)
    tree = RunTree(RULES["3.6"], geometry)
    tree.graft(30, frames)
    tree.empty(start, start + count, keep_own=True)
    kept = [pfn for low, high, f in tree.words.items(0, 30) if f.kind is Kind.MFN for pfn in range(low, high)]
    assert kept == [p for p in range(30) if not start <= p < start + count or offset + step * p == p]
