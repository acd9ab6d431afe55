"""The walk that turns the host's map into the guest's: what stays RAM, what becomes extra memory.

Source: the loop of ``xen_memory_setup`` and ``xen_align_and_add_e820_region`` in
``arch/x86/xen/setup.c`` (4.3 to 7.x).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from xenp2m.boot.extra import ExtraRegions
from xenp2m.e820 import ADDRESS_LIMIT, RAM, UNUSABLE, Entry
from xenp2m.frames import PAGE_SHIFT, PAGE_SIZE, page_down, page_up, pfn_down, pfn_up

if TYPE_CHECKING:
    from collections.abc import Iterable

    from xenp2m.extents import Range
    from xenp2m.kernel import Release

__all__ = ["GuestMap"]


class GuestMap:
    """The guest's table while it is filled.

    Attributes:
        table: ranges stored, in the order they were added, up to the table's capacity. A negative
            size is ``end < start``; a range without a byte is stored, too.
        dropped: ranges that came after the table was full.
        extra: the extra regions.
        extra_pages: extra pages that are still to be placed (modulo 2^64).
        end_pfn: end of the extra region placed last, or None.
        stalled: bytes of the RAM entry in which passes placed nothing, or None.
    """

    def __init__(self, release: Release, mem_end: int, extra_pages: int) -> None:
        self._keep_leftover = release.leftover == "unusable"
        self._capacity = release.e820_entries
        self._mem_end = mem_end
        self.table: list[Entry] = []
        self.dropped = 0
        self.extra = ExtraRegions()
        self.extra_pages = extra_pages
        self.end_pfn: int | None = None
        self.stalled: Range | None = None

    def fill(self, entries: Iterable[Entry]) -> None:
        """Walk the host's sorted map. O(entries), however many passes the kernel needs."""
        for entry in entries:
            if entry.type == RAM:
                self._ram(entry.start, entry.end)
            else:
                self.add(entry)

    def add(self, entry: Entry) -> None:
        """Add one range; RAM shrinks to whole pages first, which can turn its size negative."""
        if entry.type == RAM:
            entry = Entry(page_up(entry.start), page_down(entry.end), RAM)
        if len(self.table) < self._capacity:
            self.table.append(entry)
        else:
            self.dropped += 1

    def _ram(self, start: int, end: int) -> None:
        if start < self._mem_end:
            cut = min(end, self._mem_end)
            self.add(Entry(start, cut, RAM))
            start = cut
        while start < end and self.extra_pages:
            start = self._place_extra(start, end)
        if start < end and self._keep_leftover:
            self.add(Entry(start, end, UNUSABLE))

    def _place_extra(self, start: int, end: int) -> int:
        """One or many passes of the kernel's loop; returns where the next one begins."""
        size = min(end - start, self.extra_pages << PAGE_SHIFT)
        first, pages = pfn_up(start), pfn_down(start + size) - pfn_up(start)
        if not pages and size == PAGE_SIZE:
            return self._stall(start, end)
        self.extra_pages = (self.extra_pages - pages) % ADDRESS_LIMIT
        self.extra.add(first, pages % ADDRESS_LIMIT)
        self.end_pfn = first + pages
        self.add(Entry(start, start + size, RAM))
        return start + size

    def _stall(self, start: int, end: int) -> int:
        """Passes that take a page's worth of bytes without a whole page in them.

        With an unaligned start and one page left to place, each pass adds a range without a byte
        and a region without a page, until the entry is used up.
        """
        self.stalled = self.stalled or (start, end)
        passes = (end - start) // PAGE_SIZE
        kept = min(passes, self._capacity - len(self.table))
        first = page_up(start)
        self.table += (Entry(at, at, RAM) for at in range(first, first + kept * PAGE_SIZE, PAGE_SIZE))
        self.dropped += passes - kept
        self.end_pfn = pfn_up(start + (passes - 1) * PAGE_SIZE)
        self.extra.add(self.end_pfn, 0)
        return start + passes * PAGE_SIZE
