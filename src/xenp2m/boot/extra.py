"""Extra regions: RAM frames without a machine frame, kept for the balloon.

Source: ``xen_extra_mem[]``, ``xen_add_extra_mem`` and ``xen_del_extra_mem`` in
``arch/x86/xen/setup.c`` (4.3 to 7.x).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from xenp2m.boot.layout import Bug, BugError

if TYPE_CHECKING:
    from xenp2m.extents import Range

__all__ = ["ExtraRegions"]

SLOTS = 128
"""``XEN_EXTRA_MEM_MAX_REGIONS``."""

_WRAP = 1 << 64


class ExtraRegions:
    """A table of `SLOTS` regions, filled first fit.

    Invariants: no more than `SLOTS` regions are kept; sizes are counted modulo 2^64 as in the
    kernel; `lost` counts regions that found no slot.
    """

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._sizes: list[int] = []
        self._ends: list[int] = []
        self.lost = 0

    def ranges(self) -> list[Range]:
        """Regions of at least one page in slot order, as half-open PFN ranges."""
        return [(s, e) for s, n, e in zip(self._starts, self._sizes, self._ends, strict=True) if n]

    def add(self, start: int, pages: int) -> None:
        """Append to the region that ends at `start`, or take the first empty slot."""
        index = min(_index(self._sizes, 0), _index(self._ends, start))
        if index == len(self._sizes):
            if index == SLOTS:
                self.lost += 1
                return
            self._starts.append(0)
            self._sizes.append(0)
            self._ends.append(0)
        if self._sizes[index]:
            self._set(index, self._starts[index], self._sizes[index] + pages)
        else:
            self._set(index, start, pages)

    def remove(self, start: int, pages: int) -> None:
        """Take `pages` from `start` on out of the region that holds them; none may hold them.

        Raises:
            BugError: the region found is smaller than what is taken.
        """
        end = start + pages
        for index, (first, size, last) in enumerate(zip(self._starts, self._sizes, self._ends, strict=True)):
            if first == start or last == end:
                self._need(pages <= size, start)
                self._set(index, first + pages if first == start else first, size - pages)
                return
            if first < start < last:
                self._need(end <= last, start)
                self._set(index, first, start - first)
                self.add(end, last - end)
                return

    def _set(self, index: int, start: int, size: int) -> None:
        size %= _WRAP
        self._starts[index], self._sizes[index], self._ends[index] = start, size, (start + size) % _WRAP

    @staticmethod
    def _need(fits: bool, pfn: int) -> None:
        if not fits:
            raise BugError(Bug("extra-region-smaller-than-remapped", 4, pfn=pfn))


def _index(values: list[int], value: int) -> int:
    """Place of the first `value`, or the length of the list."""
    try:
        return values.index(value)
    except ValueError:
        return len(values)
