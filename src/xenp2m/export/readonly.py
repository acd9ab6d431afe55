"""Page tables that no context leads to, found by how the guest maps them.

Xen lets no guest map a page table for writing, so every page table of every process stands in the
kernel's own mappings without the write bit. What else is mapped so (text, constants) is told apart by
its contents: each present entry of a page table leads to a frame that the guest has a PFN for.

Source: ``mod_l1_entry`` and the type counts of pages, xen/arch/x86/mm.c; ``make_lowmem_page_readonly``
and ``xen_alloc_ptpage``, arch/x86/xen/mmu_pv.c.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from xenp2m.frames import PAGE_SHIFT
from xenp2m.maps.pagewalk import FRAME_MASK, PRESENT

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from xenp2m.maps.reverse import Reverse
    from xenp2m.sources.source import Source

__all__ = ["readonly_tables"]

_WRITE, _USER = np.uint64(2), np.uint64(4)
_MASK, _SHIFT = np.uint64(FRAME_MASK), np.uint64(PAGE_SHIFT)
_XEN_SLOTS = slice(256, 272)


def readonly_tables(source: Source, leaves: Iterable[int], reverse: Reverse) -> dict[int, int]:
    """Further page tables of a 64-bit guest.

    Args:
        source: with the guest's memory.
        leaves: PFNs of the page tables of level 1 that are known: their entries are looked at.
        reverse: of the source's map.

    Returns:
        PFN and level: 4 for a page that has entries of Xen's own where a top table has them, else 1
        (all lower levels are converted alike). O(entries of `leaves` + pages mapped without the write bit).
    """
    assert source.memory is not None
    written: list[NDArray[np.uint64]] = []
    read: list[NDArray[np.uint64]] = []
    for pfn in leaves:
        page = source.memory.page(pfn)
        if page is not None:
            words = np.frombuffer(page, np.uint64)
            words = words[(words & np.uint64(PRESENT)) != 0]
            frames = (words & _MASK) >> _SHIFT
            write = (words & _WRITE) != 0
            written.append(frames[write])
            read.append(frames[~write])
    if not read:
        return {}
    frames = np.setdiff1d(np.concatenate(read), np.concatenate(written))
    pfns = source.p2m.inverse(frames.astype(np.int64))
    found = {}
    for pfn in pfns[pfns >= 0].tolist():
        page = source.memory.page(pfn)
        level = 0 if page is None else _level(np.frombuffer(page, np.uint64), reverse)
        if level:
            found[pfn] = level
    return found


def _level(words: NDArray[np.uint64], reverse: Reverse) -> int:
    """4 or 1 for what looks like a page table, 0 for anything else."""
    own = words.copy()
    own[_XEN_SLOTS] = 0
    if not _all_lead(own, reverse):
        return 0
    slots = words[_XEN_SLOTS]
    if not (slots & np.uint64(PRESENT)).any() or _all_lead(slots, reverse):
        return 1
    return 4


def _all_lead(words: NDArray[np.uint64], reverse: Reverse) -> bool:
    """Whether there are present entries, each with the bit that Xen sets in them, and known frames."""
    present = words[(words & np.uint64(PRESENT)) != 0]
    if not present.size or not (present & _USER).all():
        return False
    frames = ((present & _MASK) >> _SHIFT).astype(np.int64)
    return bool((reverse.pfns(frames) >= 0).all())
