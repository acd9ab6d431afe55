"""The linear list: shared pages, private ones, generation, and a flat dict beside it."""

import json
import lzma
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from xenp2m.frames import GEOMETRY_32, GEOMETRY_64, Geometry
from xenp2m.kernel import Release, Version
from xenp2m.model.errors import StoreBeyondEndError
from xenp2m.model.linear import LINEAR_RULES, LinearP2M
from xenp2m.model.shape import runs, shape
from xenp2m.model.tree import IDENTITY, MISSING

VECTORS = Path(__file__).parent / "vectors"

BIT, INVALID = GEOMETRY_64.identity_bit, GEOMETRY_64.invalid
TOYS = [Geometry(8, 2), Geometry(8, 3), Geometry(4, 4)]


def guest(pages=1024, name="linear", geometry=GEOMETRY_64):
    return LinearP2M(LINEAR_RULES[name], geometry, range(1 << 20, (1 << 20) + pages))


@pytest.mark.parametrize("version", ["3.19", "4.3", "5.10.20", "5.10.21", "5.10.67", "5.12", "5.15", "7.3"])
def test_versions_find_their_rules(version):
    release = Release.of(Version.parse(version))
    rules = LINEAR_RULES[release.p2m]
    assert rules.beyond_bugs == (release.beyond == "bugs")
    assert rules.end_by_entry == (release.list_end == "entry")
    assert not rules.fill_unaligned


def test_the_builders_list_serves_until_it_is_rebuilt():
    p2m = guest(1000)
    assert p2m.size == p2m.last_pfn == 1024
    assert (p2m.get(999), p2m.get(1000), p2m.get(1024)) == ((1 << 20) + 999, INVALID, 1024 | BIT)
    assert p2m.set_range_identity(1000, 5000) == 24
    assert p2m.set_range_identity(1024, 5000) == 0
    assert p2m.pages.runtime == 0


def test_extra_memory_reads_missing_before_the_list_reaches_it():
    p2m = guest()
    p2m.set_extra([(4096, 5000)])
    assert (p2m.get(4095), p2m.get(4096), p2m.get(4999), p2m.get(5000)) == (
        4095 | BIT,
        INVALID,
        INVALID,
        5000 | BIT,
    )


def test_uniform_leaves_are_shared_and_extra_ones_are_private():
    p2m = guest(2048)
    p2m.set_range_identity(512, 1024)
    p2m.set_extra([(4096, 4608), (5000, 5001)])
    p2m.end_early(limit_pfn=1 << 20)
    assert p2m.size == 1 << 20
    assert p2m.last_pfn == 5001
    assert shape(p2m.tree) == [
        [0, 1, "R", [[0, 1, "R"], [1, 2, "I"], [2, 4, "R"], [4, 8, "I"], [8, 10, "R"], [10, 512, "I"]]],
        [1, 4, "mid_identity"],
    ]
    # 4 shared, 3 private of the list, 2 of extra memory, 3 and 1 of the tools' tree
    assert p2m.pages.runtime == 4 + 3 + 2 + 3 + 1
    assert p2m.check() == []


def test_tools_that_use_the_virtual_address_need_no_tree():
    p2m = guest()
    p2m.end_early(virt_p2m_4tools=True)
    assert p2m.mfn_tree is None
    assert p2m.pages.runtime == 4 + 2


def test_stores_into_shared_pages_fail_unless_they_change_nothing():
    p2m = guest()
    p2m.end_early(limit_pfn=1 << 19)
    assert p2m.tree.leaf_of(5000) == IDENTITY
    assert p2m.store(5000, 5000 | BIT)
    assert not p2m.store(5000, INVALID)
    assert not p2m.store(5000, 7)
    assert p2m.set(5000, 7)
    assert (p2m.get(4999), p2m.get(5000), p2m.get(5001)) == (4999 | BIT, 7, 5001 | BIT)
    assert p2m.tree.scribbled() == []


def test_a_whole_gib_of_missing_shares_its_page_table():
    words = np.full(1 << 19, INVALID, np.uint64)
    p2m = LinearP2M(LINEAR_RULES["linear"], GEOMETRY_64, words)
    p2m.end_early()
    assert p2m.tree.top.tolist() == [MISSING, MISSING]
    generation, pages = p2m.generation, p2m.pages.runtime
    assert p2m.set(5, 9)
    assert p2m.get(6) == INVALID
    # a page-table page, a page of MFNs, a leaf; one change of mapping each for table and leaf
    assert (p2m.pages.runtime - pages, p2m.generation - generation) == (3, 4)


def test_32_bit_needs_two_page_tables_for_what_one_page_of_mfns_covers():
    p2m = guest(1024, "linear-5.10", GEOMETRY_32)
    p2m.end_early(limit_pfn=1 << 21)
    pages = p2m.pages.runtime
    assert p2m.set(1 << 20, 9)
    assert p2m.pages.runtime - pages == 2 + 1 + 1


@pytest.mark.parametrize(("name", "end"), [("linear", 8192), ("linear-5.10", 8000)])
def test_the_end_that_tools_see(name, end):
    p2m = guest(1024, name)
    p2m.end_early(limit_pfn=1 << 18)
    assert p2m.last_pfn == 1024
    p2m.set(8000, 5)
    assert p2m.last_pfn == end


def test_past_the_end():
    new, old = guest(), guest(1024, "linear-5.10")
    for p2m in (new, old):
        assert p2m.store(1 << 30, INVALID)
        with pytest.raises(StoreBeyondEndError):
            p2m.set(1 << 30, 5)
    assert not new.store(1 << 30, 5)
    with pytest.raises(StoreBeyondEndError):
        old.store(1 << 30, 5)


def test_d13_the_unaligned_fill():
    p2m = guest(1024, "linear-3.19")
    p2m.end_early(limit_pfn=1 << 18)
    p2m.set(5003, 7)
    # leaf [4608, 5120): entry i says identity of 5003 + i
    assert p2m.get(4608) == 5003 | BIT
    assert p2m.get(5003) == 7
    assert [str(r.kind) for r in runs(p2m)][1:5] == ["identity", "other", "mfn", "other"]


def test_pages_can_run_out():
    p2m = LinearP2M(LINEAR_RULES["linear"], GEOMETRY_64, range(512), runtime_limit=4 + 1 + 4)
    p2m.end_early(limit_pfn=1 << 19)
    assert not p2m.set(1 << 18, 5)
    assert p2m.get(1 << 18) == 1 << 18 | BIT
    assert p2m.check() == []


class LinearMachine(RuleBasedStateMachine):
    """Any sequence of operations reads back as a flat dict."""

    @initialize(
        name=st.sampled_from(["linear", "linear-5.10"]),
        geometry=st.sampled_from([*TOYS, GEOMETRY_32, GEOMETRY_64]),
        pages=st.integers(1, 2000),
        virt=st.booleans(),
    )
    def build(self, name, geometry, pages, virt):
        n = geometry.entries
        pages = min(pages, n**3 - 1)
        self.p2m = LinearP2M(LINEAR_RULES[name], geometry, range(1 << 20, (1 << 20) + pages))
        self.flat = {
            pfn: (1 << 20) + pfn if pfn < pages else geometry.invalid for pfn in range(self.p2m.size)
        }
        self.virt = virt
        self.marks = [0, n, n * n, 2 * n * n, pages]

    def pfn(self, mark, offset):
        return min(max(0, self.marks[mark] + offset), self.p2m.size - 1)

    @precondition(lambda self: self.p2m.is_early)
    @rule(mark=st.integers(0, 4), offset=st.integers(-5, 5), count=st.integers(0, 1100))
    def identity(self, mark, offset, count):
        start = self.pfn(mark, offset)
        end = min(start + count, self.p2m.size)
        assert self.p2m.set_range_identity(start, start + count) == end - start
        self.flat.update((pfn, self.p2m.identity(pfn)) for pfn in range(start, end))

    @precondition(lambda self: self.p2m.is_early)
    @rule(
        limit=st.integers(0, 3),
        extra=st.lists(st.tuples(st.integers(1, 700), st.integers(1, 700)), max_size=2),
    )
    def end_early(self, limit, extra):
        position, regions = self.p2m.size, []
        for gap, size in extra:
            regions.append((position + gap, position + gap + size))
            position += gap + size
        self.p2m.set_extra(regions)
        self.p2m.end_early(limit * self.p2m.geometry.entries**2, self.virt)
        for region in regions:
            self.flat.update((pfn, self.p2m.geometry.invalid) for pfn in range(*region))

    @rule(mark=st.integers(0, 4), offset=st.integers(-600, 600), what=st.integers(0, 3))
    def set(self, mark, offset, what):
        pfn = self.pfn(mark, offset)
        word = [7, self.p2m.geometry.invalid, self.p2m.identity(pfn), 9 | self.p2m.geometry.foreign_bit][what]
        before = self.p2m.get(pfn)
        if self.p2m.store(pfn, word):
            self.flat[pfn] = word
        assert self.p2m.get(pfn) == self.flat.get(pfn, before)
        assert self.p2m.set(pfn, word)
        self.flat[pfn] = word

    @invariant()
    def equal(self):
        if hasattr(self, "p2m"):
            size = min(self.p2m.size, 5000)
            wanted = [self.flat.get(pfn, self.p2m.identity(pfn)) for pfn in range(size)]
            assert self.p2m.gather(np.arange(size)).tolist() == wanted
            assert self.p2m.check() == []


TestLinear = LinearMachine.TestCase
TestLinear.settings = settings(max_examples=80, stateful_step_count=15, deadline=None)


# --- the kernels' own answers: boots driven through the list frame by frame ------------------------


def boots(version, most_pages=1 << 18):
    with lzma.open(VECTORS / f"setup-{version}.jsonl.xz", "rt") as file:
        rows = [json.loads(line) for line in file]
    for row in rows:
        given, out = row["in"], row["out"]
        extra = sum(e - s for s, e in out.get("extra_early", []))
        small = given["nr_pages"] <= most_pages and extra <= most_pages * 4096
        if small and given["e820"] is not None and "bug" not in out and row["kernel"] == version:
            yield row


def replayed(row):
    """The list after the boot of one row: holes, extra regions and moves come from the row itself."""
    given, out = row["in"], row["out"]
    mfns = np.arange(given["mfn_base"], given["mfn_base"] + given["nr_pages"])
    p2m = LinearP2M(LINEAR_RULES["linear"], GEOMETRY_64, mfns[::-1] if given["mfn_desc"] else mfns)
    moved = []
    for first, end, kind, *number in out["p2m"]:
        if kind == "identity":
            p2m.set_range_identity(first, end)
        elif kind == "mfn" and end > given["nr_pages"]:
            step = number[1] if len(number) > 1 else 1
            moved += [
                (pfn, number[0] + (pfn - first) * step) for pfn in range(max(first, given["nr_pages"]), end)
            ]
    p2m.set_extra([(s >> 12, e >> 12) for s, e in out["extra_early"]])
    p2m.end_early(given["p2m_limit_gb"] << 18, bool(given.get("virt_p2m_4tools")))
    for pfn, mfn in moved:
        assert p2m.set(pfn, mfn)
    return p2m


@pytest.mark.parametrize("version", ["6.1"])
def test_boots_of_the_vectors_give_the_same_list(version):
    judged = 0
    for row in boots(version):
        p2m, out = replayed(row), row["out"]
        assert [r.listed() for r in runs(p2m)] == out["p2m"], row["id"]
        assert p2m.size == out["p2m_size"], row["id"]
        assert p2m.pages.runtime == out["alloc_p2m_pages"], row["id"]
        judged += 1
    assert judged > 50
