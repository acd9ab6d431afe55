"""The three-level P2M tree of Linux 2.6.39 to 3.18, and of the patches discussed in January 2011.

::

    top                 mid pages                  leaf pages
    +------------+      +------------------+      +-------------------------+
    | 0 | mid 2 -+----->| 0 | leaf 2  -----+----->| MFN, MFN, MFN, ...      |  builder's list
    | 1 | mid 0 -+--.   | 1 | leaf 3  -----+----->| MFN, ~0, IDENTITY, ...  |  or a page of its own
    | 2 | mid 1 -+-.|   | 2 | leaf 0 (missing)    +-------------------------+
    +------------+ ||   | 3 | leaf 1 (identity)
                   ||   +------------------+
                   |`-> p2m_mid_missing : every entry is p2m_missing   (leaf 0, all ~0)
                   `--> p2m_mid_identity: every entry is p2m_identity  (leaf 1, all ~0)

Both shared leaves hold nothing but INVALID, because tools accept no other value that is not an MFN;
only *which* of them an entry points to tells identity from missing. Pages live in pools, and a
pointer is a row number: rows 0 and 1 are the shared pages in the mid pool and in the leaf pool.

This file knows the structure. When a page is made, split or overwritten is the business of
`xenp2m.model.rules`. Source: ``arch/x86/xen/p2m.c``, 2.6.39 to 3.18.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from xenp2m.model.alloc import Origin

if TYPE_CHECKING:
    from collections.abc import Sequence

    from xenp2m.frames import Geometry

__all__ = ["IDENTITY", "MISSING", "Pool", "Rows", "Tree", "Words"]

Words = NDArray[np.unsignedinteger[Any]]
"""Raw entries: uint64 for a 64-bit guest, uint32 for a 32-bit one."""
Rows = NDArray[np.int32]

MISSING = 0
"""Row of the shared missing page: ``p2m_missing`` among leaves, ``p2m_mid_missing`` among mids."""
IDENTITY = 1
"""Row of the shared identity page: ``p2m_identity``, ``p2m_mid_identity``."""
FIRST = 2
_CHUNK = 1 << 15


class Pool:
    """Pages of one level as the rows of one array that grows by doubling.

    Attributes:
        used: rows in use.
        origin: where each row came from, as `Origin` numbers.
    """

    def __init__(self, entries: int, dtype: type[np.integer[Any]]) -> None:
        self._rows: NDArray[Any] = np.empty((8, entries), dtype)
        self.used = 0
        self.origin = bytearray()

    @property
    def rows(self) -> NDArray[Any]:
        """The pages in use, a view: valid until the next `add`."""
        return self._rows[: self.used]

    def add(self, fill: int | NDArray[Any], origin: Origin, count: int = 1) -> int:
        """Add `count` pages and return the row of the first. Amortised O(entries added)."""
        need = self.used + count
        if need > len(self._rows):
            grown = np.empty((max(need, 2 * len(self._rows)), self._rows.shape[1]), self._rows.dtype)
            grown[: self.used] = self._rows[: self.used]
            self._rows = grown
        first, self.used = self.used, need
        self._rows[first:need] = fill
        self.origin += bytes([origin]) * count
        return first


class Tree:
    """Top page, mid pages and leaf pages of one guest.

    Args:
        geometry: word size and entries per page.
        void: shared mid page that every top entry starts with.
        tops: top entries; None for the entries of a page (the linear list has as many as it needs).

    Attributes:
        geometry: word size and entries per page.
        top: row of the mid page behind each entry.
        mids: mid pages: rows of leaf pages.
        leaves: leaf pages: raw words.
        list_leaves: leaf pages grafted from the builder's list; they are the rows from 2 on.

    Invariants: see `check`.
    """

    def __init__(self, geometry: Geometry, void: int = MISSING, tops: int | None = None) -> None:
        if geometry.entries < 2 or geometry.max_p2m_pfn > geometry.identity_bit:
            raise ValueError(f"a tree needs 2 to {1 << (geometry.bits - 2) // 3} entries a page")
        self.geometry = geometry
        self.leaves = Pool(geometry.entries, np.uint64 if geometry.word == 8 else np.uint32)
        self.leaves.add(geometry.invalid, Origin.SHARED, 2)
        self.mids = Pool(geometry.entries, np.int32)
        self.mids.add(MISSING, Origin.SHARED)
        self.mids.add(IDENTITY, Origin.SHARED)
        self.top: Rows = np.full(geometry.entries if tops is None else tops, void, np.int32)
        self.list_leaves = 0
        self._directory: Rows | None = None
        self._flat_offsets: NDArray[np.int64] | None = None

    def index(self, pfn: int) -> tuple[int, int, int]:
        """Top, mid and leaf index of `pfn`, which must lie in the tree."""
        entries = self.geometry.entries
        leaf, index = divmod(pfn, entries)
        top, mid = divmod(leaf, entries)
        return top, mid, index

    def leaf_of(self, pfn: int) -> int:
        """Row of the leaf page behind `pfn`."""
        top, mid, _ = self.index(pfn)
        return int(self.mids.rows[self.top[top], mid])

    def graft(self, mfn_list: Sequence[int] | NDArray[Any], fill: int = MISSING) -> int:
        """Hang the builder's list into the tree, leaf by leaf, before anything else is in it.

        Args:
            mfn_list: MFN of every PFN from 0 on. The last leaf is filled up with INVALID.
            fill: leaf that new mid pages start with.

        Returns:
            Mid pages made for it. O(pages).

        Source: ``xen_build_dynamic_phys_to_machine``.
        """
        entries, words = self.geometry.entries, np.asarray(mfn_list)
        count = -(-len(words) // entries)
        first = self.leaves.add(self.geometry.invalid, Origin.LIST, count)
        self.leaves.rows[first:].reshape(-1)[: len(words)] = words
        self.list_leaves = count
        mids = -(-count // entries)
        row = self.mids.add(fill, Origin.BRK, mids)
        self.mids.rows[row:].reshape(-1)[:count] = np.arange(first, first + count)
        self.top[:mids] = np.arange(row, row + mids)
        return mids

    def set_mid(self, top: int | NDArray[Any], row: int) -> None:
        """Point the top entry, or each of several, at a mid page."""
        self.top[top] = row
        self._directory = None

    def set_leaf(self, top: int | NDArray[Any], mid: int | NDArray[Any], row: int | NDArray[Any]) -> None:
        """Point an entry of the mid page behind `top` at a leaf page, whoever shares that mid page.

        Arrays stand for several entries, and for one leaf page each or for one of all.
        """
        self.mids.rows[self.top[top], mid] = row
        self._directory = None

    def set_leaves(self, top: int, first: int, rows: Rows) -> None:
        """Overwrite entries of one mid page from `first` on."""
        self.mids.rows[self.top[top], first : first + len(rows)] = rows
        self._directory = None

    def store(self, pfn: int, word: int) -> None:
        """Write a raw word into the leaf page behind `pfn`, shared or not."""
        top, mid, index = self.index(pfn)
        self.leaves.rows[self.mids.rows[self.top[top], mid], index] = word

    def word(self, pfn: int) -> int:
        """Raw word in the leaf page behind `pfn`."""
        top, mid, index = self.index(pfn)
        return int(self.leaves.rows[self.mids.rows[self.top[top], mid], index])

    def directory(self) -> Rows:
        """Leaf row of every leaf-sized piece of the PFN space, flat. Kept until a pointer changes."""
        if self._directory is None:
            self._directory = np.ascontiguousarray(self.mids.rows[self.top].reshape(-1))
        return self._directory

    def _offsets(self) -> NDArray[np.int64]:
        """`directory` as offsets into the flat leaf pool."""
        if self._flat_offsets is None or self._directory is None:
            self._flat_offsets = self.directory().astype(np.int64) * self.geometry.entries
        return self._flat_offsets

    def gather(self, pfns: NDArray[np.int64], identity_bit: int) -> Words:
        """Read many entries: the bulk form of a lookup.

        Args:
            pfns: frames, each below ``geometry.max_p2m_pfn``.
            identity_bit: what is or-ed to a PFN behind the shared identity page (0 in the seed).

        Returns:
            One word per PFN. Two gathers per entry, in pieces that fit a cache.
        """
        entries = self.geometry.entries
        flat = self.leaves.rows.reshape(-1)
        words: Words = np.empty(len(pfns), flat.dtype)
        # pages of a power of two: shifts and masks, in buffers that stay in the cache
        shift = entries.bit_length() - 1 if entries & (entries - 1) == 0 else 0
        offsets = self._offsets()
        place, base = np.empty(_CHUNK, np.int64), np.empty(_CHUNK, np.int64)
        for start in range(0, len(pfns), _CHUNK):
            part = pfns[start : start + _CHUNK]
            out, at, low = words[start : start + _CHUNK], place[: len(part)], base[: len(part)]
            np.right_shift(part, shift, out=at) if shift else np.floor_divide(part, entries, out=at)
            np.take(offsets, at, out=low, mode="clip")
            np.bitwise_and(part, entries - 1, out=at) if shift else np.remainder(part, entries, out=at)
            np.add(at, low, out=at)
            np.take(flat, at, out=out, mode="clip")
            shared = low == IDENTITY * entries
            if shared.any():
                np.bitwise_or(part, identity_bit, out=at)
                np.copyto(out, at, where=shared, casting="unsafe")
        return words

    def scribbled(self) -> list[tuple[str, int, int]]:
        """Writes that landed in a page that must stay constant.

        Returns:
            ``(page, index, value)`` in order of the index: page is ``missing``, ``identity``
            (value: the word), ``mid_missing`` or ``mid_identity`` (value: the leaf's row).
        """
        found: list[tuple[int, int, str, int]] = []
        invalid = self.geometry.invalid
        for row, name in ((MISSING, "missing"), (IDENTITY, "identity")):
            page = self.leaves.rows[row]
            found += [(int(i), row, name, int(page[i])) for i in np.flatnonzero(page != invalid)]
        for row, name in ((MISSING, "mid_missing"), (IDENTITY, "mid_identity")):
            page = self.mids.rows[row]
            found += [(int(i), 2 + row, name, int(page[i])) for i in np.flatnonzero(page != row)]
        return [(name, index, value) for index, _, name, value in sorted(found)]

    def check(self) -> list[str]:
        """State every invariant once.

        Returns:
            One line for each that does not hold: pointers lead to pages that exist, a page of one
            place hangs in one place, and shared pages hold what they were made with.
        """
        return [*self.overwritten(), *self.misplaced()]

    def overwritten(self) -> list[str]:
        """One line for each entry of a shared page that was written."""
        return [f"p2m_{page}[{i}] was overwritten with {value:#x}" for page, i, value in self.scribbled()]

    def misplaced(self) -> list[str]:
        """One line for each pointer that leads nowhere, and each page that hangs in two places."""
        broken = []
        for name, rows, pool in (("mid", self.top, self.mids), ("leaf", self._private_mids(), self.leaves)):
            flat = rows.reshape(-1)
            if flat.size and (int(flat.min()) < 0 or int(flat.max()) >= pool.used):
                broken.append(f"an entry points to a {name} page that does not exist")
                continue
            often = np.flatnonzero(np.bincount(flat, minlength=FIRST)[FIRST:] > 1)
            broken += [f"{name} page {row + FIRST} hangs in more than one place" for row in often]
        return broken

    def _private_mids(self) -> Rows:
        own: Rows = self.mids.rows[self.top[self.top >= FIRST]]
        return own
