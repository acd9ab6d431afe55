"""Edit a stream: every record handed to a function, what it changes written, all else copied.

The wrappers and the order of everything stay as they are; memory does not depend on the stream.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from xenp2m.errors import InputError
from xenp2m.sources.binary import Binary
from xenp2m.sources.feed import FileFeed
from xenp2m.sources.stream.events import Fault, Pages, Record
from xenp2m.sources.stream.walk import Walk
from xenp2m.sources.stream.wire import RECORD_HEADER, Rec, align8, name_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import BinaryIO

    Change = Callable[["EditRecord"], "bytes | list[tuple[int, bytes]] | None"]

__all__ = ["EditRecord", "edit_stream", "stream_records"]

_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class EditRecord:
    """One record of a stream in a file.

    Attributes:
        layer: ``libxl`` or ``libxc``.
        number: position among all records, from 0.
        offset: of its header, in bytes.
        type: as stored.
        length: bytes of the body.
    """

    layer: str
    number: int
    offset: int
    type: int
    length: int
    _file: Binary

    @property
    def name(self) -> str:
        """Name of the type, such as ``PAGE_DATA``."""
        return name_of(self.layer, self.type)

    def body(self) -> bytes:
        """The body, read when asked for.

        Raises:
            InputError: the file shrank.
        """
        return self._file.read(self.offset + 8, self.length, f"record {self.number} ({self.name})")


def stream_records(path: Path | str) -> Iterator[EditRecord]:
    """Every record of a stream in a regular file, in order; bodies are read when asked for.

    Raises:
        InputError: no stream, or a damaged one.
    """
    with Binary(path) as file:
        yield from _records(file)


def edit_stream(path: Path | str, target: Path | str, change: Change) -> int:
    """Copy a stream and change some of its records.

    Args:
        path: the stream, a regular file.
        target: what to write: beside it first, then renamed; may be `path` itself.
        change: called with each record; returns None to keep it, a new body, or the records (type and
            body of each) that take its place, none of them to leave it out.

    Returns:
        Records that were changed.

    Raises:
        InputError: no stream, a damaged one, a body of more than 4 GiB, or nothing can be written there.
    """
    goal = Path(target)
    beside = goal.with_name(f".{goal.name}.{os.getpid()}")
    try:
        with Binary(path) as file, beside.open("xb") as out:
            changed, position = 0, 0
            for record in _records(file):
                new = change(record)
                if new is None:
                    continue
                changed += 1
                _copy(file, position, record.offset, out)
                for kind, body in [(record.type, new)] if isinstance(new, bytes) else new:
                    _write(out, kind, body)
                position = record.offset + 8 + align8(record.length)
            _copy(file, position, file.size, out)
        beside.replace(goal)
    except OSError as error:
        raise InputError(str(target), "a place to write", error.strerror or str(error)) from None
    finally:
        beside.unlink(missing_ok=True)
    return changed


def _records(file: Binary) -> Iterator[EditRecord]:
    for event in Walk(FileFeed(file)).events():
        if isinstance(event, Fault) and event.fatal:
            raise InputError(f"{file.at(event.offset)}: {event.where}", event.expected, event.got)
        if isinstance(event, Record):
            yield EditRecord(event.layer, event.number, event.offset, event.type, event.length, file)
        elif isinstance(event, Pages):
            for number, offset in enumerate(event.offsets.tolist(), event.number):
                length = RECORD_HEADER.unpack(file.read(offset, 8, "a record"))[1]
                yield EditRecord("libxc", number, offset, Rec.PAGE_DATA, length, file)


def _write(out: BinaryIO, kind: int, body: bytes) -> None:
    if len(body) >= 1 << 32:
        raise InputError(f"record of type {kind:#x}", "a body of less than 4 GiB", f"{len(body):#x} bytes")
    out.write(RECORD_HEADER.pack(kind, len(body)) + body + bytes(-len(body) % 8))


def _copy(file: Binary, start: int, end: int, out: BinaryIO) -> None:
    while start < end:
        count = min(_CHUNK, end - start)
        out.write(file.read(start, count, "the stream"))
        start += count
