"""Linux 3.2 to 3.17: holes are given back, and 3.5 and later fill the same number of frames anew.

Source: ``xen_memory_setup``, ``xen_set_identity_and_release``, ``xen_populate_chunk``,
``xen_do_chunk``, ``xen_add_extra_mem`` in ``arch/x86/xen/setup.c``, read in 3.6 and 3.12. 3.2 to 3.4,
without the second half, and 3.16 and 3.17, with identity behind the map, were not compared.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from xenp2m.boot.layout import BugError, Layout
from xenp2m.boot.older import (
    ByteGuestMap,
    clamp_extra,
    close_books,
    domain_limit,
    finish_map,
    grafted,
    host_map,
    identity_behind,
    maximum_pages,
    place_extra,
    release,
    rules_for,
)
from xenp2m.boot.remap import find_holes
from xenp2m.boot.run_tree import Frames
from xenp2m.e820 import ADDRESS_LIMIT, ISA_END, ISA_START, RAM, RESERVED, Entry
from xenp2m.frames import PAGE_SHIFT, Kind, pfn_down, pfn_up

if TYPE_CHECKING:
    from xenp2m.boot.run_tree import RunTree
    from xenp2m.host import Host

__all__ = ["boot"]


def boot(host: Host) -> Layout:
    """Replay one boot of 3.2 to 3.17. Cost grows with entries of the map, not with pages."""
    populates = host.release.era != "g1b"
    rules = rules_for(host)
    layout = Layout()
    layout.limit = domain_limit(host)
    layout.ini_pages = base = min(layout.limit, host.nr_pages)
    tree = grafted(host, rules, base)
    layout.host_map = host_map(host, base, ignore_unusable=host.release.unusable == "ram")
    layout.max_pages = maximum_pages(host, layout.limit)
    layout.holes = find_holes(layout.host_map)
    for start, end in layout.holes:
        release(layout, tree, start, min(end, base))
        tree.set_identity(start, end)
    try:
        last = _populate(host, layout, tree, base) if populates else base
    except BugError as stop:
        layout.bug = stop.bug
        return layout
    extra = max(0, layout.max_pages - base) + layout.released
    mem_end = min(layout.limit, last) if last > base else base
    layout.extra_pages = clamp_extra(host, mem_end, extra)

    guest = ByteGuestMap(host.release, mem_end << PAGE_SHIFT, layout.extra_pages)
    guest.fill(layout.host_map)
    place_extra(layout, tree, guest)
    if rules.beyond_identity:
        identity_behind(layout, tree)
    guest.add(Entry(ISA_START, ISA_END, RESERVED))
    finish_map(layout, guest)
    close_books(layout, tree, base if guest.end_pfn is None else guest.end_pfn)
    return layout


def _populate(host: Host, layout: Layout, tree: RunTree, base: int) -> int:
    """Fill RAM behind the allocation with as many fresh pages as were given back.

    Returns:
        Where the last entry that was used stands, a PFN; 0 where none was.
    """
    credits, last, done = layout.released, 0, 0
    fresh = host.mfn_base + host.nr_pages
    for entry in layout.host_map:
        end = pfn_down(entry.end)
        if credits <= 0:
            break
        if entry.type != RAM or end <= base:
            continue
        start = max(base, pfn_up(entry.start))
        # an entry without a whole page counts as endless, as in the kernel's unsigned comparison
        capacity = min(credits, (end - start) % ADDRESS_LIMIT)
        filled = 0
        beyond = not tree.rules.beyond_identity and start + capacity > tree.words.end
        spaces = tree.reads(start, start + capacity, Kind.MISSING)
        for low, high in [*spaces, (max(start, tree.words.end), start + capacity)] if beyond else spaces:
            tree.fill(low, high, Frames(Kind.MFN, fresh - low, 1))
            fresh += high - low
            filled += high - low
            layout.populated.append((low, high))
        done += filled
        last = start + filled
        if filled < capacity:
            break
        credits -= filled
    layout.released -= done
    return last
