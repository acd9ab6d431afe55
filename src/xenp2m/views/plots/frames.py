"""PFN against MFN: where in the machine each part of a guest's memory lies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from xenp2m.frames import Kind
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


def draw_frames(axes: Axes, runs: Sequence[Run], end: int) -> None:
    """Draw PFN (right) against MFN (up) for PFNs ``[0, end)``.

    Up to 2,000 runs are drawn as the lines they are. More are counted into a grid first, and its
    occupied cells are drawn: cost and size do not grow with the map. O(runs).
    """
    shown = [run.cut(0, end) for run in runs if run.start < end and run.kind in _NUMBERED]
    base, top = _span(shown, end)
    identity = [run.cut(0, end) for run in runs if run.kind is Kind.IDENTITY and run.start < end]
    if len(shown) + len(identity) <= _LINES:
        _lines(axes, [((r.start, r.start), (r.end, r.end)) for r in identity], Kind.IDENTITY)
    elif identity:
        axes.plot([0, end], [0, end], color=LOOKS["identity"].light, linewidth=0.8, linestyle=":")
    binned = len(shown) > _LINES
    for kind in _NUMBERED:
        of_kind = [run for run in shown if run.kind is kind]
        if binned and of_kind:
            _cells(axes, occupied(of_kind, end, (base, top), _COLUMNS, _ROWS), end, (base, top), kind)
        else:
            _lines(axes, [((r.start, r.mfn), (r.end, r.mfn + r.pages * r.step)) for r in of_kind], kind)
    detail = f" ({len(shown):,} runs, binned {_COLUMNS} × {_ROWS})" if binned else ""
    axes.set_title(f"PFN against MFN{detail}")
    address_axis(axes, end, "x", "PFN, as an address of the guest")
    address_axis(axes, top, "y", "MFN, as an address of the machine", base)
    axes.grid(color="#dddddd", linewidth=0.5)
    axes.set_axisbelow(True)
    if axes.get_legend_handles_labels()[1]:
        axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=3, fontsize=8)


def _span(shown: Sequence[Run], end: int) -> tuple[int, int]:
    """MFNs to show: all from 0 on, or where they lie if that is a small part far up."""
    edges = [edge for run in shown for edge in (run.mfn, run.at(run.end - 1))]
    top, low = max(edges, default=end - 1) + 1, min(edges, default=0)
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
    runs: Sequence[Run], end: int, mfns: tuple[int, int], columns: int, rows: int
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
    starts, ends, numbers, steps = (
        np.array(each, np.int64)
        for each in zip(*((r.start, r.end, r.mfn, r.step) for r in runs), strict=True)
    )
    edges = -(-np.arange(1, columns, dtype=np.int64) * end // columns)
    cuts = np.union1d(starts, edges[edges < ends[-1]])
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
