"""Text for a terminal: columns, sizes, wrapping and the strip of an address space.

Styles are names, not escape codes: the caller passes a `Paint` that may do nothing.
"""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Protocol

from xenp2m.frames import PAGE_SIZE, Kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from xenp2m.extents import Run

__all__ = ["GLYPHS", "PLAIN_GLYPHS", "Paint", "plain", "plural", "rows", "size", "strip", "wrapped"]


class Paint(Protocol):
    """Puts a style on a piece of text: ``head``, ``error``, ``warning``, ``note``, ``dim``."""

    def __call__(self, text: str, style: str) -> str:
        """`text` with `style` around it."""


def plain(text: str, style: str) -> str:
    """A `Paint` without colour."""
    return text


GLYPHS = {
    Kind.MFN: "█",
    Kind.MISSING: "▒",
    Kind.IDENTITY: "─",
    Kind.FOREIGN: "◆",
    Kind.OTHER: "!",
    Kind.UNKNOWN: "?",
}
PLAIN_GLYPHS = {Kind.MFN: "#", Kind.MISSING: "+", Kind.IDENTITY: "-", Kind.FOREIGN: "F", Kind.OTHER: "!",
                Kind.UNKNOWN: "?"}  # fmt: skip
_MEANING = {Kind.MFN: "ram", Kind.MISSING: "room to grow", Kind.IDENTITY: "identity"}
_UNITS = ((1 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"))


def size(pages: int) -> str:
    """Pages as a size: exact where the unit divides it, else one decimal."""
    amount = pages * PAGE_SIZE
    for unit, name in _UNITS:
        if amount >= unit:
            if amount % unit == 0:
                return f"{amount // unit} {name}"
            if amount >= 10 * unit or name == "KiB":
                return f"{amount / unit:.1f} {name}"
    return "0"


def plural(number: int, noun: str) -> str:
    """``1 page``, ``1,024 pages``."""
    return f"{number:,} {noun}{'s' * (number != 1)}"


def rows(table: Sequence[Sequence[str]], right: frozenset[int], width: int) -> Iterable[str]:
    """Aligned columns two blanks apart; the last one wraps at `width` under itself.

    Args:
        table: rows of the same number of cells, the heading among them.
        right: columns aligned to the right.
        width: columns of the terminal.
    """
    last = len(table[0]) - 1
    widths = [max(len(row[i]) for row in table) for i in range(last)]
    room = max(16, width - 1 - sum(widths) - 2 * last)
    for row in table:
        cells = [
            c.rjust(w) if i in right else c.ljust(w)
            for i, (c, w) in enumerate(zip(row, widths, strict=False))
        ]
        lines = textwrap.wrap(row[last], room) or [""]
        yield " " + "  ".join([*cells, lines[0]]).rstrip()
        yield from (" " * (1 + sum(widths) + 2 * last) + line for line in lines[1:])


def wrapped(text: str, width: int, indent: str = " ", hang: str | None = None) -> str:
    """A paragraph."""
    return textwrap.fill(
        text,
        width,
        initial_indent=indent,
        subsequent_indent=indent if hang is None else hang,
        break_long_words=False,
        break_on_hyphens=False,
    )


def strip(runs: Iterable[Run], end: int, width: int, glyphs: dict[Kind, str]) -> list[str]:
    """The PFNs ``[0, end)`` as one line, with a scale above and a legend behind.

    Each cell shows the kind with most of its frames. O(runs + width).
    """
    legend = "   ".join(f"{glyphs[kind]} {text}" for kind, text in _MEANING.items())
    cells = max(24, min(72, width - 2))
    line = _cells(runs, end, cells, glyphs)
    return [" " + _scale(end, cells), " " + line, " " + legend]


def _cells(runs: Iterable[Run], end: int, cells: int, glyphs: dict[Kind, str]) -> str:
    weight: list[dict[Kind, int]] = [{} for _ in range(cells)]
    for run in runs:
        first, last = run.start * cells // end, (min(run.end, end) - 1) * cells // end
        for cell in range(first, min(last, cells - 1) + 1):
            low, high = -(-cell * end // cells), -(-(cell + 1) * end // cells)
            pages = min(run.end, high) - max(run.start, low)
            weight[cell][run.kind] = weight[cell].get(run.kind, 0) + max(pages, 0)
    return "".join(glyphs[max(w, key=lambda kind: w[kind])] if w else " " for w in weight)


def _scale(end: int, cells: int) -> str:
    """Tick labels at round sizes."""
    step = 1 << max(6, ((end + 4) // 5 - 1).bit_length())
    line = ""
    for pfn in range(0, end + 1, step):
        column = pfn * cells // end
        label = size(pfn).replace("iB", "").replace(" ", "").replace(".0", "")
        if column >= len(line) and column + len(label) <= cells + 1:
            line = line.ljust(column) + label + " "
    return line.rstrip()
