"""Reading and editing the tree, in the words of the kernel.

`PhysToMachine` is one guest's tree with the rules of its era, its page budget and the tools' tree
beside it. Its operations are the kernel's: ``get_phys_to_machine`` (`get`),
``__set_phys_to_machine`` (`store`), ``set_phys_to_machine`` (`set`), ``early_set_phys_to_machine``
(`early_set`), ``set_phys_range_identity`` (`set_range_identity`).

Source: ``arch/x86/xen/p2m.c``, 2.6.39 (f4cec35b0d4b), 3.6, 3.12 and 3.18; the seed's from the thread.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from xenp2m.model import early, range_identity
from xenp2m.model.alloc import Origin, Pages
from xenp2m.model.errors import StoreBeyondEndError
from xenp2m.model.mfn_tree import MfnTree
from xenp2m.model.rules import Edges
from xenp2m.model.tree import IDENTITY, MISSING, Tree

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from numpy.typing import NDArray

    from xenp2m.frames import Geometry
    from xenp2m.model.rules import Rules
    from xenp2m.model.tree import Words

__all__ = ["PhysToMachine"]


class PhysToMachine:
    """A guest's P2M tree under the rules of one era.

    Attributes:
        rules: the era.
        geometry: word size and entries per page.
        tree: the structure.
        mfn_tree: the tree that tools walk; None before it is built.
        pages: pages taken.
        is_early: whether the page allocator is not up yet.
        max_pfn: frames the builder populated (``xen_max_p2m_pfn`` before extra memory).
    """

    def __init__(
        self,
        rules: Rules,
        geometry: Geometry,
        mfn_list: Sequence[int] | NDArray[Any],
        runtime_limit: int | None = None,
    ) -> None:
        self.rules = rules
        self.geometry = geometry
        budget = rules.reservation.pages(geometry)
        self.pages = Pages(runtime_limit=runtime_limit, brk_budget=budget)
        self.is_early = True
        self.max_pfn = min(len(mfn_list), rules.reservation.max_domain_pages(geometry))
        void = IDENTITY if rules.void_identity else MISSING
        self.tree = Tree(geometry, void)
        # missing, mid_missing, top and identity; mid_identity where there is one
        self.pages.brk = 5 if rules.mid_identity else 4
        self.pages.brk += self.tree.graft(mfn_list[: self.max_pfn], void)
        self.mfn_tree: MfnTree | None = None
        if not rules.late_mfn_tree:
            self._build_mfn_tree(self._brk_page)

    def end_early(self) -> None:
        """The page allocator is up: pages come from it from now on."""
        if self.is_early and self.mfn_tree is None:
            self._build_mfn_tree(self._bootmem_page)
        self.is_early = False

    def get(self, pfn: int) -> int:
        """Raw entry of `pfn` as the kernel reads it (``get_phys_to_machine``)."""
        if pfn >= self.geometry.max_p2m_pfn:
            return self.identity(pfn) if self.rules.beyond_identity else self.geometry.invalid
        if self.tree.leaf_of(pfn) == IDENTITY:
            return self.identity(pfn)
        return self.tree.word(pfn)

    def gather(self, pfns: NDArray[np.int64]) -> Words:
        """`get` for many frames below the end of the tree."""
        return self.tree.gather(pfns, self.identity(0))

    def identity(self, pfn: int) -> int:
        """The word that asks for identity and answers it: the seed's is the plain number."""
        return pfn if self.rules.by_value else pfn | self.geometry.identity_bit

    def identity_words(self, start: int, count: int) -> Words:
        """`identity` of PFNs ``[start, start + count)``."""
        dtype = self.tree.leaves.rows.dtype
        words: Words = np.arange(start, start + count).astype(dtype) | dtype.type(self.identity(0))
        return words

    def identity_pages(self, places: NDArray[np.int64]) -> Words:
        """`identity` of every frame of the leaf pages at `places`, in units of leaves: a row for each."""
        dtype, entries = self.tree.leaves.rows.dtype, self.geometry.entries
        first = (places * entries).astype(dtype) | dtype.type(self.identity(0))
        words: Words = first[:, np.newaxis] + np.arange(entries, dtype=dtype)
        return words

    def is_identity_word(self, pfn: int, word: int) -> bool:
        """Whether a store of `word` is taken for a wish for identity."""
        if self.rules.by_value:
            return word == pfn
        return word != self.geometry.invalid and bool(word & self.geometry.identity_bit)

    def store(self, pfn: int, word: int) -> bool:
        """Set an entry without making pages (``__set_phys_to_machine``).

        Returns:
            False where a page is needed first. A store into the shared identity page succeeds, and
            nobody sees it (2.6.39 to 3.18).

        Raises:
            StoreBeyondEndError: `pfn` lies past the end and `word` is not INVALID.
        """
        if pfn >= self.geometry.max_p2m_pfn:
            if word != self.geometry.invalid:
                raise StoreBeyondEndError(pfn)
            return True
        tree, rules = self.tree, self.rules
        top, mid, index = tree.index(pfn)
        leaf = int(tree.mids.rows[tree.top[top], mid])
        if self.is_identity_word(pfn, word):
            if leaf == IDENTITY:
                return True
            if rules.swap_mid and tree.top[top] == MISSING:
                tree.set_mid(top, IDENTITY)
                return True
            if rules.swap and leaf == MISSING:
                tree.set_leaf(top, mid, IDENTITY)
                return True
        if rules.guard and leaf == MISSING:
            return word == self.geometry.invalid
        if rules.void_identity and leaf == IDENTITY:
            return False
        tree.leaves.rows[leaf, index] = word
        return True

    def set(self, pfn: int, word: int) -> bool:
        """Set an entry, with new pages where they are needed (``set_phys_to_machine``).

        Returns:
            False where a page was needed and none was to be had, also because the allocator is not
            up yet. Mid pages made on the way stay.
        """
        if self.store(pfn, word):
            return True
        if self.is_early:
            return self.rules.edges is Edges.HOISTED and early.alloc_and_store(self, pfn, word)
        return self._alloc(pfn) and self.store(pfn, word)

    def early_set(self, pfn: int, word: int) -> bool:
        """Set an entry before the allocator is up (``early_set_phys_to_machine``)."""
        if self.store(pfn, word):
            return True
        if not self.rules.reuse:
            return early.alloc_and_store(self, pfn, word)
        early.alloc_mid(self, pfn)
        if early.reuse_leaf(self, pfn):
            return self.store(pfn, word)
        return early.alloc_leaf(self, pfn) and self.store(pfn, word)

    def set_range_identity(self, start: int, end: int) -> int:
        """Mark PFNs ``[start, end)`` as identity (``set_phys_range_identity``).

        Returns:
            How many were done by the kernel's own count, which can differ from ``end - start`` either
            way. Cost grows with pages of the tree, not with frames.
        """
        return range_identity.set_range_identity(self, start, end)

    def new_leaf(self, pfn: int, origin: Origin) -> int:
        """Hang a fresh leaf page where `pfn` has a shared one; returns its row. See `new_leaves`."""
        top, mid, _ = self.tree.index(pfn)
        return int(self.new_leaves(top, np.array([mid]), origin)[0])

    def new_leaves(self, top: int, mids: NDArray[np.int64], origin: Origin) -> NDArray[np.int64]:
        """Hang fresh leaf pages into entries behind `top` that have a shared one; returns their rows.

        The pages are all missing, also where they replace the shared identity page; only under the
        rules of void identity their entries stay what they were.
        """
        tree = self.tree
        keep = self.rules.void_identity & (tree.mids.rows[tree.top[top], mids] == IDENTITY)
        first = tree.leaves.add(self.geometry.invalid, origin, len(mids))
        rows = np.arange(first, first + len(mids))
        if keep.any():
            tree.leaves.rows[rows[keep]] = self.identity_pages(top * self.geometry.entries + mids[keep])
        tree.set_leaf(top, mids, rows)
        return rows

    def _alloc(self, pfn: int) -> bool:
        """``alloc_p2m``: make what is missing of mid page, page of MFNs and leaf page."""
        tree, told = self.tree, self.mfn_tree
        assert told is not None
        top, mid, _ = tree.index(pfn)
        if tree.top[top] == (IDENTITY if self.rules.void_identity else MISSING):
            if not self.pages.runtime_page():
                return False
            tree.set_mid(top, tree.mids.add(int(tree.top[top]), Origin.RUNTIME))
        if not told.has(top):
            if not self.pages.runtime_page():
                return False
            told.add(top, Origin.RUNTIME)
        if tree.leaf_of(pfn) in (MISSING, IDENTITY):
            if not self.pages.runtime_page():
                return False
            told.link(top, mid, self.new_leaf(pfn, Origin.RUNTIME))
        return True

    def _build_mfn_tree(self, page: Callable[[], None]) -> None:
        self.mfn_tree = MfnTree(self.geometry.entries)
        self.mfn_tree.build(self.tree, self.max_pfn, page)

    def _brk_page(self) -> None:
        self.pages.brk += 1

    def _bootmem_page(self) -> None:
        self.pages.bootmem += 1

    def check(self) -> list[str]:
        """Invariants that do not hold, one line each: those of the tree and of the tools' tree."""
        return self.tree.check() + ([] if self.mfn_tree is None else self.mfn_tree.check(self.tree))
