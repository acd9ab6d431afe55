"""Runs and ranges against sets and dicts of pages."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xenp2m.extents import Run, coalesce, count, intersect, overlay, subtract, union
from xenp2m.frames import Kind

LAST = 40
NUMBERED = (Kind.MFN, Kind.FOREIGN, Kind.OTHER)

ranges = st.lists(st.tuples(st.integers(0, LAST), st.integers(0, LAST)), max_size=8)


@st.composite
def runs_anywhere(draw, low=0, high=LAST):
    start, end = draw(st.integers(low, high)), draw(st.integers(low, high))
    kind = draw(st.sampled_from(list(Kind)))
    if kind in NUMBERED:
        step = draw(st.sampled_from((1, -1))) if end - start > 1 else 1
        return Run(start, end, kind, draw(st.integers(50, 60)), step)
    return Run(start, end, kind)


@st.composite
def maps(draw, low=0):
    """Runs without a gap from `low` on."""
    cuts = sorted(draw(st.sets(st.integers(low + 1, LAST), min_size=1, max_size=8)))
    return [
        draw(runs_anywhere().map(lambda r, s=s, e=e: r._replace(start=s, end=e)))
        for s, e in pairwise([low, *cuts])
    ]


def pages_of(some_ranges):
    return {page for start, end in some_ranges for page in range(start, end)}


def painted(runs):
    """What each page is after all runs were written one after the other."""
    return {pfn: (run.kind, run.at(pfn)) for run in runs for pfn in range(run.start, run.end)}


def is_canonical(some_ranges):
    return all(s < e for s, e in some_ranges) and all(a[1] < b[0] for a, b in pairwise(some_ranges))


# ---- ranges


@given(ranges)
def test_union_covers_the_same_pages(some):
    assert pages_of(union(some)) == pages_of(some)
    assert is_canonical(union(some))


@given(ranges, ranges)
def test_subtract_takes_pages_away(some, holes):
    left = subtract(some, holes)
    assert pages_of(left) == pages_of(some) - pages_of(holes)
    assert is_canonical(left)


@given(ranges, ranges)
def test_intersect_keeps_common_pages(some, others):
    common = intersect(some, others)
    assert pages_of(common) == pages_of(some) & pages_of(others)
    assert is_canonical(common)
    assert common == intersect(others, some)


# ---- runs


def test_a_run_knows_its_numbers():
    run = Run(10, 14, Kind.MFN, 100, -1)
    assert [run.at(pfn) for pfn in range(10, 14)] == [100, 99, 98, 97]
    assert run.pages == 4
    assert run.cut(11, 13) == Run(11, 13, Kind.MFN, 99, -1)
    assert run.cut(0, 99) == run
    assert Run(10, 14, Kind.MISSING).cut(12, 20) == Run(12, 14, Kind.MISSING)


def single(pfn, kind, number):
    return Run(pfn, pfn + 1, kind, number, 1) if kind in NUMBERED else Run(pfn, pfn + 1, kind)


@given(maps())
def test_coalesce_keeps_every_page(runs):
    joined = coalesce(runs)
    assert painted(joined) == painted(runs)
    assert joined[0].start == runs[0].start
    assert all(a.end == b.start for a, b in pairwise(joined))


@given(maps())
def test_coalesce_of_single_entries_leaves_nothing_to_join(runs):
    entries = [single(pfn, *what) for pfn, what in sorted(painted(runs).items())]
    joined = coalesce(entries)
    assert painted(joined) == painted(runs)
    assert coalesce(joined) == joined
    for left, right in pairwise(joined):
        same = left.kind is right.kind
        assert not (same and left.kind not in NUMBERED)
        if same and left.pages > 1:
            assert right.mfn != left.at(left.end)
        if same and left.pages == 1 and right.pages == 1:
            assert abs(right.mfn - left.mfn) != 1
    for run in joined:
        assert run.step == (0 if run.kind not in NUMBERED else run.step if run.pages > 1 else 1)


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [
        ([5, 6, 7], [(3, 5, 1)]),
        ([7, 6, 5], [(3, 7, -1)]),
        ([5, 6, 5], [(2, 5, 1), (1, 5, 1)]),
        ([5, 7, 8], [(1, 5, 1), (2, 7, 1)]),
        ([5, 5], [(1, 5, 1), (1, 5, 1)]),
        ([5, 6, 5, 4], [(2, 5, 1), (2, 5, -1)]),
    ],
)
def test_coalesce_is_greedy_from_the_left(numbers, expected):
    entries = [single(pfn, Kind.MFN, number) for pfn, number in enumerate(numbers)]
    assert [(r.pages, r.mfn, r.step) for r in coalesce(entries)] == expected


def test_coalesce_drops_empty_runs_and_keeps_gaps():
    assert coalesce([]) == []
    assert coalesce([Run(3, 3, Kind.MISSING), Run(5, 4, Kind.MFN, 1, 1)]) == []
    apart = [Run(0, 1, Kind.MISSING), Run(2, 3, Kind.MISSING)]
    assert coalesce(apart) == apart
    assert coalesce([Run(0, 1, Kind.MFN, 9, -1)]) == [Run(0, 1, Kind.MFN, 9, 1)]


@given(maps(low=0), st.lists(runs_anywhere(high=LAST + 10), max_size=8))
def test_overlay_paints_later_runs_over_earlier_ones(base, layers):
    seen = overlay(layers, base)
    low, high = base[0].start, base[-1].end
    wanted = {pfn: what for pfn, what in painted([*base, *layers]).items() if low <= pfn < high}
    assert painted(seen) == wanted
    assert (seen[0].start, seen[-1].end) == (low, high)
    assert all(a.end == b.start for a, b in pairwise(seen))
    assert coalesce(seen) == seen


@given(maps(low=7), st.lists(runs_anywhere(), max_size=4))
def test_overlay_stays_within_its_base(base, layers):
    wanted = {p: what for p, what in painted([*base, *layers]).items() if base[0].start <= p < base[-1].end}
    assert painted(overlay(layers, base)) == wanted


def test_overlay_on_nothing_is_nothing():
    assert overlay([Run(0, 4, Kind.MISSING)], []) == []


@given(maps())
def test_count_counts_pages(runs):
    kinds = [kind for kind, _ in painted(runs).values()]
    assert {kind: pages for kind, pages in count(runs).items() if pages} == {
        k: kinds.count(k) for k in set(kinds)
    }
