"""Holes below the initial allocation: which frames move out of them, and to which PFNs.

Source: ``xen_foreach_remap_area``, ``xen_find_pfn_range``, ``xen_set_identity_and_remap_chunk``,
``xen_set_identity_and_release_chunk`` in ``arch/x86/xen/setup.c`` (4.3 to 7.x).
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from xenp2m.boot.layout import Move
from xenp2m.e820 import ADDRESS_LIMIT, RAM
from xenp2m.frames import pfn_down, pfn_up

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from xenp2m.e820 import Entry
    from xenp2m.extents import Range

__all__ = ["TargetScan", "cut_shared", "find_holes", "pages_below", "plan_hole", "shared_pages"]


def find_holes(entries: Sequence[Entry]) -> list[Range]:
    """PFN ranges that are not RAM, rounded outwards, up to the end of the map.

    Two neighbours share a page where a RAM entry between them has no whole page.
    """
    holes: list[Range] = []
    start = 0
    for index, entry in enumerate(entries):
        is_ram = entry.type == RAM
        if is_ram or index == len(entries) - 1:
            first, last = pfn_down(start), pfn_up(entry.start if is_ram else entry.end)
            if first < last:
                holes.append((first, last))
            start = entry.end
    return holes


def pages_below(holes: Sequence[Range], limit: int) -> int:
    """Pages of `holes` below PFN `limit`; a page in two holes counts twice, as in the kernel."""
    return sum(min(end, limit) - start for start, end in holes if start < limit)


class TargetScan:
    """The search for RAM frames that take over: it only ever goes upwards."""

    def __init__(self, entries: Sequence[Entry], first: int) -> None:
        self._ram = [(pfn_up(e.start), pfn_down(e.end)) for e in entries if e.type == RAM]
        self._next = 0
        self.pfn = first

    def available(self) -> int:
        """Frames from `pfn` to the end of its RAM entry, after moving `pfn` to RAM; 0 when none is left.

        An entry without a whole page gives 2^64 - 1, as in the kernel.
        """
        while self._next < len(self._ram) and self._ram[self._next][1] <= self.pfn:
            self._next += 1
        if self._next == len(self._ram):
            return 0
        start, end = self._ram[self._next]
        self.pfn = max(self.pfn, start)
        return (end - self.pfn) % ADDRESS_LIMIT


def plan_hole(hole: Range, limit: int, targets: TargetScan) -> Iterator[Move]:
    """Moves that empty the part of `hole` below PFN `limit`, in the kernel's order.

    Ends early where no target is left; the caller releases what remains.
    """
    start, end = hole[0], min(hole[1], limit)
    while start < end:
        room = targets.available()
        if not room:
            return
        size = min(end - start, room)
        yield Move(start, targets.pfn, size)
        start += size
        targets.pfn += size


def shared_pages(holes: Sequence[Range]) -> set[int]:
    """PFNs that belong to two holes: they are identity already when the second one is emptied."""
    return {right[0] for left, right in pairwise(holes) if right[0] < left[1]}


def cut_shared(move: Move, shared: set[int]) -> list[Move]:
    """A move with its first page cut off where that belongs to two holes."""
    if move.source in shared and move.size > 1:
        return [Move(move.source, move.target, 1), Move(move.source + 1, move.target + 1, move.size - 1)]
    return [move]
