"""The smallest value that fails: among all of them, or by bisection on an axis too long for that.

Whether larger values fail as well is known of an axis whose values were all planned. Of a longer one it
is asked of a sample: values spread over it, and those on either side of every edge of RAM and of every
GiB, where outcomes change. Only if a sample that fails once fails for every larger value is the axis
bisected, and what is told names the number of values that were looked at: a few that fail between two of
the sample are not seen.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from xenp2m.e820 import ram_frames

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from xenp2m.sweep.cases import Row, Sweep, Where

__all__ = ["MOST_SCANNED", "Found", "bisected", "scanned"]

MOST_SCANNED = 4096
"""Values on an axis that are all planned unless the user says otherwise: about two seconds a line."""
_SAMPLE = 257
_SLACK = 0x400
"""Frames on either side of an edge of RAM that count as near it: holes of up to 4 MiB move it."""
_GIB = 1 << 18
_GIBS = 64
"""Multiples of a GiB that are looked at: up to 64 GiB."""


class Found(NamedTuple):
    """The answer for one host, kernel and rule set.

    Attributes:
        row: the row of the smallest failing value; None where none fails.
        before: the row of the value before it; None where the first one fails.
        how: ``scan`` or ``bisection``.
        plans: plans that were made.
        values: values on the axis.
        failing: how many of those planned fail.
        example: any row of the line, to name it by; one that was planned if there is one.
    """

    row: Row | None
    before: Row | None
    how: str
    plans: int
    values: int
    failing: int
    example: Row

    @property
    def is_refused(self) -> bool:
        """Whether not one value could be planned; the example says why."""
        return self.example.outcome == "refused"


def scanned(sweep: Sweep, rows: Sequence[Row], codes: frozenset[str]) -> list[Found]:
    """The smallest failing value of every host, kernel and rule set.

    Args:
        sweep: the cases.
        rows: the answers of all of them.
        codes: what counts as failing; nothing for any finding of warning or worse.
    """
    count = len(sweep.values)
    lines = (dict(enumerate(rows[start : start + count])) for start in range(0, len(rows), count))
    return [_told(line, codes, "scan", count) for line in lines]


def bisected(
    sweep: Sweep, line: Where, codes: frozenset[str], progress: Callable[[int], None] | None = None
) -> Found:
    """The smallest value of one line that fails, where its sample looks monotone; else as `scanned`.

    Values count in the order of the axis; `progress` is told how many are behind us when all are planned.
    """
    rows: dict[int, Row] = {}

    def fails(value: int) -> bool:
        return _row(sweep, line, rows, value).fails(codes)

    count = len(sweep.values)
    sample = _sample(sweep, line, rows)
    outcomes = [fails(value) for value in sample]
    if outcomes != sorted(outcomes):
        for value in range(count):
            fails(value)
            if progress is not None:
                progress(value + 1)
        return _told(rows, codes, "scan", count)
    at = outcomes.index(True) if True in outcomes else len(sample)
    if 0 < at < len(sample):
        passed, first = sample[at - 1], sample[at]
        while first - passed > 1:
            middle = (first + passed) // 2
            passed, first = (passed, middle) if fails(middle) else (middle, first)
    return _told(rows, codes, "bisection", count)


def _told(rows: dict[int, Row], codes: frozenset[str], how: str, values: int) -> Found:
    failing = [value for value, row in rows.items() if row.fails(codes)]
    first = min(failing, default=None)
    row, before = (None, None) if first is None else (rows[first], rows.get(first - 1))
    example = next((row for row in rows.values() if row.outcome != "refused"), rows[min(rows)])
    return Found(row, before, how, len(rows), values, len(failing), example)


def _row(sweep: Sweep, line: Where, rows: dict[int, Row], value: int) -> Row:
    if value not in rows:
        rows[value] = sweep.row(line._replace(value=value))
    return rows[value]


def _sample(sweep: Sweep, line: Where, rows: dict[int, Row]) -> list[int]:
    """Values spread evenly, and the neighbours of edges of RAM and of GiBs, by index, ascending."""
    last = len(sweep.values) - 1
    spread = sorted({round(i * last / (_SAMPLE - 1)) for i in range(_SAMPLE)})
    ram = ram_frames(sweep.hosts[line.host][1].e820 or ())
    edges = sorted({edge for stretch in ram for edge in stretch} | {i * _GIB for i in range(1, _GIBS + 1)})
    chosen = set(spread)
    for low, high in pairwise(spread):
        for name in ("nr_pages", "max_pages"):
            a, b = (getattr(_row(sweep, line, rows, value), name) for value in (low, high))
            near = edges[bisect_left(edges, a - _SLACK) : bisect_right(edges, b + _SLACK)] if b > a else ()
            for edge in near:
                at = low + round((edge - a) * (high - low) / (b - a))
                chosen |= {min(max(at + step, 0), last) for step in (-1, 0, 1)}
    return sorted(chosen)
