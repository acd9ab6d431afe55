"""Our own JSON answers: ``plan --json`` (one answer) and ``show --json``.

Runs, findings and outcome are taken as they stand, so that a prediction or a reading that was kept
can be looked at, compared and reported like any other map.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from xenp2m.checks.stories import STORIES
from xenp2m.errors import InputError, shorten
from xenp2m.extents import Run
from xenp2m.findings import Finding, Outcome, Severity, Story
from xenp2m.frames import GEOMETRIES, GEOMETRY_64, Kind
from xenp2m.p2m import P2M
from xenp2m.sources.feed import FileFeed, open_feed
from xenp2m.sources.source import MOST_TEXT, Guest, Origin, Source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from xenp2m.extents import Range
    from xenp2m.sources.feed import Feed

    Progress = Callable[[int, int | None], None]

__all__ = ["read", "sniff"]

_HEAD = re.compile(rb'\s*\{(?:\s*"id": ?(?:"[^"\\]{0,200}"|\d{1,20}|null),)?\s*"schema": ?1\b')
_MOST_BYTES = 256 << 20
_MOST_ROWS = 1000
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
        InputError: more than one object, one without a map, or parts that are of no sense. A plan
            that ends before there is a map is read with an empty one.
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
    if not isinstance(answer, dict):
        raise InputError(name, "an answer of plan or show", shorten(answer))
    return _source(answer, name, size)


def _source(answer: dict[str, Any], name: str, size: int | None) -> Source:
    outcome = _outcome(answer, name)
    listed = answer.get("p2m", [] if outcome else None)
    if not isinstance(listed, list) or not (listed or outcome):
        raise InputError(name, "an answer of plan or show with a map (p2m)", _given(answer))
    guest = answer.get("guest")
    bits = guest.get("bits") if isinstance(guest, dict) else answer.get("bits")
    geometry = GEOMETRIES.get(bits, GEOMETRY_64) if isinstance(bits, int) else GEOMETRY_64
    p2m = P2M(_runs(listed, name), geometry=geometry, beyond=Kind.UNKNOWN)
    origin = Origin(name, "answer of show" if outcome is None else "answer of plan", size)
    lines = answer.get("assumed", [])
    if not isinstance(lines, list) or len(lines) > _MOST_ROWS or not all(map(_is_text, lines)):
        raise InputError(f"{name}: assumed", f"up to {_MOST_ROWS} lines", shorten(lines))
    return Source(
        origin,
        Guest(geometry),
        p2m,
        inferred=tuple(f"assumed: {line}" for line in lines),
        findings=tuple(_findings(answer.get("findings", []), name)),
        outcome=outcome,
    )


def _outcome(answer: dict[str, Any], name: str) -> Outcome | None:
    """How the boot of a plan ends; None of an answer of ``show``."""
    told = answer.get("outcome")
    if told is None:
        return None
    for outcome in Outcome:
        if str(outcome) == told:
            return outcome
    raise InputError(f"{name}: outcome", f"one of {', '.join(map(str, Outcome))}", shorten(told))


def _findings(listed: Any, name: str) -> Iterator[Finding]:  # noqa: ANN401 (any JSON value)
    """The findings; one of a code that this version does not know brings its own story."""
    if not isinstance(listed, list) or len(listed) > _MOST_ROWS:
        raise InputError(f"{name}: findings", f"a list of up to {_MOST_ROWS}", shorten(listed))
    severities = {str(severity): severity for severity in Severity}
    for number, entry in enumerate(listed):
        told = entry if isinstance(entry, dict) else {}
        code, severity, what, why, fix = (told.get(k) for k in ("code", "severity", "what", "why", "fix"))
        texts = [code, severity, what, why, fix]
        spans = _spans(told.get("pfns"))
        if not all(map(_is_text, texts)) or severity not in severities or spans is None:
            raise InputError(f"{name}: findings[{number}]", "a finding of plan or show", shorten(entry))
        story = STORIES.get(str(code)) or Story(str(code), severities[severity], str(why), "", str(fix), "")
        yield Finding(story, str(what), "" if why == story.title else str(why), spans)


def _is_text(value: object) -> bool:
    return isinstance(value, str) and len(value) <= MOST_TEXT


def _spans(listed: Any) -> tuple[Range, ...] | None:  # noqa: ANN401 (any JSON value)
    """Half-open PFN ranges; None where they are of no sense."""
    found: list[Range] = []
    for pair in listed if isinstance(listed, list) else [None]:
        if not isinstance(pair, list) or len(pair) != 2 or not all(type(each) is int for each in pair):
            return None
        if not 0 <= pair[0] < pair[1] <= _MOST_PFN:
            return None
        found.append((pair[0], pair[1]))
    return tuple(found)


def _given(answer: dict[str, Any]) -> str:
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
