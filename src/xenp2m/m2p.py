"""M2P: the way back from machine frames to the PFNs of one map, and frames with several PFNs.

Arithmetic on runs of machine frames. Runs that share no frame with another are turned round as they
are; only those that do are cut apart.
"""

from __future__ import annotations

from bisect import bisect_right
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from xenp2m.frames import Kind
from xenp2m.runtable import merged

if TYPE_CHECKING:
    from typing import Any

    from numpy.typing import NDArray

    from xenp2m.runtable import RunTable

__all__ = ["Duplicates", "Inverse", "duplicates"]


class Duplicates(NamedTuple):
    """Machine frames with more than one PFN, a row for each PFN, ascending by MFN, then PFN.

    Attributes:
        mfns: the frame.
        pfns: one of its PFNs.
        total: PFNs that share a frame, those beyond the rows asked for included.
        frames: machine frames that are shared, likewise.
    """

    mfns: NDArray[np.int64]
    pfns: NDArray[np.int64]
    total: int
    frames: int


class _Spans(NamedTuple):
    """Runs of MFNs ``[low, high)``, ascending by `low`: PFN behind `low`, step of the PFN."""

    low: NDArray[np.int64]
    high: NDArray[np.int64]
    pfn: NDArray[np.int64]
    step: NDArray[np.int64]

    def rows(self, chosen: NDArray[Any]) -> _Spans:
        return _Spans(*(column[chosen] for column in self))


class Inverse:
    """PFN of machine frames in bulk; of several PFNs the lowest.

    O(runs log runs) to make, O(log runs) for each frame asked for.
    """

    def __init__(self, table: RunTable) -> None:
        """Turn the runs of kind ``mfn`` of `table` round."""
        spans, shared = _spans(table)
        self._spans = spans
        if shared.any():
            cut = _lowest(spans.rows(shared))
            both = _Spans(*(np.concatenate(c) for c in zip(spans.rows(~shared), cut, strict=True)))
            self._spans = both.rows(np.argsort(both.low, kind="stable"))

    def pfn(self, mfn: int) -> int:
        """PFN of one frame, -1 where no entry names it. O(log runs), no arrays made."""
        low, high, pfn, step = self._scalars
        row = bisect_right(low, mfn) - 1
        return pfn[row] + (mfn - low[row]) * step[row] if row >= 0 and mfn < high[row] else -1

    @cached_property
    def _scalars(self) -> tuple[memoryview[int], memoryview[int], memoryview[int], memoryview[int]]:
        low, high, pfn, step = self._spans
        return low.data, high.data, pfn.data, step.data

    def pfns(self, mfns: NDArray[Any]) -> NDArray[np.int64]:
        """PFN of each of `mfns`, -1 where no entry names it."""
        wanted = np.asarray(mfns).astype(np.int64)
        found = np.full(wanted.shape, -1, np.int64)
        low, high, pfn, step = self._spans
        if low.size:
            slot = np.maximum(np.searchsorted(low, wanted, side="right") - 1, 0)
            ahead = wanted - low[slot]
            inside = (ahead >= 0) & (wanted < high[slot])
            found[inside] = (pfn[slot] + ahead * step[slot])[inside]
        return found


def duplicates(table: RunTable, most: int = 1 << 20) -> Duplicates:
    """Frames that several PFNs name. O(runs log runs), and of the rows that are returned.

    Args:
        table: a map as runs; its ``mfn`` rows count.
        most: rows to return at most; of the last frame all or none, of the first one always all.
    """
    spans, shared = _spans(table)
    spans = spans.rows(shared)
    edges = np.concatenate((spans.low, spans.high))
    change = np.repeat(np.array([1, -1]), spans.low.size)
    order = np.argsort(edges, kind="stable")
    places, where = np.unique(edges[order], return_index=True)
    depth = np.add.reduceat(change[order], where).cumsum() if places.size else np.zeros(0, np.int64)
    deep = np.flatnonzero(depth[:-1] > 1)
    low, high, depth = places[deep], places[deep + 1], depth[deep]
    total, frames = int((depth * (high - low)).sum()), int((high - low).sum())
    before = np.concatenate(([0], (depth * (high - low)).cumsum()[:-1])).astype(np.int64)
    high = np.minimum(high, low + np.maximum(most - before[: low.size], 0) // np.maximum(depth, 1))
    high[:1] = np.maximum(high[:1], low[:1] + 1)
    keep = high > low
    mfns, pfns = _listed(spans, low[keep], high[keep])
    return Duplicates(mfns, pfns, total, frames)


def _spans(table: RunTable) -> tuple[_Spans, NDArray[np.bool_]]:
    """The ``mfn`` rows by MFN, and which of them share frames with another."""
    rows = table.only(Kind.MFN)
    up = rows.step > 0
    low = np.where(up, rows.mfn, rows.mfn - (rows.pages - 1))
    pfn = np.where(up, rows.start, rows.end - 1)
    order = np.argsort(low, kind="stable")
    spans = _Spans(low, low + rows.pages, pfn, rows.step.astype(np.int64)).rows(order)
    shared = np.zeros(low.size, bool)
    if low.size:
        clash = spans.low[1:] < np.maximum.accumulate(spans.high)[:-1]
        shared[1:] = clash
        shared[:-1] |= clash
    return spans, shared


def _lowest(spans: _Spans) -> _Spans:
    """The same frames with one PFN each, the lowest. O(n log n)."""
    places = merged(np.sort(spans.low), np.sort(spans.high))
    owner = _owners(spans, places)
    begins = np.flatnonzero(np.concatenate(([True], owner[1:] != owner[:-1])))
    ends = np.append(places[begins[1:]], places[-1])
    begins, ends = begins[owner[begins] >= 0], ends[owner[begins] >= 0]
    chosen = spans.rows(owner[begins])
    low = places[begins]
    return _Spans(low, ends, chosen.pfn + (low - chosen.low) * chosen.step, chosen.step)


def _owners(spans: _Spans, places: NDArray[np.int64]) -> NDArray[np.int64]:
    """For each stretch between neighbouring `places` the row with the lowest PFN, -1 where none lies."""
    # Runs lie apart in PFNs, so the one with the lowest PFN has the lowest everywhere.
    order = np.argsort(np.minimum(spans.pfn, spans.pfn + (spans.high - spans.low - 1) * spans.step))
    first = np.searchsorted(places, spans.low[order])
    end = np.searchsorted(places, spans.high[order])
    # Every row is two powers of two of stretches, which may overlap; each power hands down to its halves.
    power = np.frexp(end - first)[1] - 1
    best = np.full(places.size - 1, order.size, np.int64)
    for level in range(int(power.max()), -1, -1):
        half = 1 << level
        best[half:] = np.minimum(best[half:], best[:-half])
        rank = np.flatnonzero(power == level)
        np.minimum.at(best, first[rank], rank)
        np.minimum.at(best, end[rank] - half, rank)
    return np.append(order, -1)[best]


def _listed(
    spans: _Spans, low: NDArray[np.int64], high: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Every (MFN, PFN) of `spans` within the disjoint, ascending MFN ranges ``[low, high)``."""
    first = np.searchsorted(high, spans.low, side="right")
    times = np.maximum(np.searchsorted(low, spans.high, side="left") - first, 0)
    row, place = _spread(first, times)
    start = np.maximum(spans.low[row], low[place])
    row, mfns = _spread(start, np.minimum(spans.high[row], high[place]) - start, row)
    pfns = spans.pfn[row] + (mfns - spans.low[row]) * spans.step[row]
    order = np.lexsort((pfns, mfns))
    return mfns[order], pfns[order]


def _spread(
    first: NDArray[np.int64], times: NDArray[np.int64], label: NDArray[np.int64] | None = None
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """``first[i], first[i] + 1, ...`` of ``times[i]`` numbers each, with `label` (or i) beside them."""
    which = np.repeat(np.arange(first.size), times)
    ahead = np.arange(which.size) - np.repeat(times.cumsum() - times, times)
    return (which if label is None else label[which]), first[which] + ahead
