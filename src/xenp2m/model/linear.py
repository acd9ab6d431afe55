"""The linear P2M list of Linux 3.19 and later.

One array of words in virtual memory, so a lookup is one read. What the tree did with shared pages
the page tables do here: leaf pages of the list that are missing or identity throughout are mapped
read-only onto one of two shared pages, and whole GiB of them onto one of two shared page-table pages.
A store that hits a shared page faults; the kernel then makes a private page and stores again.

The structure is that of `xenp2m.model.tree` with page-table pages in place of mid pages and as many
top entries as the list needs. The builder's list serves, as it is, until `end_early` rebuilds it.

Source: ``xen_build_dynamic_phys_to_machine``, ``xen_rebuild_p2m_list``, ``xen_alloc_p2m_entry``,
``__set_phys_to_machine``, ``get_phys_to_machine`` in ``arch/x86/xen/p2m.c``, 3.19 (054954eb051f) to
6.1; ``xen_inv_extra_mem`` and ``xen_chk_extra_mem`` in ``setup.c``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from xenp2m.model.alloc import Origin, Pages
from xenp2m.model.errors import StoreBeyondEndError
from xenp2m.model.mfn_tree import MfnTree
from xenp2m.model.tree import FIRST, IDENTITY, MISSING, Tree

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

    from numpy.typing import NDArray

    from xenp2m.extents import Range
    from xenp2m.frames import Geometry
    from xenp2m.model.tree import Words

__all__ = ["LINEAR_RULES", "LinearP2M", "LinearRules"]

_SHARED_PAGES = 4
_PTRS_PER_PTE = 512


@dataclass(frozen=True, slots=True)
class LinearRules:
    """What differs between releases of the linear list.

    Attributes:
        name: what ``--rules`` and JSON call it.
        source: function, version and commit, in one line.
        verified: whether it was compared with that kernel's own code.
        beyond_bugs: a store past the end is a BUG; otherwise it fails.
        end_by_entry: a new leaf moves the end that tools see to its first stored entry, so they can
            miss the last page; otherwise to the end of the leaf.
        fill_unaligned: a private page that replaces the shared identity page counts identity from
            the PFN stored, not from the start of the page.
        by_value: always False: identity has its bit.
    """

    name: str
    source: str
    verified: bool = False
    beyond_bugs: bool = False
    end_by_entry: bool = False
    fill_unaligned: bool = False
    by_value: bool = False


LINEAR_RULES: dict[str, LinearRules] = {
    rules.name: rules
    for rules in (
        LinearRules(
            "linear-3.19",
            "an early text of 3.19 (054954eb051f): unaligned identity fill",
            beyond_bugs=True,
            end_by_entry=True,
            fill_unaligned=True,
        ),
        LinearRules(
            "linear-5.10",
            "__set_phys_to_machine, xen_alloc_p2m_entry in 5.10.13",
            verified=True,
            beyond_bugs=True,
            end_by_entry=True,
        ),
        LinearRules(
            "linear-5.12", "__set_phys_to_machine with 882213990d32 (5.12, stable 5.10.21)", end_by_entry=True
        ),
        LinearRules("linear", "__set_phys_to_machine, xen_alloc_p2m_entry in 6.1 and 7.0", verified=True),
    )
}
"""The linear lists, oldest first. ``linear-3.19`` is a text whose release was not settled."""


class LinearP2M:
    """A guest's linear P2M list.

    Attributes:
        rules: the era.
        geometry: word size and entries per page.
        tree: leaf pages and page-table pages.
        mfn_tree: the tree that tools walk; None before `end_early`, and where they need none.
        pages: pages taken, all counted as run time (``alloc_p2m_page``).
        is_early: whether the builder's list is still in use.
        size: entries of the list (``xen_p2m_size``).
        last_pfn: the end that tools are told (``shared_info.arch.max_pfn``).
        generation: ``p2m_generation``: odd while a mapping changes, so even here.
    """

    def __init__(
        self,
        rules: LinearRules,
        geometry: Geometry,
        mfn_list: Sequence[int] | NDArray[Any],
        runtime_limit: int | None = None,
    ) -> None:
        self.rules = rules
        self.geometry = geometry
        self.pages = Pages(runtime_limit=runtime_limit)
        self.is_early = True
        entries = geometry.entries
        self.size = -(-len(mfn_list) // entries) * entries
        self.tree = Tree(geometry, IDENTITY, max(1, -(-self.size // entries**2)))
        self.tree.graft(mfn_list, IDENTITY)
        self.mfn_tree: MfnTree | None = None
        self.last_pfn = self.size
        self.generation = 0
        self._max_pfn = self.size
        self._extra: list[Range] = []

    def identity(self, pfn: int) -> int:
        """The word for identity."""
        return pfn | self.geometry.identity_bit

    def get(self, pfn: int) -> int:
        """Raw entry as the kernel reads it (``get_phys_to_machine``)."""
        if pfn >= self.size:
            is_extra = pfn < self._max_pfn and any(start <= pfn < end for start, end in self._extra)
            return self.geometry.invalid if is_extra else self.identity(pfn)
        return self.identity(pfn) if self.tree.leaf_of(pfn) == IDENTITY else self.tree.word(pfn)

    def gather(self, pfns: NDArray[np.int64]) -> Words:
        """`get` for many frames below `size`."""
        return self.tree.gather(pfns, self.geometry.identity_bit)

    def store(self, pfn: int, word: int) -> bool:
        """Set an entry without making pages (``__set_phys_to_machine``).

        Returns:
            False where the page is shared and `word` is not what it says, and past the end.

        Raises:
            StoreBeyondEndError: past the end, `word` not INVALID, in eras that check it with BUG_ON.
        """
        if pfn >= self.size:
            if self.rules.beyond_bugs and word != self.geometry.invalid:
                raise StoreBeyondEndError(pfn)
            return word == self.geometry.invalid
        leaf = self.tree.leaf_of(pfn)
        if leaf == MISSING:
            return word == self.geometry.invalid
        if leaf == IDENTITY:
            return word == self.identity(pfn)
        self.tree.store(pfn, word)
        return True

    def set(self, pfn: int, word: int) -> bool:
        """Set an entry, with private pages where they are needed (``set_phys_to_machine``).

        Raises:
            StoreBeyondEndError: the list has no page tables for `pfn`.
        """
        if self.store(pfn, word):
            return True
        if pfn >= self.size:
            raise StoreBeyondEndError(pfn)
        return self._alloc_entry(pfn) and self.store(pfn, word)

    def set_range_identity(self, start: int, end: int) -> int:
        """Early: mark PFNs ``[start, end)`` as identity, as far as the list reaches."""
        if start >= self.size or start > end:
            return 0
        end = min(end, self.size)
        flat = self.tree.leaves.rows[FIRST:].reshape(-1)
        flat[start:end] = np.arange(start, end).astype(flat.dtype) | flat.dtype.type(
            self.geometry.identity_bit
        )
        return end - start

    def set_extra(self, regions: Iterable[Range]) -> None:
        """Early: take note of the extra regions (PFN ranges); the last one ends the list for tools."""
        self._extra = list(regions)
        if self._extra:
            self._max_pfn = self._extra[-1][1]

    def end_early(self, limit_pfn: int = 0, virt_p2m_4tools: bool = False) -> None:
        """Move the list into its own area, empty the extra regions and build the tools' tree.

        Args:
            limit_pfn: frames that memory hotplug may reach, 0 without it.
            virt_p2m_4tools: tools use the list's virtual address, so they need no tree.

        Source: ``xen_vmalloc_p2m_tree``, ``xen_inv_extra_mem``, ``xen_build_mfn_list_list``.
        """
        if not self.is_early:
            return
        self.last_pfn = self._max_pfn
        self._rebuild(max(self._max_pfn, limit_pfn))
        self.is_early = False
        for start, end in self._extra:
            self._empty(start, min(end, self.size))
        if not virt_p2m_4tools:
            told = MfnTree(self.geometry.entries)
            end = min(self.size, self.geometry.max_p2m_pfn)
            told.build(self.tree, end, self._count, (MISSING, IDENTITY))
            self.mfn_tree = told

    def _empty(self, start: int, end: int) -> None:
        """Set PFNs ``[start, end)`` to INVALID one by one, so that identity pages become private."""
        entries = self.geometry.entries
        for leaf in range(start - start % entries, end, entries):
            low, high = max(start, leaf), min(end, leaf + entries)
            if self.set(low, self.geometry.invalid) and self.tree.leaf_of(leaf) >= FIRST:
                self.tree.leaves.rows[self.tree.leaf_of(leaf), low - leaf : high - leaf] = (
                    self.geometry.invalid
                )

    def _count(self) -> None:
        self.pages.runtime += 1

    def _rebuild(self, end_pfn: int) -> None:
        """``xen_rebuild_p2m_list``: share what is uniform, chunk by chunk and leaf by leaf."""
        entries = self.geometry.entries
        chunk = entries * entries
        old = self.tree
        fresh = Tree(self.geometry, IDENTITY, -(-end_pfn // chunk))
        self.pages.runtime += _SHARED_PAGES
        kinds = self._uniform(old)
        for top in range(len(old.top)):
            part = kinds[top * entries : (top + 1) * entries]
            if len(part) == entries and (part == part[0]).all() and part[0] in (MISSING, IDENTITY):
                fresh.top[top] = part[0]
                continue
            row = fresh.mids.add(IDENTITY, Origin.RUNTIME)
            fresh.top[top] = row
            for mid, kind in enumerate(part.tolist()):
                leaf = kind
                if kind not in (MISSING, IDENTITY):
                    leaf = fresh.leaves.add(old.leaves.rows[FIRST + top * entries + mid], Origin.RUNTIME)
                    self.pages.runtime += 1
                fresh.mids.rows[row, mid] = leaf
        self.tree = fresh
        self.size = self._max_pfn = len(fresh.top) * chunk

    def _uniform(self, tree: Tree) -> NDArray[np.int32]:
        """For each leaf of the builder's list the shared page that can stand for it, or -1."""
        entries, words = self.geometry.entries, tree.leaves.rows[FIRST:]
        count = len(words)
        pfns = np.arange(count * entries).reshape(count, entries).astype(words.dtype)
        kinds = np.full(count, -1, np.int32)
        kinds[(words == words.dtype.type(self.geometry.invalid)).all(axis=1)] = MISSING
        kinds[(words == pfns | words.dtype.type(self.geometry.identity_bit)).all(axis=1)] = IDENTITY
        return np.concatenate([kinds, np.full(-count % entries, IDENTITY, np.int32)])

    def _alloc_entry(self, pfn: int) -> bool:
        """``xen_alloc_p2m_entry``: private page-table pages, a page of MFNs, a private leaf."""
        entries = self.geometry.entries
        top, _, _ = self.tree.index(pfn)
        if self.tree.top[top] in (MISSING, IDENTITY):
            pages = max(1, entries // _PTRS_PER_PTE)
            if not all(self.pages.runtime_page() for _ in range(pages)):
                return False
            self.generation += 2 * pages
            self.tree.set_mid(top, self.tree.mids.add(int(self.tree.top[top]), Origin.RUNTIME))
        told = self.mfn_tree if pfn < self.geometry.max_p2m_pfn else None
        if told is not None and not told.has(top):
            if not self.pages.runtime_page():
                return False
            told.add(top, Origin.RUNTIME)
        if self.tree.leaf_of(pfn) in (MISSING, IDENTITY):
            if not self.pages.runtime_page():
                return False
            self._make_private(pfn, told)
        if pfn >= self.last_pfn:
            self.last_pfn = pfn if self.rules.end_by_entry else -(-(pfn + 1) // entries) * entries
        return True

    def _make_private(self, pfn: int, told: MfnTree | None) -> None:
        """Replace the shared leaf behind `pfn` by a page that says the same."""
        entries = self.geometry.entries
        top, mid, index = self.tree.index(pfn)
        was_identity = self.tree.leaf_of(pfn) == IDENTITY
        row = self.tree.leaves.add(self.geometry.invalid, Origin.RUNTIME)
        if was_identity:
            first = pfn if self.rules.fill_unaligned else pfn - index
            page = self.tree.leaves.rows[row]
            page[:] = np.arange(first, first + entries).astype(page.dtype) | page.dtype.type(
                self.geometry.identity_bit
            )
        self.generation += 2
        self.tree.set_leaf(top, mid, row)
        if told is not None:
            told.link(top, mid, row)

    def check(self) -> list[str]:
        """Invariants that do not hold, one line each: the structure's, and an even generation."""
        broken = self.tree.check() + ([] if self.mfn_tree is None else self.mfn_tree.check(self.tree))
        if self.generation % 2:
            broken.append("p2m_generation is odd although nothing changes")
        return broken
