"""PFN against MFN: where in the machine each part of a guest's memory lies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from xenp2m.frames import Kind
from xenp2m.runtable import KINDS, RunTable
from xenp2m.views.palette import LOOKS
from xenp2m.views.plots.canvas import address_axis

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from xenp2m.extents import Run

__all__ = ["draw_frames", "occupied"]

_LINES = 2000
_COLUMNS, _ROWS = 160, 100
_NUMBERED = (Kind.MFN, Kind.FOREIGN)


def draw_frames(axes: Axes, runs: Sequence[Run] | RunTable, end: int) -> None:
    """Draw PFN (right) against MFN (up) for PFNs ``[0, end)``.

    Up to 2,000 runs are drawn as the lines they are. More are counted into a grid first, and its
    occupied cells are drawn: cost and size do not grow with the map. O(runs).
    """
    table = (runs if isinstance(runs, RunTable) else RunTable.of(runs)).up_to(end, Kind.MISSING)
    number = sum(int((table.kind == KINDS.index(kind)).sum()) for kind in _NUMBERED)
    base, top = _span(table, end)
    identity = table.only(Kind.IDENTITY)
    if number + identity.start.size <= _LINES:
        spans = zip(identity.start.tolist(), identity.end.tolist(), strict=True)
        _lines(axes, [((low, low), (high, high)) for low, high in spans], Kind.IDENTITY)
    elif identity.start.size:
        axes.plot([0, end], [0, end], color=LOOKS["identity"].light, linewidth=0.8, linestyle=":")
    binned = number > _LINES
    for kind in _NUMBERED:
        of_kind = table.only(kind)
        if binned and of_kind.start.size:
            _cells(axes, occupied(of_kind, end, (base, top), _COLUMNS, _ROWS), end, (base, top), kind)
        else:
            columns = of_kind.start, of_kind.end, of_kind.mfn, of_kind.mfn + of_kind.pages * of_kind.step
            rows = zip(*(column.tolist() for column in columns), strict=True)
            _lines(axes, [((start, low), (stop, high)) for start, stop, low, high in rows], kind)
    detail = f" ({number:,} runs, binned {_COLUMNS} × {_ROWS})" if binned else ""
    axes.set_title(f"PFN against MFN{detail}")
    address_axis(axes, end, "x", "PFN, as an address of the guest")
    address_axis(axes, top, "y", "MFN, as an address of the machine", base)
    axes.set_ylim(base, top + (top - base) / 32)
    axes.grid(color="#dddddd", linewidth=0.5)
    axes.set_axisbelow(True)
    if axes.get_legend_handles_labels()[1]:
        axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=3, fontsize=8)


def _span(table: RunTable, end: int) -> tuple[int, int]:
    """MFNs to show: all from 0 on, or where they lie if that is a small part far up."""
    numbered = np.isin(table.kind, [KINDS.index(kind) for kind in _NUMBERED])
    first = table.mfn[numbered]
    edges = np.append(first, first + (table.pages[numbered] - 1) * table.step[numbered])
    top, low = (int(edges.max()) + 1, int(edges.min())) if edges.size else (end, 0)
    if top - low > low:
        return 0, max(top, end)
    unit = 1 << max(0, (top - low).bit_length() - 3)
    return low // unit * unit, -(-top // unit) * unit


def _lines(axes: Axes, segments: list[Any], kind: Kind) -> None:
    from matplotlib.collections import LineCollection

    if segments:
        thick, dash = (1.0, "dotted") if kind is Kind.IDENTITY else (2.4, "solid")
        look = LOOKS[kind.value]
        axes.add_collection(
            LineCollection(
                segments, colors=look.light, linewidths=thick, linestyles=dash, capstyle="projecting",
                label=look.text,
            )
        )  # fmt: skip


def occupied(
    runs: Sequence[Run] | RunTable, end: int, mfns: tuple[int, int], columns: int, rows: int
) -> NDArray[np.bool_]:
    """Cells of a grid of PFN by MFN that hold at least one frame.

    Args:
        runs: with numbers, ascending, within PFNs ``[0, end)``.
        end: one past the last PFN.
        mfns: first MFN of the grid and one past the last.
        columns: of the grid, over the PFNs.
        rows: of the grid, over the MFNs.

    Returns:
        ``[column, row]``. Runs are cut at the edges of columns; no page is walked.
    """
    base, tall = mfns[0], mfns[1] - mfns[0]
    table = runs if isinstance(runs, RunTable) else RunTable.of(runs)
    starts, ends, numbers, steps = table.start, table.end, table.mfn, table.step
    edges = -(-np.arange(1, columns, dtype=np.int64) * end // columns)
    edges = np.unique(edges[edges < ends[-1]])
    place = np.searchsorted(starts, edges)
    new = starts[np.minimum(place, starts.size - 1)] != edges
    cuts = np.insert(starts, place[new], edges[new])
    owner = np.maximum(np.searchsorted(starts, cuts, side="right") - 1, 0)
    stops = np.minimum(np.append(cuts[1:], ends[-1]), ends[owner])
    inside = (cuts >= starts[owner]) & (stops > cuts)
    cuts, stops, owner = cuts[inside], stops[inside], owner[inside]
    first = numbers[owner] + (cuts - starts[owner]) * steps[owner] - base
    last = numbers[owner] + (stops - 1 - starts[owner]) * steps[owner] - base
    low, high = np.minimum(first, last) * rows // tall, np.maximum(first, last) * rows // tall
    marks = np.zeros((columns, rows + 1), np.int64)
    column = cuts * columns // end
    np.add.at(marks, (column, low), 1)
    np.add.at(marks, (column, high + 1), -1)
    return np.asarray(np.cumsum(marks, axis=1)[:, :rows] > 0)


def _cells(axes: Axes, grid: NDArray[np.bool_], end: int, mfns: tuple[int, int], kind: Kind) -> None:
    """Draw the occupied cells of each column as few boxes."""
    from matplotlib.collections import PolyCollection

    columns, rows = grid.shape
    wide, tall = end / columns, (mfns[1] - mfns[0]) / rows
    edge = np.diff(np.pad(grid.astype(np.int8), ((0, 0), (1, 1))), axis=1)
    boxes = []
    for (column, low), (_, high) in zip(np.argwhere(edge == 1), np.argwhere(edge == -1), strict=True):
        left, right, down, up = (
            column * wide,
            (column + 1) * wide,
            mfns[0] + low * tall,
            mfns[0] + high * tall,
        )
        boxes.append([(left, down), (right, down), (right, up), (left, up)])
    look = LOOKS[kind.value]
    axes.add_collection(
        PolyCollection(boxes, facecolors=look.light, edgecolors=look.light, linewidths=0.3, label=look.text)
    )
