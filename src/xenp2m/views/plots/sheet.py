"""Whole pictures: of a plan, of any map, of a map before and after."""

from __future__ import annotations

from typing import TYPE_CHECKING

from xenp2m.views.bins import few_parts, memory_end
from xenp2m.views.palette import Part, parts
from xenp2m.views.plan_text import shown_end
from xenp2m.views.plots.bars import Bar, draw_bars, entries_bar, map_bar
from xenp2m.views.plots.canvas import panels
from xenp2m.views.plots.frames import draw_frames
from xenp2m.views.plots.sizes import draw_sizes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from xenp2m.p2m import P2M
    from xenp2m.plan import Plan

__all__ = ["balloon_figure", "map_figure", "plan_figure"]

_Panel = tuple[str, float, "Callable[[Axes], None]"]


def plan_figure(plan: Plan, picture: str = "all") -> Figure:
    """Pictures of a plan.

    Args:
        plan: a boot; one that ends before it has a P2M shows its maps alone.
        picture: one of `canvas.PICTURES`.
    """
    end = shown_end(plan)
    bars = [entries_bar("host E820", plan.host.e820 or ())]
    if plan.layout.e820 is not None:
        bars.append(entries_bar("guest E820", plan.layout.e820))
    if plan.layout.runs is None:
        return _figure([("e820", 2.4, lambda a: draw_bars(a, bars, end, "E820"))], "all")
    runs, room = plan.layout.runs, plan.layout.extra or []
    now = list(parts(runs, room))
    full = [Part(p.start, p.end, "mfn" if p.look == "extra" else p.look) for p in now]
    given = [Part(0, plan.host.nr_pages, "mfn")]
    balloon = [
        map_bar("as built", given),
        map_bar("after boot", now),
        map_bar("at most", full),
    ]
    bars.append(map_bar("P2M", now))
    return _figure(
        [
            ("e820", 2.7, lambda a: draw_bars(a, bars, end, "E820 against P2M (addresses of the guest)")),
            ("frames", 3.6, lambda a: draw_frames(a, runs, end)),
            ("extents", 2.4, lambda a: draw_sizes(a, runs)),
            (
                "balloon",
                2.5,
                lambda a: draw_bars(a, balloon, end, "The balloon, least and most"),
            ),
        ],
        picture,
    )


def map_figure(p2m: P2M, picture: str = "all") -> Figure:
    """Pictures of any map: its kinds, PFN against MFN, its extents.

    Args:
        p2m: the map.
        picture: ``all``, ``frames`` or ``extents``; others show the kinds.
    """
    end = memory_end(p2m)

    def kinds(axes: Axes) -> None:
        draw_bars(axes, [map_bar("P2M", few_parts(p2m, end))], end, "The map (addresses of the guest)")

    return _figure(
        [
            ("kinds", 1.7, kinds),
            ("frames", 3.6, lambda a: draw_frames(a, p2m.table(), end)),
            ("extents", 2.4, lambda a: draw_sizes(a, p2m.table())),
        ],
        picture if picture in ("all", "frames", "extents") else "kinds",
    )


def balloon_figure(before: P2M, after: P2M, names: tuple[str, str] = ("before", "after")) -> Figure:
    """Two maps of one guest below each other, with the sizes of their extents."""
    end = max(memory_end(before), memory_end(after))
    bars: list[Bar] = [
        map_bar(name, few_parts(p2m, end)) for name, p2m in zip(names, (before, after), strict=True)
    ]
    return _figure(
        [
            ("balloon", 2.1, lambda a: draw_bars(a, bars, end, "Before and after (addresses of the guest)")),
            ("extents", 2.2, lambda a: draw_sizes(a, before.table())),
            ("extents", 2.2, lambda a: draw_sizes(a, after.table())),
        ],
        "all",
    )


def _figure(drawn: Sequence[_Panel], picture: str) -> Figure:
    chosen = [panel for panel in drawn if picture in ("all", panel[0])]
    with panels([height for _, height, _ in chosen]) as (figure, axes):
        for (_, _, draw), each in zip(chosen, axes, strict=True):
            draw(each)
    return figure
