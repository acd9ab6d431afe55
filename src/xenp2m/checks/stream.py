"""A migration stream checked strictly: what the restoring side checks, and what it does not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from xenp2m.checks.stream_contents import MapFacts, content_faults
from xenp2m.checks.stream_records import record_faults
from xenp2m.frames import GEOMETRIES
from xenp2m.sources.feed import FileFeed, open_feed
from xenp2m.sources.stream.contents import frame_list, is_linear, pv_info, shared_info
from xenp2m.sources.stream.events import Fault, Header, Pages, Record
from xenp2m.sources.stream.faults import finding_of
from xenp2m.sources.stream.index import PageIndex
from xenp2m.sources.stream.memory import FileMemory, KeptMemory
from xenp2m.sources.stream.walk import Walk
from xenp2m.sources.stream.wire import (
    DOMAIN_HEADER,
    DOMAIN_TYPES,
    IMAGE_HEADER,
    PFN_MASK,
    RESERVED_MASK,
    Rec,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from xenp2m.e820 import Entry
    from xenp2m.findings import Finding
    from xenp2m.sources.feed import Feed
    from xenp2m.sources.stream.contents import FrameList
    from xenp2m.sources.stream.events import Event

    Progress = Callable[[int, int | None], None]

__all__ = ["check_stream"]

_SHOWN = 16
_STEP = 1 << 26
_NEEDED = {
    "PV": (Rec.X86_PV_INFO, Rec.X86_PV_P2M_FRAMES, Rec.SHARED_INFO, Rec.X86_PV_VCPU_BASIC),
    "HVM": (Rec.HVM_CONTEXT, Rec.HVM_PARAMS),
}


def check_stream(
    path: Path | str | Feed,
    *,
    contents: bool = True,
    e820: Sequence[Entry] = (),
    progress: Progress | None = None,
) -> list[Finding]:
    """Check a stream, going on behind whatever is wrong as far as lengths can be believed.

    Args:
        path: a file, a FIFO, ``-`` for standard input, or a feed at its beginning.
        contents: also read the pages of the P2M list and page tables; without them no page is read.
        e820: the guest's memory map, to hold identity entries against.
        progress: called with bytes passed and bytes in all (None of a pipe), every 64 MiB.

    Returns:
        Findings in the order of the stream, errors first; each with record, offset, what was expected
        and what was got. Of one code at most sixteen, and the number of the rest.

    Raises:
        InputError: no migration stream at all.
    """
    with open_feed(path) as feed:
        state = _State(feed, contents=contents, e820=e820)
        file = isinstance(feed, FileFeed)
        walk = Walk(feed, want=state.wanted if contents and not file else None, trailing=True)
        shown = 0
        for event in walk.events():
            state.take(event)
            if progress and feed.position - shown >= _STEP:
                shown = feed.position
                progress(shown, feed.size)
        state.finish(complete=walk.complete)
        return _findings(state.faults)


def _findings(faults: list[tuple[Fault, tuple[tuple[int, int], ...]]]) -> list[Finding]:
    shown: dict[str, int] = {}
    found = []
    for fault, pfns in faults:
        shown[fault.code] = shown.get(fault.code, 0) + 1
        if shown[fault.code] <= _SHOWN:
            found.append(finding_of(fault, pfns))
    for code, count in shown.items():
        if count > _SHOWN:
            rest = Fault(code, "elsewhere", 0, "none of these", f"{count - _SHOWN:,} more")
            found.append(finding_of(rest))
    return sorted(found, key=lambda finding: -finding.severity)


class _State:
    """What the stream has said so far."""

    def __init__(self, feed: Feed, *, contents: bool, e820: Sequence[Entry]) -> None:
        self.faults: list[tuple[Fault, tuple[tuple[int, int], ...]]] = []
        self._feed, self._contents, self._e820 = feed, contents, e820
        self._index = PageIndex()
        self._kept: dict[int, bytes] = {}
        self._version = 3
        self._domain = "PV"
        self._seen: dict[int, int] = {}
        self._word = 8
        self._list: FrameList | None = None
        self._list_at = 0
        self._leaves: NDArray[np.uint64] = np.empty(0, np.uint64)
        self._context = b""
        self._shared = b""
        self._verify = self._early = False
        self._xen = (0, 0)

    def wanted(self, words: NDArray[np.uint64]) -> NDArray[np.bool_]:
        """Of a pipe: pages of the list, and page tables."""
        kinds = (words >> np.uint64(60)) & np.uint64(7)
        return ((kinds >= 1) & (kinds <= 4)) | np.isin(words & np.uint64(PFN_MASK), self._leaves)

    def take(self, event: Event) -> None:
        if isinstance(event, Pages):
            self._pages(event)
        elif isinstance(event, Record):
            self._record(event)
        elif isinstance(event, Fault):
            self._add(event)
        else:
            self._header(event)

    def _add(self, fault: Fault, pfns: tuple[tuple[int, int], ...] = ()) -> None:
        self.faults.append((fault, pfns))

    def _header(self, header: Header) -> None:
        if header.layer == "image":
            self._version = IMAGE_HEADER.unpack(header.data)[2]
        elif header.layer == "domain":
            kind, _, _, *xen = DOMAIN_HEADER.unpack(header.data)
            self._domain = DOMAIN_TYPES.get(kind, self._domain)
            self._xen = (xen[0], xen[1])

    def _record(self, record: Record) -> None:
        if record.layer != "libxc":
            return
        for fault in record_faults(record, self._domain, self._version, self._word, self._seen):
            self._add(fault)
        self._seen[record.type] = self._seen.get(record.type, 0) + 1
        body = record.body or b""
        if record.type == Rec.X86_PV_INFO and (told := pv_info(body)) and told[0] in (4, 8):
            self._word = told[0]
        elif record.type == Rec.X86_PV_P2M_FRAMES:
            self._frames(record, body)
        elif record.type == Rec.X86_PV_VCPU_BASIC and body[:4] == bytes(4):
            self._context = body[8:]
        elif record.type == Rec.SHARED_INFO:
            self._shared = body
        self._verify |= record.type == Rec.VERIFY

    def _frames(self, record: Record, body: bytes) -> None:
        frames = frame_list(body)
        where = f"record {record.number} ({record.name})"
        geometry = GEOMETRIES[8 * self._word]
        if frames and frames.start <= frames.end and frames.expected(geometry) == frames.pages.size:
            self._list, self._list_at = frames, record.offset
            self._leaves = np.unique(frames.pages)
            return
        text, got = "a start, an end and pages", f"{len(body):#x} bytes"
        if frames and frames.start > frames.end:
            text, got = f"an end not below the start {frames.start:#x}", f"{frames.end:#x}"
        elif frames:
            needed = frames.expected(geometry)
            text = f"{needed:#x} pages for PFNs {frames.start:#x} to {frames.end:#x}"
            got = f"{frames.pages.size:#x}"
        self._add(Fault("stream-frame-list", where, record.offset + 8, text, got))

    def _pages(self, pages: Pages) -> None:
        if not self._early and (need := self._missing_before()):
            self._early = True
            where = f"record {pages.number} (PAGE_DATA)"
            self._add(Fault("stream-order", where, int(pages.offsets[0]), f"{need} before it", "none"))
        # Most words are plain PFNs of ordinary pages: the largest one tells that all are.
        top = int(pages.words.max()) if pages.words.size else 0
        if top > PFN_MASK or (self._list is not None and top > self._list.end):
            self._odd_words(pages)
        if not self._verify:
            self._index.add(pages)
            for position, page in pages.kept.items():
                self._kept[int(pages.words[position]) & PFN_MASK] = page

    def _odd_words(self, pages: Pages) -> None:
        types = pages.words >> np.uint64(60)
        bad = (types >= 5) & (types <= 8) | ((pages.words & np.uint64(RESERVED_MASK)) != 0)
        if bad.any():
            text = "a type of 0 to 4 or 9 to 15, bits 52 to 59 zero"
            self._words("stream-page-type", pages, np.flatnonzero(bad), text)
        if self._list is not None:
            beyond = (pages.words & np.uint64(PFN_MASK)) > np.uint64(self._list.end)
            if beyond.any():
                text = f"a PFN of at most {self._list.end:#x}"
                self._words("stream-pfn-range", pages, np.flatnonzero(beyond), text)

    def _missing_before(self) -> str:
        if self._version >= 3 and Rec.STATIC_DATA_END not in self._seen:
            return "STATIC_DATA_END"
        return "X86_PV_P2M_FRAMES" if self._domain == "PV" and Rec.X86_PV_P2M_FRAMES not in self._seen else ""

    def _words(self, code: str, pages: Pages, chosen: NDArray[np.int64], expected: str) -> None:
        ends = np.cumsum(pages.counts)
        for k in chosen[: _SHOWN + 1].tolist():
            row = int(np.searchsorted(ends, k, side="right"))
            offset = int(pages.offsets[row]) + 16 + 8 * (k - int(ends[row] - pages.counts[row]))
            where = f"record {pages.number + row} (PAGE_DATA)"
            self._add(Fault(code, where, offset, expected, f"{int(pages.words[k]):#x}"))

    def finish(self, *, complete: bool) -> None:
        """What only the end of the stream shows."""
        end = self._feed.position
        if complete:
            for kind in _NEEDED[self._domain]:
                if kind not in self._seen:
                    self._add(Fault("stream-absent", "stream", end, f"a record {kind.name}", "none"))
            if self._version >= 3 and Rec.STATIC_DATA_END not in self._seen and not self._early:
                self._add(Fault("stream-absent", "stream", end, "a record STATIC_DATA_END", "none"))
        again = self._index.told - self._index.below(PFN_MASK + 1)
        if again:
            got = f"{again:,} PFN words for PFNs told before"
            self._add(Fault("stream-pfn-again", "pages", end, "every PFN once", got))
        if self._list is None or self._domain != "PV":
            return
        memory: FileMemory | KeptMemory = KeptMemory(self._kept)
        if isinstance(self._feed, FileFeed):
            memory = FileMemory(self._feed.binary, self._index)
        linear = is_linear(shared_info(self._shared, self._word), self._xen)
        facts = MapFacts(self._list, self._list_at, self._index, self._word, self._context, linear)
        for fault, pfns in content_faults(facts, memory, pages=self._contents, e820=self._e820):
            self._add(fault, pfns)
