"""A map of any size for views of some thousand dots: as few parts, up to where its memory ends."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np

from xenp2m.frames import Kind
from xenp2m.runtable import KINDS
from xenp2m.views.palette import Part, parts

if TYPE_CHECKING:
    from xenp2m.p2m import P2M
    from xenp2m.runtable import RunTable

__all__ = ["MOST", "binned", "few_parts", "memory_end"]

MOST = 2048
"""Parts that a view can tell apart."""

_OTHER = KINDS.index(Kind.OTHER)
_NO_MEMORY = [KINDS.index(kind) for kind in (Kind.IDENTITY, Kind.MISSING, Kind.UNKNOWN)]


def few_parts(p2m: P2M, end: int, most: int = MOST) -> list[Part]:
    """The map's parts as they are, or binned over PFNs ``[0, end)`` where there are more than `most`."""
    if p2m.table().start.size <= most:
        return list(parts(p2m.extents()))
    return binned(p2m.table(), end, most)


def binned(table: RunTable, end: int, number: int) -> list[Part]:
    """What most frames of each of `number` cells over PFNs ``[0, end)`` are, neighbours joined.

    Frames that no sound map holds (``other``) show wherever there is one, as in a strip. Cells that
    the table says nothing of are left out. O(runs + cells) in numpy.
    """
    edges = -(-np.arange(number + 1, dtype=np.int64) * end // number)
    last = int(table.end[-1]) if table.end.size else 0
    inside = np.minimum(edges, last)
    row = np.clip(np.searchsorted(table.start, inside, side="right") - 1, 0, None)
    reached = np.clip(inside - table.start[row], 0, table.pages[row]) if last else inside
    weight = np.zeros((len(KINDS), number), np.int64)
    for code in range(len(KINDS)):
        own = table.kind == code
        if own.any():
            before = np.concatenate((np.zeros(1, np.int64), np.cumsum(table.pages * own)))
            weight[code] = np.diff(before[row] + reached * own[row])
    weight[_OTHER] *= end + 1
    looks = np.where(weight.any(axis=0), weight.argmax(axis=0), -1).tolist()
    found: list[Part] = []
    for look, group in groupby(range(number), key=looks.__getitem__):
        cells = list(group)
        if look >= 0:
            stop = min(int(edges[cells[-1] + 1]), last)
            found.append(Part(int(edges[cells[0]]), stop, KINDS[look].value))
    return found


def memory_end(p2m: P2M) -> int:
    """Where a view of a map ends: behind the last frame that is its own or foreign, rounded up."""
    table = p2m.table()
    held = table.end[~np.isin(table.kind, _NO_MEMORY)]
    end = int(held[-1]) if held.size else max(len(p2m), 1)
    unit = 1 << max(0, end.bit_length() - 3)
    return -(-end // unit) * unit
