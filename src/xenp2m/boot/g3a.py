"""Linux 3.19 to 4.2: frames are moved in two phases, but the guest is not made larger for them.

The list is linear; the arithmetic is that of 3.18. With a maximum equal to the start size, moved
frames land behind the last RAM of the guest: lost where the list is large enough, a BUG where not.

Source: ``xen_memory_setup``, ``xen_remap_memory``, ``xen_inv_extra_mem``, ``xen_del_extra_mem`` in
``arch/x86/xen/setup.c``, read in 4.0; the list's own code was compared in a later text only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from xenp2m.boot.g2r import find_room
from xenp2m.boot.layout import Bug, BugError, Move
from xenp2m.boot.linear_list import LinearList
from xenp2m.boot.older import ByteGuestMap, begin, clamp_extra, finish_map
from xenp2m.boot.remap import cut_shared, shared_pages
from xenp2m.e820 import ISA_END, ISA_START, RESERVED, Entry
from xenp2m.extents import union
from xenp2m.frames import PAGE_SHIFT, pfn_down, pfn_up

if TYPE_CHECKING:
    from xenp2m.boot.layout import Layout
    from xenp2m.extents import Range
    from xenp2m.host import Host

__all__ = ["boot"]


def boot(host: Host) -> Layout:
    """Replay one boot of 3.19 to 4.2. Cost grows with entries of the map, not with pages."""
    layout = begin(host, ignore_unusable=True)
    base = target = layout.ini_pages
    for hole in layout.holes:
        target = _plan_hole(layout, hole, target)
    extra = max(0, layout.max_pages - base) + layout.released
    layout.extra_pages = clamp_extra(host, base, extra)

    guest = ByteGuestMap(host.release, base << PAGE_SHIFT, layout.extra_pages)
    guest.fill(layout.host_map)
    guest.add(Entry(ISA_START, ISA_END, RESERVED))
    finish_map(layout, guest)
    layout.extra_bytes_early = guest.regions
    layout.extra_early = [(pfn_up(start), pfn_down(end)) for start, end in guest.regions]
    try:
        _build_list(host, layout, guest)
    except BugError as stop:
        layout.bug = stop.bug
    return layout


def _plan_hole(layout: Layout, hole: Range, target: int) -> int:
    """Choose targets for the frames of one hole; give back what finds none."""
    start, end = hole[0], min(hole[1], layout.ini_pages)
    while start < end:
        target, room = find_room(layout.host_map, target)
        if not room:
            layout.freed = union([*layout.freed, (start, end)])
            layout.released += end - start
            break
        move = Move(start, target, min(end - start, room))
        layout.moves.append(move)
        start += move.size
        target += move.size
    return target


def _build_list(host: Host, layout: Layout, guest: ByteGuestMap) -> None:
    """Rebuild the list, empty the extra regions, store the moved frames."""
    p2m = LinearList(host)
    for hole in layout.holes:
        p2m.set_identity(*hole)
    for last in layout.host_map[-1:]:
        p2m.set_identity(pfn_down(last.end), p2m.end_pfn)
    p2m.rebuild(guest.end_pfn)
    for start, end in guest.regions:
        p2m.set_missing(pfn_down(start), pfn_up(end))
    layout.p2m_size = p2m.size
    group: Range | None = None
    shared = shared_pages(layout.holes)
    for move in reversed(layout.moves):
        for part in cut_shared(move, shared):
            # a page of two holes is identity when it is read, so it counts as its own number
            own = part.source in shared
            first, step = (part.source, 1) if own else (host.mfns(part.source), -1 if host.mfn_desc else 1)
            bad = p2m.store(part.target, part.target + part.size, first, step)
            if bad is not None:
                raise BugError(Bug("store-beyond-p2m-end", 4, pfn=bad))
        group = _collect(guest, group, (move.target, move.target + move.size))
    if group is not None:
        _take(guest, group)
    layout.extra_bytes = guest.regions
    layout.extra = [(pfn_up(start), pfn_down(end)) for start, end in guest.regions]
    layout.runs, layout.alloc_p2m_pages = p2m.finish()
    layout.shared_max_pfn = p2m.end_pfn


def _collect(guest: ByteGuestMap, group: Range | None, stored: Range) -> Range:
    """Join what was stored to its neighbours; otherwise take these out of the extra memory."""
    if group is None:
        return stored
    if stored[1] == group[0]:
        return stored[0], group[1]
    if group[1] == stored[0]:
        return group[0], stored[1]
    _take(guest, group)
    return stored


def _take(guest: ByteGuestMap, group: Range) -> None:
    guest.extra.remove(group[0] << PAGE_SHIFT, (group[1] - group[0]) << PAGE_SHIFT)
