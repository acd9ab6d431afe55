"""Fragmentation: how much of a guest's memory lies in contiguous extents of which size."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from xenp2m.frames import Kind
from xenp2m.runtable import RunTable
from xenp2m.views.palette import LOOKS
from xenp2m.views.text import size

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

    from xenp2m.extents import Run

__all__ = ["draw_sizes", "sizes"]


def sizes(runs: Sequence[Run] | RunTable) -> tuple[Counter[int], Counter[int]]:
    """Extents of machine frames by size.

    Returns:
        Number of extents and number of their frames, by power of two: key 3 holds extents of 8 to
        15 frames. Ascending and descending extents count alike. O(runs) in numpy.
    """
    table = runs if isinstance(runs, RunTable) else RunTable.of(runs)
    pages = table.only(Kind.MFN).pages
    order = np.frexp(pages.astype(np.float64))[1] - 1
    number, frames = np.bincount(order), np.bincount(order, weights=pages)
    present = np.flatnonzero(number).tolist()
    return Counter({n: int(number[n]) for n in present}), Counter({n: int(frames[n]) for n in present})


def draw_sizes(axes: Axes, runs: Sequence[Run] | RunTable) -> None:
    """Draw one bar for each power of two: the share of memory, with the number of extents above it."""
    number, frames = sizes(runs)
    total = sum(frames.values()) or 1
    orders = list(range(max(frames, default=0) + 1))
    shares = [100 * frames[order] / total for order in orders]
    look = LOOKS["mfn"]
    bars = axes.bar(range(len(orders)), shares, color=look.light, width=0.8)
    counts = [f"{number[order]:,}" if number[order] else "" for order in orders]
    axes.bar_label(bars, counts, fontsize=8, padding=1)
    axes.set_xticks(range(len(orders)), [size(1 << order) for order in orders], rotation=30, ha="right")
    axes.set_xlabel("size of contiguous extents, from this to twice as much")
    axes.set_ylabel("% of memory")
    axes.set_ylim(0, max([*shares, 1]) * 1.15)
    axes.set_title(f"Extents of machine frames: {sum(number.values()):,} (their number above each bar)")
