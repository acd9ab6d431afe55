"""Two maps compared: before and after, or predicted and real."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from xenp2m.extents import Run
from xenp2m.frames import Kind
from xenp2m.runtable import KINDS, Change, RunTable, changes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from xenp2m.p2m import P2M

__all__ = ["Difference", "MapDiff", "compare"]

_MFN, _UNKNOWN = KINDS.index(Kind.MFN), KINDS.index(Kind.UNKNOWN)
_CHUNK = 1 << 14


@dataclass(frozen=True, slots=True)
class Difference:
    """One stretch of PFNs that is not the same in both maps.

    Attributes:
        before: what it is in the first map.
        after: what it is in the second; covers the same PFNs.
    """

    before: Run
    after: Run


@dataclass(frozen=True, slots=True)
class MapDiff:
    """What differs between two maps.

    Attributes:
        end: PFNs compared, ``[0, end)``: up to the end of the longer map.
        kinds: frames by kind before and after, of pairs that differ.
        moved: frames that have another machine frame in the second map; 0 where `numbers` is false.
        kept: frames that have the same machine frame in both; where `numbers` is false, any in both.
        unknown: frames that one of the maps does not tell: not compared.
        numbers: whether machine frames were compared, or kinds alone.
        rows: every stretch that differs, as columns.
    """

    end: int
    kinds: dict[tuple[Kind, Kind], int]
    moved: int
    kept: int
    unknown: int
    numbers: bool
    rows: Change

    @property
    def same(self) -> bool:
        """Whether nothing differs that was compared."""
        return not self.rows.start.size

    @property
    def elsewhere(self) -> bool:
        """Whether the guest as a whole has other machine frames: another host, or a restore.

        On the same host some frames come back by chance, so nine of ten are enough.
        """
        return self.numbers and self.moved > 0 and self.moved >= 9 * self.kept

    def differences(self, *, moved: bool = True) -> Iterator[Difference]:
        """The stretches that differ, ascending, neighbours joined where both sides continue.

        Args:
            moved: also those that only have another machine frame.
        """
        rows = self.rows
        if not moved:
            rows = rows.where((rows.left != _MFN) | (rows.right != _MFN))
        yield from _joined(rows, self.numbers)


def compare(left: P2M, right: P2M, *, numbers: bool = True) -> MapDiff:
    """Compare two maps.

    Args:
        left: the first map, "before".
        right: the second one.
        numbers: whether the machine frames count, or the kinds alone (a prediction knows kinds).

    Returns:
        The differences. Past its end a map reads as its `P2M.beyond` says, as the kernel does.
        O(n log n) in runs.
    """
    end = max(len(left), len(right))
    first, second = (p2m.table().up_to(end, p2m.beyond) for p2m in (left, right))
    if not end:
        return MapDiff(0, {}, 0, 0, 0, numbers, changes(first, second))
    rows = changes(first, second, numbers=numbers)
    known = (rows.left != _UNKNOWN) & (rows.right != _UNKNOWN)
    unknown = int(rows.pages[~known].sum() + _in_both(first, rows, Kind.UNKNOWN))
    both = _in_both(first, rows, Kind.MFN)
    rows = rows.where(known)
    moved = int(rows.pages[(rows.left == _MFN) & (rows.right == _MFN)].sum())
    return MapDiff(end, _by_kind(rows), moved, both - moved, unknown, numbers, rows)


def _in_both(first: RunTable, rows: Change, kind: Kind) -> int:
    """Frames that are of `kind` in both maps."""
    gone = (rows.left == KINDS.index(kind)) & (rows.right != KINDS.index(kind))
    return int(first.only(kind).pages.sum() - rows.pages[gone].sum())


def _by_kind(rows: Change) -> dict[tuple[Kind, Kind], int]:
    pairs = rows.left.astype(np.int64) * len(KINDS) + rows.right
    frames = np.bincount(pairs, weights=rows.pages, minlength=len(KINDS) ** 2)
    return {
        (KINDS[pair // len(KINDS)], KINDS[pair % len(KINDS)]): int(frames[pair])
        for pair in np.flatnonzero(frames).tolist()
    }


def _joined(rows: Change, numbers: bool) -> Iterator[Difference]:
    pending: Difference | None = None
    for start, end, *sides in _rows(rows):
        before, after = (
            Run(start, end, KINDS[kind], mfn if numbers else 0, step if numbers else 0)
            for kind, mfn, step in (sides[:3], sides[3:])
        )
        if pending is not None:
            joined = _join(pending.before, before), _join(pending.after, after)
            if joined[0] is not None and joined[1] is not None:
                pending = Difference(joined[0], joined[1])
                continue
            yield _settled(pending)
        pending = Difference(before, after)
    if pending is not None:
        yield _settled(pending)


def _rows(rows: Change) -> Iterator[list[int]]:
    """The rows as Python's numbers, made some at a time."""
    for low in range(0, rows.start.size, _CHUNK):
        columns = (column[low : low + _CHUNK].tolist() for column in rows)
        yield from map(list, zip(*columns, strict=True))


def _settled(pair: Difference) -> Difference:
    """`pair` with the step that a single frame has in any list of runs."""
    if pair.before.pages > 1:
        return pair
    return Difference(*(run._replace(step=abs(run.step)) for run in (pair.before, pair.after)))


def _join(left: Run, right: Run) -> Run | None:
    """One run for two neighbours whose numbers go on in the same step, or None."""
    if left.end != right.start or left.kind is not right.kind:
        return None
    if left.step != right.step or left.at(left.end) != right.mfn:
        return None
    return left._replace(end=right.end)
