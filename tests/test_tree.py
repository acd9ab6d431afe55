"""The structure: pools, grafting, gathers, the tools' tree, invariants, runs and shape."""

import numpy as np
import pytest

from xenp2m.extents import coalesce
from xenp2m.frames import GEOMETRY_32, GEOMETRY_64, Geometry, Kind
from xenp2m.model.alloc import BrkReservation, Origin, Pages
from xenp2m.model.mfn_tree import MfnTree
from xenp2m.model.phys_to_machine import PhysToMachine
from xenp2m.model.rules import RULES
from xenp2m.model.shape import runs, shape, word_runs
from xenp2m.model.tree import FIRST, IDENTITY, MISSING, Pool, Tree

TOY = Geometry(8, 2)
GEOMETRIES = [TOY, Geometry(4, 3), Geometry(8, 4), GEOMETRY_32, GEOMETRY_64]


def landed(geometry, pages, name="3.12"):
    return PhysToMachine(RULES[name], geometry, range(1000, 1000 + pages))


def test_a_pool_keeps_its_pages_when_it_grows():
    pool = Pool(4, np.int32)
    rows = [pool.add(i, Origin.BRK) for i in range(50)]
    assert rows == list(range(50))
    assert pool.rows[:, 0].tolist() == rows
    assert pool.add(7, Origin.RUNTIME, 3) == 50
    assert pool.origin[-3:] == bytes([Origin.RUNTIME] * 3)


@pytest.mark.parametrize("geometry", GEOMETRIES, ids=str)
def test_indices_at_every_boundary(geometry):
    n, tree = geometry.entries, Tree(geometry)
    assert tree.index(0) == (0, 0, 0)
    assert tree.index(n - 1) == (0, 0, n - 1)
    assert tree.index(n) == (0, 1, 0)
    assert tree.index(n * n - 1) == (0, n - 1, n - 1)
    assert tree.index(n * n) == (1, 0, 0)
    assert tree.index(n**3 - 1) == (n - 1, n - 1, n - 1)


def test_word_size_sets_what_a_tree_can_hold():
    assert GEOMETRY_64.max_p2m_pfn == 1 << 27
    assert GEOMETRY_32.max_p2m_pfn == 1 << 30 == GEOMETRY_32.identity_bit
    with pytest.raises(ValueError, match="entries"):
        Tree(Geometry(4, 2048))
    with pytest.raises(ValueError, match="entries"):
        Tree(Geometry(8, 1))


@pytest.mark.parametrize("pages", [1, 2, 3, 4, 5, 7, 8])
def test_the_builders_list_is_grafted_leaf_by_leaf(pages):
    p2m = landed(TOY, pages)
    assert [p2m.get(pfn) for pfn in range(pages)] == list(range(1000, 1000 + pages))
    assert all(p2m.get(pfn) == TOY.invalid for pfn in range(pages, 8))
    assert p2m.tree.mids.used - FIRST == -(-pages // 4)
    assert p2m.check() == []


def test_a_scrambled_list_keeps_its_order():
    mfns = np.random.default_rng(3).permutation(1500) + 5000
    p2m = PhysToMachine(RULES["3.12"], GEOMETRY_64, mfns)
    assert p2m.gather(np.arange(1500)).tolist() == mfns.tolist()
    assert sum(r.pages for r in runs(p2m) if r.kind is Kind.MFN) == 1500


@pytest.mark.parametrize("geometry", GEOMETRIES, ids=str)
def test_gather_reads_what_get_reads(geometry):
    n = geometry.entries
    p2m = landed(geometry, n + 1)
    p2m.set_range_identity(n + 1, n**3 - 1 if n < 9 else 5 * n * n + 3)
    p2m.end_early()
    p2m.set(0, 77)
    rng = np.random.default_rng(1)
    pfns = rng.integers(0, min(n**3, 7 * n * n), 500)
    assert p2m.gather(pfns).tolist() == [p2m.get(int(pfn)) for pfn in pfns]


def test_gather_of_nothing_is_nothing():
    assert landed(TOY, 3).gather(np.array([], np.int64)).tolist() == []


def test_runs_are_the_map_frame_by_frame():
    p2m = landed(Geometry(8, 3), 7)
    p2m.set_range_identity(8, 20)
    for pfn, word in ((0, 1002), (1, 1001), (2, 1000), (3, 4 | 1 << 62), (4, 9 | 1 << 63)):
        p2m.store(pfn, word)
    read = [(Kind(r.kind), r.at(pfn)) for r in runs(p2m) for pfn in range(r.start, r.end)]
    for pfn, (kind, number) in enumerate(read):
        wanted, value = p2m.geometry.classify(pfn, p2m.get(pfn))
        assert kind is wanted
        assert kind in (Kind.IDENTITY, Kind.MISSING) or number == value


@pytest.mark.parametrize("seed", range(20))
def test_word_runs_join_greedily_from_the_left(seed):
    rng = np.random.default_rng(seed)
    words = (rng.integers(0, 4, 60) + 100).astype(np.uint64)
    words[rng.random(60) < 0.2] = np.uint64(TOY.invalid)
    words[rng.random(60) < 0.1] |= np.uint64(TOY.foreign_bit)
    single = (next(iter(word_runs(TOY, i, words[i : i + 1]))) for i in range(60))
    assert list(word_runs(TOY, 0, words)) == coalesce(single)


def test_shape_names_every_page():
    p2m = landed(GEOMETRY_64, 600)
    p2m.set_range_identity(1000, 262144 + 10)
    p2m.end_early()
    p2m.set(3 << 18, 5)
    assert shape(p2m.tree)[:3] == [
        [0, 1, "B", [[0, 2, "L"], [2, 512, "I"]]],
        [1, 2, "B", [[0, 1, "B"], [1, 512, "M"]]],
        [2, 3, "mid_missing"],
    ]
    assert shape(p2m.tree)[3] == [3, 4, "R", [[0, 1, "R"], [1, 512, "M"]]]


def test_check_names_every_broken_invariant():
    p2m = landed(TOY, 3)
    tree = p2m.tree
    assert p2m.check() == []
    tree.leaves.rows[IDENTITY, 1] = 5
    tree.mids.rows[MISSING, 0] = IDENTITY
    assert p2m.check() == [
        "p2m_mid_missing[0] was overwritten with 0x1",
        "p2m_identity[1] was overwritten with 0x5",
    ]
    tree.leaves.rows[IDENTITY] = TOY.invalid
    tree.mids.rows[MISSING] = MISSING
    tree.set_leaf(0, 1, FIRST)
    assert any("more than one place" in line for line in tree.check())
    tree.set_leaf(0, 1, 99)
    assert any("does not exist" in line for line in tree.check())


def test_tools_walk_the_mfn_tree_and_cannot_tell_identity():
    p2m = landed(TOY, 3)
    p2m.set_range_identity(4, 7)
    assert isinstance(p2m.mfn_tree, MfnTree)
    seen = p2m.mfn_tree.view(p2m.tree, 8).tolist()
    invalid, bit = TOY.invalid, TOY.identity_bit
    # leaf 2 is the shared identity page, leaf 3 a private one made for the edge
    assert seen == [1000, 1001, 1002, invalid, invalid, invalid, 6 | bit, invalid]
    assert p2m.get(4) == 4 | bit


def test_a_page_made_before_its_mfn_page_is_hidden_from_tools():
    """3.18 builds the tools' tree late, and only up to the builder's last frame."""
    p2m = landed(TOY, 3, "3.18")
    p2m.set_range_identity(5, 6)
    p2m.end_early()
    assert any("tools do not see" in line for line in p2m.check())


def test_budgets_are_values():
    pages = Pages(runtime_limit=1, brk_budget=2, brk=5)
    assert pages.over_budget == 3
    assert pages.runtime_page()
    assert not pages.runtime_page()
    assert Pages(brk=5).over_budget == 0
    reservation = BrkReservation(7, 2, 6, 3, (64, 500))
    assert reservation.max_domain_pages(GEOMETRY_64) == 500 << 18
    assert reservation.max_domain_pages(GEOMETRY_32) == 64 << 18
    assert reservation.max_domain_pages(TOY) == 8
    assert reservation.pages(GEOMETRY_32) == 7 + 2 * 16 + 6 + 3


def test_a_tree_that_is_too_large_exceeds_its_budget():
    """D6: 32-bit kernels up to 3.15 and identity up to 1 TiB."""
    p2m = landed(GEOMETRY_32, 1024, "2.6.39")
    p2m.set_range_identity(1 << 20, (1 << 28) - 1)
    assert p2m.pages.over_budget > 400
    assert landed(GEOMETRY_32, 1024, "3.18").pages.over_budget == 0


def test_run_time_pages_can_run_out_and_the_mid_page_stays():
    p2m = PhysToMachine(RULES["3.12"], TOY, [9], runtime_limit=1)
    p2m.end_early()
    assert not p2m.set(6, 5)
    assert p2m.get(6) == TOY.invalid
    assert p2m.tree.top[1] != MISSING
    assert p2m.check() == []
