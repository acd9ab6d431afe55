"""Runs of frames: the form in which maps are computed, compared and exchanged.

A *range* is a half-open pair ``(start, end)``; a *run* adds what the frames are. A map is a list of
runs in ascending order, without overlap or gap. Cost is in runs, never in pages.
"""

from __future__ import annotations

from collections import Counter
from heapq import heappop, heappush
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from xenp2m.frames import Kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["Range", "Run", "coalesce", "count", "intersect", "overlay", "subtract", "union"]

Range = tuple[int, int]


class Run(NamedTuple):
    """Frames ``[start, end)`` of one kind.

    Attributes:
        start: first PFN.
        end: one past the last PFN.
        kind: what they are.
        mfn: number behind `start` (`Kind.MFN`, `FOREIGN`, `OTHER`); 0 for the other kinds.
        step: 1 where the numbers ascend with the PFN (a single frame, too), -1 where they descend,
            0 for kinds without.
    """

    start: int
    end: int
    kind: Kind
    mfn: int = 0
    step: int = 0

    @property
    def pages(self) -> int:
        """Number of frames."""
        return self.end - self.start

    def at(self, pfn: int) -> int:
        """Number behind `pfn`, which must lie in the run."""
        return self.mfn + (pfn - self.start) * self.step

    def listed(self) -> list[int | str]:
        """The run as JSON has it.

        ``[start_pfn, end_pfn, kind]``, the first number where there is one, -1 where they descend.
        """
        entry: list[int | str] = [self.start, self.end, self.kind.value]
        if self.kind in _NUMBERED:
            entry.append(self.mfn)
            if self.step < 0:
                entry.append(-1)
        return entry

    def cut(self, start: int, end: int) -> Run:
        """The part within ``[start, end)``, which must not be empty."""
        start, end = max(start, self.start), min(end, self.end)
        return Run(start, end, self.kind, self.at(start), self.step)


_NUMBERED = frozenset({Kind.MFN, Kind.FOREIGN, Kind.OTHER})


def _join(left: Run, right: Run) -> Run | None:
    """One run for two neighbours, or None where they do not continue each other."""
    if left.kind is not right.kind or left.end != right.start:
        return None
    if left.kind not in _NUMBERED:
        return left._replace(end=right.end)
    step = right.mfn - left.at(left.end - 1)
    if step not in (1, -1):
        return None
    if any(run.pages > 1 and run.step != step for run in (left, right)):
        return None
    return Run(left.start, right.end, left.kind, left.mfn, step)


def coalesce(runs: Iterable[Run]) -> list[Run]:
    """Join neighbours that continue each other; drop empty runs. Greedy from the left, O(n)."""
    joined: list[Run] = []
    for run in runs:
        if run.start >= run.end:
            continue
        both = _join(joined[-1], run) if joined else None
        if both is None:
            joined.append(run._replace(step=1) if run.step < 0 and run.end - run.start == 1 else run)
        else:
            joined[-1] = both
    return joined


def overlay(layers: Iterable[Run], base: Sequence[Run]) -> list[Run]:
    """Paint `layers` over `base`, later layers over earlier ones.

    Args:
        layers: runs in the order in which they were written, in any order of PFN.
        base: the map below, ascending and without gap. Layers are cut to its extent.

    Returns:
        The map that results, coalesced. O(n log n) in runs.
    """
    if not base:
        return []
    low, high = base[0].start, base[-1].end
    written = [
        *base,
        *(r.cut(low, high) for r in layers if r.start < high and r.end > low and r.start < r.end),
    ]
    starts: dict[int, list[int]] = {}
    edges = set()
    for index, run in enumerate(written):
        starts.setdefault(run.start, []).append(index)
        edges.add(run.start)
        edges.add(run.end)
    return coalesce(_sweep(written, starts, sorted(edges)))


def _sweep(written: list[Run], starts: dict[int, list[int]], edges: list[int]) -> Iterable[Run]:
    """Yield the topmost run of every elementary interval between `edges`."""
    alive: list[int] = []
    for start, end in pairwise(edges):
        for index in starts.get(start, ()):
            heappush(alive, -index)
        while written[-alive[0]].end <= start:
            heappop(alive)
        yield written[-alive[0]].cut(start, end)


def count(runs: Iterable[Run]) -> Counter[Kind]:
    """Pages of each kind."""
    pages: Counter[Kind] = Counter()
    for run in runs:
        pages[run.kind] += run.end - run.start
    return pages


def union(ranges: Iterable[Range]) -> list[Range]:
    """Ascending, disjoint ranges that cover the same frames; neighbours are joined."""
    merged: list[Range] = []
    for start, end in sorted(ranges):
        if start >= end:
            continue
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def subtract(ranges: Iterable[Range], holes: Iterable[Range]) -> list[Range]:
    """The frames of `ranges` that are in none of `holes`, as ascending ranges."""
    left: list[Range] = []
    cuts = union(holes)
    first = 0
    for start, end in union(ranges):
        while first < len(cuts) and cuts[first][1] <= start:
            first += 1
        index = first
        while index < len(cuts) and cuts[index][0] < end:
            if cuts[index][0] > start:
                left.append((start, cuts[index][0]))
            start = max(start, cuts[index][1])
            index += 1
        if start < end:
            left.append((start, end))
    return left


def intersect(ranges: Iterable[Range], others: Iterable[Range]) -> list[Range]:
    """The frames that are in both, as ascending ranges."""
    found: list[Range] = []
    right = union(others)
    first = 0
    for start, end in union(ranges):
        while first < len(right) and right[first][1] <= start:
            first += 1
        index = first
        while index < len(right) and right[index][0] < end:
            found.append((max(start, right[index][0]), min(end, right[index][1])))
            index += 1
    return found
