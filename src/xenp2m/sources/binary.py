"""Bounded reading of a file of which nothing is believed.

Reads go through ``pread`` into memory of our own: a file that shrinks while it is read is an error
with an offset, never a signal, and a count is checked against the file before memory is taken.
"""

from __future__ import annotations

import hashlib
import os
import stat
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from xenp2m.errors import InputError
from xenp2m.frames import PAGE_SIZE

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import TracebackType

    from numpy.typing import DTypeLike, NDArray

__all__ = ["Binary"]

_CHUNK = 1 << 24


class Binary:
    """A regular file, open for reading at any offset.

    Attributes:
        name: for messages.
        size: bytes, as the file had when it was opened.
    """

    def __init__(self, path: Path | str) -> None:
        """Open `path`.

        Raises:
            InputError: it cannot be opened, or is not a regular file.
        """
        self.name = str(path)
        try:
            self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            raise InputError(self.name, "a file that can be read", reason) from None
        status = os.fstat(self._fd)
        if not stat.S_ISREG(status.st_mode):
            self.close()
            kind = "a directory" if stat.S_ISDIR(status.st_mode) else "a pipe or device"
            raise InputError(self.name, "a regular file", kind)
        self.size = status.st_size

    def __enter__(self) -> Binary:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; reading after that is an error of the caller."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __del__(self) -> None:
        if getattr(self, "_fd", -1) >= 0:
            self.close()

    def read(self, offset: int, count: int, what: str) -> bytes:
        """Bytes ``[offset, offset + count)``.

        Args:
            offset: from the start of the file.
            count: bytes; checked against the file's size before memory is taken.
            what: what they are, for the message.

        Raises:
            InputError: they are not all there.
        """
        self._check(offset, count, what)
        whole = os.pread(self._fd, min(count, _CHUNK), offset)
        if len(whole) == count:
            return whole
        pieces = bytearray(whole)
        while len(pieces) < count:
            piece = self._pread(count - len(pieces), offset + len(pieces), what)
            pieces += piece
        return bytes(pieces)

    def array(self, offset: int, count: int, dtype: DTypeLike, what: str) -> NDArray[Any]:
        """`count` items of `dtype` from `offset` on, read straight into a new array.

        Raises:
            InputError: they are not all there.
        """
        kind = np.dtype(dtype)
        self._check(offset, count * kind.itemsize, what)
        items = np.empty(count, kind)
        self.into(offset, items.view(np.uint8).reshape(-1), what)
        return items

    def into(self, offset: int, target: NDArray[np.uint8], what: str) -> None:
        """Fill `target`, contiguous bytes, from `offset` on."""
        self._check(offset, target.size, what)
        view, done = target.data, 0
        while done < target.size:
            got = os.preadv(self._fd, [view[done : done + _CHUNK]], offset + done)
            if not got:
                self._short(offset + done, target.size - done, what)
            done += got

    def pages(self, offsets: NDArray[np.int64]) -> NDArray[np.uint8]:
        """A row of 4096 bytes for each offset, zeros for those below 0; neighbours are one read."""
        rows = np.zeros((offsets.size, PAGE_SIZE), np.uint8)
        wanted = np.flatnonzero(offsets >= 0)
        far = (np.diff(wanted) != 1) | (np.diff(offsets[wanted]) != PAGE_SIZE)
        edges = np.concatenate(([0], np.flatnonzero(far) + 1, [wanted.size])).tolist()
        for low, high in pairwise(edges):
            if high > low:
                first = int(wanted[low])
                self.into(int(offsets[first]), rows[first : first + high - low].reshape(-1), "pages")
        return rows

    def sha256(self, progress: Callable[[int, int], object] | None = None) -> str:
        """Hash of the whole file in hex; `progress` is called with bytes done and in all. O(size)."""
        digest = hashlib.sha256()
        offset = 0
        while piece := os.pread(self._fd, _CHUNK, offset):
            digest.update(piece)
            offset += len(piece)
            if progress is not None:
                progress(offset, self.size)
        return digest.hexdigest()

    def at(self, offset: int) -> str:
        """A place of the file as errors name it."""
        return f"{self.name}: offset {offset:#x}"

    def _check(self, offset: int, count: int, what: str) -> None:
        if offset < 0 or count < 0 or offset + count > self.size:
            raise InputError(
                self.at(max(offset, 0)), f"{count:#x} bytes of {what}", f"a file of {self.size:#x} bytes"
            )

    def _pread(self, count: int, offset: int, what: str) -> bytes:
        piece = os.pread(self._fd, min(count, _CHUNK), offset)
        if not piece:
            self._short(offset, count, what)
        return piece

    def _short(self, offset: int, count: int, what: str) -> None:
        raise InputError(
            self.at(offset), f"{count:#x} more bytes of {what}", "the end: the file shrank while it was read"
        )
