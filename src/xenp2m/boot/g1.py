"""Linux 2.6.39 to 3.1: gaps are given back, and one region of extra memory lies behind everything.

Source: ``xen_memory_setup``, ``xen_return_unused_memory``, ``xen_set_identity``, ``xen_add_extra_mem``
in ``arch/x86/xen/setup.c``, 2.6.39 (68df0da7f42b). Later 3.0 stable versions and 3.1 also ask for the
maximum reservation, and lift extra memory to 4 GiB in dom0 whatever the word size, and
in no domU: read in the text of a 3.0 stable tree, not compared. 3.0 to 3.0.3 boot as 2.6.39, not read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from xenp2m.boot.layout import Layout
from xenp2m.boot.older import (
    clamp_extra,
    close_books,
    domain_limit,
    grafted,
    maximum_pages,
    raw_map,
    release,
    rules_for,
)
from xenp2m.e820 import ADDRESS_LIMIT, ISA_END, ISA_START, RAM, RESERVED, UNUSABLE, Entry, sanitize
from xenp2m.frames import PAGE_SHIFT, PAGE_SIZE, pfn_down, pfn_up

if TYPE_CHECKING:
    from xenp2m.boot.run_tree import RunTree
    from xenp2m.host import Host

__all__ = ["boot"]

_4_GIB = 1 << 32


def boot(host: Host) -> Layout:
    """Replay one boot of 2.6.39 to 3.1. Cost grows with entries of the map, not with pages."""
    rules = rules_for(host)
    layout = Layout()
    layout.limit = domain_limit(host)
    layout.ini_pages = min(layout.limit, host.nr_pages)
    tree = grafted(host, rules, layout.ini_pages)
    raw = raw_map(host, layout.ini_pages)
    walk = _Walk(host, layout)
    for entry in raw:
        walk.take(entry)
    layout.table = [*walk.table, Entry(ISA_START, ISA_END, RESERVED)]
    layout.host_map = sanitize(layout.table)
    _release_gaps(host, layout, tree)
    extra = _extra_pages(host, layout, walk.extra)
    if host.extra == "contiguous":
        extra = min(extra, _room(raw, walk.extra_start))
    layout.extra_pages = extra
    layout.e820 = list(layout.host_map)
    end_pfn = layout.ini_pages
    layout.extra = layout.extra_early = []
    layout.extra_bytes = layout.extra_bytes_early = []
    if extra:
        end_pfn = _add_extra(layout, tree, walk.extra_start, extra)
    _set_identity(host, raw, tree)
    close_books(layout, tree, end_pfn)
    return layout


class _Walk:
    """The first walk over the unsorted map: what stays, what is extra, where extra memory begins."""

    def __init__(self, host: Host, layout: Layout) -> None:
        self._host = host
        self._mem_end = layout.ini_pages << PAGE_SHIFT
        self._contiguous = host.extra == "contiguous"
        is_late = host.release.era == "g1-3.1"
        lifts = host.is_dom0 if is_late else host.geometry.word == 8
        near = self._contiguous or not lifts
        self.extra_start = self._mem_end if near else max(_4_GIB, self._mem_end)
        self.extra = 0
        self.table: list[Entry] = []

    def take(self, entry: Entry) -> None:
        """Take one entry; RAM loses its last partial page, and what lies beyond the allocation."""
        start, size = entry.start, entry.size
        if entry.type == RAM:
            size = (size - (start + size) % PAGE_SIZE) % ADDRESS_LIMIT
        end = (start + size) % ADDRESS_LIMIT
        if entry.type == RAM and end > self._mem_end:
            delta = min(size, end - self._mem_end)
            size, end = size - delta, end - delta
            self.extra += pfn_down(delta)
            if delta and self._host.is_dom0 and end < _4_GIB and not self._contiguous:
                self._add(Entry(end, end + delta, UNUSABLE))
        if size and end > self.extra_start and not self._contiguous:
            self.extra_start = end
        if size:
            self._add(Entry(start, end, entry.type))

    def _add(self, entry: Entry) -> None:
        if len(self.table) < self._host.release.e820_entries:
            self.table.append(entry)


def _release_gaps(host: Host, layout: Layout, tree: RunTree) -> None:
    """Give back frames above 1 MiB that no entry of the guest's map covers, entries of any type."""
    cursor, limit = ISA_END, host.nr_pages << PAGE_SHIFT
    gaps = []
    for entry in layout.host_map:
        if cursor >= limit:
            break
        if cursor < min(limit, entry.start):
            gaps.append((cursor, min(limit, entry.start)))
        cursor = max(cursor, entry.end)
    if cursor < limit:
        gaps.append((cursor, limit))
    for start, end in gaps:
        release(layout, tree, pfn_up(start), pfn_down(end))


def _extra_pages(host: Host, layout: Layout, beyond: int) -> int:
    """Pages of extra memory: base and extra together are at most ten times the base."""
    base = layout.ini_pages
    extra = beyond
    if host.release.era == "g1-3.1" or host.extra == "contiguous":
        extra = min(extra, max(0, maximum_pages(host, layout.limit) - base))
    extra += layout.released
    return max(0, clamp_extra(host, base, base + extra) - base)


def _room(raw: list[Entry], start: int) -> int:
    """Whole pages of RAM from byte `start` to the end of its entry: extra memory fills no hole."""
    ends = [entry.end for entry in raw if entry.type == RAM and entry.start <= start < entry.end]
    return pfn_down(max(ends, default=start) - start)


def _add_extra(layout: Layout, tree: RunTree, start: int, pages: int) -> int:
    """Add the region to the map; its frames become missing, and one more after them.

    Returns:
        The end that tools are told, a PFN.
    """
    end = start + (pages << PAGE_SHIFT)
    layout.e820 = sanitize([*layout.host_map, Entry(start, end, RAM)])
    layout.extra_bytes = layout.extra_bytes_early = [(start, end)]
    layout.extra = layout.extra_early = [(pfn_up(start), pfn_down(end))]
    tree.empty(pfn_down(start), pfn_down(end) + 1)
    return pfn_down(end)


def _set_identity(host: Host, raw: list[Entry], tree: RunTree) -> None:
    """Identity for what is neither RAM nor UNUSABLE in the unsorted map, rounded inwards."""
    last = hole = 0 if host.is_dom0 else ISA_END
    for entry in raw:
        start, end = max(entry.start, last), entry.end
        if end <= start or last > end:
            continue
        if entry.type in (RAM, UNUSABLE):
            if start > hole:
                tree.set_identity(pfn_up(hole), pfn_down(start))
            hole = end
        else:
            hole = min(start, hole)
        last = end
    if last > hole:
        tree.set_identity(pfn_up(hole), pfn_down(last))
