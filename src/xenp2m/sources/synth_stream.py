"""A map and a little memory written as a migration stream of any kind, without a Xen."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from xenp2m.frames import GEOMETRY_32, PAGE_SIZE, Kind
from xenp2m.sources.stream.contents import CONTEXT_SIZE
from xenp2m.sources.stream.wire import (
    CARRIES,
    DOMAIN_HEADER,
    IMAGE_HEADER,
    IMAGE_ID,
    IMAGE_MARKER,
    LIBXL_HEADER,
    LIBXL_MAGIC,
    RECORD_HEADER,
    XL_HEADER,
    XL_MAGIC,
    Libxl,
    PageType,
    Rec,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from xenp2m.p2m import P2M

__all__ = ["StreamSpec", "record", "stream_pieces", "synth_stream"]

_ZERO = bytes(PAGE_SIZE)
_ONES = b"\xff" * PAGE_SIZE


@dataclass(frozen=True, slots=True)
class StreamSpec:
    """What kind of stream to write.

    Attributes:
        version: 2 (Xen 4.6 to 4.13) or 3.
        wrapper: ``xl``, ``libxl``, or "" for libxc's layer alone.
        hvm: an HVM guest's: no list, no contexts of PV.
        xen: major and minor version; major 0 is a stream converted from a legacy one.
        batch: PFNs in a PAGE_DATA record.
        checkpoints: sets of records after the first one, each of which sends some pages again.
        linear: the guest publishes a linear list (``p2m_cr3``), not the tree alone.
        shared: list pages of identity entries alone are one page of all ones, as Linux has it.
        types: page types by PFN where they are not NOTAB, such as page tables.
        memory: contents by PFN; other pages are zero.
    """

    version: int = 3
    wrapper: str = "xl"
    hvm: bool = False
    xen: tuple[int, int] = (4, 17)
    batch: int = 1024
    checkpoints: int = 0
    linear: bool = True
    shared: bool = True
    types: Mapping[int, int] = field(default_factory=dict)
    memory: Mapping[int, bytes] = field(default_factory=dict)


def record(kind: int, body: bytes = b"") -> bytes:
    """A record: header, body, padding."""
    return RECORD_HEADER.pack(kind, len(body)) + body + bytes(-len(body) % 8)


def synth_stream(p2m: P2M, spec: StreamSpec | None = None) -> bytes:
    """A whole stream in memory; `stream_pieces` has it piece by piece.

    Raises:
        ValueError: the map has too few frames for its own list.
    """
    return b"".join(stream_pieces(p2m, spec))


def stream_pieces(p2m: P2M, spec: StreamSpec | None = None) -> Iterator[bytes]:
    """The stream of a paused guest with this map, in pieces of at most one record.

    Args:
        p2m: the guest's raw map. Its own list lies in the last frames it has.
        spec: what kind of stream; by default xl's of a PV guest.

    Raises:
        ValueError: the map has too few frames for its own list.
    """
    return _Writer(p2m, spec or StreamSpec()).pieces()


class _Writer:
    def __init__(self, p2m: P2M, spec: StreamSpec) -> None:
        self._p2m, self._spec = p2m, spec
        self._word = p2m.geometry.word
        self._kinds = _frame_pfns(p2m)
        self._pages = dict(spec.memory)
        self._special: list[int] = []
        self._leaves = np.empty(0, np.uint64) if spec.hvm else self._lay_list()

    def pieces(self) -> Iterator[bytes]:
        spec = self._spec
        if spec.wrapper == "xl":
            config = b'{"c_info": {"name": "made"}}\0'
            optional = struct.pack("<I", len(config)) + config
            yield XL_MAGIC + XL_HEADER.pack(0x01020304, 3, 0, len(optional)) + optional
        if spec.wrapper:
            yield LIBXL_HEADER.pack(LIBXL_MAGIC, 2, 2 if spec.xen[0] == 0 else 0)
            yield record(Libxl.LIBXC_CONTEXT)
        yield IMAGE_HEADER.pack(IMAGE_MARKER, IMAGE_ID, spec.version, 0, 0, 0)
        yield DOMAIN_HEADER.pack(2 if spec.hvm else 1, 12, 0, *spec.xen)
        yield from self._static()
        yield from self._page_data(self._all_words())
        yield from self._state()
        for _ in range(spec.checkpoints):
            yield record(Rec.CHECKPOINT)
            if spec.wrapper:
                yield record(Libxl.EMULATOR_XENSTORE_DATA, struct.pack("<II", 2, 0) + b"key\0value\0")
                yield record(Libxl.CHECKPOINT_END)
            yield from self._page_data(islice(self._all_words(), 1))
            yield from self._state()
        yield record(Rec.END)
        if spec.wrapper:
            yield record(Libxl.END)

    def _static(self) -> Iterator[bytes]:
        if not self._spec.hvm:
            levels = 3 if self._word == GEOMETRY_32.word else 4
            yield record(Rec.X86_PV_INFO, bytes([self._word, levels]) + bytes(6))
        if self._spec.version >= 3:
            yield record(Rec.X86_CPUID_POLICY, struct.pack("<6I", 0, 0xFFFFFFFF, 1, 0, 0, 0))
            yield record(Rec.X86_MSR_POLICY, struct.pack("<IIQ", 0xCE, 0, 0))
            yield record(Rec.STATIC_DATA_END)
        if not self._spec.hvm:
            head = struct.pack("<II", 0, len(self._p2m) - 1)
            yield record(Rec.X86_PV_P2M_FRAMES, head + self._leaves.astype("<u8").tobytes())

    def _state(self) -> Iterator[bytes]:
        yield record(Rec.X86_TSC_INFO, struct.pack("<IIQII", 0, 2_400_000, 1, 0, 0))
        if self._spec.hvm:
            yield record(Rec.HVM_CONTEXT, bytes(64))
            yield record(Rec.HVM_PARAMS, struct.pack("<IIQQ", 1, 0, 5, 9))
            return
        yield record(Rec.SHARED_INFO, self._shared_info())
        context = bytearray(CONTEXT_SIZE[self._word])
        start_info = self._special[0]
        if self._word == GEOMETRY_32.word:
            struct.pack_into("<I", context, 524, start_info)
            struct.pack_into("<I", context, 2728, start_info << 12 | start_info >> 20)
        else:
            struct.pack_into("<Q", context, 616, start_info)
            struct.pack_into("<Q", context, 5008, start_info << 12)
        yield record(Rec.X86_PV_VCPU_BASIC, struct.pack("<II", 0, 0) + bytes(context))

    def _shared_info(self) -> bytes:
        page = bytearray(PAGE_SIZE)
        code, at = ("I", 2316) if self._word == GEOMETRY_32.word else ("Q", 3088)
        cr3 = 0x1000 if self._spec.linear else 0
        vaddr = 1 << (8 * self._word - 1)
        struct.pack_into("<6" + code, page, at, len(self._p2m), 5, 0, cr3, cr3 and vaddr, 0)
        return bytes(page)

    def _lay_list(self) -> NDArray[np.uint64]:
        """Put the list into the guest's last frames; PFN of each of its pages."""
        per, geometry = self._p2m.geometry.entries, self._p2m.geometry
        free = iter(reversed(self._kinds.tolist()))
        leaves, one = [], -1
        try:
            self._special = [next(free) for _ in range(3)]
            for low in range(0, len(self._p2m), per):
                words = self._p2m.words(low, min(low + per, len(self._p2m)))
                ends = low + words.size
                identity = np.arange(low, ends, dtype=np.uint64) | np.uint64(1 << 62)
                if self._spec.shared and words.size == per and (words == identity).all():
                    if one < 0:
                        one = next(free)
                        self._pages[one] = _ONES
                    leaves.append(one)
                    continue
                leaves.append(next(free))
                page = np.full(per, (1 << 64) - 1, np.uint64)
                page[: words.size] = words
                self._pages[leaves[-1]] = _narrowed(page, geometry.word)
        except StopIteration:
            raise ValueError("expected a map with frames enough for its own list") from None
        self._pages.setdefault(self._special[0], self._start_info())
        return np.array(leaves, np.uint64)

    def _start_info(self) -> bytes:
        page = bytearray(PAGE_SIZE)
        code, store, console = ("I", 44, 52) if self._word == GEOMETRY_32.word else ("Q", 56, 72)
        struct.pack_into("<" + code, page, store, self._special[1])
        struct.pack_into("<" + code, page, console, self._special[2])
        return bytes(page)

    def _all_words(self) -> Iterator[NDArray[np.uint64]]:
        """PFN words of the whole map, a record's worth at a time."""
        step = self._spec.batch
        types_of_all = np.full(len(self._p2m), PageType.XTAB, np.uint64)
        types_of_all[self._kinds] = PageType.NOTAB
        for low in range(0, len(self._p2m), step):
            pfns = np.arange(low, min(low + step, len(self._p2m)), dtype=np.uint64)
            types = types_of_all[low : low + step].copy()
            for pfn, kind in self._spec.types.items():
                if low <= pfn < low + pfns.size:
                    types[pfn - low] = kind
            yield pfns | types << np.uint64(60)

    def _page_data(self, batches: Iterator[NDArray[np.uint64]]) -> Iterator[bytes]:
        for words in batches:
            carried = words[CARRIES[(words >> np.uint64(60)).astype(np.int64)]] & np.uint64((1 << 52) - 1)
            data = b"".join(self._pages.get(pfn, _ZERO) for pfn in carried.tolist())
            head = struct.pack("<II", words.size, 0) + words.astype("<u8").tobytes()
            yield record(Rec.PAGE_DATA, head + data)


def _frame_pfns(p2m: P2M) -> NDArray[np.uint64]:
    """PFNs with a frame of the guest's own, ascending."""
    parts = [np.arange(run.start, run.end, dtype=np.uint64) for run in p2m.extents() if run.kind is Kind.MFN]
    return np.concatenate([np.empty(0, np.uint64), *parts])


def _narrowed(words: NDArray[np.uint64], word: int) -> bytes:
    """A page of the list in the guest's own word size."""
    if word == 8:
        return words.astype("<u8").tobytes()
    flags = (words >> np.uint64(62)) << np.uint64(30)
    narrow = (words & np.uint64(0x3FFF_FFFF)) | flags
    return narrow.astype("<u4").tobytes()
