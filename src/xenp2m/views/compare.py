"""Two maps as a pair of strips: what differs stands out, what does not stays in the background."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

from xenp2m.runtable import KINDS, RunTable
from xenp2m.views.bins import MOST, binned, few_parts
from xenp2m.views.palette import Part, joined
from xenp2m.views.strip import cell_count, cells, legend, painted, scale
from xenp2m.views.text import Paint, plain, size, wrapped

if TYPE_CHECKING:
    from collections.abc import Sequence

    from xenp2m.maps.mapdiff import MapDiff
    from xenp2m.p2m import P2M

__all__ = ["changed_parts", "compared_end", "pair_lines"]


def changed_parts(diff: MapDiff, end: int) -> tuple[list[Part], list[Part]]:
    """The stretches that differ, as each of the two maps has them; binned where they are very many.

    Args:
        diff: of two maps.
        end: one past the last PFN of the view.
    """
    rows = diff.rows
    if rows.start.size > MOST:
        left = RunTable(rows.start, rows.end, rows.left, rows.left_mfn, rows.left_step)
        right = left._replace(kind=rows.right, mfn=rows.right_mfn, step=rows.right_step)
        return binned(left, end, MOST), binned(right, end, MOST)
    spans = list(zip(rows.start.tolist(), rows.end.tolist(), strict=True))
    before, after = (
        list(
            joined(Part(*span, KINDS[kind].value) for span, kind in zip(spans, column.tolist(), strict=True))
        )
        for column in (rows.left, rows.right)
    )
    return before, after


def compared_end(maps: tuple[P2M, P2M], diff: MapDiff) -> int:
    """Where strips of the two end: behind the last memory or difference, rounded up."""
    ends = [int(diff.rows.end[-1]) if diff.rows.end.size else 1]
    for p2m in maps:
        table = p2m.table()
        ends += table.end[table.step != 0][-1:].tolist()
    end = max(ends)
    unit = 1 << max(0, end.bit_length() - 3)
    return -(-end // unit) * unit


def pair_lines(
    maps: tuple[P2M, P2M],
    diff: MapDiff,
    names: tuple[str, str],
    *,
    width: int = 80,
    unicode: bool = True,
    paint: Paint = plain,
) -> list[str]:
    """Lines: a scale, a strip for each map with only the differences in colour, and marks below them.

    Args:
        maps: before and after, or predicted and real.
        diff: what `mapdiff.compare` found between them.
        names: of the two, a word each; cut to 12 characters.
        width: columns of the terminal.
        unicode: block characters, or ASCII.
        paint: puts styles on text.

    Where something differs a cell shows what most of its differing frames are, and a mark stands
    below it: the pair can be read without colour.
    """
    end = compared_end(maps, diff)
    labels = [name if len(name) <= 12 else name[:11] + "." for name in names]
    margin = max(map(len, labels)) + 1
    number = cell_count(width - margin)
    lines, marked = [" " * (margin + 1) + scale(end, number)], [""]
    present: set[str] = set()
    for label, p2m, changed in zip(labels, maps, changed_parts(diff, end), strict=True):
        ground = cells(few_parts(p2m, end), end, number)
        marked = cells(changed, end, number)
        present |= {look for look in (*ground, *marked) if look}
        lines.append(f" {label.ljust(margin)}" + _line(ground, marked, unicode=unicode, paint=paint))
    sign = "▲" if unicode else "^"
    lines.append((" " * (margin + 1) + "".join(sign if mark else " " for mark in marked)).rstrip())
    lines += legend(present, width, unicode=unicode, paint=paint)
    said = f"{sign} something differs here; a character is {size(max(1, end // number))}"
    return [*lines, paint(wrapped(said, width), "dim")]


def _line(ground: Sequence[str], marked: Sequence[str], *, unicode: bool, paint: Paint) -> str:
    """Cells that differ in their colour, the others dim."""
    line = ""
    shown = zip(ground, marked, strict=True)
    for differs, group in groupby(shown, key=lambda pair: bool(pair[1])):
        pairs = list(group)
        if differs:
            line += painted([mark for _, mark in pairs], unicode=unicode, paint=paint)
        else:
            line += paint(painted([look for look, _ in pairs], unicode=unicode), "dim")
    return line
