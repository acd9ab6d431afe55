"""What a stream's page types say of every PFN, as a map to hold against the guest's own list."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from xenp2m.entries import joined_plain
from xenp2m.frames import Kind
from xenp2m.p2m import P2M
from xenp2m.runtable import KINDS, RunTable, merged
from xenp2m.sources.stream.wire import CARRIES, PageType

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from xenp2m.sources.stream.index import PageIndex

__all__ = ["listed_map"]

_UNTOLD, _DATA, _NONE = 0, 1, 2
_MFN, _MISSING, _UNKNOWN = (KINDS.index(kind) for kind in (Kind.MFN, Kind.MISSING, Kind.UNKNOWN))


def listed_map(index: PageIndex, p2m: P2M) -> P2M:
    """The filtered view of a stream.

    A PFN without a frame (XTAB) is missing, whatever the guest's list has there: identity and foreign
    entries, too. A PFN with a page has the frame that the list gives it, and is unknown where the list
    gives it none. BROKEN, XALLOC and PFNs that the stream never tells are unknown. O(PFNs + runs).
    """
    start, code, top = _stretches(index)
    if not top:
        return P2M([], geometry=p2m.geometry, beyond=Kind.UNKNOWN)
    table = p2m.table()
    first = merged(start, table.start, np.array([len(p2m)]))
    first = first[first < top]
    says = code[np.searchsorted(start, first, side="right") - 1]
    kind = np.where(says == _NONE, _MISSING, _UNKNOWN).astype(np.int8)
    mfn, step = np.zeros(first.size, np.int64), np.zeros(first.size, np.int8)
    if table.start.size:
        row = np.searchsorted(table.start, first, side="right") - 1
        framed = (says == _DATA) & (table.kind[row] == _MFN) & (first < table.end[row])
        kind[framed], step[framed] = _MFN, table.step[row[framed]]
        mfn[framed] = (table.mfn[row] + (first - table.start[row]) * table.step[row])[framed]
    rows = RunTable(first, np.append(first[1:], top), kind, mfn, step)
    return P2M(joined_plain(rows), geometry=p2m.geometry, beyond=Kind.UNKNOWN)


def _stretches(index: PageIndex) -> tuple[NDArray[np.int64], NDArray[np.int8], int]:
    """Where what the types say changes, what they say from there on, and one past the last PFN."""
    rows = index.rows
    if not rows.start.size:
        return rows.start, rows.type, 0
    says = np.where(CARRIES[rows.type], _DATA, np.where(rows.type == PageType.XTAB, _NONE, _UNTOLD))
    # Behind every row, and before the first one, nothing is told; unless a row begins there.
    start = merged(np.zeros(1, np.int64), rows.start, rows.end)
    row = np.searchsorted(rows.start, start, side="right") - 1
    inside = (row >= 0) & (start < rows.end[row])
    code = np.where(inside, says[row], _UNTOLD).astype(np.int8)
    changes = np.append(True, code[1:] != code[:-1])
    return start[changes], code[changes], int(rows.end[-1])
