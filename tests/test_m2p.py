"""The way back, and frames with several PFNs, against dictionaries."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from xenp2m.entries import table_of
from xenp2m.extents import Run
from xenp2m.frames import Kind
from xenp2m.m2p import Inverse, duplicates
from xenp2m.p2m import P2M
from xenp2m.runtable import RunTable

MAPS = st.lists(st.tuples(st.integers(0, 30), st.sampled_from([-1, 0, 1]), st.integers(1, 9)), max_size=9)


def words_of(pieces):
    return [max(0, first + i * step) for first, step, n in pieces for i in range(n)]


@given(MAPS)
def test_against_a_dictionary(pieces):
    raw = words_of(pieces)
    holders = {}
    for pfn, mfn in enumerate(raw):
        holders.setdefault(mfn, []).append(pfn)
    table = table_of(np.array(raw, np.uint64))
    wanted = np.arange(-2, 45)
    assert Inverse(table).pfns(wanted).tolist() == [holders.get(m, [-1])[0] for m in wanted.tolist()]
    inverse = Inverse(table)
    assert [inverse.pfn(mfn) for mfn in wanted.tolist()] == inverse.pfns(wanted).tolist()
    shared = [(mfn, pfn) for mfn in sorted(holders) for pfn in holders[mfn] if len(holders[mfn]) > 1]
    found = duplicates(table)
    assert list(zip(found.mfns.tolist(), found.pfns.tolist(), strict=True)) == shared
    assert found.total == len(shared)
    assert found.frames == len({mfn for mfn, _ in shared})
    part = duplicates(table, 4)
    assert part[2:] == found[2:]
    rows = list(zip(part.mfns.tolist(), part.pfns.tolist(), strict=True))
    assert rows == shared[: len(rows)]
    assert len(rows) <= 4 or len({mfn for mfn, _ in rows}) == 1
    assert {mfn for mfn, _ in rows}.isdisjoint(mfn for mfn, _ in shared[len(rows) :])


def test_huge_runs_are_not_spread_out():
    size = 1 << 40
    p2m = P2M([Run(0, size, Kind.MFN, 1000, 1), Run(size, 2 * size, Kind.MFN, size + 999, -1)])
    found = p2m.duplicates(10)
    assert (found.total, found.frames) == (2 * size, size)
    assert found.mfns.tolist() == [m for m in range(1000, 1005) for _ in (0, 1)]
    assert found.pfns.tolist()[:4] == [0, 2 * size - 1, 1, 2 * size - 2]
    assert p2m.inverse(np.array([1000, size + 999, size + 1000])).tolist() == [0, size - 1, -1]


def test_only_the_guests_own_frames_count():
    table = RunTable.of([Run(0, 1, Kind.MFN, 5, 1), Run(1, 2, Kind.FOREIGN, 5, 1), Run(2, 8, Kind.IDENTITY)])
    assert duplicates(table).total == 0


def test_a_frame_with_more_pfns_than_are_listed_is_told_whole():
    found = P2M(np.full(50, 7, np.uint64)).duplicates(10)
    assert (found.total, found.frames) == (50, 1)
    assert found.pfns.tolist() == list(range(50))
    assert set(found.mfns.tolist()) == {7}
