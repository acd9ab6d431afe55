"""Where the last word on every PFN lies: types and pages by PFN, built record by record.

A stream may tell a PFN many times (live migration, checkpoints); the last record wins. What is told of
PFNs in a row is one row here, so that a guest costs by its records at most, and not by its pages.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from xenp2m.runtable import merged
from xenp2m.sources.stream.wire import PFN_MASK

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from xenp2m.sources.stream.events import Pages

__all__ = ["PageIndex", "Rows"]

_PENDING = _BLOCK = 1 << 16


class Rows(NamedTuple):
    """Stretches of PFNs of one type whose pages lie at equal distances, ascending; PFNs between are untold.

    Attributes:
        start: first PFN.
        end: one past the last PFN.
        type: of every one of them.
        place: offset of the page of `start`, -1 where they have none.
        step: from one page to the next, in bytes.
    """

    start: NDArray[np.int64]
    end: NDArray[np.int64]
    type: NDArray[np.int8]
    place: NDArray[np.int64]
    step: NDArray[np.int64]

    def where(self, chosen: NDArray[Any]) -> Rows:
        """Some of the rows."""
        return Rows(*(column[chosen] for column in self))


class PageIndex:
    """The last word and page of every PFN.

    Attributes:
        told: words seen, every repetition counted.
    """

    def __init__(self) -> None:
        self.told = 0
        self._words: list[NDArray[np.uint64]] = []
        self._places: list[NDArray[np.int64]] = []
        self._pending = 0
        empty = np.empty(0, np.int64)
        self._rows = Rows(empty, empty, empty.astype(np.int8), empty, empty)

    def add(self, pages: Pages) -> None:
        """Take over what one or many records say."""
        self._words.append(pages.words)
        self._places.append(pages.places)
        self.told += pages.words.size
        self._pending += pages.words.size
        if self._pending > max(_PENDING, self._rows.start.size):
            self._fold()

    @property
    def rows(self) -> Rows:
        """Everything told so far."""
        self._fold()
        return self._rows

    def below(self, end: int) -> int:
        """How many PFNs below `end` are told. O(rows)."""
        rows = self.rows
        return int(np.maximum(np.minimum(rows.end, end) - rows.start, 0).sum())

    def types_of(self, pfns: NDArray[np.uint64]) -> NDArray[np.int8]:
        """Type of each PFN, -1 where the stream never tells it. O(log rows) each."""
        row = self._find(pfns)
        return np.append(self._rows.type, np.int8(-1))[row]

    def places_of(self, pfns: NDArray[np.uint64]) -> NDArray[np.int64]:
        """Offset of each PFN's page in the input, -1 where its last record carries none."""
        rows, row = self.rows, self._find(pfns)
        place = np.append(rows.place, -1)[row]
        found = place >= 0
        row = row[found]
        place[found] += (pfns[found].astype(np.int64) - rows.start[row]) * rows.step[row]
        return place

    def pfns(self, chosen: NDArray[np.bool_]) -> NDArray[np.uint64]:
        """Every PFN of the chosen rows, ascending."""
        parts = [pfns for pfns, _ in _expanded(self.rows.where(chosen))]
        return np.concatenate([np.empty(0, np.uint64), *parts])

    def blocks(self) -> Iterator[tuple[NDArray[np.uint64], NDArray[np.int8]]]:
        """Every PFN told, ascending, and its type; many at a time."""
        return _expanded(self.rows)

    def _find(self, pfns: NDArray[np.uint64]) -> NDArray[np.int64]:
        """Row of each PFN, -1 where there is none."""
        rows = self.rows
        wanted = np.minimum(pfns, np.uint64(PFN_MASK)).astype(np.int64)
        row = np.searchsorted(rows.start, wanted, side="right") - 1
        inside = (row >= 0) & (wanted < np.append(rows.end, 0)[row]) & (pfns <= np.uint64(PFN_MASK))
        return np.where(inside, row, -1)

    def _fold(self) -> None:
        if not self._pending:
            return
        words, places = np.concatenate(self._words), np.concatenate(self._places)
        self._words, self._places, self._pending = [], [], 0
        pfns = (words & np.uint64(PFN_MASK)).view(np.int64)
        if not bool((pfns[1:] > pfns[:-1]).all()):
            order = np.argsort(pfns, kind="stable")
            order = order[np.append(pfns[order][1:] != pfns[order][:-1], True)]
            words, places, pfns = words[order], places[order], pfns[order]
        fresh = _joined(pfns, (words >> np.uint64(60)).astype(np.int8), places)
        old = self._rows
        if old.end.size and fresh.start[0] < old.end[-1]:
            self._rows = _painted(old, fresh)
        else:
            pairs: Iterator[Any] = zip(old, fresh, strict=True)
            self._rows = Rows(*(np.concatenate(pair) for pair in pairs))


def _joined(pfns: NDArray[np.int64], types: NDArray[np.int8], places: NDArray[np.int64]) -> Rows:
    """PFNs that ascend as rows; none of them is empty."""
    step = np.diff(places)
    apart = (np.diff(pfns) != 1) | (types[1:] != types[:-1])
    apart[1:] |= ~apart[:-1] & (step[1:] != step[:-1])
    first = np.concatenate(([0], np.flatnonzero(apart) + 1))
    last = np.append(first[1:], pfns.size) - 1
    steps = np.where(last > first, np.append(step, 0)[first], 0)
    return Rows(pfns[first], pfns[last] + 1, types[first], places[first], steps)


def _painted(old: Rows, fresh: Rows) -> Rows:
    """Both, `fresh` over `old`."""
    edges = merged(old.start, old.end, fresh.start, fresh.end)
    start, end = edges[:-1], edges[1:]
    found = []
    for rows in (old, fresh):
        row = np.searchsorted(rows.start, start, side="right") - 1
        inside = (row >= 0) & (start < rows.end[row])
        place = np.where(
            rows.place[row] < 0, -1, rows.place[row] + (start - rows.start[row]) * rows.step[row]
        )
        found.append((inside, Rows(start, end, rows.type[row], place, rows.step[row])))
    (below, under), (above, over) = found
    pairs: Iterator[Any] = zip(over, under, strict=True)
    return Rows(*(np.where(above, top, bottom) for top, bottom in pairs)).where(above | below)


def _expanded(rows: Rows) -> Iterator[tuple[NDArray[np.uint64], NDArray[np.int8]]]:
    """Every PFN of rows and its type, many at a time."""
    ends = np.cumsum(rows.end - rows.start)
    for low in range(0, int(ends[-1]) if ends.size else 0, _BLOCK):
        number = np.arange(low, min(low + _BLOCK, int(ends[-1])))
        row = np.searchsorted(ends, number, side="right")
        yield (rows.end[row] - (ends[row] - number)).astype(np.uint64), rows.type[row]
