"""A PV guest's page tables in pseudo-physical form: each MFN in them turned into its PFN.

What a PV guest keeps in its page tables are machine frames, which no reader of dumps expects. Saving
a domain does the same conversion (``normalise_pagetable``, tools/libs/guest/xg_sr_save_x86_pv.c,
Xen 4.17), so a stream needs none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from xenp2m.export.readonly import readonly_tables
from xenp2m.frames import PAGE_SHIFT
from xenp2m.maps.pagewalk import FRAME_MASK, LARGE, PRESENT, cr3_frame
from xenp2m.maps.reverse import Reverse

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from xenp2m.sources.source import Source

__all__ = ["PageTables"]

XEN_SLOTS = slice(256, 272)
"""Entries of a 64-bit guest's top table that belong to Xen (``ROOT_PAGETABLE_FIRST_XEN_SLOT`` and last)."""

_MASK, _FLAGS = np.uint64(FRAME_MASK), np.uint64(~FRAME_MASK & ((1 << 64) - 1))
_SHIFT = np.uint64(PAGE_SHIFT)


class PageTables:
    """The page tables that a source's contexts and its list lead to, and those of other processes.

    Attributes:
        levels: PFN of every page table found, and its level.
        inferred: those of `levels` that no context leads to (`xenp2m.export.readonly`).
        cleared: entries whose frame is not the guest's, cleared so far by `converted`.
    """

    def __init__(self, source: Source) -> None:
        """Walk all page tables of `source` that can be reached. O(page tables)."""
        self.levels: dict[int, int] = {}
        self.inferred = 0
        self.cleared = 0
        self._source = source
        self._wide = source.guest.geometry.word == 8
        self._reverse = Reverse(source.p2m)
        if source.memory is not None and source.guest.frames == "mfn" and not source.guest.translated:
            self._find()

    def converted(self, pfn: int, page: bytes) -> bytes:
        """`page` of `pfn` as an image has it: page tables in pseudo-physical form, others as they are."""
        level = self.levels.get(pfn)
        if level is None:
            return page
        words = np.frombuffer(page, np.uint64).copy()
        used = self._used(words, level)
        present = (used & np.uint64(PRESENT)) != 0
        frames = (used[present] & _MASK) >> _SHIFT
        pfns = self._reverse.pfns(frames.astype(np.int64))
        self.cleared += int((pfns < 0).sum())
        used[present] = np.where(
            pfns < 0, np.uint64(0), (pfns.astype(np.uint64) << _SHIFT) | (used[present] & _FLAGS)
        )
        if level == 4:
            words[XEN_SLOTS] = 0
        return words.tobytes()

    def _used(self, words: NDArray[np.uint64], level: int) -> NDArray[np.uint64]:
        """The entries of a table that count: 4 of a PAE guest's top one."""
        return words[:4] if level == 3 and not self._wide else words

    def _find(self) -> None:
        guest = self._source.guest
        frames = [frame for frame in guest.cr3 if frame >= 0]
        if guest.p2m_cr3:
            frames.append(cr3_frame(guest.p2m_cr3, guest.geometry))
        tables = np.unique(self._source.p2m.inverse(np.array(frames, np.int64)))
        tables = tables[tables >= 0]
        for level in range(4 if self._wide else 3, 0, -1):
            below = [self._visit(pfn, level) for pfn in tables.tolist() if pfn not in self.levels]
            if level == 1 or not below:
                break
            tables = np.unique(self._source.p2m.inverse(np.concatenate(below)))
            tables = tables[tables >= 0]
        if self._wide:
            leaves = [pfn for pfn, level in self.levels.items() if level == 1]
            more = readonly_tables(self._source, leaves, self._reverse)
            known = len(self.levels)
            self.levels = more | self.levels
            self.inferred = len(self.levels) - known

    def _visit(self, pfn: int, level: int) -> NDArray[np.int64]:
        """Note one table; the frames of the tables below it."""
        assert self._source.memory is not None
        page = self._source.memory.page(pfn)
        if page is None:
            return np.zeros(0, np.int64)
        self.levels[pfn] = level
        words = self._used(np.frombuffer(page, np.uint64), level)
        keep = (words & np.uint64(PRESENT)) != 0
        if level == 4:
            keep[XEN_SLOTS] = False
        if level < 4:
            keep &= (words & np.uint64(LARGE)) == 0
        frames: NDArray[np.uint64] = (words[keep] & _MASK) >> _SHIFT
        return frames.astype(np.int64)
