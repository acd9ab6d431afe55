"""Identity where the balloon wants to grow: the hazard of the 2011 thread, read off a finished boot."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from xenp2m.extents import intersect, subtract, union
from xenp2m.frames import Kind

if TYPE_CHECKING:
    from xenp2m.boot.layout import Layout
    from xenp2m.extents import Range

__all__ = ["OverReach", "over_reach"]


class OverReach(NamedTuple):
    """Frames of extra memory that read as identity, PFN ranges.

    Attributes:
        identity: those that nobody asked for: a swap of a whole page reached over them.
        asked: those that the boot asked for: extra memory was placed over a hole of the map.
        bug_pfn: first one of either sort the balloon comes to, and stops at with
            BUG_ON(phys_to_machine_mapping_valid) in kernels up to 3.11.
        filled: pages it has filled by then.
    """

    identity: list[Range]
    asked: list[Range]
    bug_pfn: int
    filled: int


def over_reach(layout: Layout) -> OverReach | None:
    """What of the extra memory is identity; None where nothing is, as it should be.

    Only a tree can over-reach: a linear list keeps every frame to itself.
    """
    if layout.runs is None or layout.shape is None or not layout.extra:
        return None
    wrong = intersect(layout.extra, [(r.start, r.end) for r in layout.runs if r.kind is Kind.IDENTITY])
    if not wrong:
        return None
    filled = 0
    for start, end in layout.extra:
        inside = [s for s, e in wrong if start <= s < end]
        if inside:
            asked = union(layout.asked_identity)
            own, wished = subtract(wrong, asked), intersect(wrong, asked)
            return OverReach(own, wished, inside[0], filled + inside[0] - start)
        filled += end - start
    return None
