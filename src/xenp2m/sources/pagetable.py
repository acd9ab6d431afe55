"""A guest's own x86 page tables: one virtual address with its path, or a whole range at once.

Tables have four levels (64-bit) or three (PAE), entries of eight bytes in both. Which space their
frame numbers are of (MFN in cores and live domains, PFN in streams) is the caller's knowledge.
Depth is fixed, so a table that names itself is walked through like any other and cannot trap anyone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np

from xenp2m.frames import PAGE_SHIFT, Geometry

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["ABSENT", "Fetch", "Frames", "Path", "Step", "frames_of_range", "levels_of", "path_of"]

ABSENT = np.uint64(0xFFFF_FFFF_FFFF_FFFF)
"""Stands for "no frame" in an array of frames."""

_PRESENT, _LARGE = 1, 1 << 7
_FRAME = 0x000F_FFFF_FFFF_F000
_INDEX = 9
_ENTRIES = 1 << _INDEX
_BATCH = 1 << 12


class Fetch(Protocol):
    """Reads many pages of a guest by frame."""

    def __call__(self, frames: NDArray[np.uint64], /) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """Pages of `frames`, a row of 4096 bytes each, and which of them there are."""


class Step(NamedTuple):
    """One table on the way to a page.

    Attributes:
        level: 4 or 3 at the top, 1 at the bottom.
        table: frame of the table.
        slot: number of the entry in it.
        entry: the entry as it stands there.
    """

    level: int
    table: int
    slot: int
    entry: int


@dataclass(frozen=True, slots=True)
class Path:
    """The way of one virtual address through the tables.

    Attributes:
        steps: from the top down, as far as it went.
        frame: frame that holds the address, None where it is not mapped or a table is not there.
        size: bytes of the page it is mapped by: 4 KiB, 2 MiB or 1 GiB; 0 where it is not.
        why: "" where there is a frame, else one line.
    """

    steps: tuple[Step, ...]
    frame: int | None
    size: int
    why: str = ""


class Frames(NamedTuple):
    """Frames behind consecutive pages of virtual addresses.

    Attributes:
        frames: one for each page, `ABSENT` where there is none.
        unmapped: pages whose entry, or an entry above it, is not present.
        uncarried: pages whose table is named but cannot be read.
    """

    frames: NDArray[np.uint64]
    unmapped: int
    uncarried: int


def levels_of(geometry: Geometry) -> int:
    """Levels of the page tables of a guest: 4, or 3 of a 32-bit one (PAE)."""
    return 4 if geometry.word == 8 else 3


def path_of(fetch: Fetch, root: int, vaddr: int, levels: int) -> Path:
    """Walk one virtual address.

    Args:
        fetch: reads pages by frame.
        root: frame of the top table (`cr3_to_frame`).
        vaddr: the address; bits above those that the tables translate are ignored.
        levels: 4 or 3.
    """
    steps: list[Step] = []
    table = root
    for level in range(levels, 0, -1):
        shift = PAGE_SHIFT + _INDEX * (level - 1)
        index = vaddr >> shift & ((_ENTRIES if levels == 4 or level < levels else 4) - 1)
        pages, there = fetch(np.array([table], np.uint64))
        if not there[0]:
            return Path(
                tuple(steps), None, 0, f"the input has no page for the level {level} table {table:#x}"
            )
        entry = int(pages[0].view("<u8")[index])
        steps.append(Step(level, table, index, entry))
        if not entry & _PRESENT:
            return Path(tuple(steps), None, 0, f"entry {index} of level {level} is not present")
        table = (entry & _FRAME) >> PAGE_SHIFT
        if level == 1 or (entry & _LARGE and level < 4 and (levels, level) != (3, 3)):
            low = (1 << shift - PAGE_SHIFT) - 1
            return Path(tuple(steps), (table & ~low) | (vaddr >> PAGE_SHIFT & low), 1 << shift)
    raise AssertionError("level 1 ends every walk")


def frames_of_range(fetch: Fetch, root: int, vaddr: int, pages: int, levels: int) -> Frames:
    """Frames behind `pages` pages from `vaddr` on, which must not pass the end of the address space.

    Every table is read once, whatever names it. O(pages) time, 17 bytes a page at most.
    """
    first = vaddr >> PAGE_SHIFT & ((1 << 36 if levels == 4 else 1 << 20) - 1)
    last = first + pages - 1
    if first + pages > (1 << 36 if levels == 4 else 1 << 20):
        raise ValueError("the range passes the end of the address space")
    state = _State.root(root)
    for level in range(levels, 0, -1):
        shift = _INDEX * (level - 1)
        low = first >> shift
        slots = (last >> shift) - low + 1
        state = state.below(fetch, low, slots, level, large=level in (2, 3) and (levels, level) != (3, 3))
    uncarried = int(state.uncarried.sum())
    unmapped = int((state.frame == ABSENT).sum()) - uncarried
    return Frames(state.frame, unmapped, uncarried)


class _State(NamedTuple):
    """What the entries of one level say, for consecutive entries.

    Attributes:
        low: number of the first, counted through all tables of the level.
        frame: frame that the entry names, or `ABSENT`.
        large: it maps a large page: `frame` is its first.
        uncarried: the table that holds the entry cannot be read.
    """

    low: int
    frame: NDArray[np.uint64]
    large: NDArray[np.bool_]
    uncarried: NDArray[np.bool_]

    @classmethod
    def root(cls, frame: int) -> _State:
        no = np.zeros(1, bool)
        return cls(0, np.array([frame], np.uint64), no, no)

    def below(self, fetch: Fetch, low: int, slots: int, level: int, *, large: bool) -> _State:
        """The entries ``[low, low + slots)`` of `level`, in the tables that this level names."""
        number = np.arange(low, low + slots, dtype=np.int64)
        parent = (number >> _INDEX) - self.low
        within = number & (_ENTRIES - 1)
        named = (self.frame != ABSENT) & ~self.large
        tables = np.unique(self.frame[named])
        content, there = _tables(fetch, tables)
        row = np.minimum(np.searchsorted(tables, self.frame), max(tables.size - 1, 0))
        uncarried = self.uncarried.copy()
        if tables.size:
            uncarried |= named & ~there[row]
            entry = content[row[parent], within]
        else:
            entry = np.zeros(slots, np.uint64)
        readable = named[parent] & ~uncarried[parent]
        present = readable & (entry & np.uint64(_PRESENT) != 0)
        frame = (entry & np.uint64(_FRAME)) >> np.uint64(PAGE_SHIFT)
        is_large = present & (entry & np.uint64(_LARGE) != 0) if large else np.zeros(slots, bool)
        size = 1 << _INDEX * (level - 1)
        frame[is_large] &= ~np.uint64(size - 1)
        inner = self.large[parent]
        frame[inner] = self.frame[parent[inner]] + (within[inner] * size).astype(np.uint64)
        frame[~present & ~inner] = ABSENT
        # A 4 KiB page inside a large one is known as soon as the last level is reached.
        return _State(low, frame, (is_large | inner) & (level > 1), uncarried[parent])


def _tables(fetch: Fetch, tables: NDArray[np.uint64]) -> tuple[NDArray[np.uint64], NDArray[np.bool_]]:
    """Entries of many tables, a row each."""
    content = np.empty((tables.size, _ENTRIES), np.uint64)
    there = np.zeros(tables.size, bool)
    for low in range(0, tables.size, _BATCH):
        part = slice(low, low + _BATCH)
        pages, there[part] = fetch(tables[part])
        content[part] = pages.view("<u8")
    return content, there
