"""What a stream's page types say of every PFN, as a map to hold against the guest's own list."""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING

import numpy as np

from xenp2m.extents import Run, coalesce
from xenp2m.frames import Kind
from xenp2m.p2m import P2M
from xenp2m.sources.stream.wire import CARRIES, PageType

if TYPE_CHECKING:
    from xenp2m.sources.stream.index import PageIndex

__all__ = ["listed_map"]

_UNTOLD, _DATA, _NONE = 0, 1, 2


def listed_map(index: PageIndex, p2m: P2M) -> P2M:
    """The filtered view of a stream.

    A PFN without a frame (XTAB) is missing, whatever the guest's list has there: identity and foreign
    entries, too. A PFN with a page has the frame that the list gives it, and is unknown where the list
    gives it none. BROKEN, XALLOC and PFNs that the stream never tells are unknown. O(runs).
    """
    pfns = index.pfns.astype(np.int64)
    if not pfns.size:
        return P2M([], geometry=p2m.geometry)
    types = index.types
    codes = np.where(CARRIES[types], _DATA, np.where(types == PageType.XTAB, _NONE, _UNTOLD))
    edges = np.flatnonzero((np.diff(pfns) != 1) | (np.diff(codes) != 0)) + 1
    first = np.concatenate(([0], edges))
    last = np.append(edges, pfns.size) - 1
    runs: list[Run] = []
    position = 0
    for start, end, code in zip(
        pfns[first].tolist(), (pfns[last] + 1).tolist(), codes[first].tolist(), strict=True
    ):
        if position < start:
            runs.append(Run(position, start, Kind.UNKNOWN))
        if code == _DATA:
            runs += _framed(p2m, start, end)
        else:
            runs.append(Run(start, end, Kind.MISSING if code == _NONE else Kind.UNKNOWN))
        position = end
    return P2M(coalesce(runs), geometry=p2m.geometry)


def _framed(p2m: P2M, start: int, end: int) -> list[Run]:
    """The list's own frames of ``[start, end)``; unknown where it has none."""
    held = p2m.extents()
    found: list[Run] = []
    slot = bisect_right(held, start, key=lambda run: run.start) - 1
    position = start
    while 0 <= slot < len(held) and position < end and held[slot].start < end:
        part = held[slot]
        if part.end > position:
            stop = min(part.end, end)
            cut = part.cut(position, stop)
            found.append(cut if part.kind is Kind.MFN else Run(position, stop, Kind.UNKNOWN))
            position = stop
        slot += 1
    if position < end:
        found.append(Run(position, end, Kind.UNKNOWN))
    return found
