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

from typing import TYPE_CHECKING

from xenp2m.extents import Range, Run, intersect, overlay, subtract, union
from xenp2m.frames import Kind

if TYPE_CHECKING:
    from collections.abc import Iterable

    from xenp2m.host import Host

__all__ = ["LinearList", "area_entries"]

LEAF = 512
CHUNK = LEAF * LEAF
_AREA_STEP = 1 << 18
_SHARED_PAGES = 4
_TREE_PAGES = 3
RECORD = LEAF - 3
"""Frames in one record of the remap list (``REMAP_SIZE``): a page less its three words of header."""


def round_up(value: int, step: int) -> int:
    """`value` rounded up to a multiple of `step`."""
    return -(-value // step) * step


def area_entries(max_p2m_pfn: int, limit_gb: int) -> int:
    """Entries of the final list: its area is a multiple of 2 MiB and reaches the hotplug limit."""
    return round_up(max(max_p2m_pfn, limit_gb << 18), _AREA_STEP)


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
        self._early = round_up(host.nr_pages, LEAF)
        self.end_pfn = self._early
        self.size = 0
        self.layers: list[Run] = []
        self._identity: list[Range] = []
        self._private: list[Range] = []
        self._chunks: list[Range] = []
        self._tree_chunks = 0
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
        self.size = area_entries(self.end_pfn, self._host.p2m_limit_gb)
        leaves = [(0, self._early // LEAF)]
        self._private = subtract(leaves, _covered(union(self._identity), LEAF))
        self._chunks = _covering(self._private, LEAF)

    def set_missing(self, start: int, end: int) -> None:
        """Empty an extra region, entry by entry, so its leaf pages become private."""
        end = min(end, self.size)
        if start < end:
            self._touched.append((start, end))
            self.layers.append(Run(start, end, Kind.MISSING))

    def store(self, start: int, end: int, mfn: int, step: int) -> int | None:
        """Store frames at PFNs ``[start, end)`` after the tools' tree was built.

        Returns:
            None, or the first PFN that lies beyond the list, where the store goes wrong.
        """
        if end > self.size:
            return max(start, self.size)
        self._touched_late.append((start, end))
        self.layers.append(Run(start, end, Kind.MFN, mfn, step))
        return None

    def finish(self) -> tuple[list[Run], int, int]:
        """Close the books.

        Returns:
            The runs over ``[0, size)``, the pages allocated in all, and the private leaf pages.
        """
        extra = subtract(_covering(self._touched, LEAF), self._private)
        private = union([*self._private, *extra])
        new_tables = subtract(_covering(extra, LEAF), self._chunks)
        chunks = union([*self._chunks, *new_tables])
        late = subtract(_covering(self._touched_late, LEAF), private)
        late_tables = subtract(_covering(late, LEAF), chunks)
        leaves = _pages(private) + _pages(late)
        total = _SHARED_PAGES + leaves + _pages(new_tables) + _pages(late_tables)
        if not self._host.virt_p2m_4tools:
            total += _TREE_PAGES + _pages(_clip([*chunks, *late_tables], LEAF))
        self._grow(late)
        return self._runs(), total, leaves

    def _grow(self, late: list[Range]) -> None:
        """Leaf pages allocated by late stores move the end that tools see."""
        for start, end in self._touched_late:
            for _, high in intersect([(start // LEAF, -(-end // LEAF))], late):
                first = _first_stored(start, end, (high - 1) * LEAF)
                if self._host.release.list_end == "entry":
                    self.end_pfn = max(self.end_pfn, first)
                elif first >= self.end_pfn:
                    self.end_pfn = round_up(first + 1, LEAF)

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


def _first_stored(start: int, end: int, leaf: int) -> int:
    """First PFN stored on the leaf page at PFN `leaf`, of those at ``[start, end)``.

    Moved frames are recorded in pieces of `RECORD` and stored piece by piece from the last to the
    first, each upwards.
    """
    last = min(end, leaf + LEAF) - 1
    return max(leaf, last - (last - start) % RECORD)


def _clip(ranges: Iterable[Range], end: int) -> list[Range]:
    return [(a, min(b, end)) for a, b in ranges if a < end]
