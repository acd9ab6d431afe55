"""Bars over one address axis: memory maps and P2Ms below each other, so that they can be compared."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from xenp2m.e820 import type_name
from xenp2m.frames import PAGE_SIZE
from xenp2m.views.palette import LOOKS
from xenp2m.views.plots.canvas import address_axis

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from matplotlib.axes import Axes

    from xenp2m.e820 import Entry
    from xenp2m.views.palette import Part

__all__ = ["Bar", "draw_bars", "entries_bar", "map_bar"]

_TYPES = {
    1: ("#9ecae1", ""),
    2: ("#bdbdbd", "--"),
    3: ("#56b4e9", "\\\\\\"),
    4: ("#f0e442", "xxx"),
    5: ("#f2f2f2", ".."),
}
_OTHER_TYPE = ("#d55e00", "**")


class Bar(NamedTuple):
    """One row of boxes.

    Attributes:
        label: at its left.
        boxes: ``(start, end, legend text, colour, hatch, share of the height)``, in frames, the end
            not included.
    """

    label: str
    boxes: list[tuple[float, float, str, str, str, float]]


def entries_bar(label: str, entries: Iterable[Entry]) -> Bar:
    """A memory map as a bar; entries need not begin or end at a page."""
    boxes = []
    for entry in entries:
        colour, hatch = _TYPES.get(entry.type, _OTHER_TYPE)
        span = entry.start / PAGE_SIZE, entry.end / PAGE_SIZE
        boxes.append((*span, f"{type_name(entry.type)} (E820)", colour, hatch, 1.0))
    return Bar(label, boxes)


def map_bar(label: str, shown: Sequence[Part]) -> Bar:
    """Parts of a map as a bar; of large maps `bins.few_parts`, no more than a picture has dots."""
    looks = ((part, LOOKS[part.look]) for part in shown)
    return Bar(label, [(p.start, p.end, look.text, look.light, look.hatch, look.tall) for p, look in looks])


def draw_bars(axes: Axes, bars: Sequence[Bar], end: int, title: str) -> None:
    """Draw bars from the top down over frames ``[0, end)``, with a legend of what occurs."""
    named: dict[str, tuple[str, str]] = {}
    for row, bar in enumerate(bars):
        for text in dict.fromkeys(box[2] for box in bar.boxes):
            boxes = [box for box in bar.boxes if box[2] == text and box[0] < end]
            if not boxes:
                continue
            colour, hatch, tall = boxes[0][3:]
            named.setdefault(text, (colour, hatch))
            spans = [(low, min(high, end) - low) for low, high, *_ in boxes]
            place = (row - 0.36 * tall, 0.72 * tall)
            axes.broken_barh(spans, place, facecolor=colour, edgecolor=colour, linewidth=0.6)
            if hatch:
                axes.broken_barh(spans, place, facecolor="none", edgecolor="#555", hatch=hatch, linewidth=0)
    axes.set_yticks(range(len(bars)), [bar.label for bar in bars])
    axes.set_ylim(len(bars) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.set_title(title)
    address_axis(axes, end)
    _legend(axes, named)


def _legend(axes: Axes, named: dict[str, tuple[str, str]]) -> None:
    from matplotlib.patches import Patch

    patches = [
        # A box of the legend is so low that one line of a sparse pattern may miss it.
        Patch(facecolor=colour, edgecolor="#555555", hatch=hatch.replace("-", "--"), label=text, lw=0.4)
        for text, (colour, hatch) in named.items()
    ]
    axes.legend(
        handles=patches,
        loc="upper center",
        bbox_to_anchor=(0.5, 0),
        borderaxespad=2.8,
        ncols=len(patches) if len(patches) <= 5 else -(-len(patches) // 2),
        fontsize=8,
    )
