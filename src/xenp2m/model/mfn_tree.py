"""The parallel tree that tools walk: the P2M tree again, linked by MFNs instead of pointers.

``shared_info.arch.pfn_to_mfn_frame_list_list`` names the top page, its entries name mid pages, theirs
name leaf pages. Save, restore and migration read a guest's P2M this way. An MFN is written here as
the row of the page it belongs to: row numbers of leaf pages are those of the `Tree`'s leaf pool.

The tree follows the real one by separate stores, so it can fall behind: a leaf page made in a GiB
whose page of MFNs came later is not in it.

Source: ``xen_build_mfn_list_list``, ``alloc_p2m``, ``early_alloc_p2m`` in ``arch/x86/xen/p2m.c``,
2.6.39 to 3.18. In the kernel ``p2m_top_mfn_p`` keeps the same links as virtual addresses.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from xenp2m.model.alloc import MFN_TREE_PAGES, Origin
from xenp2m.model.tree import FIRST, MISSING, Pool, Rows

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from numpy.typing import NDArray

    from xenp2m.model.tree import Tree, Words

__all__ = ["MfnTree"]


class MfnTree:
    """``p2m_top_mfn`` and its pages.

    Attributes:
        top: row of the page of MFNs behind each entry; row 0 is ``p2m_mid_missing_mfn``.
        mids: pages of MFNs: rows of leaf pages.
    """

    def __init__(self, entries: int) -> None:
        self.top: Rows = np.full(entries, MISSING, np.int32)
        self.mids = Pool(entries, np.int32)
        self.mids.add(MISSING, Origin.SHARED)

    def build(
        self, tree: Tree, end_pfn: int, page: Callable[[], None], skip: tuple[int, ...] = (MISSING,)
    ) -> None:
        """Build it for PFNs ``[0, end_pfn)``, rounded up to a leaf page.

        Args:
            tree: the tree to follow.
            end_pfn: ``xen_max_p2m_pfn``.
            page: called once for each page taken.
            skip: shared mid pages that need no page of MFNs.
        """
        entries = tree.geometry.entries
        for _ in range(MFN_TREE_PAGES):
            page()
        leaves = -(-end_pfn // entries)
        for top in range(min(-(-leaves // entries), entries)):
            if tree.top[top] in skip:
                continue
            row = self.add(top, Origin.BRK)
            page()
            count = min(entries, leaves - top * entries)
            self.mids.rows[row, :count] = tree.mids.rows[tree.top[top], :count]

    def has(self, top: int) -> bool:
        """Whether the top entry has a page of MFNs of its own."""
        return int(self.top[top]) != MISSING

    def add(self, top: int, origin: Origin) -> int:
        """Give the top entry a page of MFNs that says missing throughout; returns its row."""
        row = self.mids.add(MISSING, origin)
        self.top[top] = row
        return row

    def link(self, top: int, mid: int | NDArray[Any], leaf: int | NDArray[Any]) -> None:
        """Write the MFN of a leaf page into the page behind `top`, whoever shares it; of several at once."""
        self.mids.rows[self.top[top], mid] = leaf

    def view(self, tree: Tree, end_pfn: int) -> Words:
        """What a tool reads for PFNs ``[0, end_pfn)``: no page that tells identity from missing."""
        entries = tree.geometry.entries
        leaves = -(-end_pfn // entries)
        rows = self.mids.rows[self.top[: -(-leaves // entries)]].reshape(-1)[:leaves]
        words: Words = tree.leaves.rows[rows].reshape(-1)[:end_pfn]
        return words

    def check(self, tree: Tree) -> list[str]:
        """One line for each private leaf page that tools do not find, or find in the wrong place."""
        entries = tree.geometry.entries
        broken: list[str] = []
        for top in np.flatnonzero(tree.top[: len(self.top)] >= FIRST):
            real, told = tree.mids.rows[tree.top[top]], self.mids.rows[self.top[top]]
            wrong = np.flatnonzero((real != told) & ((real >= FIRST) | (told >= FIRST)))
            broken += [
                f"tools do not see the leaf page at PFN {(int(top) * entries + int(m)) * entries:#x}"
                for m in wrong
            ]
        return broken
