"""A migration stream as a `Source`: the raw P2M from the list's own pages, and the guest's memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from xenp2m.errors import InputError, UnsupportedError
from xenp2m.extents import Run
from xenp2m.frames import GEOMETRIES, Kind
from xenp2m.p2m import P2M
from xenp2m.sources.feed import FileFeed, open_feed
from xenp2m.sources.source import Guest, Origin, Source
from xenp2m.sources.stream.contents import cr3_of, frame_list, is_linear, pv_info, shared_info
from xenp2m.sources.stream.events import Event, Fault, Header, Pages, Record
from xenp2m.sources.stream.faults import finding_of
from xenp2m.sources.stream.index import PageIndex
from xenp2m.sources.stream.leaves import listed_leaves
from xenp2m.sources.stream.legacy import legacy_kind
from xenp2m.sources.stream.listed import listed_map
from xenp2m.sources.stream.memory import FileMemory, KeptMemory
from xenp2m.sources.stream.walk import Walk
from xenp2m.sources.stream.wire import (
    DOMAIN_HEADER,
    DOMAIN_TYPES,
    IMAGE_HEADER,
    LIBXL_HEADER,
    LIBXL_MAGIC,
    PFN_MASK,
    XL_MAGIC,
    Rec,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from xenp2m.findings import Finding
    from xenp2m.sources.feed import Feed
    from xenp2m.sources.leafmap import LeafMap
    from xenp2m.sources.pagetable import Fetch
    from xenp2m.sources.stream.contents import FrameList, SharedInfo

    Progress = Callable[[int, int | None], None]

__all__ = ["read", "sniff"]

_STEP = 1 << 26


def sniff(head: bytes) -> bool:
    """Whether an input that begins with `head` (32 bytes or more) is a stream this can read."""
    return head.startswith((XL_MAGIC, LIBXL_MAGIC.to_bytes(8, "big"), b"\xff" * 8 + b"XENF"))


def read(path: Path | str | Feed, *, salvage: bool = False, progress: Progress | None = None) -> Source:
    """Read a migration stream.

    Args:
        path: a file, a FIFO, ``-`` for standard input, or a feed at its beginning. Of a file no page
            is read that is not asked for; of a pipe only the list's pages and page tables are kept.
        salvage: take what a damaged stream still tells; what it does not is in `Source.lost`.
        progress: called with bytes passed and bytes in all (None of a pipe), every 64 MiB.

    Returns:
        The map. Of an HVM guest it is unknown: its P2M is Xen's and not in the stream.

    Raises:
        UnsupportedError: a stream of before Xen 4.6.
        InputError: no stream, or a damaged one and `salvage` is not set.
    """
    with open_feed(path) as feed:
        if kind := legacy_kind(feed.peek(32).tobytes()):
            raise UnsupportedError(feed.name, "a migration stream of Xen 4.6 or later", kind)
        gather = _Gather(feed, salvage=salvage)
        shown = 0
        for event in Walk(feed, want=None if isinstance(feed, FileFeed) else gather.wanted).events():
            gather.take(event)
            if progress and feed.position - shown >= _STEP:
                shown = feed.position
                progress(shown, feed.size)
        source = gather.source()
        if isinstance(feed, FileFeed):
            feed.keep = True
        return source


class _Gather:
    """What a walk has met so far."""

    def __init__(self, feed: Feed, *, salvage: bool) -> None:
        self._feed = feed
        self._salvage = salvage
        self._index = PageIndex()
        self._kept: dict[int, bytes] = {}
        self._list: FrameList | None = None
        self._list_pages: NDArray[np.uint64] = np.empty(0, np.uint64)
        self._bodies: list[Record] = []
        self._word = 8
        self._told = False
        self._verify = False
        self._lost: list[str] = []
        self._findings: list[Finding] = []
        self._layers: list[str] = []
        self._facts: dict[str, Any] = {}

    def wanted(self, words: NDArray[np.uint64]) -> NDArray[np.bool_]:
        """Pages of the list, and page tables."""
        kinds = (words >> np.uint64(60)) & np.uint64(7)
        listed = np.isin(words & np.uint64(PFN_MASK), self._list_pages)
        return ((kinds >= 1) & (kinds <= 4)) | listed

    def take(self, event: Event) -> None:
        if isinstance(event, Pages):
            if not self._verify:
                self._index.add(event)
                for position, page in event.kept.items():
                    self._kept[int(event.words[position]) & PFN_MASK] = page
        elif isinstance(event, Record):
            if event.layer == "libxc":
                self._record(event)
        elif isinstance(event, Header):
            self._header(event)
        elif not event.fatal:
            self._findings.append(finding_of(event))
        else:
            self._bad(event)

    def _bad(self, fault: Fault) -> None:
        where = f"{self._feed.at(fault.offset)}: {fault.where}"
        error = InputError(where, fault.expected, fault.got)
        if not self._salvage or not self._told:
            raise error
        self._lost.append(str(error).removeprefix(f"{self._feed.name}: "))

    def _header(self, header: Header) -> None:
        self._layers.append(header.layer)
        if header.layer == "image":
            self._facts["version"] = IMAGE_HEADER.unpack(header.data)[2]
        elif header.layer == "libxl":
            self._facts["converted"] = bool(LIBXL_HEADER.unpack(header.data)[2] & 2)
        elif header.layer == "domain":
            kind, _, _, major, minor = DOMAIN_HEADER.unpack(header.data)
            self._facts.update(domain=DOMAIN_TYPES.get(kind, ""), xen=(major, minor))
            self._told = True

    def _record(self, record: Record) -> None:
        body = record.body if record.body is not None else b""
        if record.type == Rec.X86_PV_INFO:
            told = pv_info(body)
            if told is None or told[0] not in (4, 8):
                self._bad(self._fault(record, "a guest width of 4 or 8", str(told and told[0])))
            else:
                self._word = told[0]
                self._facts["width"] = told[0]
        elif record.type == Rec.X86_PV_P2M_FRAMES:
            self._frames(record, body)
        elif record.type in (Rec.SHARED_INFO, Rec.X86_PV_VCPU_BASIC):
            self._bodies.append(record)
        elif record.type == Rec.VERIFY:
            self._verify = True

    def _frames(self, record: Record, body: bytes) -> None:
        frames = frame_list(body)
        if "width" not in self._facts:
            self._bad(self._fault(record, "X86_PV_INFO before it", "none"))
            return
        needed = frames.expected(GEOMETRIES[8 * self._word]) if frames else 0
        if frames is None or frames.start > frames.end or needed != frames.pages.size:
            got = f"{len(body):#x} bytes"
            text = "a frame list as long as its range needs"
            if frames:
                got += f" for PFNs {frames.start:#x} to {frames.end:#x}"
            self._bad(self._fault(record, text, got))
            return
        if self._index.told and not isinstance(self._feed, FileFeed):
            text = "X86_PV_P2M_FRAMES before the pages (a file can be read that has it later)"
            self._bad(self._fault(record, text, "pages first, through a pipe"))
        self._list, self._list_pages = frames, np.unique(frames.pages)

    def _fault(self, record: Record, expected: str, got: str) -> Fault:
        where = f"record {record.number} ({record.name})"
        return Fault("stream-record-size", where, record.offset, expected, got, fatal=True)

    def source(self) -> Source:
        """Everything put together."""
        feed, index = self._feed, self._index
        if not self._told:
            raise InputError(feed.name, "the memory of a guest (libxc's layer) in the stream", "none")
        file = isinstance(feed, FileFeed)
        memory: FileMemory | KeptMemory
        if isinstance(feed, FileFeed):
            memory = FileMemory(feed.binary, index)
        else:
            places = index.places_of(np.array([*self._kept], np.uint64)).tolist()
            with_page = zip(self._kept.items(), places, strict=True)
            memory = KeptMemory({pfn: page for (pfn, page), place in with_page if place >= 0})
        guest = self._guest()
        found = self._map(memory.pages, guest)
        top = int(index.rows.end[-1]) if index.told else 0
        unknown = [Run(0, top, Kind.UNKNOWN)] if top else []
        p2m = found.p2m if found else P2M(unknown, geometry=guest.geometry, beyond=Kind.UNKNOWN)
        return Source(
            Origin(feed.name, self._format(), feed.size if file else None),
            guest,
            p2m,
            listed=listed_map(index, p2m),
            leaves=found.leaves if found else None,
            memory=memory,
            lost=(*self._lost, *(found.lost if found else ())),
            inferred=(*self._inferred(), *(found.inferred if found else ())),
            findings=tuple(self._findings),
        )

    def _map(self, fetch: Fetch, guest: Guest) -> LeafMap | None:
        """The raw list, None where the stream has none."""
        if guest.translated:
            return None
        if self._list is None:
            error = InputError(
                self._feed.name, "a record X86_PV_P2M_FRAMES in the stream of a PV guest", "none"
            )
            if not self._salvage:
                raise error
            self._lost.append("the P2M: no record X86_PV_P2M_FRAMES")
            return None
        linear = {"linear list": True, "frame list tree": False}.get(guest.form)
        found = listed_leaves(self._list, self._index, fetch, guest.geometry, self._feed.name, linear)
        if found.lost and not self._salvage:
            raise InputError(self._feed.name, "every page of the P2M list", found.lost[0])
        return found

    def _guest(self) -> Guest:
        xen = self._facts["xen"]
        translated = self._facts["domain"] == "HVM"
        info: SharedInfo | None = None
        cr3: dict[int, int] = {}
        for record in self._bodies:
            body = record.body or b""
            if record.type == Rec.SHARED_INFO and not translated:
                info = shared_info(body, self._word) or info
            elif record.type == Rec.X86_PV_VCPU_BASIC and len(body) >= 8:
                cr3[int.from_bytes(body[:4], "little")] = cr3_of(body, self._word)
        form = {True: "linear list", False: "frame list tree", None: ""}[is_linear(info, xen)]
        return Guest(
            geometry=GEOMETRIES[8 * self._word],
            translated=translated,
            max_pfn=info.max_pfn if info else None,
            form=form,
            p2m_cr3=info.p2m_cr3 if info else 0,
            p2m_vaddr=info.p2m_vaddr if info else 0,
            frame_list_list=info.frame_list_list if info else 0,
            generation=info.generation if info else None,
            xen=f"{xen[0]}.{xen[1]}" if xen[0] else None,
            vcpus=len(cr3) if cr3 else None,
            frames="pfn",
            cr3=tuple(cr3[vcpu] for vcpu in sorted(cr3)),
        )

    def _format(self) -> str:
        wrap = next((layer for layer in ("xl", "libxl") if layer in self._layers), "")
        text = f"migration stream v{self._facts.get('version')}, {self._facts['domain']}"
        text += f", in a file of {wrap}" if wrap else ""
        return text + (", converted from a legacy stream" if self._converted() else "")

    def _converted(self) -> bool:
        return bool(self._facts.get("converted")) or self._facts["xen"][0] == 0

    def _inferred(self) -> list[str]:
        lines = []
        if self._facts["domain"] == "PV" and self._list is not None and not self._bodies:
            lines.append("form of the list: unknown without the record SHARED_INFO")
        return lines
