"""The linear P2M list: its entries as runs, and the pages it takes.

The list begins as the builder's (``nr_pages`` words, rounded up to a page), is rebuilt into a
virtual area in which uniform pages are shared, and is then edited: extra regions become missing,
moved frames and swapped NVS pages are stored. Nothing here walks pages; ranges of leaf pages
(512 entries) and of chunks (512 leaf pages, 1 GiB of guest memory) are counted instead.

Source: ``xen_vmalloc_p2m_tree``, ``xen_rebuild_p2m_list``, ``xen_build_mfn_list_list``,
``xen_alloc_p2m_entry`` in ``arch/x86/xen/p2m.c`` (3.19 to 7.x); ``xen_inv_extra_mem``,
``xen_remap_memory``, ``xen_do_remap_nonram`` in ``setup.c``.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING

from xenp2m.extents import Range, Run, intersect, overlay, subtract, union
from xenp2m.frames import Kind

if TYPE_CHECKING:
    from collections.abc import Iterable

    from xenp2m.host import Host

__all__ = ["LinearList", "area_entries"]

_SHARED_PAGES = 4
_TREE_PAGES = 3
_PTRS_PER_PTE = 512
_HEADER = 3
"""Words before the frames in one record of the remap list, which is a page (``REMAP_SIZE``)."""


def round_up(value: int, step: int) -> int:
    """`value` rounded up to a multiple of `step`."""
    return -(-value // step) * step


def area_entries(max_p2m_pfn: int, limit_gb: int, entries: int = 512) -> int:
    """Entries of the final list, which reaches the hotplug limit.

    Its area is a multiple of what one page of MFNs covers: 2 MiB, or 4 MiB on 32 bits.
    """
    return round_up(max(max_p2m_pfn, limit_gb << 18), entries**2)


def _pages(ranges: Iterable[Range]) -> int:
    return sum(end - start for start, end in ranges)


def _covering(ranges: Iterable[Range], unit: int) -> list[Range]:
    """Units that `ranges` touch."""
    return union((start // unit, -(-end // unit)) for start, end in ranges if start < end)


def _covered(ranges: Iterable[Range], unit: int) -> list[Range]:
    """Units that lie wholly inside `ranges`, which must be joined."""
    return [(a, b) for a, b in ((-(-start // unit), end // unit) for start, end in ranges) if a < b]


class LinearList:
    """The list while a boot edits it.

    Attributes:
        size: entries of the final list; 0 before `rebuild`.
        end_pfn: what ``shared_info.arch.max_pfn`` says.
        layers: edits in the order in which they happen.
    """

    def __init__(self, host: Host) -> None:
        self._host = host
        self._leaf = host.geometry.entries
        self._early = round_up(host.nr_pages, self._leaf)
        self.end_pfn = self._early
        self.size = 0
        self.layers: list[Run] = []
        self._identity: list[Range] = []
        self._private: list[Range] = []
        self._chunks: list[Range] = []
        self._touched: list[Range] = []
        self._touched_late: list[Range] = []

    def set_identity(self, start: int, end: int) -> None:
        """Early: mark PFNs ``[start, end)`` as identity, as far as the builder's list reaches."""
        end = min(end, self._early)
        if start < end:
            self._identity.append((start, end))
            self.layers.append(Run(start, end, Kind.IDENTITY))

    def rebuild(self, end_pfn: int | None) -> None:
        """Move the list into its area.

        Args:
            end_pfn: end of the last extra region, where there is one.
        """
        if end_pfn is not None:
            self.end_pfn = end_pfn
        self.size = area_entries(self.end_pfn, self._host.p2m_limit_gb, self._leaf)
        leaves = [(0, self._early // self._leaf)]
        self._private = subtract(leaves, _covered(union(self._identity), self._leaf))
        self._chunks = _covering(self._private, self._leaf)

    def set_missing(self, start: int, end: int) -> None:
        """Empty an extra region, entry by entry, so its leaf pages become private."""
        end = min(end, self.size)
        if start < end:
            self._fill_unaligned(start)
            self._touched.append((start, end))
            self.layers.append(Run(start, end, Kind.MISSING))

    def _fill_unaligned(self, *pfns: int) -> None:
        """Words that a fresh leaf page gets around the first PFN stored in it.

        They say identity; a text of 3.19 counts from that PFN instead of the start of the page.
        """
        if self._host.release.fill != "unaligned":
            return
        own = union([*self._private, *_covering([*self._touched, *self._touched_late], self._leaf)])
        for pfn in pfns:
            leaf = pfn // self._leaf
            if pfn % self._leaf and not intersect([(leaf, leaf + 1)], own):
                word = pfn | self._host.geometry.identity_bit
                self.layers.append(Run(leaf * self._leaf, (leaf + 1) * self._leaf, Kind.OTHER, word, 1))

    def store(self, start: int, end: int, mfn: int, step: int) -> int | None:
        """Store frames at PFNs ``[start, end)`` after the tools' tree was built.

        Returns:
            None, or the first PFN that lies beyond the list, where the store goes wrong.
        """
        if end > self.size:
            return max(start, self.size)
        ends = {leaf * self._leaf for leaf in (start // self._leaf, (end - 1) // self._leaf)}
        self._fill_unaligned(*(self._first_stored(start, end, leaf) for leaf in ends))
        self._touched_late.append((start, end))
        self.layers.append(Run(start, end, Kind.MFN, mfn, step))
        return None

    def finish(self) -> tuple[list[Run], int]:
        """Close the books.

        Returns:
            The runs over ``[0, size)``, and the pages allocated in all.
        """
        unit = self._leaf
        extra = subtract(_covering(self._touched, unit), self._private)
        private = union([*self._private, *extra])
        new_tables = subtract(_covering(extra, unit), self._chunks)
        chunks = union([*self._chunks, *new_tables])
        late = subtract(_covering(self._touched_late, unit), private)
        late_tables = subtract(_covering(late, unit), chunks)
        leaves = _pages(private) + _pages(late)
        tables = _pages(new_tables) + _pages(late_tables)
        total = _SHARED_PAGES + leaves + tables * max(1, unit // _PTRS_PER_PTE)
        if not self._host.virt_p2m_4tools:
            total += _TREE_PAGES + _pages(_clip([*chunks, *late_tables], unit))
        self._grow(late)
        return self._runs(), total

    def _grow(self, late: list[Range]) -> None:
        """Leaf pages allocated by late stores move the end that tools see."""
        firsts = [low for low, _ in late]
        for start, end in self._touched_late:
            low, high = start // self._leaf, -(-end // self._leaf)
            for index in range(max(0, bisect_right(firsts, low) - 1), bisect_left(firsts, high)):
                if late[index][1] <= low:
                    continue
                first = self._first_stored(start, end, (min(high, late[index][1]) - 1) * self._leaf)
                if self._host.release.list_end == "entry":
                    self.end_pfn = max(self.end_pfn, first)
                elif first >= self.end_pfn:
                    self.end_pfn = round_up(first + 1, self._leaf)

    def _first_stored(self, start: int, end: int, leaf: int) -> int:
        """First PFN stored on the leaf page at PFN `leaf`, of those at ``[start, end)``.

        Moved frames are recorded in pieces of a page and stored piece by piece from the last to the
        first, each upwards.
        """
        last = min(end, leaf + self._leaf) - 1
        return max(leaf, last - (last - start) % (self._leaf - _HEADER))

    def _runs(self) -> list[Run]:
        nr = self._host.nr_pages
        step = -1 if self._host.mfn_desc else 1
        base = [Run(0, nr, Kind.MFN, self._host.mfns(0), step if nr > 1 else 1)]
        if nr < self._early:
            base.append(Run(nr, self._early, Kind.MISSING))
        if self._early < self.size:
            base.append(Run(self._early, self.size, Kind.IDENTITY))
        runs = overlay(self.layers, base)
        return [r.cut(r.start, self.size) for r in runs if r.start < self.size]


def _clip(ranges: Iterable[Range], end: int) -> list[Range]:
    return [(a, min(b, end)) for a, b in ranges if a < end]
