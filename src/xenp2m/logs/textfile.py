"""Bounded reading of an input as text.

What people hand over is a file of unknown size and packing, or a pipe. Nothing here holds more than
the limit and one read in memory: a file is read and unpacked piece by piece, and both stop as soon
as the limit is passed.
"""

from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from xenp2m.errors import InputError

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator
    from typing import BinaryIO

__all__ = ["LIMIT", "coding_of", "decode", "read_text", "text_parts"]

LIMIT = 64 << 20
"""Bytes of text taken at most, after unpacking."""

_PIECE = 1 << 18
_HEAD = 512
_XZ_MEMORY = 160 << 20
_MEMBERS = 100_000
_WANTED = "a log or a memory map"

_PACKED = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ\0": "xz"}
_PIPES = {b"\x28\xb5\x2f\xfd": "zstd", b"\x04\x22\x4d\x18": "lz4"}
_OTHERS = {
    b"\x7fELF": "an ELF core or program",
    b"\xed\xbe\x0e\xf0": "a core of a Xen domain",
    b"Xen saved domain": "a domain saved by xl",
    b"LinuxGuestRecord": "a domain saved by xm",
    b"LibxlFmt": "a libxl save stream",
    b"\xff\xff\xff\xff\xff\xff\xff\xff\x58\x45\x4e\x46": "a Xen save stream",
    b"PK\x03\x04": "a zip archive",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive",
    b"\x89PNG": "a picture",
    b"\xff\xd8\xff": "a picture",
    b"%PDF": "a PDF",
}

_NO_TEXT = bytes({*range(32), 127} - {*b"\t\n\v\f\r\b\a\x1b"})
"""Control characters that consoles do not send."""


class _Unpacker(Protocol):
    """What the decompressors of bz2 and lzma have in common."""

    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    @property
    def needs_input(self) -> bool: ...
    def decompress(self, data: bytes, max_length: int = -1) -> bytes: ...


class _Gunzip:
    """zlib's object with the interface of the other two."""

    def __init__(self) -> None:
        import zlib

        self._zlib = zlib.decompressobj(wbits=31)

    @property
    def eof(self) -> bool:
        return self._zlib.eof

    @property
    def unused_data(self) -> bytes:
        return self._zlib.unused_data

    @property
    def needs_input(self) -> bool:
        return not self._zlib.unconsumed_tail

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        return self._zlib.decompress(self._zlib.unconsumed_tail + data, max_length)


def read_text(path: str | os.PathLike[str], *, limit: int = LIMIT) -> str:
    """Read a file as text.

    Args:
        path: the file, or ``-`` for standard input. gzip, bzip2 and xz are recognised by what they
            begin with and unpacked; so are UTF-8 and UTF-16, with and without a mark.
        limit: bytes taken at most, packed and unpacked.

    Returns:
        The text without NUL characters; bytes that are no text become U+FFFD.

    Raises:
        InputError: no such file, not readable, empty, too long, damaged, or not text.
    """
    data = bytearray()
    for part in text_parts(path, limit=limit):
        data += part
    return decode(data, _name(path))


def text_parts(path: str | os.PathLike[str], *, limit: int = LIMIT) -> Iterator[bytes]:
    """The bytes of a text file, unpacked, piece by piece.

    Args:
        path: as for `read_text`.
        limit: bytes taken at most, packed and unpacked.

    Yields:
        Pieces of some 256 KiB; at least one byte in all.

    Raises:
        InputError: as for `read_text`, as soon as it is known.
    """
    name = _name(path)
    with ExitStack() as stack:
        try:
            stream = sys.stdin.buffer if str(path) == "-" else stack.enter_context(Path(path).open("rb"))
            yield from _read(stream, name, limit)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            got = reason[:1].lower() + reason[1:]
            got = "a directory" if isinstance(error, IsADirectoryError) else got
            raise InputError(name, "a file that can be read", got) from None


def _name(path: str | os.PathLike[str]) -> str:
    return "standard input" if str(path) == "-" else str(path)


def _read(stream: BinaryIO, name: str, limit: int) -> Iterator[bytes]:
    pieces = _pieces(stream, name, limit)
    first = next(pieces, b"")
    if not first:
        raise InputError(name, _WANTED, "an empty file")
    packing = next((kind for magic, kind in _PACKED.items() if first.startswith(magic)), None)
    head, size = bytearray(), 0
    for part in _chain(first, pieces) if packing is None else _unpack(first, pieces, packing, name):
        size += len(part)
        if size > limit:
            raise InputError(name, f"at most {_mib(limit)} of text", "more")
        if len(head) < _HEAD:
            head += part[:_HEAD]
            if len(head) >= _HEAD:
                _refuse(head, name, packing)
        yield part
    if size < _HEAD:
        _refuse(head, name, packing)
    if not size:
        raise InputError(name, _WANTED, f"an empty file in {packing}")


def _mib(size: int) -> str:
    return f"{size >> 20} MiB" if size >= 1 << 20 else f"{size} bytes"


def _chain(first: bytes, pieces: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from pieces


def _pieces(stream: BinaryIO, name: str, limit: int) -> Iterator[bytes]:
    """The file in pieces, up to the limit; only the last one is shorter than the others."""
    taken = 0
    while piece := stream.read(_PIECE):
        taken += len(piece)
        if taken > limit:
            raise InputError(name, f"at most {_mib(limit)} of text", "more")
        yield piece


def _refuse(data: bytearray, name: str, packing: str | None) -> None:
    """Name what is known not to be text, by what it begins with."""
    inside = f" in {packing}" if packing else ""
    for magic, kind in _PIPES.items():
        if data.startswith(magic):
            pipe = f"{kind} -dc FILE | xenp2m plan -"
            raise InputError(name, f"text, or gzip, bzip2 or xz of it (unpack: {pipe})", kind + inside)
    for magic, kind in _OTHERS.items():
        if data.startswith(magic):
            raise InputError(name, _WANTED, kind + inside)
    if data[257:262] == b"ustar":
        raise InputError(name, _WANTED, "a tar archive" + inside)
    if packing and (twice := next((k for magic, k in _PACKED.items() if data.startswith(magic)), None)):
        raise InputError(name, _WANTED, f"{twice}{inside}")


def _opener(packing: str) -> tuple[Callable[[], _Unpacker], tuple[type[Exception], ...]]:
    if packing == "gzip":
        import zlib

        return _Gunzip, (zlib.error,)
    if packing == "bzip2":
        import bz2

        return bz2.BZ2Decompressor, (OSError, ValueError)
    import lzma

    return lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, _XZ_MEMORY), (lzma.LZMAError, MemoryError)


def _unpack(first: bytes, pieces: Iterator[bytes], packing: str, name: str) -> Iterator[bytes]:
    """Unpack every member of a file, never more than one piece ahead of the reader."""
    make, faults = _opener(packing)
    magic = next(m for m, kind in _PACKED.items() if kind == packing)
    unpacker, members, data = make(), 1, first
    while True:
        try:
            part = unpacker.decompress(data, _PIECE)
        except faults as error:
            raise InputError(name, f"sound {packing} data", str(error) or "damage") from None
        data = b""
        if part:
            yield part
        if unpacker.eof:
            data = _next_member(unpacker.unused_data, pieces, magic)
            if not data:
                return
            members += 1
            if not data.startswith(magic) or members > _MEMBERS:
                raise InputError(name, f"{packing} data to the end", "something else behind it")
            unpacker = make()
        elif unpacker.needs_input:
            data = next(pieces, b"")
            if not data and not part:
                raise InputError(name, f"a whole {packing} file", "one that ends early")


def _next_member(rest: bytes, pieces: Iterator[bytes], magic: bytes) -> bytes:
    """What follows a member, without the zeros that pad it; empty at the end of the file."""
    rest = rest.lstrip(b"\0")
    while len(rest) < len(magic):
        more = next(pieces, b"")
        if not more:
            break
        rest = (rest + more).lstrip(b"\0")
    return rest


def decode(data: bytes | bytearray, name: str) -> str:
    """Turn the bytes of a log into text.

    Args:
        data: the whole input, unpacked.
        name: what to call it in an error.

    Returns:
        The text without NUL characters; bytes that are no text become U+FFFD.

    Raises:
        InputError: the bytes are mostly something else than text.
    """
    coding = coding_of(data[:4096])
    if coding.startswith("utf-16"):
        text = data.decode(coding, "replace").removeprefix("\ufeff")
        return text.replace("\0", "") if "\0" in text else text
    if b"\0" in data:
        data = data.replace(b"\0", b"")
    odd = len(data) - len(data.translate(None, _NO_TEXT))
    if not data or 25 * odd > len(data):
        raise InputError(name, _WANTED, "bytes that are no text" if odd else "nothing but NUL bytes")
    return data.decode(coding, "replace")


def coding_of(head: bytes | bytearray) -> str:
    """The coding that a text begins in.

    UTF-16 is known by its mark, or by its NULs: every second byte of its ASCII, no others.
    """
    if head.startswith(b"\xff\xfe"):
        return "utf-16-le"
    if head.startswith(b"\xfe\xff"):
        return "utf-16-be"
    half = len(head) // 2
    even, odd = head[0 : 2 * half : 2].count(0), head[1 : 2 * half : 2].count(0)
    if half and odd * 10 >= half * 8 and even * 10 <= half:
        return "utf-16-le"
    return "utf-16-be" if half and even * 10 >= half * 8 and odd * 10 <= half else "utf-8-sig"
