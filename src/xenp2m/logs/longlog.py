"""Reads logs of any length as text: of a very long one only the lines that can tell something.

A log of a busy host, or one that the kernel flooded, has hundreds of megabytes and a few hundred lines
that matter. What tells nothing is replaced by an empty line, so that line numbers stay true; a few
lines behind one that is kept are kept as well, since it may have been wrapped.
"""

from __future__ import annotations

import codecs
import re
from typing import TYPE_CHECKING

from xenp2m.errors import InputError
from xenp2m.logs.consolerules import rule_words
from xenp2m.logs.textfile import coding_of, decode, text_parts
from xenp2m.logs.toolrules import TOOL_WORDS

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator

__all__ = ["MOST", "PLAIN", "read_long"]

PLAIN = 8 << 20
"""Bytes up to which a log is read as it is."""
MOST = 4 << 30
"""Bytes of a log taken at most, after unpacking."""
_KEPT = 24 << 20
"""Characters kept of a long log."""
_LONGEST_LINE = 1 << 14
_BEHIND, _BEHIND_FAULT = 3, 60

_BLOCK = 1 << 16

_FAULTS = (
    "kernel BUG", "WARNING: ", "BUG: ", "Oops", "panic", "early exception", "cut here", "general protection",
)  # fmt: skip
_PLACES = (
    "Dom0 alloc.", "Init. ramdisk", "Loaded kernel", "Phys-Mach map", "Start info", "Page tables",
    "Boot stack", "TOTAL:", "MEMORY ARRANGEMENT",
)  # fmt: skip
_MAPS = ("[mem", "[gap", "RAM map:", "memory map", "/memmap/", "e820_sanitize")
_DEVICES = ("Memory at ", "reg 0x", ": BAR ")
_ENTRY = re.compile(r"[0-9a-fA-F]{8}(?:, | - |-)[0-9a-fA-F]{8}")


def read_long(
    path: str | os.PathLike[str], *, plain: int = PLAIN, progress: Callable[[int], object] | None = None
) -> str:
    """Read a log of any length.

    Args:
        path: the file, or ``-``; packings and codings as for `xenp2m.logs.textfile.read_text`.
        plain: bytes up to which nothing is left out.
        progress: called with the bytes of text behind us.

    Returns:
        The text, of a long one what can tell something: at most some 24 MiB and a line end for
        every line of the file.

    Raises:
        InputError: as for `read_text`; more than `MOST` bytes.
    """
    name = "standard input" if str(path) == "-" else str(path)
    parts = text_parts(path, limit=MOST)
    head = bytearray()
    for part in parts:
        head += part
        if len(head) > plain:
            return _sifted(bytes(head), parts, name, progress or (lambda done: None))
    return decode(head, name)


def _sifted(head: bytes, parts: Iterator[bytes], name: str, progress: Callable[[int], object]) -> str:
    decode(head[:PLAIN], name)  # refuses what is no text
    coding = coding_of(head[:4096])
    decoder = codecs.getincrementaldecoder(coding)("replace")
    sieve = _Sieve()
    sieve.feed(decoder.decode(head))
    done = len(head)
    for part in parts:
        sieve.feed(decoder.decode(part))
        done += len(part)
        progress(done)
    sieve.feed(decoder.decode(b"", True))
    return sieve.text()


class _Sieve:
    """Takes text piece by piece; keeps what can tell something.

    Whole blocks without any word that matters are passed over at once.
    """

    def __init__(self) -> None:
        words = {*rule_words(), *TOOL_WORDS, *_PLACES, *_MAPS, *_DEVICES} - {"->"}
        longer = {word for word in words if any(other != word and other in word for other in words)}
        self._words = (*_FAULTS, *sorted(words - longer - set(_FAULTS)))
        self._rest = ""
        self._kept: list[str] = []
        self._room = _KEPT
        self._behind = 0

    def feed(self, text: str) -> None:
        """Take the next piece."""
        text = self._rest + text.replace("\0", "")
        end = text.rfind("\n") + 1
        self._rest = text[end:][:_LONGEST_LINE]
        start = 0
        while start < end:
            stop = text.rfind("\n", start, start + _BLOCK) + 1 or text.index("\n", start) + 1
            self._block(text[start : min(stop, end) - 1])
            start = stop

    def _block(self, block: str) -> None:
        words = [word for word in self._words if word in block]
        entries = _ENTRY.search(block) is not None
        if not words and not entries and not self._behind:
            self._kept.append("\n" * block.count("\n"))
            return
        for line in block.split("\n"):
            self._line(line, words, entries)

    def _line(self, line: str, words: list[str], entries: bool) -> None:
        word = next((word for word in words if word in line), None)
        if word is not None or (entries and _ENTRY.search(line)):
            self._behind = _BEHIND_FAULT if word in _FAULTS else max(self._behind, _BEHIND)
        elif self._behind:
            self._behind -= 1
        else:
            line = ""
        line = line[:_LONGEST_LINE] if len(line) < self._room else ""
        self._room -= len(line)
        self._kept.append(line)

    def text(self) -> str:
        """All that was kept."""
        self._block(self._rest)
        if self._room == _KEPT:
            raise InputError("log", "lines of Xen or of Linux", "none in all of it")
        return "\n".join(self._kept)
