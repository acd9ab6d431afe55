"""Linux 4.3 and later: the boot of today's kernels, from memory setup to the final P2M.

Displaced frames are moved, not released; their number is added to what the domain may have; RAM
without frames becomes extra memory. Source: ``xen_memory_setup`` and ``xen_remap_memory`` in
``arch/x86/xen/setup.c``, ``xen_pagetable_p2m_setup`` in ``mmu_pv.c``, read in 5.10, 6.1 and 7.0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from xenp2m.boot.conflicts import check_image, relocate
from xenp2m.boot.guestmap import GuestMap
from xenp2m.boot.layout import Bug, BugError, Layout
from xenp2m.boot.linear_list import LinearList
from xenp2m.boot.remap import TargetScan, cut_shared, find_holes, pages_below, plan_hole, shared_pages
from xenp2m.e820 import ISA_END, ISA_START, RAM, RESERVED, UNUSABLE, Entry, sanitize
from xenp2m.frames import PAGE_SHIFT, pfn_down

if TYPE_CHECKING:
    from xenp2m.extents import Range
    from xenp2m.host import Host

__all__ = ["boot", "host_entries"]

EXTRA_MEM_RATIO = 10
IBFT_START, IBFT_END = 0x80000, 0x100000
_DOMU_SLACK = 8 << 20


def boot(host: Host) -> Layout:
    """Replay one boot.

    Args:
        host: the domain; its release must be 4.3 or later.

    Returns:
        The layout. Where the kernel stops, `Layout.bug` tells why and later fields keep what was
        known by then. Cost grows with entries of the map, not with pages.
    """
    layout = Layout()
    try:
        guest = _memory_setup(host, layout)
        _build_list(host, layout, guest)
    except BugError as stop:
        layout.bug = stop.bug
    return layout


def _memory_setup(host: Host, layout: Layout) -> GuestMap:
    """Phase 1, up to "Released N page(s)"."""
    layout.limit, layout.ini_pages = host.page_limit, host.ini_pages
    entries = layout.host_map = host_entries(host)
    if host.release.checks == "early":
        layout.host_map = entries = check_image(host, entries, layout.swaps)
    layout.holes = find_holes(entries)
    layout.max_pages = _max_pages(host) + pages_below(layout.holes, host.ini_pages)
    layout.extra_pages = min(EXTRA_MEM_RATIO * host.ini_pages, max(0, layout.max_pages - host.ini_pages))

    guest = GuestMap(host.release, host.ini_pages << PAGE_SHIFT, layout.extra_pages)
    guest.fill(entries)
    guest.add(Entry(ISA_START, ISA_END, RESERVED))
    layout.table, layout.dropped = guest.table, guest.dropped
    layout.stalled, layout.extra_lost = guest.stalled, guest.extra.lost
    final = sanitize(guest.table, host.release.e820_entries)
    if host.release.checks == "late":
        check_image(host, entries, layout.swaps)
    layout.relocations.extend(relocate(host, entries, guest.extra.ranges()))
    layout.e820 = final
    layout.extra = layout.extra_early = guest.extra.ranges()
    _plan_holes(host, layout)
    return guest


def host_entries(host: Host) -> list[Entry]:
    """The map Xen hands over, as the kernel sorts it."""
    if host.e820 is None:
        return [Entry(0, (host.ini_pages << PAGE_SHIFT) + _DOMU_SLACK, RAM)]
    entries = list(host.e820)
    if host.is_dom0:
        entries = [e._replace(type=RAM) if e.type == UNUSABLE else e for e in entries]
        if host.ibft:
            entries.append(Entry(IBFT_START, IBFT_END, RESERVED))
    return sanitize(entries, host.release.e820_entries)


def _max_pages(host: Host) -> int:
    """``xen_get_max_pages``: the reservation of dom0, the limit of everyone else."""
    if host.is_dom0 and host.max_res is not None and host.max_res > 0:
        return min(host.max_res, host.page_limit)
    return host.page_limit


def _plan_holes(host: Host, layout: Layout) -> None:
    """Choose a target for every frame below the initial allocation; release what finds none."""
    targets = TargetScan(layout.host_map, host.ini_pages)
    rest = _end_of_map(host, layout)
    for start, end in layout.holes:
        for move in plan_hole((start, end), host.ini_pages, targets):
            layout.moves.append(move)
            start = move.source + move.size
        end = min(end, host.ini_pages)
        if start <= rest < end and host.mfns(rest) != rest:
            # The map's last page is a part of one and identity by now: Xen refuses to take it back.
            end = rest
        if start < end:
            layout.released += end - start
            if layout.freed and start <= layout.freed[-1][1]:
                start = layout.freed.pop()[0]
            layout.freed.append((start, end))


def _end_of_map(host: Host, layout: Layout) -> int:
    """PFN from which everything is identity: where the walk over the map ends."""
    if layout.host_map:
        return pfn_down(layout.host_map[-1].end)
    # A map of nothing but empty entries sorts to nothing; the walk ends where it began.
    return pfn_down(host.e820[0].start) if host.e820 else 0


def _build_list(host: Host, layout: Layout, guest: GuestMap) -> None:
    """Phases 2 to 4: rebuild the list, empty the extra regions, store the moved frames."""
    p2m = LinearList(host)
    p2m.set_identity(_end_of_map(host, layout), p2m.end_pfn)
    for hole in layout.holes:
        p2m.set_identity(*hole)
    p2m.rebuild(guest.end_pfn)
    for region in guest.extra.ranges():
        p2m.set_missing(*region)
    layout.p2m_size = p2m.size
    _store_moves(host, layout, guest, p2m)
    layout.extra = guest.extra.ranges()
    for swap in layout.swaps:
        first, pages = swap.paddr >> PAGE_SHIFT, swap.size >> PAGE_SHIFT
        bad = p2m.store(first, first + pages, swap.maddr >> PAGE_SHIFT, 1)
        if bad is not None:
            raise BugError(Bug("nonram-swap-target-beyond-p2m", 4, pfn=bad))
    layout.runs, layout.alloc_p2m_pages = p2m.finish()
    layout.shared_max_pfn = p2m.end_pfn


def _store_moves(host: Host, layout: Layout, guest: GuestMap, p2m: LinearList) -> None:
    """Store the moved frames, last recorded first, and shrink the extra regions they land in."""
    code = "store-beyond-p2m-end" if host.release.beyond == "bugs" else "remap-p2m-update-failed"
    group: Range | None = None
    stale = shared_pages(layout.holes)
    for move in reversed(layout.moves):
        for part in cut_shared(move, stale):
            moved = host.mfns(part.source) if part.source not in stale else part.source
            step = -1 if host.mfn_desc and part.source not in stale else 1
            bad = p2m.store(part.target, part.target + part.size, moved, step)
            if bad is not None:
                raise BugError(Bug(code, 4, pfn=bad))
        start, end = move.target, move.target + move.size
        if group is None or end == group[0]:
            group = (start, end if group is None else group[1])
        elif group[1] == start:
            group = (group[0], end)
        else:
            guest.extra.remove(group[0], group[1] - group[0])
            group = (start, end)
    if group is not None:
        guest.extra.remove(group[0], group[1] - group[0])
