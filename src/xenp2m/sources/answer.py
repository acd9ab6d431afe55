"""Our own JSON answers that carry a map: ``plan --json`` (one answer) and ``show --json``.

The runs are taken as they stand, so that a prediction or a reading that was kept can be looked at,
compared and reported like any other map.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from xenp2m.errors import InputError, shorten
from xenp2m.extents import Run
from xenp2m.frames import GEOMETRIES, GEOMETRY_64, Kind
from xenp2m.p2m import P2M
from xenp2m.sources.feed import FileFeed, open_feed
from xenp2m.sources.source import Guest, Origin, Source

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from xenp2m.sources.feed import Feed

    Progress = Callable[[int, int | None], None]

__all__ = ["read", "sniff"]

_HEAD = re.compile(rb'\s*\{(?:\s*"id": ?(?:"[^"\\]{0,200}"|\d{1,20}|null),)?\s*"schema": ?1\b')
_MOST_BYTES = 256 << 20
_PIECE = 1 << 20
_MOST_PFN = 1 << 52
_MOST = {Kind.MFN.value: 1 << 62, Kind.FOREIGN.value: 1 << 62, Kind.OTHER.value: 1 << 63}


def sniff(head: bytes) -> bool:
    """Whether an input begins as an answer of ours does; a row of a host carries no ``schema``."""
    return bool(_HEAD.match(head))


def read(path: Path | str | Feed, *, salvage: bool = False, progress: Progress | None = None) -> Source:
    """Read an answer.

    Args:
        path: a file, a FIFO, ``-`` for standard input, or a feed at its beginning.
        salvage: changes nothing: half an object is none.
        progress: called with bytes read and bytes in all (None of a pipe).

    Raises:
        InputError: more than one object, one without a map, or runs that are of no sense.
    """
    with open_feed(path) as feed:
        text = bytearray()
        while piece := feed.take(_PIECE):
            text += piece
            if len(text) > _MOST_BYTES:
                raise InputError(feed.name, f"an answer of up to {_MOST_BYTES >> 20} MiB", "more")
            if progress:
                progress(feed.position, feed.size)
        name, size = feed.name, feed.size if isinstance(feed, FileFeed) else None
    try:
        answer = json.loads(text.decode())
    except (ValueError, RecursionError) as error:
        raise InputError(name, "one JSON answer of plan or show", shorten(str(error))) from None
    if not isinstance(answer, dict) or not isinstance(answer.get("p2m"), list) or not answer["p2m"]:
        raise InputError(name, "an answer of plan or show with a map (p2m)", _given(answer))
    guest = answer.get("guest")
    bits = guest.get("bits") if isinstance(guest, dict) else answer.get("bits")
    geometry = GEOMETRIES.get(bits, GEOMETRY_64) if isinstance(bits, int) else GEOMETRY_64
    p2m = P2M(_runs(answer["p2m"], name), geometry=geometry, beyond=Kind.UNKNOWN)
    origin = Origin(name, "answer of plan" if "outcome" in answer else "answer of show", size)
    assumed = answer.get("assumed")
    lines = [line for line in assumed if isinstance(line, str)] if isinstance(assumed, list) else []
    return Source(origin, Guest(geometry), p2m, inferred=tuple(f"assumed: {line}" for line in lines))


def _given(answer: Any) -> str:  # noqa: ANN401 (any JSON value)
    if not isinstance(answer, dict):
        return shorten(answer)
    return shorten(answer["error"]) if "error" in answer else f"keys {shorten(', '.join(map(str, answer)))}"


def _runs(listed: list[Any], name: str) -> list[Run]:
    runs: list[Run] = []
    for number, entry in enumerate(listed):
        position = runs[-1].end if runs else 0
        run = _run(entry, position)
        if run is None:
            expected = f"[{position}, end, kind], and the number behind {position} where there is one"
            raise InputError(f"{name}: p2m[{number}]", expected, shorten(entry))
        runs.append(run)
    return runs


def _run(entry: Any, position: int) -> Run | None:  # noqa: ANN401 (any JSON value)
    """One run from `position` on, None where it is not of the form."""
    if not isinstance(entry, list) or not 3 <= len(entry) <= 5 or entry[2] not in list(Kind):
        return None
    start, end, kind, *number = entry
    whole = all(type(each) is int for each in (start, end, *number))
    if not whole or start != position or not start < end <= _MOST_PFN:
        return None
    if kind not in _MOST:
        return None if number else Run(start, end, Kind(kind))
    first, step = (*number, 1)[:2] if number else (-1, 1)
    last = first + (end - start - 1) * step
    if step not in (1, -1) or min(first, last) < 0 or max(first, last) >= _MOST[kind]:
        return None
    return Run(start, end, Kind(kind), first, step)
