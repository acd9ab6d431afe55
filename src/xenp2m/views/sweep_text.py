"""A sweep as text: neighbours of the same answer in one line, and the smallest value that fails."""

from __future__ import annotations

from typing import TYPE_CHECKING

from xenp2m.checks.stories import STORIES
from xenp2m.findings import Severity
from xenp2m.views.text import Paint, plain, plural, rows, size, wrapped

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from xenp2m.sweep.cases import Row
    from xenp2m.sweep.find import Found

__all__ = ["found_lines", "sweep_lines"]

_LINES = 40


def sweep_lines(
    answers: Sequence[Row], hosts: int, width: int, *, verbose: bool = False, paint: Paint = plain
) -> Iterator[str]:
    """Lines about all rows.

    Args:
        answers: in the order of the cases.
        hosts: how many hosts they are of.
        width: columns of the terminal.
        verbose: every line, instead of the first 40.
        paint: puts styles on text.
    """
    failing = sum(row.fails(frozenset()) for row in answers)
    refused = sum(row.outcome == "refused" for row in answers)
    head = f"{plural(len(answers), 'case')} of {plural(hosts, 'host')}: {failing:,} with a warning or worse"
    yield paint(wrapped(head + (f", {refused:,} not planned" if refused else ""), width, ""), "head")
    yield ""
    lines = [_line(first, last, count) for first, last, count in _runs(answers)]
    shown = lines if verbose or len(lines) <= _LINES else lines[: _LINES - 1]
    table = [("host", "Linux", "rules", "dom0_mem", "cases", "outcome", "findings"), *shown]
    if not any(row.rules for row in answers):
        table = [(*line[:2], *line[3:]) for line in table]
    out = iter(rows(table, frozenset(), width))
    yield paint(next(out), "dim")
    yield from out
    if len(shown) < len(lines):
        yield f" … {plural(len(lines) - len(shown), 'more line')} (--verbose, or -o FILE)"


def _runs(answers: Sequence[Row]) -> Iterator[tuple[Row, Row, int]]:
    """Neighbours with the same host, kernel, rules, outcome and findings of weight."""
    start = 0
    for index in range(1, len(answers) + 1):
        if index == len(answers) or _key(answers[index]) != _key(answers[start]):
            yield answers[start], answers[index - 1], index - start
            start = index


def _bad(row: Row) -> str:
    codes = [c for c in row.findings.split() if c not in STORIES or STORIES[c].severity > Severity.NOTE]
    return row.error or ", ".join(codes) or "-"


def _key(row: Row) -> tuple[str, ...]:
    return row.host, row.kernel, row.rules, row.outcome, _bad(row)


def _size(row: Row) -> str:
    return row.dom0_mem or size(row.nr_pages)


def _line(first: Row, last: Row, count: int) -> tuple[str, ...]:
    sizes = _size(first) if count == 1 else f"{_size(first)} .. {_size(last)}"
    name = first.host if len(first.host) <= 24 else "…" + first.host[-23:]
    return name, first.kernel, first.rules or "-", sizes, f"{count:,}", first.outcome, _bad(first)


def found_lines(found: Sequence[Found], width: int, paint: Paint = plain) -> Iterator[str]:
    """Lines about the smallest failing value of every host, kernel and rule set."""
    for each in found:
        example = each.example
        rules = f" · rules {example.rules}" if example.rules else ""
        yield paint(wrapped(f"{example.host} · Linux {example.kernel}{rules}", width, ""), "head")
        if each.is_refused:
            yield wrapped(f"not planned: {example.error}", width, " ", "   ")
            continue
        if each.row is not None:
            at = "" if each.row.pfn < 0 else f", PFN {each.row.pfn:#x}"
            yield wrapped(f"first that fails: {_size(each.row)}: {_bad(each.row)}{at}", width, " ", "   ")
        if each.before is not None:
            yield wrapped(f"the one before: {_size(each.before)}: {each.before.outcome}", width)
        count, fail = f"{each.failing:,}" if each.failing else "none", "fails" if each.failing < 2 else "fail"
        seen = f"{count} of {plural(each.plans, 'value')}"
        if each.plans < each.values:
            seen += f" looked at {fail}, of {each.values:,}: by bisection, --scan looks at each"
        else:
            seen += f" {fail}"
        yield paint(wrapped(seen, width), "dim")
