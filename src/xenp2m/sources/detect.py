"""Which reader an input is for: known by its first bytes, never by its name."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple, Protocol, cast

from xenp2m.errors import InputError, UnsupportedError
from xenp2m.sources import live
from xenp2m.sources.feed import Feed, FileFeed, open_feed
from xenp2m.sources.known import name_of_head

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from xenp2m.sources.source import Source

    Progress = Callable[[int, int | None], None]

__all__ = ["FORMATS", "Format", "open"]

_HEAD = 1 << 12
_WANTED = "a Xen core, a migration stream, a listing of a P2M or an .npz of ours"


class Reader(Protocol):
    """What a module that reads one kind of input offers."""

    def sniff(self, head: bytes) -> bool:
        """Whether an input that begins with `head`, 4096 bytes or all of it, is of this kind."""

    def read(
        self, path: Path | str | Feed, *, salvage: bool = False, progress: Progress | None = None
    ) -> Source:
        """Read it; a `Feed` where the input is a pipe of which the head was looked at."""


class Format(NamedTuple):
    """One kind of input.

    Attributes:
        module: its reader, a module with ``sniff`` and ``read``.
        pipe: whether it can be read in one pass.
    """

    module: str
    pipe: bool

    @property
    def reader(self) -> Reader:
        """The reader, loaded."""
        return cast("Reader", import_module(f"xenp2m.sources.{self.module}"))


FORMATS = {
    "core": Format("core.reader", pipe=False),
    "stream": Format("stream.reader", pipe=True),
    "npz": Format("npz", pipe=False),
    "json": Format("answer", pipe=True),
    "mfndump": Format("mfndump", pipe=True),
    "debugfs": Format("debugfs", pipe=True),
}
"""Kinds of input by name, in the order in which they are asked."""


def open(
    path: Path | str,
    *,
    format: str | None = None,
    salvage: bool = False,
    progress: Progress | None = None,
) -> Source:
    """Read a map from whatever holds one.

    Args:
        path: a file, a FIFO, ``-`` for standard input, ``live:self`` or ``live:`` and a domain's number.
        format: a name of `FORMATS`, where the first bytes are not to decide.
        salvage: take what a damaged input still tells.
        progress: called with bytes passed and bytes in all (None of a pipe).

    Returns:
        The map, its guest, and the guest's memory where the input has it.

    Raises:
        UnsupportedError: an input that is recognised and cannot be read.
        InputError: an input that is damaged, or nothing known.
    """
    if format is not None and format not in FORMATS:
        raise InputError("format", f"one of {', '.join(FORMATS)}", repr(format))
    if str(path).startswith(live.PREFIX):
        return live.read(str(path), salvage=salvage)
    with open_feed(path) as feed:
        head = feed.peek(_HEAD).tobytes()
        chosen = [FORMATS[format]] if format else FORMATS.values()
        for each in chosen:
            if format or each.reader.sniff(head):
                return _read(each, path, feed, salvage=salvage, progress=progress)
        known = name_of_head(head, feed.name)
    if known:
        raise UnsupportedError(feed.name, _WANTED, known)
    raise InputError(feed.name, _WANTED, "none of them, by its first bytes")


def _read(
    chosen: Format, path: Path | str, feed: Feed, *, salvage: bool, progress: Progress | None
) -> Source:
    if isinstance(feed, FileFeed):
        return chosen.reader.read(path, salvage=salvage, progress=progress)
    if not chosen.pipe:
        raise InputError(feed.name, "a regular file: this kind is read at many places", "a pipe")
    return chosen.reader.read(feed, salvage=salvage, progress=progress)
