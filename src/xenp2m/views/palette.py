"""One look for each sort of frames, the same in every view: a word, a colour, a character, a pattern.

Hues follow Okabe and Ito (Color Universal Design, 2008) and stay apart for eyes that lack the red or
the green cone. No view tells anything by colour alone: characters, patterns and heights differ, too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from xenp2m.extents import intersect, subtract
from xenp2m.frames import Kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from xenp2m.extents import Range, Run

__all__ = ["LOOKS", "Look", "Part", "joined", "parts"]


class Look(NamedTuple):
    """How one sort of frames is shown.

    Attributes:
        text: what a legend calls it.
        glyph: its character in a strip.
        plain: the same in ASCII.
        light: colour on light ground, ``#rrggbb``.
        dark: colour on dark ground.
        xterm: colour of a terminal with 256 of them.
        basic: colour of a terminal with 16, as click names it.
        hatch: pattern of a picture, as matplotlib writes it.
        tall: share of a bar's height, so that memory stands out from address space.
    """

    text: str
    glyph: str
    plain: str
    light: str
    dark: str
    xterm: int
    basic: str
    hatch: str
    tall: float


LOOKS = {
    "mfn": Look("ram", "█", "#", "#0072b2", "#4aa8e0", 32, "bright_blue", "", 1.0),
    "extra": Look("room to grow", "▒", "+", "#e69f00", "#f5bd4f", 214, "yellow", "////", 1.0),
    "identity": Look("identity", "─", "-", "#8c8c8c", "#9a9a9a", 246, "white", "", 0.25),
    "missing": Look("missing", "·", ".", "#d9d9d9", "#4a4a4a", 240, "bright_black", "", 0.08),
    "foreign": Look("foreign", "◆", "F", "#882255", "#ffb3d9", 218, "magenta", "xx", 0.65),
    "other": Look("other", "!", "!", "#d55e00", "#f0501e", 202, "bright_red", "**", 1.0),
    "unknown": Look("unknown", "?", "?", "#56b4e9", "#7fc8f0", 117, "cyan", "oo", 0.4),
}
"""Looks by name: the kinds of `Kind`, and ``extra`` for missing frames that the balloon may fill."""


class Part(NamedTuple):
    """PFNs ``[start, end)`` that look alike; `look` is a name of `LOOKS`."""

    start: int
    end: int
    look: str


def parts(runs: Iterable[Run], extra: Sequence[Range] = ()) -> Iterator[Part]:
    """The runs of a map by their look, ascending, neighbours that look alike joined.

    Args:
        runs: of the map, ascending.
        extra: PFN ranges that are room for the balloon; a missing frame inside them looks so.
    """
    yield from joined(_parts(runs, extra))


def _parts(runs: Iterable[Run], extra: Sequence[Range]) -> Iterator[Part]:
    for run in runs:
        if run.kind is not Kind.MISSING or not extra:
            yield Part(run.start, run.end, run.kind.value)
            continue
        span = [(run.start, run.end)]
        room = [Part(*r, "extra") for r in intersect(span, extra)]
        yield from sorted(room + [Part(*r, "missing") for r in subtract(span, extra)])


def joined(shown: Iterable[Part]) -> Iterator[Part]:
    """Ascending parts, those that touch and look alike as one."""
    last: Part | None = None
    for part in shown:
        if last is not None and last.end == part.start and last.look == part.look:
            last = last._replace(end=part.end)
            continue
        if last is not None:
            yield last
        last = part
    if last is not None:
        yield last
