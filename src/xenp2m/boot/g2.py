"""Linux 3.2 to 3.17: holes are given back, and 3.5 and later fill the same number of frames anew.

Source: ``xen_memory_setup``, ``xen_set_identity_and_release``, ``xen_populate_chunk``,
``xen_do_chunk``, ``xen_add_extra_mem`` in ``arch/x86/xen/setup.c``, read in 3.6 and 3.12. 3.2 to 3.4,
without the second half, and 3.16 and 3.17, with identity behind the map, were not compared.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from xenp2m.boot.layout import BugError
from xenp2m.boot.older import begin, finish, grafted, release, rules_for
from xenp2m.boot.run_tree import Frames
from xenp2m.e820 import ADDRESS_LIMIT, RAM
from xenp2m.frames import Kind, pfn_down, pfn_up

if TYPE_CHECKING:
    from xenp2m.boot.layout import Layout
    from xenp2m.boot.run_tree import RunTree
    from xenp2m.host import Host

__all__ = ["boot"]


def boot(host: Host) -> Layout:
    """Replay one boot of 3.2 to 3.17. Cost grows with entries of the map, not with pages."""
    populates = host.release.era != "g1b"
    layout = begin(host, ignore_unusable=host.release.unusable == "ram")
    base = layout.ini_pages
    tree = grafted(host, rules_for(host), base)
    for start, end in layout.holes:
        release(layout, tree, start, min(end, base))
        tree.set_identity(start, end)
    try:
        last = _populate(host, layout, tree, base) if populates else base
    except BugError as stop:
        layout.bug = stop.bug
        return layout
    mem_end = min(layout.limit, last) if last > base else base
    return finish(host, layout, tree, mem_end, behind=tree.rules.beyond_identity)


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
