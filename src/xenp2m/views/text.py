"""Text for a terminal: columns, sizes and wrapping.

Styles are names, not escape codes: the caller passes a `Paint` that may do nothing.
"""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Protocol

from xenp2m.frames import PAGE_SIZE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

__all__ = ["Paint", "plain", "plural", "rows", "size", "wrapped"]


class Paint(Protocol):
    """Puts a style on a piece of text.

    Styles are ``head``, ``error``, ``warning``, ``note``, ``dim``, and the names of `palette.LOOKS`.
    """

    def __call__(self, text: str, style: str) -> str:
        """`text` with `style` around it."""


def plain(text: str, style: str) -> str:
    """A `Paint` without colour."""
    return text


_ROOM = 20
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

    Where that leaves no room for the last one it goes under its row, and where even the others
    do not fit side by side, each row is a paragraph.

    Args:
        table: rows of the same number of cells, the heading among them.
        right: columns aligned to the right.
        width: columns of the terminal.

    Yields:
        Lines; a row of a narrow terminal is one string of several.
    """
    last = len(table[0]) - 1
    widths = [max(len(row[i]) for row in table) for i in range(last)]
    room = width - 1 - sum(widths) - 2 * last
    if room >= max(1, min(_ROOM, max(len(row[last]) for row in table))):
        yield from _wide(table, right, widths, room)
    elif 1 + sum(widths) + last <= width:
        for row in table:
            head = " " + " ".join(_aligned(row, widths, right)).rstrip()
            yield head + ("\n" + wrapped(row[last], width, "   ") if row[last] else "")
    else:
        yield from (wrapped("  ".join(filter(None, row)), width, " ", "   ") for row in table)


def _aligned(row: Sequence[str], widths: Sequence[int], right: frozenset[int]) -> list[str]:
    cells = zip(row, widths, strict=False)
    return [c.rjust(w) if i in right else c.ljust(w) for i, (c, w) in enumerate(cells)]


def _wide(
    table: Sequence[Sequence[str]], right: frozenset[int], widths: Sequence[int], room: int
) -> Iterator[str]:
    margin = " " * (1 + sum(widths) + 2 * len(widths))
    for row in table:
        lines = textwrap.wrap(row[-1], room) or [""]
        yield " " + "  ".join([*_aligned(row, widths, right), lines[0]]).rstrip()
        yield from (margin + line for line in lines[1:])


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
