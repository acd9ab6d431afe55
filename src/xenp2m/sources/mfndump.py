"""What ``xen-mfndump dump-p2m`` and ``dump-m2p`` print: a guest's list, or the machine's way back.

The listing shows values. A list page of all ones is then missing entries or Linux' shared identity
page, and nothing in the text tells which. Source: tools/misc/xen-mfndump.c, Xen 4.3 to 4.20.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from xenp2m.entries import widened
from xenp2m.errors import InputError
from xenp2m.frames import GEOMETRY_32, GEOMETRY_64, UNKNOWN_WORD, Geometry, Kind
from xenp2m.p2m import P2M
from xenp2m.sources.feed import FileFeed, open_feed
from xenp2m.sources.hexcolumns import hex_columns
from xenp2m.sources.source import Guest, Origin, Source
from xenp2m.sources.stream.wire import PageType
from xenp2m.sources.textfeed import line_pieces

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from xenp2m.sources.feed import Feed

    Progress = Callable[[int, int | None], None]

__all__ = ["read", "sniff"]

_P2M = re.compile(rb"pfn=0x([0-9a-f]{1,16}) ==> mfn=0x([0-9a-f]{1,16}) \(type 0x([0-9a-f]{1,8})\)")
_M2P = re.compile(rb"mfn=0x([0-9a-f]{1,16}) ==> pfn=0x([0-9a-f]{1,16})")
_BEGIN = re.compile(rb"--- Dumping (P2M for domain \d{1,5}|M2P) ---")
_WIDTH = re.compile(rb"Guest Width: (\d{1,2}), PT Levels: \d{1,2} P2M size: = (\d{1,19})")
_MAX_MFN = re.compile(rb"Max MFN: (\d{1,19})")
_END = re.compile(rb"--- End of (P2M|M2P)")
_INVALID = np.uint64(GEOMETRY_64.invalid)
_SPARSE, _SMALL = 64, 1 << 16


def sniff(head: bytes) -> bool:
    """Whether `head` has a line of xen-mfndump."""
    return bool(_BEGIN.search(head) or _P2M.search(head) or _M2P.search(head))


def read(path: Path | str | Feed, *, salvage: bool = False, progress: Progress | None = None) -> Source:
    """Read a listing, whatever stands before and behind its lines.

    Args:
        path: a file, a FIFO, ``-`` for standard input, or a feed at its beginning.
        salvage: take a listing that breaks off.
        progress: called with bytes read and bytes in all (None of a pipe).

    Returns:
        Of ``dump-p2m`` the map, of ``dump-m2p`` a source whose `m2p` is filled and whose map is
        empty. List pages of all ones are unknown in `p2m` and missing in `listed`.

    Raises:
        InputError: no listing, two of them, or one that breaks off and `salvage` is not set.
    """
    with open_feed(path) as feed:
        listing = _Listing(feed.name)
        for piece in line_pieces(feed):
            listing.take(piece)
            if progress:
                progress(feed.position, feed.size)
        size = feed.size if isinstance(feed, FileFeed) else None
        return listing.source(size, salvage=salvage)


def _rows(piece: bytes, *, typed: bool) -> NDArray[np.uint64]:
    """The numbers of every line, all lines at once where nothing else stands between them."""
    before = (b"pfn=0x", b" ==> mfn=0x", b" (type 0x") if typed else (b"mfn=0x", b" ==> pfn=0x")
    found = hex_columns(piece, before)
    if found is None:
        rows = (_P2M if typed else _M2P).findall(piece)
        numbers = [[int(text, 16) for text in row] for row in rows]
        found = np.array(numbers, np.uint64).reshape(-1, len(before))
    return found


class _Listing:
    """What the lines so far say."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._what = ""
        self._ended = False
        self._geometry: Geometry = GEOMETRY_64
        self._size: int | None = None
        self._keys: list[NDArray[np.uint64]] = []
        self._values: list[NDArray[np.uint64]] = []
        self._types: list[NDArray[np.uint8]] = []

    def take(self, piece: bytes) -> None:
        for begin in _BEGIN.finditer(piece):
            if self._what:
                raise InputError(self._name, "one listing of xen-mfndump", "two of them")
            self._what = begin[1].decode()
        if head := _WIDTH.search(piece):
            if int(head[1]) not in (4, 8):
                raise InputError(self._name, "a guest width of 4 or 8", head[1].decode())
            self._geometry = GEOMETRY_32 if int(head[1]) == 4 else GEOMETRY_64
            self._size = int(head[2])
        elif top := _MAX_MFN.search(piece):
            self._size = int(top[1])
        self._ended |= bool(_END.search(piece))
        typed = b"type 0x" in piece
        rows = _rows(piece, typed=typed)
        if not rows.size:
            return
        if (typed == (self._what == "M2P") and self._what) or (self._keys and typed != bool(self._types)):
            raise InputError(self._name, "lines of one listing", "both of dump-p2m and of dump-m2p")
        self._keys.append(rows[:, 0].copy())
        self._values.append(rows[:, 1].copy())
        if typed:
            self._types.append((rows[:, 2] & np.uint64(15)).astype(np.uint8))

    def source(self, size: int | None, *, salvage: bool) -> Source:
        if not self._keys:
            raise InputError(self._name, "lines of xen-mfndump", "none")
        keys, values = np.concatenate(self._keys), np.concatenate(self._values)
        count = max(int(keys.max()) + 1, 0)
        if count > _SPARSE * keys.size + _SMALL:
            raise InputError(
                self._name, "a listing without large gaps", f"number {count - 1:#x} in {keys.size} lines"
            )
        lost = self._lost(keys, count)
        if lost and not salvage:
            raise InputError(self._name, "a whole listing", lost[0])
        kind = "P2M" if self._types else "M2P"
        origin = Origin(self._name, f"xen-mfndump listing, {kind}", size)
        if not self._types:
            m2p = np.full(count, _INVALID, np.uint64)
            m2p[keys.view(np.int64)] = values
            return Source(origin, Guest(), P2M([]), lost=lost, m2p=m2p)
        return self._p2m(origin, keys, values, count, lost)

    def _lost(self, keys: NDArray[np.uint64], count: int) -> tuple[str, ...]:
        seen = np.zeros(count, np.bool_)
        seen[keys.view(np.int64)] = True
        told = int(np.count_nonzero(seen))
        whole = self._size if self._size is not None else count
        if told < whole:
            return (f"{whole - told:,} of {whole:,} lines are absent",)
        if self._size is not None and not self._ended:
            return ("the last line of the listing is absent",)
        return ()

    def _p2m(
        self,
        origin: Origin,
        keys: NDArray[np.uint64],
        values: NDArray[np.uint64],
        count: int,
        lost: tuple[str, ...],
    ) -> Source:
        if self._geometry is GEOMETRY_32:
            values = widened(values)
        index = keys.view(np.int64)
        words = np.full(count, UNKNOWN_WORD, np.uint64)
        words[index] = values
        types = np.full(count, PageType.BROKEN, np.uint8)
        types[index] = np.concatenate(self._types)
        listed = np.where(types < PageType.BROKEN, words, np.uint64(UNKNOWN_WORD))
        listed[types == PageType.XTAB] = _INVALID
        inferred: tuple[str, ...] = ()
        per = self._geometry.entries
        starts = np.arange(0, count, per)
        ones = np.logical_and.reduceat(words == _INVALID, starts)
        if ones.any():
            words[np.repeat(ones, per)[:count]] = UNKNOWN_WORD
            inferred = (
                f"{int(ones.sum()):,} list pages are all ones: missing entries or a shared identity page, "
                "which a listing of values does not tell",
            )
        guest = Guest(geometry=self._geometry, max_pfn=self._size)
        p2m = P2M(words, geometry=self._geometry, beyond=Kind.UNKNOWN)
        told = P2M(listed, geometry=self._geometry, beyond=Kind.UNKNOWN)
        return Source(origin, guest, p2m, listed=told, lost=lost, inferred=inferred)
