"""Identity over a range of frames, whole pages of the tree at a time.

The kernels walk the range frame by frame; here each mid page is done at once, with the same
outcome: shared missing leaves become the shared identity leaf, private leaves get identity words.

Source: ``set_phys_range_identity`` in ``arch/x86/xen/p2m.c``, 2.6.39 (f4cec35b0d4b) to 3.18.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from xenp2m.model import early
from xenp2m.model.rules import Edges
from xenp2m.model.tree import FIRST, IDENTITY, MISSING

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from xenp2m.model.phys_to_machine import PhysToMachine

__all__ = ["set_range_identity"]


def set_range_identity(p2m: PhysToMachine, start: int, end: int) -> int:
    """See `PhysToMachine.set_range_identity`."""
    last = p2m.geometry.max_p2m_pfn
    edges = p2m.rules.edges
    if edges is Edges.SPLIT:
        end = min(end, last) if start <= end else end
        refused = start >= last
    else:
        # up to 3.15 a range that reaches the end of the tree is refused as a whole
        refused = start >= last or end >= last
    if refused or start > end:
        return 0
    _PREPARE[edges](p2m, start, end)
    if not p2m.rules.swap:
        return _store_each(p2m, start, end)
    pfn, span = start, p2m.geometry.entries**2
    done = _identity_tops(p2m, -(-start // span), end // span)
    while pfn < end:
        top = pfn // span
        pfn = pfn + span if top in done and pfn == top * span else _sweep_mid(p2m, pfn, end)
    return pfn - start


def _identity_tops(p2m: PhysToMachine, first: int, end: int) -> frozenset[int]:
    """Top entries of ``[first, end)`` behind which all is shared identity already: nothing to do."""
    if first >= end:
        return frozenset()
    rows, which = np.unique(p2m.tree.top[first:end], return_inverse=True)
    whole = (p2m.tree.mids.rows[rows] == IDENTITY).all(axis=1)
    return frozenset((np.flatnonzero(whole[which]) + first).tolist())


def _nothing(p2m: PhysToMachine, start: int, end: int) -> None:
    """No page is made beforehand."""


def _cover(p2m: PhysToMachine, start: int, end: int) -> None:
    """A private leaf for every leaf-sized piece that the range touches."""
    if start >= end:
        return
    entries = p2m.geometry.entries
    for pfn in range(start - start % entries, end, entries):
        early.alloc_mid(p2m, pfn)
        early.alloc_leaf(p2m, pfn)


def _every_mid(p2m: PhysToMachine, start: int, end: int) -> None:
    """A mid page for all that is touched, and a leaf behind either end that is inside one."""
    entries = p2m.geometry.entries
    span = entries * entries
    tops = slice(start // span, -(-end // span))
    bare = p2m.tree.top[tops] == MISSING
    if p2m.mfn_tree is not None:
        bare |= p2m.mfn_tree.top[tops] == MISSING
    for top in np.flatnonzero(bare) + tops.start:
        early.alloc_mid(p2m, int(top) * span)
    for pfn in (start, end):
        if pfn % entries:
            early.alloc_leaf(p2m, pfn)


def _split(p2m: PhysToMachine, start: int, end: int) -> None:
    """Pages only where an end lies inside a shared one (``early_split_p2m``)."""
    entries = p2m.geometry.entries
    for pfn in (start, end):
        if pfn % (entries * entries):
            early.alloc_mid(p2m, pfn)
        if pfn % entries:
            early.alloc_leaf(p2m, pfn)


_PREPARE = {
    Edges.IGNORED: _nothing,
    Edges.BUILDER: _cover,
    Edges.EARLY_SET: _cover,
    Edges.HOISTED: _cover,
    Edges.EVERY_MID: _every_mid,
    Edges.SPLIT: _split,
}


def _store_each(p2m: PhysToMachine, start: int, end: int) -> int:
    """Without a swap every leaf of the range is private or identity already: store the words."""
    entries = p2m.geometry.entries
    for leaf in range(start - start % entries, end, entries):
        row = p2m.tree.leaf_of(leaf)
        if row >= FIRST:
            low, high = max(start, leaf), min(end, leaf + entries)
            p2m.tree.leaves.rows[row, low - leaf : high - leaf] = p2m.identity_words(low, high - low)
    return end - start


def _sweep_mid(p2m: PhysToMachine, start: int, end: int) -> int:
    """Do the part of the range behind one top entry.

    Returns:
        Where the kernel's walk stands afterwards. From 3.16 on it skips to the end of a shared
        identity page, and so past the end of the range where that page is not split.
    """
    entries = p2m.geometry.entries
    span = entries * entries
    top, first, _ = p2m.tree.index(start)
    base = top * span
    skips = p2m.rules.edges is Edges.SPLIT
    if p2m.rules.swap_mid and p2m.tree.top[top] == MISSING:
        p2m.tree.set_mid(top, IDENTITY)
    stop = min(end, base + span)
    if p2m.rules.swap_mid and p2m.tree.top[top] == IDENTITY:
        return base + span if skips else stop
    last = (stop - 1 - base) // entries
    rows: NDArray[Any] = p2m.tree.mids.rows[p2m.tree.top[top], first : last + 1].copy()
    rows[rows == MISSING] = IDENTITY
    p2m.tree.set_leaves(top, first, rows)
    _store_private(p2m, base + first * entries, rows, start, stop)
    if skips and rows[-1] == IDENTITY:
        return base + (last + 1) * entries
    return stop


def _store_private(p2m: PhysToMachine, base: int, rows: NDArray[Any], start: int, stop: int) -> None:
    """Store identity words of PFNs ``[start, stop)`` into those leaf pages that are private."""
    entries = p2m.geometry.entries
    leaves = p2m.tree.leaves.rows
    for at in (0, len(rows) - 1):
        low, high = max(start, base + at * entries), min(stop, base + (at + 1) * entries)
        if rows[at] >= FIRST:
            offset = base + at * entries
            leaves[rows[at], low - offset : high - offset] = p2m.identity_words(low, high - low)
    inner = np.flatnonzero(rows[1:-1] >= FIRST) + 1
    if inner.size:
        words = p2m.identity_words(base + entries, (len(rows) - 2) * entries).reshape(-1, entries)
        leaves[rows[inner]] = words[inner - 1]
