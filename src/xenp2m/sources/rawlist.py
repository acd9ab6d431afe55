"""The guest's own list, put together from its leaf pages: every entry, with the flags that tools drop.

Linux maps one page for every stretch of 512 identity entries and fills it with all ones, which is
also what "missing" looks like. Such a page is known by its frame, which recurs in the list, never by
its content. Source: ``get_phys_to_machine`` and ``xen_rebuild_p2m_list``, arch/x86/xen/p2m.c, 3.19.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from xenp2m.errors import InputError
from xenp2m.extents import Run
from xenp2m.frames import GEOMETRY_32, GEOMETRY_64, PAGE_SIZE, Geometry, Kind
from xenp2m.p2m import P2M, runs_of
from xenp2m.sources.source import Leaves

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Fetch = Callable[[int], bytes | None]

__all__ = ["ListPages", "RawList", "raw_list", "words_of"]

_ONES = b"\xff" * PAGE_SIZE
_PRIVATE, _IDENTITY, _MISSING, _UNKNOWN = range(4)
_KINDS = (Kind.MFN, Kind.IDENTITY, Kind.MISSING, Kind.UNKNOWN)
_DENSE = 1 << 13
_STRETCHES = 1 << 20


@dataclass(frozen=True, slots=True)
class ListPages:
    """Where the pages of a list are.

    Attributes:
        frames: frame of every leaf page in the order of the list; all ones where the input tells
            none, which is unknown and no loss.
        space: ``mfn`` or ``pfn``: what `frames` are.
        present: whether the input has each of them.
        entries: PFNs that the list has; its last page may hold more words.
        geometry: the guest's.
        linear: walked through the page tables of the linear list (True), through the tree of frame
            lists (False), or nobody can tell (None).
    """

    frames: NDArray[np.uint64]
    present: NDArray[np.bool_]
    space: str
    entries: int
    geometry: Geometry = GEOMETRY_64
    linear: bool | None = None


@dataclass(frozen=True, slots=True)
class RawList:
    """A list, read.

    Attributes:
        p2m: the raw map.
        leaves: its pages, and which of them are shared.
        lost: pages that are not in the input, a line each.
        inferred: what was concluded, a line each.
    """

    p2m: P2M
    leaves: Leaves
    lost: tuple[str, ...] = ()
    inferred: tuple[str, ...] = ()


def words_of(page: bytes, geometry: Geometry) -> NDArray[np.uint64]:
    """Entries of one list page as 64-bit words; of 32-bit guests the flags move to bits 62 and 63."""
    if geometry.word == GEOMETRY_64.word:
        return np.frombuffer(page, "<u8").astype(np.uint64, copy=False)
    narrow = np.frombuffer(page, "<u4").astype(np.uint64)
    wide = (narrow & np.uint64(0x3FFF_FFFF)) | ((narrow >> np.uint64(30)) << np.uint64(62))
    wide[narrow == np.uint64(GEOMETRY_32.invalid)] = GEOMETRY_64.invalid
    return wide


def raw_list(pages: ListPages, fetch: Fetch, where: str, *, salvage: bool = False) -> RawList:
    """Put a list together.

    Args:
        pages: where its pages are.
        fetch: the content of a frame, None where the input has none.
        where: the list, for messages.
        salvage: take entries of absent pages as unknown instead of refusing the input.

    Returns:
        The map. It is held as words where most pages are private, as runs where most are shared, so
        that memory follows the pages that the input has.

    Raises:
        InputError: a page is absent and `salvage` is not set, or the list is too torn to be held.
    """
    frames, lost = pages.frames, []
    told = frames != np.uint64(GEOMETRY_64.invalid)
    unique, counts = np.unique(frames[told & pages.present], return_counts=True)
    recurring = unique[counts > 1].tolist()
    shared = [frame for frame in recurring if fetch(frame) == _ONES]
    identity, why = _identity_leaf(shared, pages.linear)
    codes = np.full(frames.size, _PRIVATE, np.uint8)
    codes[~pages.present | ~told | np.isin(frames, np.array(recurring, np.uint64))] = _UNKNOWN
    if identity is not None:
        codes[frames == np.uint64(identity)] = _IDENTITY
    if (absent := frames[told & ~pages.present]).size:
        text = f"the list page at {pages.space.upper()} {int(absent[0]):#x} is not in the input"
        lost.append(text + (f", nor are {absent.size - 1:,} more" if absent.size > 1 else ""))
    if len(recurring) > len(shared):
        lost.append(f"{len(recurring) - len(shared):,} list pages recur and are not all ones")
    if lost and not salvage:
        raise InputError(where, "every page of the P2M list", lost[0])
    p2m = _build(pages, codes, fetch, where)
    leaves = Leaves(frames, pages.space, identity=identity, why=why)
    return RawList(p2m, leaves, tuple(lost), (why,) if shared else ())


def _identity_leaf(shared: list[int], linear: bool | None) -> tuple[int | None, str]:
    if not shared:
        return None, "every page of the list is private"
    if linear and len(shared) == 1:
        return shared[0], (
            f"list page {shared[0]:#x} recurs, all ones, in a linear list: the shared identity page "
            "(Linux keeps missing entries in pages of their own)"
        )
    names = ", ".join(f"{frame:#x}" for frame in shared[:4])
    if linear:
        return None, f"list pages {names} recur, all ones: which of them is the identity page is unknown"
    view = "a tree of frame lists" if linear is False else "a list whose form is unknown"
    return None, (
        f"list page {names} recurs, all ones, in {view}: its entries are identity or missing "
        "(Linux shows tools the same page for both)"
    )


def _build(pages: ListPages, codes: NDArray[np.uint8], fetch: Fetch, where: str) -> P2M:
    per = pages.geometry.entries
    private = int((codes == _PRIVATE).sum())
    if not (codes == _UNKNOWN).any() and codes.size <= 4 * private + _DENSE:
        words = np.empty(codes.size * per, np.uint64)
        for start, end, code in _stretches(codes):
            part = words[start * per : end * per]
            if code == _PRIVATE:
                _fill(part, pages, start, end, fetch)
            elif code == _IDENTITY:
                part[:] = np.arange(start * per, end * per, dtype=np.uint64) | np.uint64(1 << 62)
            else:
                part[:] = GEOMETRY_64.invalid
        return P2M(words[: pages.entries], geometry=pages.geometry)
    runs: list[Run] = []
    for number, (start, end, code) in enumerate(_stretches(codes)):
        if number > _STRETCHES:
            raise InputError(where, f"a list of at most {_STRETCHES:,} stretches of shared pages", "more")
        if code == _PRIVATE:
            part = np.empty((end - start) * per, np.uint64)
            _fill(part, pages, start, end, fetch)
            runs += runs_of(part[: pages.entries - start * per], start * per)
        else:
            runs.append(Run(start * per, min(end * per, pages.entries), _KINDS[code]))
    return P2M(runs, geometry=pages.geometry)


def _stretches(codes: NDArray[np.uint8]) -> list[tuple[int, int, int]]:
    edges = [0, *(np.flatnonzero(np.diff(codes)) + 1).tolist(), int(codes.size)]
    return [(a, b, int(codes[a])) for a, b in zip(edges, edges[1:], strict=False) if a < b]


def _fill(part: NDArray[np.uint64], pages: ListPages, start: int, end: int, fetch: Fetch) -> None:
    per = pages.geometry.entries
    for number, frame in enumerate(pages.frames[start:end].tolist()):
        page = fetch(frame)
        assert page is not None
        part[number * per : (number + 1) * per] = words_of(page, pages.geometry)
