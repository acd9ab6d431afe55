"""Maps compared: migration in one number, a balloon as runs, a prediction by kinds."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from xenp2m.extents import Run
from xenp2m.frames import Kind
from xenp2m.maps.mapdiff import compare
from xenp2m.p2m import P2M

INVALID = (1 << 64) - 1


def words(*values):
    return P2M(np.array(values, np.uint64), beyond=Kind.MISSING)


def test_equal_maps_do_not_differ():
    diff = compare(words(5, 6, INVALID), words(5, 6, INVALID))
    assert diff.same
    assert (diff.kept, diff.moved, diff.unknown, diff.kinds) == (2, 0, 0, {})


def test_a_migration_moves_every_frame():
    diff = compare(words(5, 6, INVALID, 9), words(105, 106, INVALID, 109))
    assert diff.elsewhere
    assert (diff.moved, diff.kept) == (3, 0)
    assert list(diff.differences(moved=False)) == []
    assert [d.after for d in diff.differences()] == [
        Run(0, 2, Kind.MFN, 105, 1),
        Run(3, 4, Kind.MFN, 109, 1),
    ]


def test_a_balloon_takes_and_gives():
    diff = compare(words(5, 6, 7, INVALID), words(5, INVALID, INVALID, 20))
    assert not diff.elsewhere
    assert diff.kinds == {(Kind.MFN, Kind.MISSING): 2, (Kind.MISSING, Kind.MFN): 1}
    assert [d.before for d in diff.differences()] == [Run(1, 3, Kind.MFN, 6, 1), Run(3, 4, Kind.MISSING)]


def test_kinds_alone_take_any_frame_for_the_same():
    diff = compare(words(5, 6), words(50, INVALID), numbers=False)
    assert (diff.kept, diff.moved) == (1, 0)
    assert [(d.before, d.after) for d in diff.differences()] == [
        (Run(1, 2, Kind.MFN), Run(1, 2, Kind.MISSING))
    ]


def test_what_is_not_known_is_not_compared():
    left = P2M([Run(0, 4, Kind.UNKNOWN), Run(4, 6, Kind.MFN, 9, 1)], beyond=Kind.MISSING)
    right = P2M([Run(0, 2, Kind.UNKNOWN), Run(2, 5, Kind.MFN, 7, 1), Run(5, 6, Kind.UNKNOWN)])
    diff = compare(left, right)
    assert diff.same
    assert (diff.unknown, diff.kept) == (5, 1)


def test_past_its_end_a_map_is_what_it_says():
    short, long = words(5), words(5, INVALID, 6)
    diff = compare(short, long)
    assert diff.kinds == {(Kind.MISSING, Kind.MFN): 1}
    assert diff.end == 3
    identity = P2M(np.array([5], np.uint64))
    assert compare(identity, long).kinds == {
        (Kind.IDENTITY, Kind.MISSING): 1,
        (Kind.IDENTITY, Kind.MFN): 1,
    }
    assert compare(P2M([]), P2M([])).same


ENTRY = st.sampled_from([INVALID, 1, 2, 3, 4, 5, 1 << 63 | 7, 1 << 62 | 1, 1 << 62 | 9])


@given(st.lists(ENTRY, max_size=12), st.lists(ENTRY, max_size=12))
def test_differences_are_those_of_every_entry(left, right):
    first, second = words(*left), words(*right)
    diff = compare(first, second)
    told = {}
    for difference in diff.differences():
        before, after = difference.before, difference.after
        for pfn in range(before.start, before.end):
            told[pfn] = (before.kind, before.at(pfn)), (after.kind, after.at(pfn))
    expected, kept, moved = {}, 0, 0
    for pfn in range(max(len(left), len(right))):
        one, two = first.lookup(pfn), second.lookup(pfn)
        both = one[0] is two[0] is Kind.MFN
        kept += both and one == two
        moved += both and one != two
        if one != two:
            numbered = (Kind.MFN, Kind.FOREIGN, Kind.OTHER)
            expected[pfn] = tuple((k, n if k in numbered else 0) for k, n in (one, two))
    assert told == expected
    assert (diff.kept, diff.moved) == (kept, moved)
    assert sum(diff.kinds.values()) == len(expected)
