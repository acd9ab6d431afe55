"""How the verbs over maps open what the user names: one option for all, progress, the file's hash."""

from __future__ import annotations

import hashlib
import os
import sys
from contextlib import contextmanager
from dataclasses import fields, replace
from pathlib import Path
from stat import S_ISREG
from types import SimpleNamespace
from typing import TYPE_CHECKING, BinaryIO, TextIO, cast

import click

from xenp2m.cli.progress import progress
from xenp2m.sources import detect
from xenp2m.sources.binary import Binary
from xenp2m.sources.source import Origin, Source

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "HashingInput",
    "complain",
    "hashed",
    "hashed_input",
    "json_option",
    "open_source",
    "salvage_option",
]

HASHED = 1 << 28
"""Bytes of a file up to which its hash is part of the JSON without ``--hash``: a fraction of a second."""

salvage_option = click.option(
    "--salvage", is_flag=True, help="Read what there is of a damaged or cut file, and say what is lost."
)
json_option = click.option("--json", "as_json", is_flag=True, help="One JSON object instead of text.")


def open_source(name: str, *, salvage: bool = False) -> Source:
    """Open what the user named, with a bar where that takes long."""
    with progress(f"reading {'standard input' if name == '-' else name}") as tell:
        source = detect.open(name, salvage=salvage, progress=tell)
        # A core is read when it is first asked for: here, as long as the bar is there.
        len(source.p2m)
        return source


def hashed(source: Source, name: str, *, asked: bool, as_json: bool) -> Source:
    """`source`, opened as `name`, with the hash of its file: where `asked`, or in JSON where it is small.

    Pipes and domains have none; an .npz tells of the file it was made of.
    """
    known = source.origin.sha256 is not None or source.origin.name != name
    if known or not (asked or as_json) or not _is_file(name):
        return source
    if not asked and Path(name).stat().st_size > HASHED:
        return source
    with Binary(name) as file, progress(f"hashing {name}") as tell:
        origin = replace(source.origin, sha256=file.sha256(tell))
    # A source may read itself when asked: its parts are taken one by one.
    parts = {field.name: getattr(source, field.name) for field in fields(Source)}
    return Source(**parts | {"origin": origin})


def _is_file(name: str) -> bool:
    try:
        return S_ISREG(os.stat(name).st_mode)  # noqa: PTH116 (a name such as "live:1" is no path)
    except (OSError, ValueError):
        return False


class HashingInput:
    """Standard input, which can be read only once: its bytes are counted and hashed on their way."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._digest = hashlib.sha256()
        self._size = 0

    def read(self, count: int = -1) -> bytes:
        """As of a binary file."""
        data = self._stream.read(count)
        self._digest.update(data)
        self._size += len(data)
        return data

    def origin(self) -> Origin:
        """What was read; what nobody wanted is read now."""
        while self.read(1 << 20):
            pass
        return Origin("standard input", "text", self._size, self._digest.hexdigest())


@contextmanager
def hashed_input() -> Iterator[HashingInput]:
    """Standard input is hashed by whoever reads it inside the block."""
    before, hashing = sys.stdin, HashingInput(sys.stdin.buffer)
    sys.stdin = cast("TextIO", SimpleNamespace(buffer=hashing))
    try:
        yield hashing
    finally:
        sys.stdin = before


def complain(message: str) -> None:
    """One line on the standard error output."""
    click.echo(f"xenp2m: {' '.join(message.split())}", err=True)
