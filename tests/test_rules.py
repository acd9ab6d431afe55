"""The rules of every era: hazards and quirks by name, and each rule set beside a slow twin."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tree_twin import TwinTree
from xenp2m.errors import UnsupportedError
from xenp2m.frames import GEOMETRY_32, GEOMETRY_64, Geometry
from xenp2m.kernel import Release, Version
from xenp2m.model.errors import StoreBeyondEndError
from xenp2m.model.phys_to_machine import PhysToMachine
from xenp2m.model.rules import RULES, Edges
from xenp2m.model.tree import IDENTITY, MISSING

GIB = 1 << 18
BIT = GEOMETRY_64.identity_bit
INVALID = GEOMETRY_64.invalid
LANDED = [name for name in RULES if not name.startswith("seed")]
OLD = ["2.6.39", "3.6", "3.12"]


def guest(name, pages=1024, geometry=GEOMETRY_64):
    return PhysToMachine(RULES[name], geometry, range(1 << 20, (1 << 20) + pages))


def test_every_rule_set_cites_its_source():
    for name, rules in RULES.items():
        assert rules.name == name
        assert rules.source
        assert rules.verified == (name in ("2.6.39", "3.6", "3.12", "3.18"))


@pytest.mark.parametrize(
    ("version", "name"),
    [("2.6.39", "2.6.39"), ("3.4", "2.6.39"), ("3.5", "3.6"), ("3.6.11", "3.6"), ("3.12.9", "3.12"), ("3.15", "3.12"),
     ("3.16", "3.16"), ("3.17.4", "3.16"), ("3.18", "3.18"), ("3.19", "linear-5.10"), ("5.12", "linear-5.12"), ("7.0", "linear")],
)  # fmt: skip
def test_versions_find_their_rules(version, name):
    assert Release.of(Version.parse(version)).p2m == name


def test_older_kernels_have_no_identity():
    with pytest.raises(UnsupportedError, match=r"2\.6\.39"):
        Release.of(Version(2, 6, 38))


@pytest.mark.parametrize("name", LANDED)
@pytest.mark.parametrize(
    ("start", "end"), [(263424, 512256), (1024, 1025), (5, 6), (262143, 262145), (600_000, 600_512)]
)
def test_landed_ranges_never_over_reach(name, start, end):
    p2m = guest(name)
    before, after = p2m.get(start - 1), p2m.get(end)
    assert p2m.set_range_identity(start, end) == end - start
    assert p2m.get(start - 1) == before
    assert p2m.get(end) == after
    assert p2m.get(start) == start | BIT
    assert p2m.get(end - 1) == (end - 1) | BIT


@pytest.mark.parametrize("name", OLD)
def test_d6_a_range_that_ends_at_the_end_of_the_tree_is_refused(name):
    p2m, end = guest(name), GEOMETRY_64.max_p2m_pfn
    pages = p2m.pages.brk
    assert p2m.set_range_identity(GIB, end) == 0
    assert p2m.get(end - 1) == INVALID
    assert p2m.pages.brk == pages
    assert p2m.set_range_identity(GIB, end - 1) == end - 1 - GIB


def test_d6_is_mended_in_3_16():
    p2m, end = guest("3.18"), GEOMETRY_64.max_p2m_pfn
    assert p2m.set_range_identity(GIB, end + 5) == end - GIB
    assert p2m.get(end - 1) == (end - 1) | BIT
    assert p2m.set_range_identity(end, end + 1) == 0
    assert p2m.get(end) == end | BIT


@pytest.mark.parametrize("name", OLD)
def test_d11_identity_under_a_missing_mid_page_shows_in_every_missing_gib(name):
    p2m = guest(name)
    p2m.end_early()
    assert p2m.set(5 * GIB + 3 * 512, (5 * GIB + 3 * 512) | BIT)
    for gib in (1, 5, 511):
        pfn = gib * GIB + 3 * 512 + 7
        assert p2m.get(pfn) == pfn | BIT
    assert p2m.tree.scribbled() == [("mid_missing", 3, IDENTITY)]
    # mid pages made later are clean
    p2m.set(7 * GIB, 99)
    assert p2m.get(7 * GIB + 3 * 512) == INVALID


def test_d11_is_over_reach_of_a_whole_gib_in_3_18():
    p2m = guest("3.18")
    p2m.end_early()
    p2m.set(5 * GIB + 7, (5 * GIB + 7) | BIT)
    assert p2m.get(5 * GIB) == 5 * GIB | BIT
    assert p2m.get(6 * GIB) == INVALID
    assert p2m.tree.scribbled() == []


@pytest.mark.parametrize("name", OLD)
def test_d12_an_empty_range_allocates(name):
    p2m = guest(name)
    pages = p2m.pages.brk
    assert p2m.set_range_identity(GIB + 5, GIB + 5) == 0
    assert p2m.pages.brk == pages + 3  # mid page, its page of MFNs, a leaf
    assert p2m.set_range_identity(2 * GIB, 2 * GIB) == 0
    assert p2m.pages.brk == pages + 3


def test_d12_an_edge_inside_an_identity_leaf_is_not_split_and_counts_too_much():
    p2m = guest("3.18")
    p2m.set_range_identity(GIB, 2 * GIB)
    assert p2m.set_range_identity(GIB - 5, GIB + 5) == 5 + GIB
    p2m.set_range_identity(3 * GIB, 3 * GIB + 1024)
    assert p2m.set_range_identity(3 * GIB + 3, 3 * GIB + 5) == 509


@pytest.mark.parametrize("name", LANDED)
def test_d15_a_store_into_shared_identity_succeeds_and_is_lost(name):
    p2m = guest(name)
    p2m.set_range_identity(GIB, 2 * GIB)
    p2m.end_early()
    assert p2m.set(GIB + 7, 4711)
    assert p2m.get(GIB + 7) == GIB + 7 | BIT
    assert p2m.tree.scribbled() == [("identity", 7, 4711)]
    assert p2m.pages.runtime == 0


@pytest.mark.parametrize("name", LANDED)
def test_stores_past_the_end(name):
    p2m, end = guest(name), GEOMETRY_64.max_p2m_pfn
    assert p2m.store(end, INVALID)
    with pytest.raises(StoreBeyondEndError) as stop:
        p2m.store(end + 3, 5)
    assert stop.value.pfn == end + 3
    assert p2m.get(end) == (end | BIT if name in ("3.16", "3.18") else INVALID)


@pytest.mark.parametrize("name", ["3.6", "3.12", "3.18"])
def test_a_leaf_that_says_nothing_is_used_again(name):
    p2m = guest(name, 2048)
    for pfn in range(512, 1024):
        p2m.store(pfn, INVALID)
    for pfn in range(1024, 1536):
        p2m.store(pfn, pfn | BIT)
    pages = p2m.pages.brk
    assert p2m.early_set(4096, 7)
    assert (p2m.tree.leaf_of(512), p2m.get(512)) == (MISSING, INVALID)
    assert p2m.early_set(8192, 8)
    assert (p2m.tree.leaf_of(1024), p2m.get(1025)) == (IDENTITY, 1025 | BIT)
    assert p2m.pages.brk == pages
    assert p2m.early_set(9001, 9)  # not at the start of a leaf: no reuse
    assert p2m.pages.brk == pages + 1
    assert [p2m.get(pfn) for pfn in (4096, 8192, 9001)] == [7, 8, 9]
    p2m.end_early()
    assert p2m.tree.check() == []
    # the tree of 3.18 ends for tools at the builder's last frame, unless extra memory moved the end
    assert bool(p2m.check()) == (name == "3.18")


@pytest.mark.parametrize("name", LANDED)
def test_run_time_set_before_the_allocator_is_up_fails(name):
    p2m = guest(name)
    assert not p2m.set(GIB, 5)
    p2m.end_early()
    assert p2m.set(GIB, 5)
    assert p2m.get(GIB) == 5


def test_the_seed_over_reaches_a_gib_and_the_landed_rules_do_not():
    hole = 605184, 618659
    seed, bit = guest("seed", GIB), guest("seed-bit", GIB)
    for p2m in (seed, bit):
        assert p2m.set_range_identity(*hole) == 13475
    assert seed.get(2 * GIB) == 2 * GIB  # the plain number
    assert bit.get(2 * GIB) == 2 * GIB | BIT
    assert guest("2.6.39", GIB).get(2 * GIB) == INVALID


@pytest.mark.parametrize("name", ["seed-builder", "seed-early", "seed-hoisted"])
def test_the_three_ways_out_do_not_over_reach_but_cost_a_page_per_leaf(name):
    p2m = guest(name, GIB)
    pages = p2m.pages.brk
    assert p2m.set_range_identity(605184, 618659) == 13475
    assert p2m.get(605183) == p2m.get(618659) == INVALID
    assert p2m.get(605184) == 605184
    # one mid page, its page of MFNs, and a leaf for each 2 MiB
    assert p2m.pages.brk - pages == 2 + 27
    assert p2m.check() == []


def test_void_identity_needs_pages_for_what_is_missing():
    p2m = guest("seed-void-identity", 3)
    assert p2m.get(5 * GIB) == 5 * GIB
    p2m.end_early()
    assert p2m.set(5 * GIB + 1, INVALID)
    assert p2m.get(5 * GIB) == 5 * GIB
    assert p2m.get(5 * GIB + 1) == INVALID
    assert p2m.pages.runtime == 3


# --- every rule set beside the twin, all operations, toy trees -------------------------------------

_TOYS = [Geometry(8, 2), Geometry(4, 3), Geometry(8, 4)]


class TwinMachine(RuleBasedStateMachine):
    """Any sequence of operations gives the same answers and the same pages on both."""

    @initialize(name=st.sampled_from(list(RULES)), geometry=st.sampled_from(_TOYS), pages=st.integers(1, 30))
    def build(self, name, geometry, pages):
        pages = min(pages, geometry.entries**3)
        mfns = range(200, 200 + pages)
        self.p2m, self.twin = (
            PhysToMachine(RULES[name], geometry, mfns),
            TwinTree(RULES[name], geometry, mfns),
        )
        self.end = geometry.max_p2m_pfn
        self.rules = RULES[name]

    def pfn(self, number):
        return number % self.end

    def word(self, pfn, what):
        return [
            self.p2m.geometry.invalid,
            pfn,
            self.p2m.identity(pfn),
            300 + pfn,
            9 | self.p2m.geometry.foreign_bit,
        ][what]

    @rule(number=st.integers(0, 127), what=st.integers(0, 4))
    def store(self, number, what):
        pfn = self.pfn(number)
        word = self.word(pfn, what)
        assert self.p2m.store(pfn, word) == self.twin.store(pfn, word)

    @rule(number=st.integers(0, 127), what=st.integers(0, 4))
    def set(self, number, what):
        pfn = self.pfn(number)
        word = self.word(pfn, what)
        assert self.p2m.set(pfn, word) == self.twin.set(pfn, word)

    @precondition(lambda self: self.p2m.is_early and self.rules.early_set)
    @rule(number=st.integers(0, 127), what=st.integers(0, 4))
    def early_set(self, number, what):
        pfn = self.pfn(number)
        word = self.word(pfn, what)
        assert self.p2m.early_set(pfn, word) == self.twin.early_set(pfn, word)

    @precondition(lambda self: self.p2m.is_early)
    @rule(start=st.integers(0, 70), count=st.integers(-1, 70))
    def set_range_identity(self, start, count):
        assert self.p2m.set_range_identity(start, start + count) == self.twin.ri(start, start + count)

    @rule()
    def end_early(self):
        self.p2m.end_early()
        self.twin.rt()

    @invariant()
    def equal(self):
        if not hasattr(self, "p2m"):
            return
        pfns = np.arange(self.end)
        twin = [self.twin.get(pfn) for pfn in range(self.end)]
        assert self.p2m.gather(pfns).tolist() == twin
        assert [self.p2m.get(pfn) for pfn in range(self.end + 2)] == [
            *twin,
            *map(self.twin.get, (self.end, self.end + 1)),
        ]
        assert [(page, i) for page, i, _ in self.p2m.tree.scribbled()] == self.twin.scribbled()
        pages = self.p2m.pages
        assert (pages.brk, pages.runtime, pages.bootmem) == (
            self.twin.brk,
            self.twin.runtime,
            self.twin.bootmem,
        )
        if self.p2m.mfn_tree is not None:
            assert self.p2m.mfn_tree.view(self.p2m.tree, self.end).tolist() == self.twin.frames(self.end)


TestTwin = TwinMachine.TestCase
TestTwin.settings = settings(max_examples=300, stateful_step_count=25, deadline=None)


# --- landed rules beside a flat dict: what holds where nobody trips over a quirk -------------------


class FlatMachine(RuleBasedStateMachine):
    """Ranges of identity and run-time sets keep to themselves, on toy and on real trees."""

    @initialize(
        name=st.sampled_from(LANDED),
        geometry=st.sampled_from([*_TOYS, GEOMETRY_32, GEOMETRY_64]),
        pages=st.integers(1, 3000),
    )
    def build(self, name, geometry, pages):
        n = geometry.entries
        pages = min(pages, n**3)
        self.p2m = PhysToMachine(RULES[name], geometry, range(1 << 20, (1 << 20) + pages))
        self.flat = {pfn: (1 << 20) + pfn for pfn in range(pages)}
        self.ranges = []
        self.end = n**3 - 1
        self.marks = sorted({m for base in (0, n, n * n, 2 * n * n, pages) for d in (-1, 0, 1)
                             if 0 <= (m := base + d) < self.end})  # fmt: skip
        self.seen = set(self.marks)

    def read(self, pfn):
        return self.flat.get(pfn, self.p2m.geometry.invalid)

    @precondition(lambda self: self.p2m.is_early)
    @rule(mark=st.integers(0, 99), offset=st.integers(0, 50), count=st.integers(0, 3000))
    def identity(self, mark, offset, count):
        start = min(self.marks[mark % len(self.marks)] + offset, self.end)
        end = min(start + count, self.end)
        self.p2m.set_range_identity(start, end)
        self.flat.update((pfn, self.p2m.identity(pfn)) for pfn in range(start, end))
        self.seen |= {start - 1, start, end - 1, end} - {-1}

    @precondition(lambda self: self.p2m.is_early and self.p2m.rules.early_set)
    @rule(mark=st.integers(0, 99), offset=st.integers(0, 600), word=st.integers(5000, 6000))
    def early_set(self, mark, offset, word):
        pfn = min(self.marks[mark % len(self.marks)] + offset, self.end)
        if self.p2m.tree.leaf_of(pfn) != IDENTITY:
            assert self.p2m.early_set(pfn, word)
            self.flat[pfn] = word
            self.seen.add(pfn)

    @rule(
        mark=st.integers(0, 99), offset=st.integers(0, 600), word=st.integers(5000, 6000), clear=st.booleans()
    )
    def set(self, mark, offset, word, clear):
        self.p2m.end_early()
        pfn = min(self.marks[mark % len(self.marks)] + offset, self.end)
        if self.p2m.tree.leaf_of(pfn) != IDENTITY:
            word = self.p2m.geometry.invalid if clear else word
            assert self.p2m.set(pfn, word)
            self.flat[pfn] = word
            self.seen.add(pfn)

    @invariant()
    def equal(self):
        if hasattr(self, "p2m"):
            pfns = np.array(sorted(self.seen))
            assert self.p2m.gather(pfns).tolist() == [self.read(pfn) for pfn in pfns.tolist()]
            assert self.p2m.tree.check() == []

    def teardown(self):
        if hasattr(self, "p2m"):
            pfns = np.array(sorted(self.flat))
            assert self.p2m.gather(pfns).tolist() == [self.flat[pfn] for pfn in pfns.tolist()]


TestFlat = FlatMachine.TestCase
TestFlat.settings = settings(max_examples=60, stateful_step_count=20, deadline=None)


@given(
    st.sampled_from([n for n, r in RULES.items() if r.edges is Edges.IGNORED and r.swap_mid]),
    st.integers(0, 7),
)
def test_the_seed_breaks_on_the_smallest_tree(name, pfn):
    """On two entries a page one identity frame in the void changes at least its neighbour."""
    p2m = PhysToMachine(RULES[name], Geometry(8, 2), [100])
    before = [p2m.get(i) for i in range(8)]
    p2m.set_range_identity(pfn, pfn + 1)
    changed = [i for i in range(8) if p2m.get(i) != before[i]]
    assert changed == ([pfn] if pfn < 2 else [2, 3] if pfn < 4 else [4, 5, 6, 7]) or pfn == 7
