"""Two maps in one picture: a bar each, with only what differs in colour."""

from __future__ import annotations

from typing import TYPE_CHECKING

from xenp2m.views.bins import few_parts
from xenp2m.views.compare import changed_parts, compared_end
from xenp2m.views.plots.bars import Bar, draw_bars, map_bar
from xenp2m.views.plots.canvas import panels
from xenp2m.views.plots.frames import draw_frames
from xenp2m.views.plots.sizes import draw_sizes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.figure import Figure

    from xenp2m.maps.mapdiff import MapDiff
    from xenp2m.p2m import P2M
    from xenp2m.views.palette import Part

__all__ = ["pair_figure"]

_GROUND = ("unchanged", "#ececec", "", 1.0)


def pair_figure(maps: tuple[P2M, P2M], diff: MapDiff, names: tuple[str, str], picture: str = "all") -> Figure:
    """A picture of a comparison: before and after, or predicted and real.

    Args:
        maps: the two.
        diff: what `mapdiff.compare` found between them.
        names: of the two.
        picture: ``all``, ``frames`` (PFN against MFN) or ``extents`` of both; others show the bars alone.
    """
    end = compared_end(maps, diff)
    sides = zip(names, maps, changed_parts(diff, end), strict=True)
    bars = [_bar(name, few_parts(p2m, end), changed) for name, p2m, changed in sides]
    heights = [2.3] if picture not in ("frames", "extents") else []
    heights += [3.2, 3.2] if picture in ("all", "frames") else []
    heights += [2.2, 2.2] if picture in ("all", "extents") else []
    with panels(heights) as (figure, axes):
        panel = iter(axes)
        if picture not in ("frames", "extents"):
            draw_bars(next(panel), bars, end, "What differs (addresses of the guest)")
        for draw, wanted in ((draw_frames, "frames"), (draw_sizes, "extents")):
            if picture in ("all", wanted):
                for name, p2m in zip(names, maps, strict=True):
                    each = next(panel)
                    if draw is draw_frames:
                        draw_frames(each, p2m.table(), end)
                    else:
                        draw_sizes(each, p2m.table())
                    each.set_title(f"{name}: {each.get_title(loc='left')}")
    return figure


def _bar(name: str, shown: Sequence[Part], changed: Sequence[Part]) -> Bar:
    """What differs over a ground of what does not."""
    held = [part for part in shown if part.look not in ("identity", "missing", "unknown")]
    ground = [(low, high, *_GROUND) for low, high, *_ in map_bar(name, held).boxes]
    return Bar(name, ground + map_bar(name, changed).boxes)
