"""Bytes in their order, from a file or a pipe: looked at, taken, passed over.

What is passed over costs nothing in a file and no memory in a pipe. Nothing is taken because the
input says so: a buffer grows only as bytes really arrive.
"""

from __future__ import annotations

import os
import stat
import sys
from abc import ABC, abstractmethod
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from xenp2m.errors import InputError
from xenp2m.sources.binary import Binary

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

__all__ = ["Feed", "FileFeed", "PipeFeed", "open_feed"]

_LEAST, _MOST = 1 << 14, 1 << 22


class Feed(ABC):
    """A buffer over an input that is read once, from its beginning to its end.

    Attributes:
        name: for messages.
        position: offset of the next byte.
        size: bytes in all, None of a pipe.
    """

    def __init__(self, name: str, size: int | None) -> None:
        self.name = name
        self.size = size
        self.position = 0
        self._buffer: NDArray[np.uint8] = np.empty(_LEAST, np.uint8)
        self._start = self._end = 0
        self._ahead = _LEAST

    def at(self, offset: int) -> str:
        """A place of the input as errors name it."""
        return f"{self.name}: offset {offset:#x}"

    def peek(self, count: int) -> NDArray[np.uint8]:
        """The next `count` bytes, fewer at the end of the input. Valid until the next call."""
        while self._end - self._start < count and self._more(count):
            pass
        return self._buffer[self._start : min(self._end, self._start + count)]

    def window(self, least: int) -> NDArray[np.uint8]:
        """At least the next `least` bytes (fewer at the end) and what is buffered behind them.

        Valid until the next call. Reads ahead the farther, the longer nothing was passed over.
        """
        self.peek(least)
        if self._end - self._start < self._ahead // 2:
            self._more(self._ahead)
        return self._buffer[self._start : self._end]

    def take(self, count: int) -> bytes:
        """The next `count` bytes, fewer at the end of the input."""
        data = self.peek(count).tobytes()
        self._start += len(data)
        self.position += len(data)
        return data

    def skip(self, count: int) -> int:
        """Pass over `count` bytes; returns how many there were."""
        step = min(count, self._end - self._start)
        self._start += step
        self.position += step
        return step + self._leap(count - step) if step < count else step

    def _more(self, wanted: int) -> bool:
        """Read once more, with room for what is missing; False at the end of the input."""
        held = self._end - self._start
        room = self._buffer.size - self._end
        if room < max(self._ahead, 1) and (self._start or room == 0):
            size = max(2 * held, min(wanted, _MOST), self._ahead, _LEAST)
            fresh = np.empty(size, np.uint8) if size > self._buffer.size else self._buffer
            fresh[:held] = self._buffer[self._start : self._end].copy()
            self._buffer, self._start, self._end = fresh, 0, held
        limit = min(self._buffer.size, self._end + max(self._ahead, min(wanted - held, _MOST)))
        got = self._fill(self._buffer[self._end : limit])
        self._end += got
        self._ahead = min(2 * self._ahead, _MOST)
        return got > 0

    @abstractmethod
    def _fill(self, room: NDArray[np.uint8]) -> int:
        """Read bytes into `room`; how many, 0 at the end of the input."""

    @abstractmethod
    def _leap(self, count: int) -> int:
        """Pass over `count` bytes that are not in the buffer; how many there were."""


class FileFeed(Feed):
    """A feed over a regular file: what is passed over is not read.

    Attributes:
        binary: the file.
        keep: leave the file open for whoever reads pages later.
    """

    def __init__(self, binary: Binary) -> None:
        """Feed from the beginning of `binary`, which stays the caller's to close."""
        super().__init__(binary.name, binary.size)
        self.binary = binary
        self.keep = False
        self._offset = 0

    def _fill(self, room: NDArray[np.uint8]) -> int:
        count = min(room.size, self.binary.size - self._offset)
        if count > 0:
            self.binary.into(self._offset, room[:count], "the input")
            self._offset += count
        return max(count, 0)

    def _leap(self, count: int) -> int:
        step = min(count, self.binary.size - self._offset)
        self._offset += step
        self.position += step
        self._ahead = _LEAST
        return step


class PipeFeed(Feed):
    """A feed over something that can be read only once."""

    def __init__(self, name: str, read: Callable[[NDArray[np.uint8]], int]) -> None:
        """Feed from `read`, which fills (part of) a buffer and returns 0 at the end."""
        super().__init__(name, None)
        self._read = read

    def _fill(self, room: NDArray[np.uint8]) -> int:
        return self._read(room)

    def _leap(self, count: int) -> int:
        left = count
        while left:
            self._start = self._end = 0
            got = self._read(self._buffer[: min(left, self._buffer.size)])
            if not got:
                break
            left -= got
        self.position += count - left
        return count - left


@contextmanager
def open_feed(path: Path | str | Feed) -> Iterator[Feed]:
    """Open `path` for reading once; ``-`` is standard input, a FIFO waits for its writer.

    A feed is handed back as it is, and stays open.

    Raises:
        InputError: it cannot be opened, or is a directory.
    """
    if isinstance(path, Feed):
        yield path
        return
    if str(path) == "-":
        yield PipeFeed("standard input", _reader(sys.stdin.buffer))
        return
    try:
        kind = stat.S_IFMT(Path(path).stat().st_mode)
    except (OSError, ValueError) as error:
        raise InputError(str(path), "a file that can be read", _reason(error)) from None
    if kind in (stat.S_IFREG, stat.S_IFDIR):
        binary = Binary(path)
        feed = FileFeed(binary)
        try:
            yield feed
        finally:
            if not feed.keep:
                binary.close()
        return
    try:
        stream = Path(path).open("rb", buffering=0)  # noqa: SIM115 (closed below)
    except OSError as error:
        raise InputError(str(path), "a file that can be read", _reason(error)) from None
    with stream:
        yield PipeFeed(str(path), lambda room: os.readv(stream.fileno(), [room.data]))


def _reader(stream: BinaryIO) -> Callable[[NDArray[np.uint8]], int]:
    def read(room: NDArray[np.uint8]) -> int:
        data = stream.read(room.size)
        room[: len(data)] = np.frombuffer(data, np.uint8)
        return len(data)

    return read


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
