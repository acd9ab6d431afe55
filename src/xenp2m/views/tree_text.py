"""The P2M tree as a table: top entries, mid pages, leaf pages, and the PFNs under them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from xenp2m.views.text import Paint, plain, plural, rows

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from xenp2m.extents import Run
    from xenp2m.frames import Geometry

__all__ = ["MOST_ROWS", "branch", "map_lines", "table_lines", "tree_lines"]

MOST_ROWS = 24
"""Rows of a table that are shown unless all are asked for."""

_LEAVES = {
    "M": "p2m_missing",
    "I": "p2m_identity",
    "L": "the builder's list",
    "l": "the builder's list, reused",
    "B": "own page (brk)",
    "R": "own page",
    "O": "another page",
}
_SHARED_MIDS = {"mid_missing": "p2m_mid_missing", "mid_identity": "p2m_mid_identity"}


def table_lines(
    table: Sequence[Sequence[str]], width: int, paint: Paint = plain, *, verbose: bool = False
) -> Iterator[str]:
    """A table with its heading, cut where it is long.

    Args:
        table: the rows, the heading first.
        width: columns of the terminal.
        paint: puts styles on text.
        verbose: all rows.
    """
    shown = table if verbose or len(table) <= MOST_ROWS + 1 else table[:MOST_ROWS]
    lines = iter(rows(shown, frozenset(), width))
    yield paint(next(lines), "dim")
    yield from lines
    if len(shown) < len(table):
        yield f" … {plural(len(table) - len(shown), 'more row')} (--verbose)"


def tree_lines(
    shape: Sequence[Sequence[Any]],
    geometry: Geometry,
    width: int,
    paint: Paint = plain,
    *,
    verbose: bool = False,
) -> Iterator[str]:
    """The structure, one line for each stretch of pages of one sort.

    Args:
        shape: the form of the vectors' ``struct``.
        geometry: entries a page.
        width: columns of the terminal.
        paint: puts styles on text.
        verbose: all lines, not the first ones.
    """
    table = [("p2m_top", "mid page", "entries", "leaf page", "PFNs")]
    for entry in shape:
        table.extend(_entry(entry, geometry.entries))
    yield from table_lines(table, width, paint, verbose=verbose)


def branch(shape: Sequence[Sequence[Any]], geometry: Geometry, pfn: int) -> list[list[Any]]:
    """The part of a structure that leads to `pfn`: its entry of the top page, its stretch of leaf pages.

    Args:
        shape: the form of the vectors' ``struct``.
        geometry: entries a page.
        pfn: below the end of the tree; nothing leads to any other.
    """
    top, mid = divmod(pfn // geometry.entries, geometry.entries)
    for entry in shape:
        if entry[0] <= top < entry[1]:
            if entry[2] in _SHARED_MIDS:
                return [[top, top + 1, entry[2]]]
            return [[*entry[:3], [leaf for leaf in entry[3] if leaf[0] <= mid < leaf[1]]]]
    return []


def _entry(entry: Sequence[Any], entries: int) -> Iterator[tuple[str, str, str, str, str]]:
    top, end, mid = entry[:3]
    span = entries * entries
    if mid in _SHARED_MIDS:
        yield _indices(top, end), _SHARED_MIDS[mid], "", "", _pfns(top * span, end * span)
        return
    own = "own page (brk)" if mid == "B" else "own page"
    for index, (low, high, letter) in enumerate(entry[3]):
        name, page = ("", "") if index else (_indices(top, end), own)
        start = top * span
        pfns = _pfns(start + low * entries, start + high * entries)
        yield name, page, _indices(low, high), _LEAVES.get(letter, letter), pfns


def _indices(low: int, high: int) -> str:
    return f"[{low}]" if high == low + 1 else f"[{low}..{high - 1}]"


def _pfns(start: int, end: int) -> str:
    return f"{start:#x} - {end:#x}"


def map_lines(
    runs: Iterable[Run], width: int, paint: Paint = plain, *, verbose: bool = False
) -> Iterator[str]:
    """The map as the kernel reads it, one line a run."""
    table = [("PFNs", "kind", "behind the first")]
    for run in runs:
        behind = f"{run.mfn:#x}" + (" descending" if run.step < 0 else "") if run.step else ""
        table.append((_pfns(run.start, run.end), run.kind.value, behind))
    yield from table_lines(table, width, paint, verbose=verbose)
