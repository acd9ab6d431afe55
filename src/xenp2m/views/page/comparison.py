"""What a report says of a second map: the answer, frames by kind, a pair of strips, what differs."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from xenp2m.views.bins import few_parts
from xenp2m.views.compare import changed_parts, compared_end
from xenp2m.views.diff_text import answer_line, change_word, side_text
from xenp2m.views.palette import LOOKS
from xenp2m.views.text import size

if TYPE_CHECKING:
    from collections.abc import Sequence

    from xenp2m.frames import Kind
    from xenp2m.maps.mapdiff import MapDiff
    from xenp2m.p2m import P2M
    from xenp2m.views.palette import Part

__all__ = ["Comparison", "comparison_of"]

_ROWS = 500
_WIDE, _HIGH, _STEP = 1000, 34, 56
_GROUND = ("identity", "missing", "unknown")


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two maps compared, as a report shows them.

    Attributes:
        names: of the two.
        answer: what differs, in a line.
        counts: before, after, frames, size, a word for the change.
        rows: start, end (PFNs, the end not included), before, after, look of the second.
        hidden: stretches that are not among `rows`.
        strips: SVG of the pair; "" where nothing differs.
        looks: names of `LOOKS` that occur among the differences.
    """

    names: tuple[str, str]
    answer: str
    counts: list[tuple[str, str, str, str, str]]
    rows: list[tuple[int, int, str, str, str]]
    hidden: int
    strips: str
    looks: list[str]


def comparison_of(maps: tuple[P2M, P2M], diff: MapDiff, names: tuple[str, str]) -> Comparison:
    """The comparison of two maps.

    Args:
        maps: before and after, or predicted and real.
        diff: what `mapdiff.compare` found between them.
        names: of the two.
    """
    counts = [
        (_word(before), _word(after), f"{pages:,}", size(pages), change_word(before, after))
        for (before, after), pages in diff.kinds.items()
    ]
    rows = [
        (
            pair.before.start,
            pair.before.end,
            side_text(pair.before),
            side_text(pair.after),
            pair.after.kind.value,
        )
        for pair in islice(diff.differences(), _ROWS)
    ]
    hidden = max(0, int(diff.rows.start.size) - _ROWS) if len(rows) == _ROWS else 0
    strips, looks = ("", []) if diff.same else _strips(maps, diff)
    return Comparison(names, answer_line(diff), counts, rows, hidden, strips, looks)


def _word(kind: Kind) -> str:
    return LOOKS[kind.value].text


def _strips(maps: tuple[P2M, P2M], diff: MapDiff) -> tuple[str, list[str]]:
    """Two bars with a scale: what differs in its colour over a pale ground of memory that does not."""
    end = compared_end(maps, diff)
    sides = changed_parts(diff, end)
    pieces = []
    for row, (p2m, changed) in enumerate(zip(maps, sides, strict=True)):
        top = 4 + row * _STEP
        ground = [part for part in few_parts(p2m, end) if part.look not in _GROUND]
        pieces.append(f'<g class="ground">{_boxes(ground, end, top)}</g>{_boxes(changed, end, top)}')
    pieces.append(_boxes([part._replace(look="mark") for part in sides[0]], end, 4 + 2 * _STEP - 18))
    pieces.append(_scale(end, 4 + 2 * _STEP + 8))
    occurring = {part.look for side in sides for part in side}
    svg = (
        f'<svg viewBox="0 0 {_WIDE} {2 * _STEP + 28}" role="img" class="pair" '
        'aria-label="Two strips, the first map above the second; only what differs is in colour.">'
        f"{''.join(pieces)}</svg>"
    )
    return svg, [name for name in LOOKS if name in occurring]


def _boxes(shown: Sequence[Part], end: int, top: int) -> str:
    """Boxes at least a dot wide; kinds differ in height, too. Marks are thin and in the page's ink."""
    boxes = []
    for start, stop, look in shown:
        left = start * _WIDE / end
        wide = max(min(stop, end) * _WIDE / end - left, 1.0)
        high = 5.0 if look == "mark" else _HIGH * LOOKS[look].tall
        y = top if look == "mark" else top + (_HIGH - high) / 2
        fill = "currentColor" if look == "mark" else LOOKS[look].light
        boxes.append(
            f'<rect x="{left:.1f}" y="{y:.1f}" width="{wide:.1f}" height="{high:.1f}" fill="{fill}"/>'
        )
    return "".join(boxes)


def _scale(end: int, y: int) -> str:
    step = 1 << max(0, (-(-end // 6) - 1).bit_length())
    marks = []
    for pfn in range(0, end + 1, step):
        x = pfn * _WIDE / end
        side = "start" if not pfn else "end" if x > _WIDE - 30 else "middle"
        place = f'x="{x:.1f}" y="{y}" text-anchor="{side}"'
        marks.append(f'<text {place} font-size="13" fill="currentColor">{size(pfn)}</text>')
    return "".join(marks)
