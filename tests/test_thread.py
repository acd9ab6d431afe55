"""The mail thread of 4 January 2011, sentence by sentence: E1 to E12 of its worked examples.

Each test quotes nothing but the numbers of the thread. Where the thread slipped, the test says what
it said and what is right. "GiB k" is PFN ``k << 18``.
"""

import numpy as np
import pytest

from xenp2m.frames import GEOMETRY_32, GEOMETRY_64, Kind
from xenp2m.model.balloon import BALLOON_BUG, balloon_up
from xenp2m.model.phys_to_machine import PhysToMachine
from xenp2m.model.pte import PAGE_IOMAP, PAGE_PRESENT, make_pte
from xenp2m.model.rules import RULES
from xenp2m.model.shape import runs, shape
from xenp2m.model.toolstack import Verdict, build_m2p, check_entry, check_list, frame_list
from xenp2m.model.tree import IDENTITY, MISSING

GIB = 1 << 18
MIB = 1 << 8
BIT, INVALID = GEOMETRY_64.identity_bit, GEOMETRY_64.invalid
SEEDS = ("seed", "seed-bit")
LANDED = ("2.6.39", "3.6", "3.12", "3.16", "3.18")


def guest(name, pages, geometry=GEOMETRY_64):
    return PhysToMachine(RULES[name], geometry, range(1 << 20, (1 << 20) + pages))


def index(pfn, geometry=GEOMETRY_64):
    return guest("seed", 1, geometry).tree.index(pfn)


def test_e1_the_descending_list_and_identity_at_3_gib():
    p2m = PhysToMachine(RULES["seed"], GEOMETRY_64, [0x290F, 0x290E, 0x290D])
    assert p2m.get(2) == 0x290D
    assert p2m.get(0xC0000) == INVALID
    p2m.set_range_identity(0xC0000, 0xC0001)
    assert p2m.get(0xC0000) == 0xC0000
    assert index(0xC0000) == (3, 0, 0)
    assert index(0xC0000, GEOMETRY_32) == (0, 768, 0)


def test_e2_two_gib_are_two_mid_pages_or_one_on_32_bit():
    p2m = guest("seed", 2 * GIB)
    assert shape(p2m.tree) == [
        [0, 1, "B", [[0, 512, "L"]]],
        [1, 2, "B", [[0, 512, "L"]]],
        [2, 512, "mid_missing"],
    ]
    assert shape(guest("seed", 2 * GIB, GEOMETRY_32).tree)[0] == [
        0,
        1,
        "B",
        [[0, 512, "L"], [512, 1024, "M"]],
    ]


def test_e3_the_fourth_gib_becomes_the_shared_identity_mid_page():
    for name in SEEDS:
        p2m = guest(name, 2 * GIB)
        assert p2m.set_range_identity(3 * GIB, 4 * GIB) == GIB
        assert p2m.tree.top[3] == IDENTITY
    # landed before 3.16: a mid page of 512 shared leaves, and a page of MFNs beside it
    p2m = guest("2.6.39", 2 * GIB)
    pages = p2m.pages.brk
    p2m.set_range_identity(3 * GIB, 4 * GIB)
    assert shape(p2m.tree)[3] == [3, 4, "B", [[0, 512, "I"]]]
    assert p2m.pages.brk == pages + 2
    p2m = guest("3.18", 2 * GIB)
    pages = p2m.pages.brk
    p2m.set_range_identity(3 * GIB, 4 * GIB)
    assert p2m.tree.top[3] == IDENTITY
    assert p2m.pages.brk == pages
    # 32 bits: the same mid page as RAM
    p2m = guest("2.6.39", 2 * GIB, GEOMETRY_32)
    p2m.set_range_identity(3 * GIB, 4 * GIB)
    assert shape(p2m.tree)[0] == [0, 1, "B", [[0, 512, "L"], [512, 768, "M"], [768, 1024, "I"]]]


@pytest.mark.parametrize("name", ["seed", "2.6.39", "3.12"])
def test_e4_what_lies_behind_is_still_missing(name):
    p2m = guest(name, 2 * GIB)
    p2m.set_range_identity(3 * GIB, 4 * GIB)
    assert all(p2m.tree.top[top] == MISSING for top in range(4, 512))
    assert p2m.get(4 * GIB) == INVALID
    # from 3.16 on the boot marks everything behind the E820 as identity, at no cost
    new = guest("3.18", 2 * GIB)
    pages = new.pages.brk
    new.set_range_identity(4 * GIB, GEOMETRY_64.max_p2m_pfn)
    assert new.get(500 * GIB) == 500 * GIB | BIT
    assert new.pages.brk == pages


def test_e5_pci_at_two_and_a_half_gib():
    """The thread says p2m[1][473] to p2m[1][511]; it is p2m[2][256] to p2m[2][511]."""
    assert index(2560 * MIB) == (2, 256, 0)
    assert index(3 * GIB - 1) == (2, 511, 511)
    assert 1970 * MIB == (1 * 512 + 473) * 512  # where the thread's index lies
    p2m = guest("seed-bit", 3 * GIB)
    assert p2m.set_range_identity(2560 * MIB, 3 * GIB) == 131072
    assert shape(p2m.tree)[2] == [2, 3, "B", [[0, 512, "L"]]]  # stored, not swapped: it works
    assert p2m.get(2560 * MIB) == 2560 * MIB | BIT


def test_e5b_those_entries_held_mfns_not_invalid():
    """The fill with ~0 is only in the last, partial leaf; without a release the frames leak."""
    p2m = guest("seed-bit", 3 * GIB)
    assert p2m.get(2560 * MIB) == (1 << 20) + 2560 * MIB
    partial = guest("seed-bit", 3 * GIB - 100)
    assert partial.get(3 * GIB - 100) == INVALID
    assert partial.tree.leaf_of(3 * GIB - 100) > IDENTITY


def test_e6_a_hole_at_2_36_gb():
    """The thread says p2m[3][231], which is 3534 MiB; 2.36 GiB and 2.36 GB lie behind p2m[2]."""
    assert index(618659) == (2, 184, 163)
    assert index(2_360_000_000 // 4096) == (2, 101, 171)
    assert 3534 * MIB == (3 * 512 + 231) * 512


@pytest.mark.parametrize("name", SEEDS)
def test_e6b_the_top_swap_fires_first(name):
    """Not p2m_missing to p2m_identity, as the thread says, but the whole third GiB."""
    p2m = guest(name, 2 * GIB)
    p2m.set_range_identity(618659, 3 * GIB)
    assert p2m.tree.top[2] == IDENTITY
    wrong = [pfn for pfn in (2 * GIB, 618658) if p2m.get(pfn) != INVALID]
    assert wrong == [2 * GIB, 618658]
    assert 618659 - 2 * GIB == 94371
    for landed in LANDED:
        right = guest(landed, 2 * GIB)
        right.set_range_identity(618659, 3 * GIB)
        assert right.get(618658) == INVALID
        assert right.get(618659) == 618659 | BIT


NR, MAX = 262144, 605184  # dom0_mem=max:2364MB,1GB


def contiguous(p2m, count=MAX - NR):
    """The balloon refills right behind the allocation."""
    p2m.end_early()
    return balloon_up(p2m, ((NR + i, (1 << 22) + i) for i in range(count)))


@pytest.mark.parametrize("name", SEEDS)
def test_e7_the_balloon_hits_the_bug_at_two_gib(name):
    p2m = guest(name, NR)
    p2m.set_range_identity(MAX, 3 * GIB)
    assert index(MAX) == (2, 158, 0)
    bad = [r for r in runs(p2m) if r.kind is Kind.IDENTITY]
    assert [(r.start, min(r.end, MAX)) for r in bad] == [(524288, 605184)]
    assert MAX - 524288 == 80896
    done = contiguous(p2m)
    assert done.bug_pfn == 524288
    assert done.filled == 262144
    assert BALLOON_BUG == "phys_to_machine_mapping_valid"


@pytest.mark.parametrize("name", [*LANDED, "seed-builder", "seed-early", "seed-hoisted"])
def test_e7_neither_the_landed_rules_nor_the_three_ways_out_do(name):
    p2m = guest(name, NR)
    p2m.set_range_identity(MAX, 3 * GIB)
    done = contiguous(p2m)
    assert (done.filled, done.bug_pfn, done.failed_pfn) == (MAX - NR, None, None)


def test_e7_with_the_leaf_swap_alone_this_hole_is_harmless():
    """Its edges lie on leaf boundaries: no frame too many where the mid page exists already."""
    p2m = guest("seed-bit", 2 * GIB + 1)
    p2m.set_range_identity(MAX, 3 * GIB)
    assert p2m.get(MAX - 1) == INVALID
    p2m = guest("seed-bit", 2 * GIB + 1)
    p2m.set_range_identity(MAX + 5, 3 * GIB)
    assert p2m.get(MAX) == MAX | BIT  # one that does not is not


@pytest.mark.parametrize("name", SEEDS)
def test_e7b_extra_memory_behind_the_e820_meets_identity_only_in_its_last_gib(name):
    """2.6.37 puts extra memory at 4 GiB or behind the map, so the BUG needs a map that ends inside a GiB."""
    p2m = guest(name, NR)
    p2m.set_range_identity(MAX, 3 * GIB)
    p2m.set_range_identity(0xFEC00, 0xFEC01)  # the map ends at 0xfec01000
    p2m.end_early()
    assert balloon_up(p2m, [(4 * GIB, 7)]).bug_pfn is None
    assert balloon_up(p2m, [(0xFEC01, 7)]).bug_pfn == 0xFEC01


def test_e8_the_boundaries_are_1_gib_and_2_mib_or_4_gib_and_4_mib():
    """The thread says 1 GB, or 512 MB on 32 bits, which is no boundary at all."""
    assert (GEOMETRY_64.entries**2 // MIB, GEOMETRY_64.entries // MIB) == (1024, 2)
    assert (GEOMETRY_32.entries**2 // MIB, GEOMETRY_32.entries // MIB) == (4096, 4)
    p2m = guest("seed-bit", 1, GEOMETRY_32)
    p2m.set_range_identity(5 * GIB, 5 * GIB + 1)
    assert [(r.start, r.end) for r in runs(p2m) if r.kind is Kind.IDENTITY] == [(4 * GIB, 8 * GIB)]


def test_e9_the_first_lookup_test_is_redundant():
    """Every entry of p2m_mid_identity is p2m_identity, so the second test finds it too."""
    p2m = guest("seed", 1)
    p2m.set_range_identity(3 * GIB, 4 * GIB)
    assert (p2m.tree.mids.rows[IDENTITY] == IDENTITY).all()
    assert p2m.tree.leaf_of(3 * GIB + 12345) == IDENTITY
    # in the store it is not: without it every store would swap a private mid page's leaf
    assert p2m.store(3 * GIB + 5, 3 * GIB + 5)
    assert p2m.tree.top[3] == IDENTITY


def test_e10_poison_and_identity_upset_the_toolstack():
    geometry, words = GEOMETRY_32, [500, 501, 502, GEOMETRY_32.invalid]
    m2p, max_mfn = build_m2p(words, geometry), 1 << 20
    assert check_entry(3, geometry.invalid, m2p, max_mfn, geometry) is Verdict.INVALID
    assert check_entry(3, 0xFFFFFFFE, m2p, max_mfn, geometry) is Verdict.BOGUS
    assert check_entry(3, 3, m2p, max_mfn, geometry) is Verdict.RACE  # identity by value
    assert check_entry(3, 501, m2p, max_mfn, geometry) is Verdict.RACE  # a dummy page
    assert check_entry(1, 501, m2p, max_mfn, geometry) is Verdict.MFN
    # which is why p2m_identity holds INVALID: tools see nothing there
    p2m = guest("2.6.39", 3)
    p2m.set_range_identity(1024, 2048)
    p2m.max_pfn = 2048
    seen = frame_list(p2m)
    assert set(seen[1024:]) == {INVALID}
    found = check_list(seen, build_m2p(seen, GEOMETRY_64), 1 << 24, GEOMETRY_64)
    assert (found.pages, found.races, found.bogus) == (3, [], [])


def test_e11_the_example_of_the_landed_text():
    """ACPI from 1029 to 2001 MiB. Its comment is off by one: the end is exclusive.

    The pages: 4 before 3.16 (a page of MFNs, too), 3 after; 32 bits need the two leaves only.
    """
    start, end = 263424, 512256
    assert (index(start), index(end)) == ((1, 2, 256), (1, 488, 256))
    assert (index(start, GEOMETRY_32), index(end, GEOMETRY_32)) == ((0, 257, 256), (0, 500, 256))
    for name, cost in (("2.6.39", 4), ("3.12", 4), ("3.18", 3)):
        p2m = guest(name, GIB)
        pages = p2m.pages.brk
        assert p2m.set_range_identity(start, end) == end - start
        assert p2m.pages.brk - pages == cost
        assert shape(p2m.tree)[1] == [
            1, 2, "B", [[0, 2, "M"], [2, 3, "B"], [3, 488, "I"], [488, 489, "B"], [489, 512, "M"]],
        ]  # fmt: skip
        edges = [p2m.get(pfn) for pfn in (start - 1, start, end - 1, end)]
        assert edges == [INVALID, start | BIT, (end - 1) | BIT, INVALID]
    p2m = guest("2.6.39", GIB, GEOMETRY_32)
    pages = p2m.pages.brk
    p2m.set_range_identity(start, end)
    assert p2m.pages.brk - pages == 2


def test_e12_lists_descend_ascend_or_are_scrambled():
    base = np.arange(1 << 20, (1 << 20) + 2000)
    for mfns, steps in ((base, 1), (base[::-1], 1), (np.random.default_rng(1).permutation(base), 1000)):
        p2m = PhysToMachine(RULES["2.6.39"], GEOMETRY_64, mfns)
        found = [r for r in runs(p2m) if r.kind is Kind.MFN]
        assert len(found) >= steps
        assert [r.at(pfn) for r in found for pfn in range(r.start, r.end)] == mfns.tolist()
    assert runs(PhysToMachine(RULES["2.6.39"], GEOMETRY_64, base[::-1]))[0].step == -1


def test_patch_7_of_8_tells_a_page_with_its_own_number_from_identity():
    """IDENTITY_FRAME_BIT can come later, says the thread; without it an ordinary page can look 1-1."""
    by_value, by_bit = guest("seed", 1), guest("seed-bit", 1)
    for p2m in (by_value, by_bit):
        p2m.store(0, 0)  # PFN 0 got machine frame 0: a page like any other
    assert runs(by_value)[0].kind is Kind.IDENTITY
    assert runs(by_bit)[0].kind is Kind.MFN


def test_ptes_are_made_from_pfns():
    p2m = guest("2.6.39", 3)
    p2m.set_range_identity(0xFEC00, 0xFEC01)
    assert make_pte(p2m, 1, PAGE_PRESENT) == ((1 << 20) + 1) << 12 | PAGE_PRESENT
    assert make_pte(p2m, 0xFEC00, PAGE_PRESENT) == 0xFEC00 << 12 | PAGE_PRESENT | PAGE_IOMAP
    assert make_pte(p2m, 9 * GIB, PAGE_PRESENT) == 0  # missing: the PFN is forgotten
    assert make_pte(p2m, 9 * GIB, 2) == 9 * GIB << 12 | 2  # not present: not translated
    p2m.store(1, 77 | GEOMETRY_64.foreign_bit)
    assert make_pte(p2m, 1, PAGE_PRESENT) == 77 << 12 | PAGE_PRESENT
    assert not make_pte(guest("3.18", 3), 0, PAGE_PRESENT) & PAGE_IOMAP
