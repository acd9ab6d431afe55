"""A guest's own list laid into its memory: leaf pages, page tables of the linear list, frame lists.

The list lies in the last frames that the map has, leaves first, so that a writer can put them out in
one stretch. Whole leaves of identity, and of missing, entries share a page each, as with Linux.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from xenp2m.entries import MISSING_WORD, kinds_of
from xenp2m.frames import Kind
from xenp2m.runtable import KINDS
from xenp2m.sources.layout import frame_to_cr3
from xenp2m.sources.pagetable import levels_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from xenp2m.p2m import P2M

__all__ = ["ListInMemory", "lay_list", "narrowed"]

_VADDR = {8: 0xFFFF_C900_0000_0000, 4: 0xC000_0000}
_OWN, _IDENTITY, _MISSING = range(3)
_TABLE_FLAGS = 0x67
_CHUNK = 1 << 10


@dataclass(frozen=True, slots=True)
class ListInMemory:
    """Where the list lies, and the fields of shared info that lead to it.

    Attributes:
        p2m: the map.
        codes: of every leaf: a page of its own, the shared identity page, the shared missing page.
        leaf_pfns: PFN of every leaf page, ascending where it is one of its own.
        tables: every other page of the list by PFN.
        p2m_cr3: 0 without a linear list.
        p2m_vaddr: address of the linear list.
        frame_list_list: MFN of the top of the tree; all ones without one.
    """

    p2m: P2M
    codes: NDArray[np.uint8]
    leaf_pfns: NDArray[np.int64]
    tables: dict[int, bytes]
    p2m_cr3: int
    p2m_vaddr: int
    frame_list_list: int

    def leaves(self) -> Iterator[tuple[NDArray[np.int64], bytes]]:
        """PFNs, ascending, and contents of leaf pages of their own, many at a time."""
        own = np.flatnonzero(self.codes == _OWN)
        per = self.p2m.geometry.entries
        for low in range(0, own.size, _CHUNK):
            part = own[low : low + _CHUNK]
            pieces = [_leaf(self.p2m, int(leaf) * per) for leaf in part]
            content = narrowed(np.concatenate(pieces), self.p2m.geometry.word)
            yield self.leaf_pfns[part], content.tobytes()


def narrowed(words: NDArray[np.uint64], word: int) -> NDArray[np.generic]:
    """Entries as the guest stores them: of a 32-bit guest the flags are bits 30 and 31."""
    if word == 8:
        return words.astype("<u8", copy=False)
    number, flags = words & np.uint64(0x3FFF_FFFF), words >> np.uint64(62)
    return (number | flags << np.uint64(30)).astype("<u4")


def lay_list(
    p2m: P2M, pfns: NDArray[np.uint64], *, linear: bool = True, tree: bool = True, shared: bool = True
) -> ListInMemory:
    """Lay the list of `p2m` into its own last frames.

    Args:
        p2m: the raw map; unknown entries cannot be written.
        pfns: PFNs whose frames may hold the list, ascending; the last are taken.
        linear: publish a linear list.
        tree: publish the tree of frame lists.
        shared: let leaves of identity or missing entries alone share a page.

    Raises:
        ValueError: `pfns` are too few, the list is too long, or entries are unknown.
    """
    return _Layer(p2m, pfns, shared=shared).lay(linear=linear, tree=tree)


def _leaf(p2m: P2M, start: int) -> NDArray[np.uint64]:
    """Entries of one leaf; behind the end all is missing."""
    end = start + p2m.geometry.entries
    words = p2m.words(start, min(end, len(p2m)))
    if words.size < p2m.geometry.entries:
        words = np.concatenate((words, np.full(p2m.geometry.entries - words.size, MISSING_WORD)))
    return words


class _Layer:
    """Takes frames from the end of a guest and fills them."""

    def __init__(self, p2m: P2M, pfns: NDArray[np.uint64], *, shared: bool) -> None:
        self._p2m, self._pfns, self._left = p2m, pfns, int(pfns.size)
        self._tables: dict[int, bytes] = {}
        self._codes = self._roles() if shared else np.zeros(-(-len(p2m) // p2m.geometry.entries), np.uint8)
        self._leaf_pfns = self._place_leaves()

    def lay(self, *, linear: bool, tree: bool) -> ListInMemory:
        word = self._p2m.geometry.word
        frames = self._p2m.translate(self._leaf_pfns)
        cr3 = frame_to_cr3(self._linear(frames), word) if linear else 0
        top = self._tree(frames) if tree else self._p2m.geometry.invalid
        vaddr = _VADDR[word] if linear else 0
        return ListInMemory(self._p2m, self._codes, self._leaf_pfns, self._tables, cr3, vaddr, top)

    def _roles(self) -> NDArray[np.uint8]:
        per = self._p2m.geometry.entries
        codes = np.zeros(-(-len(self._p2m) // per), np.uint8)
        for number in range(len(self._p2m) // per):
            words = self._p2m.words(number * per, (number + 1) * per)
            if words[0] >> np.uint64(62) and words[-1] >> np.uint64(62):
                kinds = kinds_of(words, number * per)
                for kind, code in ((Kind.IDENTITY, _IDENTITY), (Kind.MISSING, _MISSING)):
                    if (kinds == KINDS.index(kind)).all():
                        codes[number] = code
        return codes

    def _place_leaves(self) -> NDArray[np.int64]:
        if Kind.UNKNOWN in self._p2m.count():
            raise ValueError("unknown entries cannot be written")
        own = self._codes == _OWN
        pfns = np.zeros(self._codes.size, np.int64)
        pfns[own] = self._take(int(own.sum()))
        for code in (_IDENTITY, _MISSING):
            if (self._codes == code).any():
                pfns[self._codes == code] = self._page(b"\xff" * 4096)
        return pfns

    def _take(self, count: int) -> NDArray[np.int64]:
        """The last `count` PFNs that are left, ascending."""
        if count > self._left:
            raise ValueError(f"the map has too few frames for its own list: {self._pfns.size:,}")
        self._left -= count
        return self._pfns[self._left : self._left + count].astype(np.int64)

    def _page(self, content: bytes) -> int:
        pfn = int(self._take(1)[0])
        self._tables[pfn] = content.ljust(4096, b"\0")
        return pfn

    def _mfn(self, pfn: int) -> int:
        return self._p2m.lookup(pfn)[1]

    def _linear(self, frames: NDArray[np.uint64]) -> int:
        """Page tables that map the leaves, and identity behind them; the MFN of the top one."""
        word = self._p2m.geometry.word
        if (self._codes == _IDENTITY).any():
            frames = np.concatenate((frames, frames[self._codes == _IDENTITY][:1]))
        elif (self._codes == _MISSING).any():
            behind = self._mfn(self._page(b"\xff" * 4096))
            frames = np.concatenate((frames, np.array([behind], np.uint64)))
        slot = _VADDR[word] >> 12 & ((1 << 36 if word == 8 else 1 << 20) - 1)
        if word == 4 and slot + frames.size > 1 << 20:
            raise ValueError("the list does not fit into the address space of a 32-bit guest")
        for _ in range(levels_of(self._p2m.geometry)):
            before, low = slot & 511, slot >> 9
            entries = np.zeros(-(-(before + frames.size) // 512) * 512, np.uint64)
            entries[before : before + frames.size] = frames << np.uint64(12) | np.uint64(_TABLE_FLAGS)
            frames = self._tables_of(entries)
            slot = low
        return int(frames[0])

    def _tree(self, frames: NDArray[np.uint64]) -> int:
        geometry = self._p2m.geometry
        if frames.size > geometry.entries**2:
            raise ValueError("the list is too long for a tree of frame lists")
        for _ in range(2):
            entries = np.zeros(-(-frames.size // geometry.entries) * geometry.entries, np.uint64)
            entries[: frames.size] = frames
            frames = self._tables_of(entries.astype(f"<u{geometry.word}"))
        return int(frames[0])

    def _tables_of(self, entries: NDArray[np.generic]) -> NDArray[np.uint64]:
        """Lay entries into pages; the MFNs of the pages."""
        data = entries.tobytes()
        pages = [self._page(data[low : low + 4096]) for low in range(0, len(data), 4096)]
        return np.array([self._mfn(pfn) for pfn in pages], np.uint64)
