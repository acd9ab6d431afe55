"""One pass over a stream: its layers found, its records handed on, what is wrong with them said.

The walk knows where things lie and how long they are. What they mean together (which record must
come before which, whether PFNs are in range) is for those who read or check a stream.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from xenp2m.errors import InputError, shorten
from xenp2m.sources.stream import wire
from xenp2m.sources.stream.events import Event, Fault, Header, Record
from xenp2m.sources.stream.layers import domain_faults, image_faults, libxl_faults, xl_faults
from xenp2m.sources.stream.pagedata import page_data, truncated
from xenp2m.sources.stream.wire import Libxl, Rec

if TYPE_CHECKING:
    from collections.abc import Iterator

    from xenp2m.sources.feed import Feed
    from xenp2m.sources.stream.pagedata import Want

__all__ = ["Walk"]

_BODY = 1 << 20
"""Bodies up to this many bytes are handed on; so is a frame list of any length."""


class Walk:
    """A walk through one stream.

    Attributes:
        number: of the next record.
        complete: the last record was the one that ends a stream.
    """

    def __init__(self, feed: Feed, *, want: Want | None = None, trailing: bool = False) -> None:
        """Prepare to walk.

        Args:
            feed: at the beginning of the stream.
            want: which pages to keep in passing, by PFN word.
            trailing: look for bytes behind the end, which waits for the end of a pipe.
        """
        self._feed = feed
        self._want = want
        self._trailing = trailing
        self._over = False
        self.number = 0
        self.complete = False

    def events(self) -> Iterator[Event]:
        """Everything in the stream, in order; ends behind its END or where it cannot go on.

        Raises:
            InputError: the input is no migration stream.
        """
        feed = self._feed
        head = feed.peek(32).tobytes()
        wrapped = False
        if head.startswith(wire.XL_MAGIC):
            yield from self._xl()
            head, wrapped = feed.peek(32).tobytes(), True
        if self._stopped():
            return
        if head[:8] == struct.pack(">Q", wire.LIBXL_MAGIC) or wrapped:
            yield from self._libxl()
        elif head[:8] == b"\xff" * 8:
            yield from self._image(wrapped=False)
        else:
            raise InputError(feed.at(0), "a migration stream of Xen 4.6 or later", shorten(head[:16]))
        if self._trailing and self.complete and feed.peek(1).size:
            where = "end of the stream"
            yield Fault("stream-trailing", where, feed.position, "nothing behind the end", "more bytes")

    def _stop(self, fault: Fault) -> Iterator[Fault]:
        self._over = True
        yield fault

    def _take(self, count: int, where: str) -> Iterator[Event]:
        """End the walk if fewer than `count` bytes are left."""
        if self._feed.peek(count).size < count:
            yield from self._stop(truncated(self._feed, where, count))

    def _stopped(self) -> bool:
        return self._over

    def _checked(self, faults: Iterator[Fault]) -> Iterator[Event]:
        for fault in faults:
            yield fault
            self._over |= fault.fatal

    def _xl(self) -> Iterator[Event]:
        yield from self._take(48, "xl header")
        if self._stopped():
            return
        offset, data = self._feed.position, self._feed.take(48)
        length = wire.XL_HEADER.unpack_from(data, 32)[3]
        yield from self._checked(xl_faults(data, offset))
        if length > _BODY:
            got = f"{length:#x}"
            yield Fault("stream-header", "xl header", offset + 44, f"at most {_BODY:#x} bytes", got)
            extra = b""
            self._over |= self._feed.skip(length) < length
        else:
            extra = self._feed.take(length)
            self._over |= len(extra) < length
        yield Header("xl", offset, data, extra)
        if self._feed.position < offset + 48 + length:
            yield truncated(self._feed, "xl header", offset + 48 + length - self._feed.position)

    def _libxl(self) -> Iterator[Event]:
        yield from self._take(16, "libxl header")
        if self._stopped():
            return
        offset, data = self._feed.position, self._feed.take(16)
        yield from self._checked(libxl_faults(data, offset))
        yield Header("libxl", offset, data)
        while not self._stopped() and not self.complete:
            record: Record | None = None
            for event in self._record("libxl"):
                record = event if isinstance(event, Record) else record
                yield event
            if record is None or self._stopped():
                return
            self.complete = record.type == Libxl.END
            if record.type == Libxl.LIBXC_CONTEXT:
                yield from self._image(wrapped=True)
            elif record.type == Libxl.CHECKPOINT_END:
                yield from self._records(wrapped=True)

    def _image(self, *, wrapped: bool) -> Iterator[Event]:
        for layer, size, check in (("image", 24, image_faults), ("domain", 16, domain_faults)):
            yield from self._take(size, f"{layer} header")
            if self._stopped():
                return
            offset, data = self._feed.position, self._feed.take(size)
            yield from self._checked(check(data, offset))
            yield Header(layer, offset, data)
            if self._stopped():
                return
        yield from self._records(wrapped=wrapped)

    def _records(self, *, wrapped: bool) -> Iterator[Event]:
        """Records of libxc's layer until its END, or a checkpoint that libxl continues."""
        while not self._stopped():
            kind = self._peek_type()
            if kind == Rec.PAGE_DATA:
                yield from self._pages()
                continue
            yield from self._record("libxc")
            if kind == Rec.END:
                self.complete = not wrapped
                return
            if kind == Rec.CHECKPOINT and wrapped:
                return

    def _peek_type(self) -> int:
        head = self._feed.peek(8)
        return int.from_bytes(head[:4].tobytes(), "little") if head.size == 8 else -1

    def _pages(self) -> Iterator[Event]:
        passed = yield from page_data(self._feed, self.number, self._want)
        self.number += passed
        self._over |= not passed

    def _record(self, layer: str) -> Iterator[Event]:
        where = f"record {self.number}"
        yield from self._take(8, where)
        if self._stopped():
            return
        feed, offset = self._feed, self._feed.position
        kind, length = wire.RECORD_HEADER.unpack(feed.take(8))
        where = f"record {self.number} ({wire.name_of(layer, kind)})"
        known = kind in (Libxl if layer == "libxl" else Rec).__members__.values()
        if not known and kind < wire.OPTIONAL:
            text = "a record type that is known or optional"
            yield Fault("stream-record-type", where, offset, text, f"{kind:#x}", fatal=True)
        if layer == "libxc" and length > wire.RECORD_LIMIT:
            text = f"at most {wire.RECORD_LIMIT:#x} bytes"
            yield Fault("stream-record-size", where, offset + 4, text, f"{length:#x}", fatal=True)
        keep = length <= _BODY or (kind == Rec.X86_PV_P2M_FRAMES and length <= wire.RECORD_LIMIT)
        body = feed.take(length) if keep else None
        missed = length - (len(body) if body is not None else feed.skip(length))
        padding = feed.take(-length % 8)
        if missed or len(padding) < -length % 8:
            got = "the end of the input"
            text = f"{8 + wire.align8(length):#x} bytes from {offset:#x} on"
            yield from self._stop(Fault("stream-truncated", where, feed.position, text, got, fatal=True))
            return
        self.number += 1
        yield Record(layer, self.number - 1, offset, kind, length, body)
        if padding.strip(b"\0"):
            text = "zeros in the padding"
            yield Fault("stream-padding", where, feed.position - len(padding), text, padding.hex())
