"""Runs of a map as numpy columns: the form in which a fragmented map is counted and compared."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from xenp2m.frames import Kind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from xenp2m.extents import Range, Run

__all__ = ["KINDS", "Change", "RunTable", "changes", "merged", "ranges_of"]

KINDS = tuple(Kind)
"""Kinds in the order of their codes in `RunTable.kind`."""

_CODE = {kind: code for code, kind in enumerate(KINDS)}
_NUMBERED = np.array([kind in (Kind.MFN, Kind.FOREIGN, Kind.OTHER) for kind in KINDS])


class RunTable(NamedTuple):
    """One row a run, ascending, without gap.

    Attributes:
        start: first PFN.
        end: one past the last PFN.
        kind: index into `KINDS`.
        mfn: number behind `start`; 0 for kinds without. Numbers of ``other`` runs are raw words.
        step: as in `Run`.
    """

    start: NDArray[np.int64]
    end: NDArray[np.int64]
    kind: NDArray[np.int8]
    mfn: NDArray[np.int64]
    step: NDArray[np.int8]

    @classmethod
    def of(cls, runs: Sequence[Run]) -> RunTable:
        """The columns of `runs`. O(runs)."""
        if not runs:
            empty = np.zeros(0, np.int64)
            return cls(empty, empty, empty.astype(np.int8), empty, empty.astype(np.int8))
        start, end, kind, mfn, step = zip(*runs, strict=True)
        return cls(
            np.array(start, np.int64),
            np.array(end, np.int64),
            np.fromiter(map(_CODE.__getitem__, kind), np.int8, len(runs)),
            np.array(mfn, np.int64),
            np.array(step, np.int8),
        )

    def only(self, kind: Kind) -> RunTable:
        """The rows of one kind."""
        chosen = self.kind == _CODE[kind]
        return RunTable(*(column[chosen] for column in self))

    def up_to(self, end: int, beyond: Kind) -> RunTable:
        """The rows below PFN `end`, the last one cut there, or with a row of kind `beyond` up to there."""
        chosen = self.start < end
        ends = np.minimum(self.end[chosen], end)
        cut = RunTable(self.start[chosen], ends, self.kind[chosen], self.mfn[chosen], self.step[chosen])
        last = int(ends[-1]) if ends.size else 0
        if last >= end:
            return cut
        return RunTable(
            np.append(cut.start, np.int64(last)),
            np.append(cut.end, np.int64(end)),
            np.append(cut.kind, np.int8(_CODE[beyond])),
            np.append(cut.mfn, np.int64(0)),
            np.append(cut.step, np.int8(0)),
        )

    @property
    def pages(self) -> NDArray[np.int64]:
        """Frames of every run."""
        return self.end - self.start


class Change(NamedTuple):
    """Two maps over the same PFNs, one row for each stretch in which both continue.

    Attributes:
        start: first PFN.
        end: one past the last PFN.
        left: kind in the first map, an index into `KINDS`.
        left_mfn: number behind `start` there.
        left_step: its step.
        right: kind in the second map.
        right_mfn: number behind `start` there.
        right_step: its step.
    """

    start: NDArray[np.int64]
    end: NDArray[np.int64]
    left: NDArray[np.int8]
    left_mfn: NDArray[np.int64]
    left_step: NDArray[np.int8]
    right: NDArray[np.int8]
    right_mfn: NDArray[np.int64]
    right_step: NDArray[np.int8]

    @property
    def pages(self) -> NDArray[np.int64]:
        """Frames of every row."""
        return self.end - self.start

    def where(self, chosen: NDArray[np.bool_]) -> Change:
        """Some of the rows."""
        columns: list[NDArray[Any]] = [column[chosen] for column in self]
        return Change(*columns)


def changes(left: RunTable, right: RunTable, *, numbers: bool = True) -> Change:
    """Where two maps of the same length differ. O(n log n) in runs.

    Args:
        left: the first map.
        right: the second one, which must end where the first does.
        numbers: also where the kinds agree and the numbers do not.

    Returns:
        The stretches that differ, ascending; a stretch is cut where either map begins a new run.
    """
    edges = merged(left.start, left.end[-1:], right.start, right.end[-1:])
    rows = _pair(left, right, edges)
    if numbers:
        rows = _pair(left, right, merged(edges, _crossings(rows)))
    same = rows.left == rows.right
    if numbers:
        step = (rows.left_step == rows.right_step) | (rows.pages == 1)
        same &= ~_NUMBERED[rows.left] | ((rows.left_mfn == rows.right_mfn) & step)
    return rows.where(~same)


def merged(*columns: NDArray[np.int64]) -> NDArray[np.int64]:
    """Numbers of all columns, ascending, each once. Columns that ascend themselves cost O(n)."""
    numbers = np.concatenate(columns)
    # The stable sort merges stretches that ascend; numpy's unique hashes every number and sorts them again.
    numbers.sort(kind="stable")
    keep = np.ones(numbers.size, np.bool_)
    keep[1:] = numbers[1:] != numbers[:-1]
    return numbers[keep]


def _pair(left: RunTable, right: RunTable, edges: NDArray[np.int64]) -> Change:
    start, end = edges[:-1], edges[1:]
    return Change(start, end, *_at(left, start), *_at(right, start))


def _at(
    table: RunTable, pfns: NDArray[np.int64]
) -> tuple[NDArray[np.int8], NDArray[np.int64], NDArray[np.int8]]:
    row = np.searchsorted(table.start, pfns, side="right") - 1
    return table.kind[row], table.mfn[row] + (pfns - table.start[row]) * table.step[row], table.step[row]


def _crossings(rows: Change) -> NDArray[np.int64]:
    """Edges around the PFNs at which an ascending and a descending run meet in one number."""
    gap = rows.right_mfn - rows.left_mfn
    slope = rows.left_step.astype(np.int64) - rows.right_step
    meets = (rows.left == rows.right) & _NUMBERED[rows.left] & (slope != 0)
    gap, slope, start, pages = gap[meets], slope[meets], rows.start[meets], rows.pages[meets]
    offset = gap // slope
    inside = (gap % slope == 0) & (offset >= 0) & (offset < pages)
    pfns = start[inside] + offset[inside]
    return np.concatenate((pfns, pfns + 1))


def ranges_of(pfns: NDArray[Any]) -> list[Range]:
    """Ascending PFNs as ranges, neighbours joined. O(n)."""
    if not pfns.size:
        return []
    cuts = np.flatnonzero(np.diff(pfns) != 1) + 1
    starts = pfns[np.concatenate(([0], cuts)).astype(np.int64)]
    lasts = pfns[np.concatenate((cuts, [pfns.size])).astype(np.int64) - 1]
    return [(start, last + 1) for start, last in zip(starts.tolist(), lasts.tolist(), strict=True)]
