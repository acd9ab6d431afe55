"""From the frames of a list's leaf pages to the map: every leaf read once, shared ones told apart.

Linux lets whole leaves of identity, and of missing, entries be one page filled with all ones. Such a
page is known by its frame, which recurs, never by its content; which of the two it is shows where
the two views of one list differ, and in what lies behind its end.

Source: ``xen_rebuild_p2m_list``, ``xen_build_mfn_list_list`` and ``get_phys_to_machine``,
arch/x86/xen/p2m.c, Linux 3.19 to 7.3.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from xenp2m.entries import MISSING_WORD, joined_tables, table_of
from xenp2m.errors import InputError
from xenp2m.extents import Run
from xenp2m.frames import GEOMETRY_32, UNKNOWN_WORD, Geometry, Kind
from xenp2m.p2m import P2M
from xenp2m.runtable import RunTable
from xenp2m.sources.pagetable import ABSENT

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from xenp2m.sources.pagetable import Fetch

__all__ = ["LeafMap", "Roles", "Views", "leaf_map", "roles_of", "widened"]

_BATCH = 1 << 11
_FREE = 1 << 13
_OWN, _IDENTITY, _MISSING, _UNKNOWN = range(4)
_KINDS = (Kind.MFN, Kind.IDENTITY, Kind.MISSING, Kind.UNKNOWN)


@dataclass(frozen=True, slots=True)
class Views:
    """What is known of a list's leaf pages before they are read.

    Attributes:
        frames: frame of every leaf, `ABSENT` where there is none.
        linear: `frames` come from the page tables of the linear list.
        tree: the same leaves as the tree of frame lists has them, where both views exist.
        behind: frame of the leaf behind the last one of a linear list, where there is one.
        empty_mid: frame that fills a mid page of the tree which stands there more than once.
    """

    frames: NDArray[np.uint64]
    linear: bool
    tree: NDArray[np.uint64] | None = None
    behind: int | None = None
    empty_mid: int | None = None


@dataclass(frozen=True, slots=True)
class Roles:
    """Which shared page is which.

    Attributes:
        identity: frame of the shared identity page, None where nothing shows it.
        missing: frame of the shared missing page, likewise.
        unknown: other frames that recur, all ones: identity or missing.
        why: one line.
    """

    identity: int | None = None
    missing: int | None = None
    unknown: tuple[int, ...] = ()
    why: str = "every leaf page is private"


@dataclass(frozen=True, slots=True)
class LeafMap:
    """The map, and the leaves that could not be read.

    Attributes:
        p2m: entries of leaves that could not be read are `Kind.UNKNOWN`.
        uncarried: indices of leaves that the list names and `fetch` did not have.
    """

    p2m: P2M
    uncarried: NDArray[np.int64]


def widened(pages: NDArray[np.uint8], geometry: Geometry) -> NDArray[np.uint64]:
    """Entries of leaf pages (a row each) as 64-bit words; of 32-bit guests the flags move up."""
    if geometry.word == 8:
        return pages.view("<u8").astype(np.uint64, copy=False)
    narrow = pages.view("<u4").astype(np.uint64)
    flags = narrow >> np.uint64(30)
    wide = (narrow & np.uint64(0x3FFF_FFFF)) | (flags << np.uint64(62))
    wide[narrow == np.uint64(GEOMETRY_32.invalid)] = MISSING_WORD
    return wide


def roles_of(views: Views, fetch: Fetch) -> Roles:
    """Tell the shared pages of a list apart.

    In a linear list the page that the tree replaces by another is identity, and the other is missing
    (the tree knows only ``p2m_missing``); what lies behind the end is identity. In a tree the page
    that fills a recurring mid page is missing. Anything else stays open.
    """
    told = views.frames[views.frames != ABSENT]
    if views.behind is not None:
        told = np.concatenate((told, np.array([views.behind], np.uint64)))
    unique, counts = np.unique(told, return_counts=True)
    recurring = unique[counts > 1]
    if not recurring.size:
        return Roles()
    pages, there = fetch(recurring)
    shared = set(recurring[there & (pages == 0xFF).all(axis=1)].tolist())
    if not shared:
        return Roles()
    identity, missing, why = _evidence(views, shared)
    rest = shared - {identity, missing}
    if identity is not None and missing is None and len(rest) == 1:
        missing, rest = rest.pop(), set()
        why += f"; {missing:#x} is the other shared page"
    if rest:
        names = ", ".join(f"{frame:#x}" for frame in sorted(rest)[:4])
        why = f"{why + '; ' if why else ''}{names} recur, all ones: identity or missing, nothing shows which"
    return Roles(identity, missing, tuple(sorted(rest)), why)


def _evidence(views: Views, shared: set[int]) -> tuple[int | None, int | None, str]:
    identity = missing = None
    why = []
    if views.tree is not None:
        differ = (views.frames != views.tree) & (views.frames != ABSENT) & (views.tree != ABSENT)
        ours, theirs = set(views.frames[differ].tolist()), set(views.tree[differ].tolist())
        if len(ours) == len(theirs) == 1 and ours <= shared:
            identity, missing = ours.pop(), theirs.pop()
            why.append(f"leaf {identity:#x} stands in the linear list where the tree has {missing:#x}")
    if views.behind in shared and identity in (None, views.behind):
        identity = views.behind
        why.append(f"leaf {identity:#x} goes on behind the end of the list, where all is identity")
    if views.empty_mid in shared and identity != views.empty_mid:
        missing = views.empty_mid
        why.append(f"leaf {missing:#x} fills the tree's empty mid page")
    return identity, missing, "; ".join(why)


def leaf_map(
    views: Views, roles: Roles, fetch: Fetch, entries: int, geometry: Geometry, where: str
) -> LeafMap:
    """Read the leaves and put the map together.

    It is held as words where the leaves that are there justify the memory, else as runs.

    Args:
        views: frames of the leaves, ``ceil(entries / geometry.entries)`` of them.
        roles: of the shared ones.
        fetch: reads pages.
        entries: PFNs of the map.
        geometry: the guest's.
        where: the list, for messages.

    Raises:
        InputError: pages with content of their own recur so often that the map is of no sense.
    """
    codes = np.zeros(views.frames.size, np.uint8)
    codes[views.frames == ABSENT] = _UNKNOWN
    for frame, code in ((roles.identity, _IDENTITY), (roles.missing, _MISSING)):
        if frame is not None:
            codes[views.frames == np.uint64(frame)] = code
    codes[np.isin(views.frames, np.array(roles.unknown, np.uint64))] = _UNKNOWN
    own = int((codes == _OWN).sum())
    distinct = int(np.unique(views.frames[codes == _OWN]).size)
    if own > 4 * distinct + _FREE:
        raise InputError(where, "leaf pages of their own, or all ones", f"{distinct:,} pages {own:,} times")
    beyond = Kind.IDENTITY if views.linear else Kind.UNKNOWN
    reader = _Reader(views.frames, codes, fetch, geometry)
    if codes.size <= 2 * own + _FREE:
        words = np.empty(codes.size * geometry.entries, np.uint64)
        reader.fill(words, 0)
        return LeafMap(P2M(words[:entries], geometry=geometry, beyond=beyond), reader.uncarried())
    return LeafMap(P2M(reader.runs(entries), geometry=geometry, beyond=beyond), reader.uncarried())


class _Reader:
    """Fills stretches of words from leaves, a batch at a time."""

    def __init__(
        self, frames: NDArray[np.uint64], codes: NDArray[np.uint8], fetch: Fetch, geometry: Geometry
    ) -> None:
        self._frames, self._codes, self._fetch, self._geometry = frames, codes, fetch, geometry
        self._gone: list[NDArray[np.int64]] = []

    def uncarried(self) -> NDArray[np.int64]:
        return np.concatenate(self._gone) if self._gone else np.zeros(0, np.int64)

    def fill(self, words: NDArray[np.uint64], first: int) -> None:
        """Words of the leaves from `first` on."""
        per = self._geometry.entries
        for low in range(0, words.size // per, _BATCH):
            rows = words[low * per : (low + _BATCH) * per].reshape(-1, per)
            self._batch(rows, first + low)

    def _batch(self, rows: NDArray[np.uint64], first: int) -> None:
        codes = self._codes[first : first + len(rows)]
        own = np.flatnonzero(codes == _OWN)
        frames, back = np.unique(self._frames[first + own], return_inverse=True)
        if frames.size:
            pages, there = self._fetch(frames)
            # Rows of pages that are absent hold nothing that may be looked at.
            rows[own] = widened(pages, self._geometry)[back]
            gone = own[~there[back]]
            rows[gone] = UNKNOWN_WORD
            if gone.size:
                self._gone.append(gone + first)
        rows[codes == _MISSING] = MISSING_WORD
        rows[codes == _UNKNOWN] = UNKNOWN_WORD
        same = np.flatnonzero(codes == _IDENTITY)
        if same.size:
            per = np.uint64(self._geometry.entries)
            start = (same.astype(np.uint64) + np.uint64(first)) * per | np.uint64(1 << 62)
            rows[same] = start[:, None] + np.arange(self._geometry.entries, dtype=np.uint64)

    def runs(self, entries: int) -> RunTable:
        """The map as runs: leaves in a row with the same role are one."""
        per = self._geometry.entries
        edges = [0, *(np.flatnonzero(np.diff(self._codes)) + 1).tolist(), int(self._codes.size)]
        tables = []
        for start, end in pairwise(edges):
            code, stop = int(self._codes[start]), min(end * per, entries)
            if code != _OWN:
                tables.append(RunTable.of([Run(start * per, stop, _KINDS[code])]))
                continue
            words = np.empty((end - start) * per, np.uint64)
            self.fill(words, start)
            tables.append(table_of(words[: stop - start * per], start * per))
        return _joined(joined_tables(tables))


def _joined(table: RunTable) -> RunTable:
    """Join neighbours of a kind without numbers."""
    if not table.start.size:
        return table
    same = (table.kind[1:] == table.kind[:-1]) & (table.step[1:] == 0) & (table.step[:-1] == 0)
    first = np.concatenate(([True], ~same))
    last = np.concatenate((~same, [True]))
    return RunTable(
        table.start[first], table.end[last], table.kind[first], table.mfn[first], table.step[first]
    )
