"""PAGE_DATA records in bulk: many small ones at once, the pages of large ones passed over.

A stream of single pages has a record every 4120 bytes. Records of equal size are found by looking at
the buffer with that stride; where sizes differ, headers are followed one by one and all else is done
for the whole buffer together.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import numpy as np

from xenp2m.frames import PAGE_SIZE
from xenp2m.sources.stream.events import Fault, Pages
from xenp2m.sources.stream.wire import CARRIES, RECORD_LIMIT, Rec, align8

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from numpy.typing import NDArray

    from xenp2m.sources.feed import Feed

    Want = Callable[[NDArray[np.uint64]], NDArray[np.bool_]]
    Found = Generator[Pages | Fault, None, int]

__all__ = ["page_data"]

_SMALL = 1 << 16
_BATCH = 1 << 14
_FEW = 8
_HEAD = struct.Struct("<IIII")


def page_data(feed: Feed, number: int, want: Want | None) -> Found:
    """Read the PAGE_DATA record at the feed's position, and others right behind it.

    Args:
        feed: at the header of a PAGE_DATA record.
        number: of that record.
        want: of PFN words, which pages to keep; None keeps none and reads none.

    Yields:
        Pages, and faults of their records. A record whose length does not fit its words is passed
    X
    """
    head = feed.peek(16)
    kind, length, count, reserved = _HEAD.unpack(head.tobytes()) if head.size == 16 else (0, 0, 0, 0)
    offset, where = feed.position, f"record {number} (PAGE_DATA)"
    fault = _fault_of_head(where, offset, length, count) if kind else None
    if fault or not kind:
        yield fault or truncated(feed, where, 16)
        whole = 8 + align8(length)
        return int(bool(kind) and feed.skip(whole) == whole)
    if reserved:
        yield Fault("stream-reserved", where, offset + 12, "0 in a reserved field", f"{reserved:#x}")
    if 8 + length <= _SMALL:
        return (yield from _small(feed, number, want))
    return (yield from _large(feed, number, count, length, want))


def _fault_of_head(where: str, offset: int, length: int, count: int) -> Fault | None:
    if length < 16 or length % 8:
        text = "at least 16 bytes, a multiple of 8"
        return Fault("stream-record-size", where, offset + 4, text, f"{length:#x}", fatal=True)
    if length > RECORD_LIMIT:
        text = f"at most {RECORD_LIMIT:#x} bytes"
        return Fault("stream-record-size", where, offset + 4, text, f"{length:#x}", fatal=True)
    if not 1 <= count <= (length - 8) // 8:
        text = f"1 to {(length - 8) // 8:#x} PFNs in {length:#x} bytes"
        return Fault("stream-page-count", where, offset + 8, text, f"{count:#x}", fatal=True)
    return None


def truncated(feed: Feed, where: str, needed: int) -> Fault:
    """The fault of an input that ends before `needed` bytes from the feed's position."""
    got = feed.peek(needed).size
    text = f"{needed:#x} bytes from {feed.position:#x} on"
    return Fault("stream-truncated", where, feed.position + got, text, "the end of the input", fatal=True)


def _small(feed: Feed, number: int, want: Want | None) -> Found:
    """Every whole small record in the buffer."""
    window = feed.window(8 + int(_HEAD.unpack(feed.peek(16).tobytes())[1]))
    base = feed.position
    starts, lengths, counts = _chain(window)
    if not starts.size:
        where = f"record {number} (PAGE_DATA)"
        yield truncated(feed, where, 8 + int(_HEAD.unpack(window[:16].tobytes())[1]))
        return 0
    used = int(starts[-1] + 8 + lengths[-1])
    words64 = window[: used - used % 8].view("<u8")
    first = np.concatenate(([0], np.cumsum(counts)[:-1]))
    index = np.repeat(starts // 8 + 2 - first, counts) + np.arange(int(counts.sum()))
    words = words64[index].astype(np.uint64, copy=False)
    carry = CARRIES[(words >> np.uint64(60)).view(np.int64)]
    places, needed = _places(carry, first, base + starts + 16 + 8 * counts, counts)
    fits = 8 + 8 * counts + PAGE_SIZE * needed == lengths
    kept = {}
    if want is not None:
        wanted = np.flatnonzero(want(words) & carry & np.repeat(fits, counts))
        for k in wanted.tolist():
            at = int(places[k]) - base
            kept[k] = window[at : at + PAGE_SIZE].tobytes()
    good = slice(None) if fits.all() else np.repeat(fits, counts)
    if not fits.all():
        kept = _renumbered(kept, np.repeat(fits, counts))
    yield Pages(number, base + starts[fits], counts[fits], words[good], places[good], kept)
    for k in np.flatnonzero(~fits).tolist():
        where = f"record {number + k} (PAGE_DATA)"
        yield _misfit(where, base + int(starts[k]), int(counts[k]), int(needed[k]), int(lengths[k]))
    feed.skip(used)
    return int(starts.size)


def _renumbered(kept: dict[int, bytes], good: NDArray[np.bool_]) -> dict[int, bytes]:
    position = np.cumsum(good) - 1
    return {int(position[k]): page for k, page in kept.items()}


def _misfit(where: str, offset: int, count: int, needed: int, length: int) -> Fault:
    fits = 8 + 8 * count + PAGE_SIZE * needed
    text = f"{fits:#x} bytes for {count} PFNs, {needed} of them with a page"
    return Fault("stream-record-size", where, offset + 4, text, f"{length:#x}", fatal=True)


def _places(
    carry: NDArray[np.bool_], first: NDArray[np.int64], data: NDArray[np.int64], counts: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Offset of every word's page, and the pages that each record needs."""
    running = np.cumsum(carry)
    before: NDArray[np.int64] = running - carry
    needed = np.add.reduceat(carry.astype(np.int64), first)
    places = np.repeat(data - PAGE_SIZE * before[first], counts) + PAGE_SIZE * before
    places[~carry] = -1
    return places, needed


def _chain(window: NDArray[np.uint8]) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Starts, lengths and counts of the whole, small records that `window` begins with."""
    length, count = _HEAD.unpack(window[:16].tobytes())[1:3]
    stride = 8 + length
    rows = window.size // stride
    if rows >= _FEW:
        heads = window[: rows * stride].reshape(rows, stride)[:, :16].view("<u8")
        same = (heads[:, 0] == heads[0, 0]) & (heads[:, 1] == heads[0, 1])
        alike = rows if same.all() else int(same.argmin())
        if alike >= _FEW:
            return np.arange(alike) * stride, np.full(alike, length), np.full(alike, count)
    return _chain_by_step(window.data)


def _chain_by_step(
    window: memoryview,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    unpack, size = _HEAD.unpack_from, len(window)
    starts: list[int] = []
    lengths: list[int] = []
    counts: list[int] = []
    at, page_data_type = 0, int(Rec.PAGE_DATA)
    while at + 24 <= size and len(starts) < _BATCH:
        kind, length, count, reserved = unpack(window, at)
        if kind != page_data_type or length > _SMALL or length & 7 or (reserved and starts):
            break
        after = at + 8 + length
        if after > size or not 0 < count <= (length - 8) >> 3:
            break
        starts.append(at)
        lengths.append(length)
        counts.append(count)
        at = after
    return np.array(starts, np.int64), np.array(lengths, np.int64), np.array(counts, np.int64)


def _large(feed: Feed, number: int, count: int, length: int, want: Want | None) -> Found:
    """One record, of which only the words and the wanted pages are read."""
    offset, where = feed.position, f"record {number} (PAGE_DATA)"
    head = feed.peek(16 + 8 * count)
    if head.size < 16 + 8 * count:
        yield truncated(feed, where, 16 + 8 * count)
        return 0
    words = head[16:].view("<u8").astype(np.uint64)
    carry = CARRIES[(words >> np.uint64(60)).view(np.int64)]
    counts, first = np.array([count]), np.array([0])
    places, needed = _places(carry, first, np.array([offset + 16 + 8 * count]), counts)
    end = offset + 8 + length
    if 8 + 8 * count + PAGE_SIZE * int(needed[0]) != length:
        yield _misfit(where, offset, count, int(needed[0]), length)
        return int(feed.skip(8 + length) == 8 + length)
    feed.skip(16 + 8 * count)
    kept: dict[int, bytes] = {}
    if want is not None:
        for k in np.flatnonzero(want(words) & carry).tolist():
            feed.skip(int(places[k]) - feed.position)
            if len(page := feed.take(PAGE_SIZE)) == PAGE_SIZE:
                kept[k] = page
    feed.skip(end - feed.position)
    whole = places + PAGE_SIZE <= feed.position
    if feed.position < end:
        words, places = words[whole], places[whole]
        counts, kept = np.array([words.size]), _renumbered(kept, whole)
    yield Pages(number, np.array([offset]), counts, words, places, kept)
    if feed.position < end:
        yield Fault(
            "stream-truncated",
            where,
            feed.position,
            f"{8 + length:#x} bytes from {offset:#x} on",
            "the end of the input",
            fatal=True,
        )
        return 0
    return 1
