"""The smallest value that fails: by bisection where the outcome is monotone, by a full scan where not.

Whether it is monotone is asked of a sample first: values spread over the axis, and those on either side of
every edge of RAM, where outcomes change. A sample that fails once fails for every larger value, or the
whole axis is scanned. What is reported is checked: the value fails, and the one before it does not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from xenp2m.e820 import ram_frames
from xenp2m.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from xenp2m.sweep.cases import Row, Sweep, Where

__all__ = ["Found", "find_first", "find_lines"]

_SAMPLE = 33
_SLACK = 0x400
"""Frames on either side of an edge of RAM that count as near it: holes of up to 4 MiB move it."""


class Found(NamedTuple):
    """The answer for one host, kernel and rule set.

    Attributes:
        row: the row of the smallest failing value; None where none fails.
        before: the row of the value before it; None where the first one fails.
        how: ``bisection`` or ``scan``.
        plans: plans that were made.
        values: values on the axis.
        example: any row of the line, to name it by.
    """

    row: Row | None
    before: Row | None
    how: str
    plans: int
    values: int
    example: Row


def find_lines(
    sweep: Sweep, codes: frozenset[str], *, scan: bool = False, told: Callable[[int], None] | None = None
) -> Iterator[Found]:
    """`find_first` for every host, kernel and rule set.

    Args:
        sweep: the cases.
        codes: what counts as failing; nothing for any finding of warning or worse.
        scan: look at every value.
        told: is called with the number of lines done.
    """
    lines = len(sweep) // len(sweep.values)
    for line in range(lines):
        yield find_first(sweep, sweep.where(line * len(sweep.values)), codes, scan=scan)
        if told is not None:
            told(line + 1)


def find_first(sweep: Sweep, line: Where, codes: frozenset[str], *, scan: bool = False) -> Found:
    """The smallest value of one line that fails; values count in the order of the axis."""
    rows: dict[int, Row] = {}

    def fails(value: int) -> bool:
        if value not in rows:
            rows[value] = sweep.row(line._replace(value=value))
        return rows[value].fails(codes)

    last = len(sweep.values) - 1
    sample = [] if scan else _sample(sweep, line, rows)
    outcomes = [fails(value) for value in sample]
    if not scan and outcomes == sorted(outcomes):
        how = "bisection"
        first = sample[outcomes.index(True)] if True in outcomes else last + 1
        passed = max((v for v, failed in zip(sample, outcomes, strict=True) if not failed), default=-1)
        if first > last:
            passed = last
        while first - passed > 1:
            middle = (first + passed) // 2
            first, passed = (middle, passed) if fails(middle) else (first, middle)
    else:
        how = "scan"
        first = next((value for value in range(last + 1) if fails(value)), last + 1)
    example = rows[min(rows)]
    found = None if first > last else rows[first]
    if found is None and all(row.outcome == "refused" for row in rows.values()):
        raise InputError(
            f"{example.host}, Linux {example.kernel}", "a case that can be planned", example.error
        )
    return Found(found, rows.get(first - 1), how, len(rows), last + 1, example)


def _sample(sweep: Sweep, line: Where, rows: dict[int, Row]) -> list[int]:
    """Values spread evenly, and the neighbours of RAM's edges, by index, ascending."""
    count = len(sweep.values)
    chosen = {round(i * (count - 1) / (_SAMPLE - 1)) for i in range(_SAMPLE)}
    host = sweep.hosts[line.host][1]
    edges = sorted({edge for stretch in ram_frames(host.e820 or ()) for edge in stretch})
    for name in ("nr_pages", "max_pages"):
        for low, high in zip(sorted(chosen), sorted(chosen)[1:], strict=False):
            for value in (low, high):
                if value not in rows:
                    rows[value] = sweep.row(line._replace(value=value))
            a, b = getattr(rows[low], name), getattr(rows[high], name)
            for edge in edges:
                if b > a and a - _SLACK <= edge <= b + _SLACK:
                    near = low + round((edge - a) * (high - low) / (b - a))
                    chosen |= {min(max(near + step, 0), count - 1) for step in (-1, 0, 1)}
    return sorted(chosen)
