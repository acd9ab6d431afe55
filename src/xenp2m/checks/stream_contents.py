"""A stream's map against its pages: the list, what the types say of it, page tables, special pages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from xenp2m.e820 import RAM
from xenp2m.extents import intersect
from xenp2m.frames import GEOMETRIES, UNKNOWN_WORD, Geometry, Kind, counted, pfn_down, pfn_up
from xenp2m.sources.stream.events import Fault
from xenp2m.sources.stream.leaves import listed_leaves
from xenp2m.sources.stream.wire import CARRIES, PageType

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from xenp2m.e820 import Entry
    from xenp2m.p2m import P2M
    from xenp2m.sources.source import Memory
    from xenp2m.sources.stream.contents import FrameList
    from xenp2m.sources.stream.index import PageIndex

    Found = Iterator[tuple[Fault, tuple[tuple[int, int], ...]]]

__all__ = ["MapFacts", "content_faults"]

_MOST_MFN = 1 << 40
_PTE_FRAME = np.uint64(0x000F_FFFF_FFFF_F000)
_SHOWN = 16


@dataclass(frozen=True, slots=True)
class MapFacts:
    """What a stream says of its map, besides its pages.

    Attributes:
        frames: the frame list.
        offset: of its record.
        index: types and pages by PFN.
        word: bytes of the guest's word.
        context: of vCPU 0.
        linear: whether the toolstack walked the linear list, None where nothing tells.
    """

    frames: FrameList
    offset: int
    index: PageIndex
    word: int
    context: bytes
    linear: bool | None

    @property
    def geometry(self) -> Geometry:
        """The guest's."""
        return GEOMETRIES[8 * self.word]


def content_faults(facts: MapFacts, memory: Memory, *, pages: bool, e820: Sequence[Entry]) -> Found:
    """What is wrong with the map.

    Args:
        facts: what the records say.
        memory: the pages.
        pages: read the list's pages and page tables; without it only types are looked at.
        e820: the guest's memory map, to hold identity entries against.
    """
    yield from _leaves(facts)
    yield from _untold(facts)
    yield from _special(facts, memory)
    if pages:
        yield from _map(facts, memory, e820)
        yield from _tables(facts, memory)


def _leaves(facts: MapFacts) -> Found:
    leaves = facts.frames.pages
    places, types = facts.index.places_of(leaves), facts.index.types_of(leaves)
    types[types < 0] = PageType.XTAB
    where = "record X86_PV_P2M_FRAMES"
    for code, bad, text in (
        ("stream-pfn-range", leaves > np.uint64(facts.frames.end), f"a PFN of at most {facts.frames.end:#x}"),
        ("stream-list-page", places < 0, "a list page with data"),
        ("stream-list-page-type", (places >= 0) & (types != PageType.NOTAB), "a list page of type 0"),
    ):
        for k in np.flatnonzero(bad)[: _SHOWN + 1].tolist():
            pfn = int(leaves[k])
            got = f"PFN {pfn:#x} of type {int(types[k])}"
            yield Fault(code, where, facts.offset + 16 + 8 * k, text, got), ((pfn, pfn + 1),)


def _untold(facts: MapFacts) -> Found:
    absent = facts.frames.end + 1 - facts.frames.start - facts.index.below(facts.frames.end + 1)
    if absent > 0:
        yield (
            Fault("stream-pfn-untold", "pages", 0, "a word for every PFN", f"none for {counted(absent)}"),
            (),
        )


def _special(facts: MapFacts, memory: Memory) -> Found:
    at, size = (616, 8) if facts.word == 8 else (524, 4)
    if len(facts.context) < at + size:
        return
    start_info = int.from_bytes(facts.context[at : at + size], "little")
    yield from _special_page(facts, start_info, "start info")
    page = memory.page(start_info)
    if page is None:
        return
    for name, offset in (("xenstore", 56 if size == 8 else 44), ("console", 72 if size == 8 else 52)):
        yield from _special_page(facts, int.from_bytes(page[offset : offset + size], "little"), name)


def _special_page(facts: MapFacts, pfn: int, name: str) -> Found:
    text, got = "", f"PFN {pfn:#x}"
    kind = int(facts.index.types_of(np.array([pfn], np.uint64))[0])
    if pfn > facts.frames.end:
        text = f"a PFN of at most {facts.frames.end:#x}"
    elif kind != PageType.NOTAB:
        text, got = "an ordinary page", f"{got}, " + ("never told" if kind < 0 else "of another type")
    if text:
        yield Fault("stream-special-page", f"{name} page", 0, text, got), ()


def _map(facts: MapFacts, memory: Memory, e820: Sequence[Entry]) -> Found:
    found = listed_leaves(facts.frames, facts.index, memory.pages, facts.geometry, "the stream", facts.linear)
    unknown = found.p2m.count()[Kind.UNKNOWN]
    if found.inferred and found.leaves.identity is None:
        yield Fault("stream-list-shared", "P2M list", facts.offset, "pages that tell", found.inferred[0]), ()
    yield from _agreement(facts, found.p2m)
    twice = found.p2m.duplicates(_SHOWN)
    if twice.total:
        got = f"{counted(twice.frames)} with {twice.total:,} PFNs, such as MFN {int(twice.mfns[0]):#x}"
        pfns = tuple((pfn, pfn + 1) for pfn in twice.pfns.tolist())
        yield Fault("stream-mfn-twice", "P2M list", facts.offset, "every frame once", got), pfns
    table = found.p2m.table().only(Kind.MFN)
    high = np.flatnonzero(table.mfn + np.where(table.step > 0, table.pages - 1, 0) >= _MOST_MFN)
    if high.size:
        first = int(table.start[high[0]])
        got = f"MFN {int(table.mfn[high[0]]):#x}, and {high.size - 1} more runs"
        text = f"MFNs below {_MOST_MFN:#x}"
        yield Fault("stream-mfn-range", "P2M list", facts.offset, text, got), ((first, first + 1),)
    if e820 and not unknown:
        yield from _against(facts, found.p2m, e820)


def _agreement(facts: MapFacts, p2m: P2M) -> Found:
    """Entries with a frame against words with a page, both ways."""
    totals, shown = [0, 0], [np.empty(0, np.uint64)] * 2
    for pfns, types in facts.index.blocks():
        inside = int(np.searchsorted(pfns, facts.frames.end, side="right"))
        data, words = CARRIES[types[:inside]], p2m.translate(pfns[:inside])
        framed = (words >> np.uint64(62)) == 0
        known = words != np.uint64(UNKNOWN_WORD)
        for way, bad in enumerate((known & framed & ~data, known & ~framed & data)):
            chosen = pfns[:inside][bad]
            totals[way] += int(chosen.size)
            shown[way] = np.concatenate((shown[way], chosen))[:_SHOWN]
    for total, some, text, got in zip(
        totals,
        shown,
        ("a page for every frame of the list", "a frame for every page of the stream"),
        ("none for", "none in the list for"),
        strict=True,
    ):
        if total:
            first = f"{got} {counted(total)}, the first PFN {int(some[0]):#x}"
            ranges = tuple((pfn, pfn + 1) for pfn in some.tolist())
            yield Fault("stream-map-disagrees", "P2M list", facts.offset, text, first), ranges


def _against(facts: MapFacts, p2m: P2M, e820: Sequence[Entry]) -> Found:
    ram = [(pfn_up(e.start), pfn_down(e.end)) for e in e820 if e.type == RAM]
    table = p2m.table().only(Kind.IDENTITY)
    identity = list(zip(table.start.tolist(), table.end.tolist(), strict=True))
    over = intersect(identity, [(low, high) for low, high in ram if low < high])
    if over:
        total = sum(high - low for low, high in over)
        got = f"{counted(total)}, the first PFN {over[0][0]:#x}"
        text = "identity entries outside RAM alone"
        yield Fault("stream-identity-map", "P2M list", facts.offset, text, got), tuple(over[:_SHOWN])


def _tables(facts: MapFacts, memory: Memory) -> Found:
    """Entries of page tables that are present and point beyond the list."""
    types, shown = facts.index.rows.type, 0
    tables = facts.index.pfns((types & 7 >= 1) & (types & 7 <= 4) & CARRIES[types])
    for pfn in tables.tolist():
        page = memory.page(pfn)
        if page is None:
            continue
        entries = np.frombuffer(page, "<u8")
        frames = (entries & _PTE_FRAME) >> np.uint64(12)
        bad = np.flatnonzero((entries & np.uint64(1) != 0) & (frames > np.uint64(facts.frames.end)))
        if bad.size:
            at = int(bad[0])
            where = f"page table PFN {pfn:#x}, entry {at}"
            text, got = f"a PFN of at most {facts.frames.end:#x}", f"{int(frames[at]):#x}"
            place = int(facts.index.places_of(np.array([pfn], np.uint64))[0])
            offset = max(place, 0) + 8 * at
            yield Fault("stream-pte-range", where, offset, text, got), ((pfn, pfn + 1),)
            shown += 1
            if shown > _SHOWN:
                return
