"""A value for every number of a space, kept as runs: the working form of boots on runs."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["RangeMap"]

V = TypeVar("V")


class RangeMap(Generic[V]):
    """Numbers ``[0, end)``, each with a value; neighbours of equal value are one run.

    Invariants: starts ascend from 0; no two neighbouring runs have equal values.
    """

    def __init__(self, end: int, value: V) -> None:
        self.end = end
        self._starts = [0]
        self._values = [value]

    def __getitem__(self, number: int) -> V:
        return self._values[bisect_right(self._starts, number) - 1]

    def items(self, start: int = 0, end: int | None = None) -> Iterator[tuple[int, int, V]]:
        """Runs of ``[start, end)`` as ``(first, end, value)``, of a copy: the map may change meanwhile."""
        end = self.end if end is None else min(end, self.end)
        if start >= end:
            return
        low, high = bisect_right(self._starts, start) - 1, bisect_left(self._starts, end)
        starts, values = self._starts[low:high], self._values[low:high]
        starts[0] = start
        yield from zip(starts, [*starts[1:], end], values, strict=True)

    def run_at(self, number: int) -> tuple[int, int, V]:
        """The whole run that holds `number`."""
        index = bisect_right(self._starts, number) - 1
        last = index + 1 == len(self._starts)
        return self._starts[index], self.end if last else self._starts[index + 1], self._values[index]

    def assign(self, start: int, end: int, value: V) -> None:
        """Give every number of ``[start, end)`` a value. O(runs)."""
        end = min(end, self.end)
        if start >= end:
            return
        starts, values = self._starts, self._values
        low, high = bisect_left(starts, start), bisect_left(starts, end)
        new = [(start, value)]
        if end < self.end and (high == len(starts) or starts[high] != end):
            new.append((end, values[high - 1]))
        if low and values[low - 1] == value:
            del new[0]
        follows = new[-1][1] if new else value
        if high < len(starts) and starts[high] == end and values[high] == follows:
            high += 1
        starts[low:high] = [s for s, _ in new]
        values[low:high] = [v for _, v in new]
        if len(new) == 2 and new[0][1] == new[1][1]:
            del starts[low + 1], values[low + 1]
        elif len(new) == 1 and new[0][0] == end and low and values[low - 1] == new[0][1]:
            del starts[low], values[low]
