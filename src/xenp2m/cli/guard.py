"""What a verb prints cannot steer the terminal: names and logs may hold escape sequences, and end as text."""

from __future__ import annotations

import codecs
import re
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO, cast

from xenp2m.cli.terminal import sequences

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

__all__ = ["guarded_output", "harmless"]

_STEERING = re.compile(
    "\x1b\\[[0-9;]*[A-Za-z]|[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)
_MOVING = frozenset({"\r", "\x1b[K"})
"""What a line on standard error that is written over again needs."""

_PLAIN = str.maketrans({"·": "-", "…": "...", "×": "x", "–": "-", "→": "->", "µ": "u", "█": "#", "─": "-"})
"""What stands for our own characters where the terminal has none of them."""


def harmless(text: str, allowed: Collection[str] = ()) -> str:
    r"""`text` with control characters, changes of direction and surrogates told as ``\x1b``, ``\u202e``.

    Args:
        text: to be printed; tabs and ends of lines stay.
        allowed: escape sequences and characters that stay, too.
    """

    def told(found: re.Match[str]) -> str:
        sequence = found[0]
        return sequence if sequence in allowed else sequence.encode("unicode_escape").decode()

    return _STEERING.sub(told, text)


def _plainer(error: UnicodeError) -> tuple[str, int]:
    """The error handler of `_Guarded`: something like the characters that an encoding lacks."""
    assert isinstance(error, UnicodeEncodeError)
    lacking = error.object[error.start : error.end].translate(_PLAIN)
    return "".join(letter if letter.isascii() else "?" for letter in lacking), error.end


codecs.register_error("xenp2m-plainer", _plainer)


class _Guarded:
    """A text stream that lets only some sequences pass; all but writing is the stream's own.

    Attributes:
        encoding: what a writer may write. Click goes round a stream of ASCII, so this is none.
        spoken: what the stream itself can print.
    """

    encoding = "utf-8"

    def __init__(self, stream: TextIO, allowed: Collection[str]) -> None:
        self._stream = stream
        self._allowed = allowed
        self.spoken = stream.encoding or "utf-8"

    def write(self, text: str) -> int:
        """Write `text` as far as it is harmless and the stream's encoding has its characters."""
        text = harmless(text, self._allowed)
        if not text.isascii() and self.spoken.lower() not in ("utf-8", "utf8"):
            text = text.encode(self.spoken, "xenp2m-plainer").decode(self.spoken)
        return self._stream.write(text)

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)


@contextmanager
def guarded_output() -> Iterator[None]:
    """Standard output and standard error pass through the guard inside the block.

    The colours of `terminal.paint` stay. Bytes written to ``.buffer`` (files to standard output) are
    not looked at.
    """
    before = sys.stdout, sys.stderr
    own = sequences()
    sys.stdout = cast("TextIO", _Guarded(before[0], own))
    sys.stderr = cast("TextIO", _Guarded(before[1], own | _MOVING))
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before
