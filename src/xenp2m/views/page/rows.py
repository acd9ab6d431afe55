"""Rows of a report's map: every extent while there are few, the short ones drawn together beyond that."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from xenp2m.frames import Kind
from xenp2m.runtable import KINDS, RunTable
from xenp2m.views.palette import LOOKS, parts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from xenp2m.extents import Run
    from xenp2m.p2m import P2M
    from xenp2m.plan import Plan

__all__ = ["BOUND", "Row", "Rows", "rows_of_map", "rows_of_plan"]

BOUND = 40_000
"""Most rows of one report."""

_RARE = [KINDS.index(kind) for kind in (Kind.FOREIGN, Kind.OTHER, Kind.UNKNOWN)]


class Row(NamedTuple):
    """PFNs ``[start, end)``: one extent, or several drawn together.

    Attributes:
        start: first PFN.
        end: one past the last PFN.
        look: a name of `LOOKS`; of most frames, where several extents are drawn together.
        number: behind `start` (MFN, or the raw word of ``other``); None without, or of several.
        step: 1 or -1; 0 without a number.
        why: the reason, "" where none is known.
        extents: how many; more than 1 where they are drawn together.
    """

    start: int
    end: int
    look: str
    number: int | None = None
    step: int = 0
    why: str = ""
    extents: int = 1


class Rows(NamedTuple):
    """The map, from PFN 0 to its end without gap.

    Attributes:
        rows: ascending.
        extents: how many the map has.
        merged: how many of them are drawn together with others.
        shortest: frames of the shortest extent that surely has a row of its own.
    """

    rows: list[Row]
    extents: int
    merged: int = 0
    shortest: int = 1

    def listed(self) -> list[list[Any]]:
        """For the page's script: length, look, number, step, reason, extents; trailing defaults left out."""
        names, reasons = list(LOOKS), self.reasons()
        index = {why: number for number, why in enumerate(reasons)}
        found = []
        for row in self.rows:
            large = row.number is not None and row.number >= 1 << 53
            number = f"{row.number:#x}" if large else row.number
            item = [row.end - row.start, names.index(row.look), number, row.step, index[row.why], row.extents]
            defaults = [None, None, None, 0, 0, 1]
            while len(item) > 2 and item[-1] == defaults[len(item) - 1]:
                item.pop()
            found.append(item)
        return found

    def reasons(self) -> list[str]:
        """Every reason once; the first is that there is none."""
        return list(dict.fromkeys(["", *(row.why for row in self.rows)]))


def rows_of_plan(plan: Plan, bound: int = BOUND) -> Rows | None:
    """Rows of a plan with their reasons; None where it has no map."""
    if plan.layout.runs is None or plan.p2m is None:
        return None
    runs = plan.p2m.extents()
    if len(runs) > bound:
        return _thinned(plan.p2m.table(), bound)
    cuts = sorted({edge for part in plan.stretches for edge in (part.start, part.end)})
    whys = {part.start: part.why for part in plan.stretches}
    edges = sorted({*cuts, *(run.start for run in runs), *(run.end for run in runs)})
    rows: list[Row] = []
    position, stretch = 0, ""
    for start, end in pairwise(edges):
        stretch = whys.get(start, stretch)
        while runs[position].end <= start:
            position += 1
        rows += [
            row._replace(why=stretch)
            for row in _exact(runs[position].cut(start, end), plan.layout.extra or ())
        ]
    return Rows(rows, len(rows))


def _exact(run: Run, extra: Sequence[tuple[int, int]] = ()) -> list[Row]:
    number = run.mfn if run.step else None
    return [Row(p.start, p.end, p.look, number, run.step) for p in parts([run], extra)]


def rows_of_map(p2m: P2M, bound: int = BOUND) -> Rows:
    """Rows of any map."""
    if p2m.table().start.size > bound:
        return _thinned(p2m.table(), bound)
    runs = p2m.extents()
    return Rows([row for run in runs for row in _exact(run)], len(runs))


def _thinned(table: RunTable, bound: int) -> Rows:
    """At most `bound` rows: the longest extents and the rare kinds as they are, the rest between them."""
    pages = table.pages
    rank = pages + np.isin(table.kind, _RARE) * (np.int64(1) << 60)
    alone = np.zeros(pages.size, bool)
    alone[np.argsort(-rank, kind="stable")[: bound // 2 - 1]] = True
    heads = np.flatnonzero(alone | np.append(True, alone[:-1]))
    tails = np.append(heads[1:], pages.size)
    rows = [
        _alone(table, head) if tail - head == 1 else _together(table, pages, head, tail)
        for head, tail in zip(heads.tolist(), tails.tolist(), strict=True)
    ]
    merged = sum(row.extents for row in rows if row.extents > 1)
    hidden = pages[~alone]
    return Rows(rows, int(pages.size), merged, int(hidden.max()) + 1 if hidden.size else 1)


def _alone(table: RunTable, index: int) -> Row:
    """The row of one extent."""
    start, end, kind, mfn, step = (int(column[index]) for column in table)
    return Row(start, end, KINDS[kind].value, mfn if step else None, step)


def _together(table: RunTable, pages: NDArray[np.int64], head: int, tail: int) -> Row:
    """One row for the extents ``[head, tail)``."""
    kinds: NDArray[Any] = table.kind[head:tail]
    weight = np.bincount(kinds, weights=pages[head:tail], minlength=len(KINDS))
    other = KINDS.index(Kind.OTHER)
    most = other if weight[other] else int(weight.argmax())
    return Row(int(table.start[head]), int(table.end[tail - 1]), KINDS[most].value, extents=tail - head)
