"""A list's leaf pages read and put together: every entry, with the flags that tools drop.

Every page is read once, whatever names it; shared ones are told apart by their frame
(`xenp2m.sources.leafroles`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from xenp2m.entries import MISSING_WORD, joined_plain, joined_tables, table_of_parts, widened
from xenp2m.errors import InputError
from xenp2m.extents import Run
from xenp2m.frames import UNKNOWN_WORD, Geometry, Kind
from xenp2m.p2m import P2M
from xenp2m.runtable import RunTable
from xenp2m.sources.leafroles import roles_of
from xenp2m.sources.pagetable import ABSENT
from xenp2m.sources.source import Leaves

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from xenp2m.sources.leafroles import Roles, Views
    from xenp2m.sources.pagetable import Fetch

__all__ = ["LeafMap", "leaf_map", "words_of"]

_BATCH = 1 << 11
_FREE = 1 << 13
_MOST_WORDS = 1 << 25
_OWN, _IDENTITY, _MISSING, _UNKNOWN, _GONE = range(5)
_KINDS = (Kind.MFN, Kind.IDENTITY, Kind.MISSING, Kind.UNKNOWN, Kind.UNKNOWN)


@dataclass(frozen=True, slots=True)
class LeafMap:
    """A list, read.

    Attributes:
        p2m: the raw map; entries of leaves that could not be read are `Kind.UNKNOWN`.
        leaves: its pages, and which of them are shared.
        lost: pages that the list names and the input does not have, in one line.
        inferred: what was concluded, a line each.
    """

    p2m: P2M
    leaves: Leaves
    lost: tuple[str, ...] = ()
    inferred: tuple[str, ...] = ()


def words_of(pages: NDArray[np.uint8], geometry: Geometry) -> NDArray[np.uint64]:
    """Entries of leaf pages (a row each) as 64-bit words; of 32-bit guests the flags move up."""
    if geometry.word == 8:
        return pages.view("<u8").astype(np.uint64, copy=False)
    return widened(pages.view("<u4").astype(np.uint64))


def leaf_map(
    views: Views, fetch: Fetch, entries: int, geometry: Geometry, where: str, space: str = "mfn"
) -> LeafMap:
    """Read the leaves and put the map together.

    It is held as words where the leaves that are there justify the memory, and as runs where they do not or
    where the guest is larger than 128 GiB.

    Args:
        views: frames of the leaves, ``ceil(entries / geometry.entries)`` of them.
        fetch: reads pages.
        entries: PFNs of the map.
        geometry: the guest's.
        where: the list, for messages.
        space: ``mfn`` or ``pfn``: what the frames are.

    Raises:
        InputError: pages with content of their own recur so often that the map is of no sense.
    """
    roles = roles_of(views, fetch)
    codes = _codes(views, roles)
    own = int((codes == _OWN).sum())
    distinct = int(np.unique(views.frames[codes == _OWN]).size)
    if own > 4 * distinct + _FREE:
        raise InputError(where, "leaf pages of their own, or all ones", f"{distinct:,} pages {own:,} times")
    reader = _Reader(views.frames, codes, fetch, geometry)
    content: NDArray[np.uint64] | RunTable
    if codes.size <= min(2 * own + _FREE, _MOST_WORDS // geometry.entries):
        content = reader.words()[:entries]
    else:
        content = reader.runs().up_to(entries, Kind.UNKNOWN)
    p2m = P2M(content, geometry=geometry, beyond=Kind.IDENTITY if views.linear else Kind.UNKNOWN)
    leaves = Leaves(views.frames, space, roles.identity, roles.missing, roles.why)
    told = roles.identity is not None or roles.missing is not None or roles.unknown
    return LeafMap(
        p2m, leaves, _lost(reader.gone(), views.frames, geometry, space), (roles.why,) * bool(told)
    )


def _codes(views: Views, roles: Roles) -> NDArray[np.uint8]:
    """What every leaf is."""
    codes = np.zeros(views.frames.size, np.uint8)
    if views.present is not None:
        codes[~views.present] = _GONE
    codes[views.frames == ABSENT] = _UNKNOWN
    for frame, code in ((roles.identity, _IDENTITY), (roles.missing, _MISSING)):
        if frame is not None:
            codes[views.frames == np.uint64(frame)] = code
    codes[np.isin(views.frames, np.array(roles.unknown, np.uint64))] = _UNKNOWN
    return codes


def _lost(
    gone: NDArray[np.int64], frames: NDArray[np.uint64], geometry: Geometry, space: str
) -> tuple[str, ...]:
    if not gone.size:
        return ()
    first = int(gone[0])
    what = f"{gone.size:,} leaf pages of the list are" if gone.size > 1 else "1 leaf page of the list is"
    name = f"{space.upper()} {int(frames[first]):#x} for PFN {first * geometry.entries:#x} on"
    return (f"{what} not in the input, the first at {name}: the entries are unknown",)


class _Reader:
    """Makes words or runs of leaves, a batch at a time."""

    def __init__(
        self, frames: NDArray[np.uint64], codes: NDArray[np.uint8], fetch: Fetch, geometry: Geometry
    ) -> None:
        self._frames, self._codes, self._fetch, self._geometry = frames, codes, fetch, geometry
        self._gone: list[NDArray[np.int64]] = []

    def gone(self) -> NDArray[np.int64]:
        """Leaves that are named and cannot be read, ascending."""
        return np.sort(np.concatenate([np.flatnonzero(self._codes == _GONE), *self._gone]))

    def words(self) -> NDArray[np.uint64]:
        """The map as words."""
        words = np.empty((self._codes.size, self._geometry.entries), np.uint64)
        for low in range(0, self._codes.size, _BATCH):
            self._batch(words[low : low + _BATCH], low)
        return words.reshape(-1)

    def runs(self) -> RunTable:
        """The map as runs; long stretches of one shared page are not looked at entry by entry."""
        per = self._geometry.entries
        edges = np.concatenate(([0], np.flatnonzero(np.diff(self._codes)) + 1, [self._codes.size]))
        long = np.flatnonzero((np.diff(edges) >= _BATCH) & (self._codes[edges[:-1]] != _OWN))
        tables, at = [], 0
        for start, end in zip(edges[long].tolist(), edges[long + 1].tolist(), strict=True):
            tables.append(table_of_parts(self._parts(at, start), at * per))
            tables.append(RunTable.of([Run(start * per, end * per, _KINDS[self._codes[start]])]))
            at = end
        tables.append(table_of_parts(self._parts(at, self._codes.size), at * per))
        return joined_plain(joined_tables(tables))

    def _parts(self, start: int, end: int) -> Iterator[NDArray[np.uint64]]:
        """Words of the leaves ``[start, end)``, a batch at a time."""
        for low in range(start, end, _BATCH):
            rows = np.empty((min(_BATCH, end - low), self._geometry.entries), np.uint64)
            self._batch(rows, low)
            yield rows.reshape(-1)

    def _batch(self, rows: NDArray[np.uint64], first: int) -> None:
        codes = self._codes[first : first + len(rows)]
        own = np.flatnonzero(codes == _OWN)
        frames, back = np.unique(self._frames[first + own], return_inverse=True)
        if frames.size:
            pages, there = self._fetch(frames)
            # Rows of pages that are absent hold nothing that may be looked at.
            rows[own] = words_of(pages, self._geometry)[back]
            gone = own[~there[back]]
            rows[gone] = UNKNOWN_WORD
            if gone.size:
                self._gone.append(gone + first)
        rows[codes == _MISSING] = MISSING_WORD
        rows[codes >= _UNKNOWN] = UNKNOWN_WORD
        same = np.flatnonzero(codes == _IDENTITY)
        if same.size:
            per = np.uint64(self._geometry.entries)
            start = (same.astype(np.uint64) + np.uint64(first)) * per | np.uint64(1 << 62)
            rows[same] = start[:, None] + np.arange(self._geometry.entries, dtype=np.uint64)
