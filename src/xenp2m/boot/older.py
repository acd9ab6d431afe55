"""What the memory setups of 2.6.39 to 4.2 have in common: limits, and the walk over the map.

Extra memory is counted and kept in bytes here; from 4.3 on it is in frames. Source:
``xen_memory_setup``, ``xen_get_max_pages``, ``xen_add_extra_mem`` in ``arch/x86/xen/setup.c``, read in
3.0 (stable), 3.6 and 3.18; ``MAX_DOMAIN_PAGES`` in ``include/asm/xen/page.h``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from xenp2m.boot.guestmap import GuestMap
from xenp2m.boot.layout import Layout
from xenp2m.boot.remap import find_holes
from xenp2m.boot.run_tree import Frames, RunTree
from xenp2m.e820 import ISA_END, ISA_START, RAM, RESERVED, UNUSABLE, Entry, sanitize
from xenp2m.errors import InputError, shorten
from xenp2m.frames import PAGE_SHIFT, PAGE_SIZE, Kind, pfn_down, pfn_up
from xenp2m.model.rules import RULES

if TYPE_CHECKING:
    from xenp2m.extents import Range
    from xenp2m.host import Host
    from xenp2m.kernel import Release
    from xenp2m.model.rules import Rules

__all__ = [
    "ByteGuestMap",
    "begin",
    "builder_frames",
    "clamp_extra",
    "close_books",
    "domain_limit",
    "finish",
    "finish_map",
    "grafted",
    "maximum_pages",
    "raw_map",
    "release",
    "rules_for",
]

EXTRA_MEM_RATIO = 10
MAXMEM_32 = 0x37BFE000
"""Most bytes of low memory of a 32-bit kernel (``MAXMEM``); it depends on the configuration."""
DOMU_SLACK = 8 << 20


def maximum_pages(host: Host, limit: int) -> int:
    """``xen_get_max_pages``: dom0's reservation read as a signed 32-bit number, or the limit."""
    if not host.is_dom0 or host.max_res is None:
        return limit
    pages = host.max_res & 0xFFFFFFFF
    return min(pages, limit) if 0 < pages < 1 << 31 else limit


def clamp_extra(host: Host, base: int, extra: int) -> int:
    """Extra memory is at most ten times the base, which on 32 bits is at most low memory."""
    low = base if host.geometry.word == 8 else min(base, MAXMEM_32 >> PAGE_SHIFT)
    return min(EXTRA_MEM_RATIO * low, extra)


def raw_map(host: Host, pages: int) -> list[Entry]:
    """The map Xen hands over; a domU that gets none makes one of its size and 8 MiB."""
    if host.e820 is None:
        return [Entry(0, (pages << PAGE_SHIFT) + DOMU_SLACK, RAM)]
    return list(host.e820)


def host_map(host: Host, pages: int, *, ignore_unusable: bool) -> list[Entry]:
    """The map as 3.2 to 4.2 sort it: in room for as many ranges as there are entries.

    Ranges that overlaps add beyond that number are lost at the end. With `ignore_unusable` dom0
    takes UNUSABLE for RAM first (e201bfcc5c4f, 3.11).
    """
    entries = raw_map(host, pages)
    if ignore_unusable and host.is_dom0:
        entries = [e._replace(type=RAM) if e.type == UNUSABLE else e for e in entries]
    return sanitize(entries, capacity=len(entries))


def begin(host: Host, *, ignore_unusable: bool) -> Layout:
    """What 3.2 to 4.2 know before they touch a hole; `ignore_unusable` as for `host_map`."""
    layout = Layout()
    layout.limit = domain_limit(host)
    layout.ini_pages = min(layout.limit, host.nr_pages)
    layout.host_map = host_map(host, layout.ini_pages, ignore_unusable=ignore_unusable)
    layout.max_pages = maximum_pages(host, layout.limit)
    layout.holes = find_holes(layout.host_map)
    return layout


def finish(host: Host, layout: Layout, tree: RunTree, mem_end: int, *, behind: bool) -> Layout:
    """The second half of a boot of 3.2 to 3.18, when every hole is dealt with.

    Args:
        host: what boots.
        layout: gets the guest's map, extra memory and the final tree.
        tree: every hole is identity in it.
        mem_end: where memory that has frames ends, a PFN.
        behind: whether all that lies behind the host's map becomes identity.
    """
    extra = max(0, layout.max_pages - layout.ini_pages) + layout.released
    layout.extra_pages = clamp_extra(host, mem_end, extra)
    guest = ByteGuestMap(host.release, mem_end << PAGE_SHIFT, layout.extra_pages)
    guest.fill(layout.host_map)
    place_extra(layout, tree, guest)
    if behind:
        identity_behind(layout, tree)
    guest.add(Entry(ISA_START, ISA_END, RESERVED))
    finish_map(layout, guest)
    close_books(layout, tree, layout.ini_pages if guest.end_pfn is None else guest.end_pfn)
    return layout


def builder_frames(host: Host) -> Frames:
    """The builder's list as one run."""
    return Frames(Kind.MFN, host.mfns(0), -1 if host.mfn_desc else 1)


class ByteGuestMap(GuestMap):
    """The walk of 3.2 to 4.2: extra memory by bytes, leftover RAM unusable.

    Attributes:
        extra: extra regions in bytes.
        end_pfn: end of the extra region placed last, rounded down to a frame; None without one.
        placed: every piece of extra memory in bytes, also those that found no slot.
    """

    def __init__(self, release: Release, mem_end: int, extra_pages: int) -> None:
        super().__init__(release, mem_end, extra_pages)
        self.placed: list[Range] = []

    def _ram(self, start: int, end: int) -> None:
        if start < self._mem_end:
            cut = min(end, self._mem_end)
            self.add(Entry(start, cut, RAM))
            start = cut
        while start < end:
            if not self.extra_pages:
                self.add(Entry(start, end, UNUSABLE))
                return
            size = min(end - start, self.extra_pages * PAGE_SIZE)
            self.extra_pages -= size // PAGE_SIZE
            self.extra.add(start, size)
            self.placed.append((start, start + size))
            self.end_pfn = (start + size) >> PAGE_SHIFT
            self.add(Entry(start, start + size, RAM))
            start += size

    @property
    def regions(self) -> list[Range]:
        """Extra regions in bytes."""
        return self.extra.ranges()


def rules_for(host: Host) -> Rules:
    """The rule set asked for, or the kernel's own.

    Raises:
        InputError: there is no such rule set for a tree.
    """
    name = host.release.p2m if host.rules is None else host.rules
    if name not in RULES:
        raise InputError("rules", f"one of {', '.join(RULES)}", shorten(name))
    return RULES[name]


def domain_limit(host: Host) -> int:
    """``MAX_DOMAIN_PAGES`` of the kernel, whatever rules it edits by: 3.2 and later share one."""
    own = "2.6.39" if host.release.has_one_region else "3.18"
    return RULES[own].reservation.max_domain_pages(host.geometry)


def grafted(host: Host, rules: Rules, pages: int) -> RunTree:
    """The tree as ``xen_build_dynamic_phys_to_machine`` leaves it, `pages` frames long."""
    tree = RunTree(rules, host.geometry)
    tree.graft(pages, builder_frames(host))
    return tree


def identity_behind(layout: Layout, tree: RunTree) -> None:
    """Identity for all that lies behind the host's map (3.16 to 3.18); nothing for a map of empty entries."""
    for last in layout.host_map[-1:]:
        tree.set_identity(pfn_down(last.end), tree.geometry.max_p2m_pfn)


def close_books(layout: Layout, tree: RunTree, end_pfn: int) -> None:
    """Write the final tree into the layout; `end_pfn` is what tools are told."""
    if tree.rules.revectors and tree.geometry.word == 8:
        tree.revector()
    layout.runs, layout.shape, layout.brk_pages = tree.runs(), tree.shape(), tree.brk
    layout.p2m_end = tree.geometry.max_p2m_pfn
    layout.asked_identity = tree.asked
    layout.shared_max_pfn = end_pfn


def release(layout: Layout, tree: RunTree, start: int, end: int) -> None:
    """Give back the frames of ``[start, end)`` that have a page.

    A frame that is identity already (a page that belongs to two holes) is not Xen's to take back:
    the kernel stops there, unless the M2P names another frame for that number.
    """
    for low, high, frames in tree.words.items(start, end):
        if frames.kind is Kind.IDENTITY and not tree.holds(low):
            return
        if frames.kind is not Kind.MFN:
            continue
        tree.empty(low, high)
        layout.released += high - low
        if layout.freed and layout.freed[-1][1] == low:
            layout.freed[-1] = (layout.freed[-1][0], high)
        else:
            layout.freed.append((low, high))


def finish_map(layout: Layout, guest: GuestMap) -> None:
    """Write the guest's table into the layout and sort it for the last time."""
    layout.table, layout.dropped = guest.table, guest.dropped
    layout.extra_lost = guest.extra.lost
    layout.e820 = sanitize(guest.table)


def place_extra(layout: Layout, tree: RunTree, guest: ByteGuestMap) -> None:
    """Make the frames of the extra regions missing (3.2 to 3.18).

    A frame that reads as its own number is left alone, with a warning in the kernel's log: identity,
    or an ordinary page that happens to have it.
    """
    for start, end in guest.placed:
        tree.empty(start >> PAGE_SHIFT, end >> PAGE_SHIFT, keep_own=True)
    layout.extra_bytes = layout.extra_bytes_early = guest.regions
    layout.extra = layout.extra_early = [(pfn_up(start), pfn_down(end)) for start, end in guest.regions]
