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

_PIECE = 512
"""Leaf pages filled at once: 2 MiB."""


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
    first, last = -(-start // span), end // span
    if pfn < first * span and pfn < end:
        pfn = _sweep_mid(p2m, pfn, end)
    if first < last:
        _sweep_whole(p2m, first, last)
        pfn = last * span
    if pfn < end:
        pfn = _sweep_mid(p2m, pfn, end)
    return pfn - start


def _nothing(p2m: PhysToMachine, start: int, end: int) -> None:
    """No page is made beforehand."""


def _cover(p2m: PhysToMachine, start: int, end: int) -> None:
    """A private leaf for every leaf-sized piece that the range touches."""
    entries = p2m.geometry.entries
    pfn = start
    while pfn < end:
        stop = min(end, pfn - pfn % entries**2 + entries**2)
        early.alloc_mid(p2m, pfn)
        early.alloc_leaves(p2m, pfn, stop)
        pfn = stop


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
    span = entries * entries
    if start < end:
        top = start // span
        rows = p2m.tree.mids.rows[p2m.tree.top[top : -(-end // span)]].reshape(-1)
        leaf = start // entries
        rows = rows[leaf - top * entries : -(-end // entries) - top * entries]
        _store_private(p2m, leaf * entries, rows, start, end)
    return end - start


def _sweep_whole(p2m: PhysToMachine, first: int, last: int) -> None:
    """Do everything behind the top entries ``[first, last)``, which the range covers whole, at once."""
    tree, entries = p2m.tree, p2m.geometry.entries
    tops = np.arange(first, last)
    if p2m.rules.swap_mid:
        bare = tops[tree.top[first:last] == MISSING]
        if bare.size:
            tree.set_mid(bare, IDENTITY)
        tops = tops[tree.top[first:last] != IDENTITY]
    rows = tree.mids.rows[tree.top[tops]]
    which, mids = np.nonzero(rows == MISSING)
    if which.size:
        tree.set_leaf(tops[which], mids, IDENTITY)
    which, mids = np.nonzero(rows >= FIRST)
    _store_pages(p2m, tops[which] * entries + mids, rows[which, mids])


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
    _store_pages(p2m, base // entries + inner, rows[inner])


def _store_pages(p2m: PhysToMachine, places: NDArray[np.int64], rows: NDArray[Any]) -> None:
    """Fill whole leaf pages, each at its place in units of leaves, with identity words."""
    for at in range(0, len(rows), _PIECE):
        part = slice(at, at + _PIECE)
        p2m.tree.leaves.rows[rows[part]] = p2m.identity_pages(places[part])
