"""Runs as columns, and where two maps differ: held against entries one by one."""

from hypothesis import given
from hypothesis import strategies as st

from xenp2m.extents import Run, coalesce
from xenp2m.frames import Kind
from xenp2m.runtable import KINDS, RunTable, changes

ENTRIES = st.lists(
    st.tuples(st.sampled_from(list(Kind)), st.integers(0, 5), st.sampled_from([1, -1]), st.integers(1, 4)),
    min_size=1,
    max_size=8,
)


def runs_of(parts, pages):
    """A map of `pages` entries from parts, the last one repeated as missing."""
    runs, position = [], 0
    for kind, mfn, step, length in parts:
        numbered = kind in (Kind.MFN, Kind.FOREIGN, Kind.OTHER)
        end = min(position + length, pages)
        first = mfn + (length if step < 0 else 0)
        runs.append(Run(position, end, kind, first if numbered else 0, step if numbered else 0))
        position = end
    runs.append(Run(position, pages, Kind.MISSING))
    return coalesce(runs)


def entries(runs):
    """Every PFN's kind and number."""
    found = {}
    for run in runs:
        for pfn in range(run.start, run.end):
            found[pfn] = (run.kind, run.at(pfn))
    return found


@given(ENTRIES)
def test_columns_say_what_runs_say(parts):
    runs = runs_of(parts, 40)
    table = RunTable.of(runs)
    rows = zip(*(column.tolist() for column in table), strict=True)
    assert [Run(s, e, KINDS[k], m, t) for s, e, k, m, t in rows] == runs
    for kind in Kind:
        assert table.only(kind).pages.sum() == sum(r.pages for r in runs if r.kind is kind)
    assert RunTable.of([]).pages.size == 0


@given(ENTRIES, ENTRIES)
def test_changes_are_those_of_every_entry(left, right):
    first, second = runs_of(left, 40), runs_of(right, 40)
    one, two = entries(first), entries(second)
    for numbers in (True, False):
        told = {}
        rows = changes(RunTable.of(first), RunTable.of(second), numbers=numbers)
        for start, end, k1, m1, s1, k2, m2, s2 in zip(*(c.tolist() for c in rows), strict=True):
            for pfn in range(start, end):
                offset = pfn - start
                told[pfn] = (KINDS[k1], m1 + offset * s1), (KINDS[k2], m2 + offset * s2)
        expected = {
            pfn: (one[pfn], two[pfn])
            for pfn in one
            if (one[pfn] != two[pfn] if numbers else one[pfn][0] is not two[pfn][0])
        }
        assert told == expected
