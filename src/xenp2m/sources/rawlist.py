"""The guest's own list, put together from its leaf pages: every entry, with the flags that tools drop.

Linux maps one page for every stretch of 512 identity entries and fills it with all ones, which is
also what "missing" looks like. Such a page is known by its frame, which recurs in the list, never by
its content. Source: ``get_phys_to_machine`` and ``xen_rebuild_p2m_list``, arch/x86/xen/p2m.c, 3.19.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from xenp2m.entries import table_of
from xenp2m.errors import InputError
from xenp2m.frames import GEOMETRY_32, GEOMETRY_64, PAGE_SIZE, UNKNOWN_WORD, Geometry, Kind
from xenp2m.p2m import P2M
from xenp2m.runtable import KINDS, RunTable
from xenp2m.sources.source import Leaves

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Fetch = Callable[[int], bytes | None]

__all__ = ["ListPages", "RawList", "join_plain", "raw_list", "widened", "words_of"]

_ONES = b"\xff" * PAGE_SIZE
_PRIVATE = -1
_IDENTITY, _UNKNOWN = KINDS.index(Kind.IDENTITY), KINDS.index(Kind.UNKNOWN)
_SHARED_PER_PRIVATE, _SMALL = 4, 1 << 10


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
    """Entries of one list page as 64-bit words."""
    if geometry.word == GEOMETRY_64.word:
        return np.frombuffer(page, "<u8").astype(np.uint64, copy=False)
    return widened(np.frombuffer(page, "<u4").astype(np.uint64))


def widened(narrow: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Entries of a 32-bit guest with the flags moved from bits 30 and 31 to bits 62 and 63."""
    wide = (narrow & np.uint64(0x3FFF_FFFF)) | ((narrow >> np.uint64(30)) << np.uint64(62))
    wide[(narrow == np.uint64(GEOMETRY_32.invalid)) | (narrow == np.uint64(GEOMETRY_64.invalid))] = (
        GEOMETRY_64.invalid
    )
    return wide


def raw_list(pages: ListPages, fetch: Fetch, where: str, *, salvage: bool = False) -> RawList:
    """Put a list together.

    Args:
        pages: where its pages are.
        fetch: the content of a frame, None where the input has none.
        where: the list, for messages.
        salvage: take entries of absent pages as unknown instead of refusing the input.

    Returns:
        The map. It is held as words where most pages are private, as columns of runs where most are
        shared, so that memory follows the pages that the input has.

    Raises:
        InputError: a page is absent and `salvage` is not set.
    """
    frames, lost = pages.frames, []
    told = frames != np.uint64(GEOMETRY_64.invalid)
    unique, counts = np.unique(frames[told & pages.present], return_counts=True)
    recurring = unique[counts > 1].tolist()
    shared = [frame for frame in recurring if fetch(frame) == _ONES]
    identity, why = _identity_leaf(shared, pages.linear)
    codes = np.full(frames.size, _PRIVATE, np.int8)
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
    p2m = _build(pages, codes, fetch)
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


def _build(pages: ListPages, codes: NDArray[np.int8], fetch: Fetch) -> P2M:
    per = pages.geometry.entries
    private = int((codes == _PRIVATE).sum())
    if codes.size > _SHARED_PER_PRIVATE * private + _SMALL:
        table = _columns(pages, codes, fetch)
        return P2M(table, geometry=pages.geometry, beyond=Kind.UNKNOWN)
    words = np.empty(codes.size * per, np.uint64)
    for start, end, code in zip(*_stretches(codes), strict=True):
        part = words[start * per : end * per]
        if code == _PRIVATE:
            _fill(part, pages, start, end, fetch)
        elif code == _IDENTITY:
            part[:] = np.arange(start * per, end * per, dtype=np.uint64) | np.uint64(1 << 62)
        else:
            part[:] = UNKNOWN_WORD
    return P2M(words[: pages.entries], geometry=pages.geometry, beyond=Kind.UNKNOWN)


def _columns(pages: ListPages, codes: NDArray[np.int8], fetch: Fetch) -> RunTable:
    """The map as columns: of shared pages one row a stretch, however long."""
    per = pages.geometry.entries
    start, end, code = _stretches(codes)
    shared = code != _PRIVATE
    plain = np.zeros(int(shared.sum()), np.int64)
    tables = [RunTable(start[shared] * per, end[shared] * per, code[shared], plain, plain.astype(np.int8))]
    for first, last in zip(start[~shared].tolist(), end[~shared].tolist(), strict=True):
        words = np.empty((last - first) * per, np.uint64)
        _fill(words, pages, first, last, fetch)
        tables.append(table_of(words[: pages.entries - first * per], first * per))
    columns: list[NDArray[Any]] = [np.concatenate(column) for column in zip(*tables, strict=True)]
    order = np.argsort(columns[0], kind="stable")
    rows = RunTable(*(column[order] for column in columns))
    rows.end[-1] = min(int(rows.end[-1]), pages.entries)
    return join_plain(rows)


def join_plain(rows: RunTable) -> RunTable:
    """Neighbours of one kind without numbers (identity, missing, unknown) as one row. O(rows)."""
    if not rows.start.size:
        return rows
    same = (rows.kind[1:] == rows.kind[:-1]) & (rows.step[1:] == 0)
    first = np.append(True, ~same)
    last = np.append(~same, True)
    return RunTable(rows.start[first], rows.end[last], rows.kind[first], rows.mfn[first], rows.step[first])


def _stretches(
    codes: NDArray[np.int8],
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int8]]:
    """Start, end and code of the stretches of equal codes, in list pages."""
    edges = np.flatnonzero(np.diff(codes)) + 1
    start = np.append(0, edges)[: codes.size]
    return start, np.append(edges, codes.size)[: start.size], codes[start]


def _fill(part: NDArray[np.uint64], pages: ListPages, start: int, end: int, fetch: Fetch) -> None:
    per = pages.geometry.entries
    for number, frame in enumerate(pages.frames[start:end].tolist()):
        page = fetch(frame)
        assert page is not None
        part[number * per : (number + 1) * per] = words_of(page, pages.geometry)
