"""A listing of any length as pieces of whole lines."""

from __future__ import annotations

from typing import TYPE_CHECKING

from xenp2m.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from xenp2m.sources.feed import Feed

__all__ = ["line_pieces"]

_PIECE = 1 << 20
_LONGEST = 1 << 16


def line_pieces(feed: Feed) -> Iterator[bytes]:
    """Pieces of about 1 MiB that end with a line; memory does not depend on the length of the text.

    Raises:
        InputError: a line of more than 64 KiB.
    """
    rest = b""
    while piece := feed.take(_PIECE):
        end = piece.rfind(b"\n") + 1
        if not end and len(rest) + len(piece) > _LONGEST:
            raise InputError(feed.at(feed.position), f"lines of at most {_LONGEST:#x} bytes", "a longer one")
        yield rest + piece[:end]
        rest = piece[end:]
    if rest:
        yield rest
