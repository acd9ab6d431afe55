"""Reads logs of any length as text: of a very long one only the lines that can tell something.

A log of a busy host, or one that the kernel flooded, has hundreds of megabytes and a few hundred lines
that matter. What tells nothing is replaced by an empty line, so that line numbers stay true; a few
lines behind one that is kept are kept as well, since it may have been wrapped.
"""

from __future__ import annotations

import codecs
import re
from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from xenp2m.errors import InputError
from xenp2m.logs.consolerules import rule_words
from xenp2m.logs.pasted import fold_width, unfolded
from xenp2m.logs.textfile import LIMIT, coding_of, decode, text_parts
from xenp2m.logs.toolrules import TOOL_WORDS

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator

__all__ = ["MOST", "PLAIN", "Text", "read_long"]

PLAIN = 8 << 20
"""Bytes up to which a log is read as it is."""
MOST = 4 << 30
"""Bytes of a log taken at most, after unpacking."""
_KEPT = 24 << 20
"""Characters kept of a long log."""
_LONGEST_LINE = 1 << 14
_BEFORE, _BEHIND, _BEHIND_FAULT = 12, 3, 80

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
_BEGUN_BEFORE = frozenset({*_FAULTS, "Memory at "})
"""Words of lines whose sense needs some before them: the reason of a WARNING, the device of a BAR."""
_ENTRY = re.compile(r"[0-9a-fA-F]{8}(?:, | - |-)[0-9a-fA-F]{8}")


class Text(NamedTuple):
    """A file as text.

    Attributes:
        name: the file, for people.
        text: what it holds.
        unread: what was left out of it although it may tell something, and why, a line each.
    """

    name: str
    text: str
    unread: tuple[str, ...] = ()


def read_long(
    path: str | os.PathLike[str],
    *,
    plain: int = PLAIN,
    whole: Callable[[str], bool] = lambda head: False,
    progress: Callable[[int], object] = lambda done: None,
) -> Text:
    """Read a log of any length.

    Args:
        path: the file, or ``-``; packings and codings as for `xenp2m.logs.textfile.read_text`.
        plain: bytes up to which nothing is left out.
        whole: whether a text that begins like this is no log, and of use only as a whole.
        progress: called with the bytes of text behind us.

    Returns:
        The text, of a long one what can tell something: at most some 24 MiB and a line end for
        every line of the file.

    Raises:
        InputError: as for `read_text`; more than `MOST` bytes, or `LIMIT` of what is needed whole.
    """
    name = "standard input" if str(path) == "-" else str(path)
    parts = text_parts(path, limit=MOST)
    head = bytearray()
    needed = False
    for part in parts:
        head += part
        if len(head) > plain and not needed:
            if not whole(decode(head[:_BLOCK], name)):
                return _sifted(head, parts, name, progress)
            needed = True
        if needed:
            progress(len(head))
        if len(head) > LIMIT:
            raise InputError(name, f"at most {LIMIT >> 20} MiB of JSON", "more")
    return Text(name, decode(head, name))


def _sifted(head: bytearray, parts: Iterator[bytes], name: str, progress: Callable[[int], object]) -> Text:
    decode(head[:PLAIN], name)  # refuses what is no text
    decoder = codecs.getincrementaldecoder(coding_of(head[:4096]))("replace")
    text = decoder.decode(head)
    sieve = _Sieve(fold_width(text))
    sieve.feed(text)
    done = len(head)
    for part in parts:
        sieve.feed(decoder.decode(part))
        done += len(part)
        progress(done)
    sieve.feed(decoder.decode(b"", True))
    text = sieve.text()
    if sieve.empty:
        raise InputError(name, "lines of Xen or of Linux", "none in all of it")
    return Text(name, text, sieve.unread)


class _Sieve:
    """Takes text piece by piece; keeps what can tell something.

    Whole blocks without any word that matters are passed over at once; the last lines that were
    passed over come back where the next one that matters tells of something that began before it.
    What a terminal folded is joined first: a word may be cut, and what is left may not show the width.
    """

    def __init__(self, width: int) -> None:
        self._width = width
        words = {*rule_words(), *TOOL_WORDS, *_PLACES, *_MAPS, *_DEVICES} - {"->"}
        longer = {word for word in words if any(other != word and other in word for other in words)}
        self._words = (*_FAULTS, *sorted(words - longer - set(_FAULTS)))
        self._rest = ""
        self._kept: list[str] = []
        self._passed: deque[tuple[int, str]] = deque(maxlen=_BEFORE)
        self._room = _KEPT
        self._behind = 0
        self._number = 0
        self._full = 0

    def feed(self, text: str) -> None:
        """Take the next piece."""
        text = self._rest + text.replace("\0", "")
        end = text.rfind("\n") + 1
        last = text.rfind("\n", 0, max(end - 1, 0)) + 1
        if self._width and end - last <= self._width + 2:
            end = last
        self._rest = text[end:][:_LONGEST_LINE]
        text = unfolded(text[:end], self._width)
        start, end = 0, len(text)
        while start < end:
            stop = text.rfind("\n", start, start + _BLOCK) + 1 or text.index("\n", start) + 1
            self._block(text[start : min(stop, end) - 1])
            start = stop

    def _block(self, block: str) -> None:
        words = [word for word in self._words if word in block]
        entries = _ENTRY.search(block) is not None
        if words or entries or self._behind:
            for line in block.split("\n"):
                self._line(line, words, entries)
            return
        first, *last = block.rsplit("\n", _BEFORE)
        if last:
            self._kept.append("\n" * first.count("\n"))
        for line in last or [first]:
            self._pass_over(line)
        self._number += block.count("\n") + 1

    def _line(self, line: str, words: list[str], entries: bool) -> None:
        self._number += 1
        word = next((word for word in words if word in line), None)
        if word is not None or (entries and _ENTRY.search(line)):
            self._behind = _BEHIND_FAULT if word in _FAULTS else max(self._behind, _BEHIND)
            if word in _BEGUN_BEFORE:
                for place, before in self._passed:
                    self._kept[place] = self._if_room(before)
                self._passed.clear()
        elif self._behind:
            self._behind -= 1
        else:
            self._pass_over(line)
            return
        self._kept.append(self._if_room(line))

    def _pass_over(self, line: str) -> None:
        self._passed.append((len(self._kept), line))
        self._kept.append("")

    def _if_room(self, line: str) -> str:
        line = line[:_LONGEST_LINE]
        if len(line) >= self._room:
            self._full = self._full or self._number
            return ""
        self._room -= len(line)
        return line

    def text(self) -> str:
        """All that was kept."""
        self._block(unfolded(self._rest, self._width))
        return "\n".join(self._kept)

    @property
    def empty(self) -> bool:
        """Whether nothing was."""
        return self._room == _KEPT

    @property
    def unread(self) -> tuple[str, ...]:
        """What found no room, a line or none."""
        if not self._full:
            return ()
        why = f"more than {_KEPT >> 20} MiB of the log look as if they told of memory"
        return (f"lines from {self._full:,} on: {why}",)
