"""Pages for the tree before the allocator is up: ``extend_brk``, and leaves used a second time.

Source: ``early_alloc_p2m``, ``early_alloc_p2m_middle`` (which changed names with each other in 3.16),
``early_can_reuse_p2m_middle`` in ``arch/x86/xen/p2m.c``, 2.6.39 to 3.18.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from xenp2m.model.alloc import Origin
from xenp2m.model.errors import BrkExhaustedError
from xenp2m.model.tree import FIRST, IDENTITY, MISSING

if TYPE_CHECKING:
    from xenp2m.model.phys_to_machine import PhysToMachine

__all__ = ["alloc_and_store", "alloc_leaf", "alloc_leaves", "alloc_mid", "idle_leaf", "reuse_leaf"]


def alloc_mid(p2m: PhysToMachine, pfn: int) -> None:
    """Give the top entry of `pfn` a mid page and, where tools have a tree already, a page of MFNs."""
    top, _, _ = p2m.tree.index(pfn)
    if p2m.tree.top[top] == (IDENTITY if p2m.rules.void_identity else MISSING):
        p2m.pages.brk_page()
        p2m.tree.set_mid(top, p2m.tree.mids.add(int(p2m.tree.top[top]), Origin.BRK))
    if p2m.mfn_tree is not None and not p2m.mfn_tree.has(top):
        p2m.pages.brk_page()
        p2m.mfn_tree.add(top, Origin.BRK)


def alloc_leaf(p2m: PhysToMachine, pfn: int) -> bool:
    """Replace the shared missing page behind `pfn` by an empty leaf page.

    Returns:
        False where there is another page already. The shared identity page is left alone, with a
        warning in the kernel's log.
    """
    tree = p2m.tree
    void = IDENTITY if p2m.rules.void_identity else MISSING
    if tree.leaf_of(pfn) != void:
        return False
    top, mid, _ = tree.index(pfn)
    p2m.pages.brk_page()
    row = p2m.new_leaf(pfn, Origin.BRK)
    if p2m.mfn_tree is not None:
        p2m.mfn_tree.link(top, mid, row)
    return True


def alloc_leaves(p2m: PhysToMachine, start: int, end: int) -> None:
    """`alloc_leaf` for every leaf-sized piece that PFNs ``[start, end)`` touch behind one top entry.

    Raises:
        BrkExhaustedError: the pages went out on the way; those that were left are in the tree.
    """
    tree, entries = p2m.tree, p2m.geometry.entries
    top, first, _ = tree.index(start)
    behind = tree.mids.rows[tree.top[top], first : -(-end // entries) - top * entries]
    mids = np.flatnonzero(behind == (IDENTITY if p2m.rules.void_identity else MISSING)) + first
    given = p2m.pages.brk_pages(len(mids))
    rows = p2m.new_leaves(top, mids[:given], Origin.BRK)
    if p2m.mfn_tree is not None:
        p2m.mfn_tree.link(top, mids[:given], rows)
    if given < len(mids):
        raise BrkExhaustedError


def alloc_and_store(p2m: PhysToMachine, pfn: int, word: int) -> bool:
    """Make the pages `pfn` needs, then store."""
    alloc_mid(p2m, pfn)
    return alloc_leaf(p2m, pfn) and p2m.store(pfn, word)


def reuse_leaf(p2m: PhysToMachine, pfn: int) -> bool:
    """Move a leaf page that says nothing to where `pfn` needs one.

    Only for a `pfn` at the start of a leaf. The first leaf page, in order of PFN, whose entries are
    all identity or all missing is taken out, a shared page takes its place, and it is emptied.

    Returns:
        False where there is none, or where `pfn` has a page already (the page taken out is lost).
    """
    tree = p2m.tree
    if pfn % p2m.geometry.entries:
        return False
    found = idle_leaf(p2m)
    if found is None:
        return False
    place, row, shared = found
    _hang(p2m, place, shared, MISSING)
    alloc_mid(p2m, pfn)
    if tree.leaf_of(pfn) != MISSING:
        return False
    tree.leaves.rows[row] = p2m.geometry.invalid
    _hang(p2m, pfn // p2m.geometry.entries, row, row)
    return True


def _hang(p2m: PhysToMachine, place: int, leaf: int, told: int) -> None:
    """Point leaf place number `place` at a leaf page, and tools at another."""
    top, mid = divmod(place, p2m.geometry.entries)
    p2m.tree.set_leaf(top, mid, leaf)
    if p2m.mfn_tree is not None:
        p2m.mfn_tree.link(top, mid, told)


def idle_leaf(p2m: PhysToMachine) -> tuple[int, int, int] | None:
    """First leaf page that holds only identity or only missing.

    Returns:
        Its place in units of leaves, its row, and the shared page that can stand for it.
    """
    tree, entries, invalid = p2m.tree, p2m.geometry.entries, p2m.geometry.invalid
    tops = np.flatnonzero(tree.top >= FIRST)
    rows = tree.mids.rows[tree.top[tops]]
    which, mids = np.nonzero(rows >= FIRST)
    places = tops[which] * entries + mids
    leaves = rows[which, mids]
    end = -(-p2m.rules.reservation.max_domain_pages(p2m.geometry) // entries)
    places, leaves = places[places < end], leaves[places < end]
    first = tree.leaves.rows[leaves, 0]
    wanted = (places * entries).astype(first.dtype) | first.dtype.type(p2m.identity(0))
    for at in np.flatnonzero((first == wanted) | (first == invalid)):
        place, row = int(places[at]), int(leaves[at])
        page = tree.leaves.rows[row]
        if (page == invalid).all():
            return place, row, MISSING
        if (page == p2m.identity_words(place * entries, entries)).all():
            return place, row, IDENTITY
    return None
