"""The strip: an address space as one line of characters, with a scale above and a legend below."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

from xenp2m.views.palette import LOOKS
from xenp2m.views.text import Paint, plain, size

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from xenp2m.views.palette import Part

__all__ = ["cell_count", "cells", "legend", "painted", "scale", "strip"]


def cell_count(width: int) -> int:
    """Characters of a strip on a terminal of `width` columns: a multiple of eight, so that ticks fit."""
    return max(24, (width - 2) // 8 * 8)


def strip(
    shown: Iterable[Part], end: int, width: int, *, unicode: bool = True, paint: Paint = plain
) -> list[str]:
    """The PFNs ``[0, end)`` as one line, with a scale above and a legend below.

    Args:
        shown: parts of the map, ascending.
        end: one past the last PFN of the strip.
        width: columns of the terminal.
        unicode: block characters, or ASCII.
        paint: puts a look's colour on a piece of text.
    """
    looks = cells(shown, end, cell_count(width))
    present = {look for look in looks if look}
    return [
        " " + scale(end, len(looks)),
        " " + painted(looks, unicode=unicode, paint=paint),
        *legend(present, width, unicode=unicode, paint=paint),
    ]


def cells(shown: Iterable[Part], end: int, number: int) -> list[str]:
    """The look of each of `number` cells over PFNs ``[0, end)``; "" where nothing is known.

    A cell shows what most of its frames are; frames that no sound map holds (``other``) show
    wherever there is one. O(parts + number).
    """
    weight: list[dict[str, int]] = [{} for _ in range(number)]
    for start, stop, look in shown:
        first, last = start * number // end, (min(stop, end) - 1) * number // end
        for cell in range(first, min(last, number - 1) + 1):
            low, high = -(-cell * end // number), -(-(cell + 1) * end // number)
            pages = min(stop, high) - max(start, low)
            if pages > 0:
                weight[cell][look] = weight[cell].get(look, 0) + pages
    return ["other" if "other" in w else max(w, key=lambda look: w[look], default="") for w in weight]


def painted(looks: Sequence[str], *, unicode: bool = True, paint: Paint = plain) -> str:
    """A line of cells as characters, each stretch of one look painted at once."""
    line = ""
    for look, group in groupby(looks):
        number = len(list(group))
        line += paint(_glyph(look, unicode) * number, look) if look else " " * number
    return line


def legend(present: Iterable[str], width: int, *, unicode: bool = True, paint: Paint = plain) -> list[str]:
    """Lines that say what the characters mean, of those that are `present`."""
    lines, column = [""], 0
    for name in (name for name in LOOKS if name in set(present)):
        text = f"{_glyph(name, unicode)} {LOOKS[name].text}"
        if column and column + 3 + len(text) > width - 1:
            lines.append("")
            column = 0
        lines[-1] += (" " if not column else "   ") + paint(text[0], name) + text[1:]
        column += 3 + len(text)
    return lines


def _glyph(look: str, unicode: bool) -> str:
    return LOOKS[look].glyph if unicode else LOOKS[look].plain


def scale(end: int, number: int) -> str:
    """Labels at round sizes over `number` cells."""
    step = 1 << max(6, ((end + 4) // 5 - 1).bit_length())
    line = ""
    for pfn in range(0, end + 1, step):
        column = pfn * number // end
        label = size(pfn).replace("iB", "").replace(" ", "").replace(".0", "")
        if column >= len(line) and column + len(label) <= number + 1:
            line = line.ljust(column) + label + " "
    return line.rstrip()
