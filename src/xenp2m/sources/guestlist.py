"""The raw list of a PV guest, from what its shared info says to the map: for cores and live domains.

A guest publishes its list in two ways, and Linux in both at once: the linear list (page tables at
``p2m_cr3``, address ``p2m_vaddr``; Linux 3.19 and later) and the tree of frame lists
(``pfn_to_mfn_frame_list_list``). The linear one is preferred: it alone names the shared identity page
(`xenp2m.sources.leafroles`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from xenp2m.errors import InputError
from xenp2m.sources.layout import cr3_to_frame
from xenp2m.sources.leafmap import leaf_map
from xenp2m.sources.leafroles import Views
from xenp2m.sources.pagetable import ABSENT, Frames, frames_of_range, levels_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from xenp2m.p2m import P2M
    from xenp2m.sources.pagetable import Fetch
    from xenp2m.sources.source import Guest, Leaves

    Has = Callable[[NDArray[np.uint64]], NDArray[np.bool_]]

__all__ = ["LINEAR", "TREE", "GuestList", "recover_list"]

LINEAR, TREE = "linear list", "frame list tree"

_LEAST_LEAVES = 1 << 18
"""Leaves of a list that is believed of any guest: 512 GiB, the size that Linux reserves by default."""


@dataclass(frozen=True, slots=True)
class GuestList:
    """What was recovered.

    Attributes:
        guest: as given, with the form of the list filled in.
        p2m: the raw map, None where no list could be walked.
        leaves: its pages.
        lost: what could not be read, a line each.
        inferred: what was concluded, a line each.
    """

    guest: Guest
    p2m: P2M | None = None
    leaves: Leaves | None = None
    lost: tuple[str, ...] = ()
    inferred: tuple[str, ...] = ()


def recover_list(guest: Guest, fetch: Fetch, pages: int, where: str, has: Has | None = None) -> GuestList:
    """Walk the list of `guest` and read it.

    Time and memory follow the leaf pages that exist; a leaf that many entries name is read once.

    Args:
        guest: its fields of shared info.
        fetch: reads pages by MFN.
        pages: pages that the guest has; a list for more than 512 GiB is refused unless it has at
            most 64 times as many entries.
        where: the shared info, for messages.
        has: which frames `fetch` can read, where that is known beforehand: a list of pages that are
            not there then takes no memory.

    Raises:
        InputError: ``max_pfn`` or the list is of no sense.
    """
    per = guest.geometry.entries
    count = -(-(guest.max_pfn or 0) // per)
    most = max(_LEAST_LEAVES, -(-64 * pages // per))
    if count > most:
        raise InputError(
            where, f"max_pfn up to {most * per:#x}, as the guest's size has it", f"{guest.max_pfn:#x}"
        )
    if not count:
        return GuestList(guest, lost=("the guest has not published its list: max_pfn is 0",))
    lost: list[str] = []
    linear = _linear(guest, fetch, count, lost)
    tree, empty_mid = _tree(guest, fetch, count, lost if linear is None else [])
    if linear is not None:
        behind = int(linear.frames[count]) if linear.frames.size > count else None
        views = Views(linear.frames[:count], True, tree, None if behind == int(ABSENT) else behind, empty_mid)
    elif tree is not None:
        views = Views(tree, False, empty_mid=empty_mid)
    else:
        return GuestList(guest, lost=tuple(lost) or ("the guest has not published its list",))
    if has is not None:
        views = replace(views, present=has(views.frames))
    return _read(replace(guest, form=LINEAR if views.linear else TREE), views, fetch, where, lost)


def _read(guest: Guest, views: Views, fetch: Fetch, where: str, lost: list[str]) -> GuestList:
    found = leaf_map(views, fetch, guest.max_pfn or 0, guest.geometry, where)
    lost = [*lost, *found.lost]
    unmapped = int((views.frames == ABSENT).sum())
    if unmapped:
        lost.append(f"{unmapped:,} leaf pages of the list have no frame: their entries are unknown")
    if (guest.generation or 0) & 1:
        lost.append(f"p2m_generation is odd ({guest.generation}): the guest was changing its list")
    return GuestList(guest, found.p2m, found.leaves, tuple(lost), found.inferred)


def _linear(guest: Guest, fetch: Fetch, count: int, lost: list[str]) -> Frames | None:
    """Frames of the leaves, and of one behind them where there is room; None without a list."""
    if not guest.p2m_cr3:
        return None
    levels = levels_of(guest.geometry)
    space = 1 << (48 if levels == 4 else 32)
    start = guest.p2m_vaddr & (space - 1)
    if guest.p2m_vaddr & 0xFFF or start + (count << 12) > space:
        lost.append(f"p2m_vaddr {guest.p2m_vaddr:#x} cannot be the address of {count:,} pages")
        return None
    more = count + (start + (count + 1 << 12) <= space)
    root = cr3_to_frame(guest.p2m_cr3, guest.geometry.word)
    found = frames_of_range(fetch, root, start, more, levels)
    if (found.frames[:count] == ABSENT).all():
        lost.append(f"the page tables at p2m_cr3 (MFN {root:#x}) lead to no page of the list")
        return None
    if found.uncarried:
        lost.append(f"page tables of {found.uncarried:,} leaf pages of the list are not in the input")
    return found


def _tree(
    guest: Guest, fetch: Fetch, count: int, lost: list[str]
) -> tuple[NDArray[np.uint64] | None, int | None]:
    """Frames of the leaves by the tree, and the frame that fills a mid page which recurs."""
    top, per, word = guest.frame_list_list, guest.geometry.entries, f"<u{guest.geometry.word}"
    if top in (0, guest.geometry.invalid):
        return None, None
    mids = -(-count // per)
    pages, there = fetch(np.array([top], np.uint64))
    if mids > per or not there[0]:
        what = "is not in the input" if mids <= per else f"has {per} entries, too few for {count:,} leaves"
        lost.append(f"the top of the tree of frame lists (MFN {top:#x}) {what}")
        return None, None
    names = pages[0].view(word)[:mids].astype(np.uint64)
    frames, back = np.unique(names, return_inverse=True)
    pages, there = fetch(frames)
    there &= (frames != 0) & (frames != np.uint64(guest.geometry.invalid))
    rows = pages.view(word).astype(np.uint64)
    rows[~there] = ABSENT
    rows[(rows == 0) | (rows == np.uint64(guest.geometry.invalid))] = ABSENT
    if gone := int((~there[back]).sum()):
        lost.append(f"{gone:,} mid pages of the tree of frame lists are not in the input")
    full = there & (rows == rows[:, :1]).all(axis=1) & (np.bincount(back, minlength=frames.size) > 1)
    empty = {int(frame) for frame in rows[full, 0]} - {int(ABSENT)}
    leaves = rows[back].reshape(-1)[:count]
    return (None if (leaves == ABSENT).all() else leaves), (empty.pop() if len(empty) == 1 else None)
