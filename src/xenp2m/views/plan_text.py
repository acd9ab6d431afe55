"""A plan as text: one screen, the answer first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from xenp2m.e820 import type_name
from xenp2m.extents import count
from xenp2m.findings import Outcome, Severity
from xenp2m.frames import PAGE_SIZE, Kind
from xenp2m.views.findings_text import finding_lines
from xenp2m.views.palette import parts
from xenp2m.views.strip import strip
from xenp2m.views.text import Paint, plain, plural, rows, size, wrapped

if TYPE_CHECKING:
    from collections.abc import Iterator

    from xenp2m.plan import Plan

__all__ = ["plan_lines", "shown_end"]

_ROWS = 24
_OUTCOMES = {
    Outcome.BOOTS: ("boots", "head"),
    Outcome.UNSETTLED: ("boots or panics: not settled", "warning"),
    Outcome.CRASHES: ("CRASHES", "error"),
    Outcome.HALTS: ("HALTS", "error"),
}


def plan_lines(
    plan: Plan,
    title: str,
    *,
    width: int = 80,
    verbose: bool = False,
    unicode: bool = True,
    paint: Paint = plain,
) -> Iterator[str]:
    """Lines of text about one plan.

    Args:
        plan: what to show.
        title: where it came from.
        width: columns of the terminal.
        verbose: all rows, notes with their reason, and the guest's E820.
        unicode: block characters, or ASCII.
        paint: puts styles on text.
    """
    yield paint(wrapped(title, width, "", "  "), "head")
    word, style = _OUTCOMES[plan.outcome]
    yield ""
    yield from _errors(plan, width, paint)
    if plan.layout.runs is not None:
        shown = parts(plan.layout.runs, plan.layout.extra or ())
        yield from strip(shown, shown_end(plan), width, unicode=unicode, paint=paint)
        yield ""
        yield from _table(plan, width, verbose, paint)
        yield ""
    yield from _sums(plan, width, paint(word, style))
    yield from _assumed(plan, width)
    yield from _findings(plan, width, verbose, paint)
    if verbose:
        yield from _e820(plan, width)


def shown_end(plan: Plan) -> int:
    """Where the strip ends: behind the last memory or device below 512 GiB that anything is known of."""
    layout = plan.layout
    memory = [run.end for run in layout.runs or () if run.kind not in (Kind.IDENTITY, Kind.MISSING)]
    memory += [end for _, end in layout.extra or ()]
    entries = [e.end // PAGE_SIZE for e in layout.host_map if e.type == 1]
    end = max([*memory, *entries, 1 << 18])
    unit = 1 << max(16, end.bit_length() - 3)
    return -(-end // unit) * unit


def _errors(plan: Plan, width: int, paint: Paint) -> Iterator[str]:
    for finding in plan.findings:
        if finding.severity is Severity.ERROR:
            yield from finding_lines(finding, width, paint, fix=True)
            yield ""


def _table(plan: Plan, width: int, verbose: bool, paint: Paint) -> Iterator[str]:
    stretches = plan.stretches
    shown = stretches if verbose or len(stretches) <= _ROWS else stretches[: _ROWS - 4]
    table = [("frames", "", "size", "kind", "why")]
    for part in shown:
        span = (f"{part.start:#x}", f"- {part.end:#x}")
        table.append((*span, size(part.end - part.start), part.kind.value, part.why))
    lines = iter(rows(table, frozenset({2}), width))
    yield paint(next(lines), "dim")
    yield from lines
    hidden = len(stretches) - len(shown)
    if hidden:
        yield f" … {plural(hidden, 'more row')} up to {stretches[-1].end:#x} (--verbose)"
    said = f"frames are PFNs, the end not included; above the last row all is {plan.beyond.value}"
    yield paint(wrapped(said, width), "dim")


def _sums(plan: Plan, width: int, word: str) -> Iterator[str]:
    host, layout = plan.host, plan.layout
    parts = [
        f"now {size(host.nr_pages - layout.released)} ({plural(host.nr_pages - layout.released, 'frame')})"
    ]
    if layout.runs is not None:
        moved_in = sum(swap.size for swap in layout.swaps) // PAGE_SIZE
        held = count(layout.runs)[Kind.MFN] - moved_in
        if held < host.nr_pages - layout.released:
            parts.append(f"{host.nr_pages - layout.released - held:,} of them out of reach")
        extra = sum(end - start for start, end in layout.extra or ())
        parts.append(f"at most {size(host.nr_pages - layout.released + extra)}")
        parts.append(f"{layout.remapped:,} remapped, {layout.released:,} released")
        populated = sum(end - start for start, end in layout.populated)
        if populated:
            parts.append(f"{populated:,} populated anew")
        pages = layout.map_pages
        whose = "the map itself" if layout.brk_pages is None else "the tree, beside the builder's list"
        parts.append(f"{whose}: {plural(pages, 'page')}, {size(pages)}")
    yield f" outcome: {word}"
    yield wrapped(" · ".join(parts), width)


def _assumed(plan: Plan, width: int) -> Iterator[str]:
    yield wrapped(f"assumed: {'; '.join(plan.assumed) or 'nothing'}", width, " ", "   ")


def _findings(plan: Plan, width: int, verbose: bool, paint: Paint) -> Iterator[str]:
    own = [f for f in plan.findings if f.story.about == "kernel"]
    rest = [f for f in plan.findings if f.severity is not Severity.ERROR and f not in own]
    if len(own) == len(plan.findings):
        yield " findings: none"
    for finding in (*rest, *own) if verbose else rest:
        yield from finding_lines(finding, width, paint, fix=verbose or finding.severity is Severity.WARNING)
    if own and not verbose:
        kernel = f"Linux {plan.host.release.version}"
        text = f"{plural(len(own), 'note')} on {kernel} itself, on any host: --verbose"
        yield paint(wrapped(text, width), "dim")
    if len(own) < len(plan.findings):
        yield paint(wrapped("xenp2m explain CODE tells the story of a finding", width), "dim")


def _e820(plan: Plan, width: int) -> Iterator[str]:
    if plan.layout.e820 is None:
        return
    yield ""
    table = [("the guest's E820 (addresses, both ends included)", "type")]
    for entry in plan.layout.e820:
        table.append((f"[mem {entry.start:#018x}-{entry.end - 1:#018x}]", type_name(entry.type)))
    yield from rows(table, frozenset(), width)
