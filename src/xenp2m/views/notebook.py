"""Values in a notebook: a small piece of HTML each, without script or style sheet, everything escaped."""

from __future__ import annotations

from html import escape
from itertools import groupby
from typing import TYPE_CHECKING, Any

from xenp2m.entries import runs_of
from xenp2m.findings import Finding
from xenp2m.p2m import P2M
from xenp2m.plan import Plan
from xenp2m.runtable import RunTable
from xenp2m.sources.source import Source
from xenp2m.views.bins import few_parts, memory_end
from xenp2m.views.palette import LOOKS, parts
from xenp2m.views.plan_text import shown_end
from xenp2m.views.strip import cells
from xenp2m.views.text import plural, size

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from xenp2m.extents import Run
    from xenp2m.views.palette import Part

__all__ = ["html_of"]

_CELLS = 160
_ROWS = 12
_PALE = frozenset({"extra", "missing", "unknown"})
_TONES = {"note": "#59616b", "warning": "#b36b00", "error": "#c4332b"}


def html_of(value: object) -> str:
    """HTML of a plan, a map, a source or a finding.

    Raises:
        TypeError: any other value.
    """
    if isinstance(value, Finding):
        return _finding(value)
    if isinstance(value, Plan):
        return _plan(value)
    if isinstance(value, Source):
        return _source(value)
    if isinstance(value, P2M):
        return _map(value)
    raise TypeError(f"expected a Plan, P2M, Source or Finding, got {type(value).__name__}")


def _finding(finding: Finding) -> str:
    severity = str(finding.severity)
    why = f". {escape(finding.why)}" if finding.why else ""
    return (
        f'<div style="border-left:4px solid {_TONES[severity]};padding:.2em .7em;margin:.3em 0">'
        f"<b>{severity}</b> <code>{escape(finding.code)}</code> {escape(finding.what)}{why}</div>"
    )


def _plan(plan: Plan) -> str:
    host, layout = plan.host, plan.layout
    head = f"Linux {host.release.version} · PV {host.dom} · {plural(host.nr_pages, 'page')}: {plan.outcome}"
    shown = f"<div><b>{escape(head)}</b></div>"
    if layout.runs is not None:
        shown += _strip(list(parts(layout.runs, layout.extra or ())), shown_end(plan))
        table = [(p.start, p.end, p.kind.value, p.why) for p in plan.stretches[:_ROWS]]
        shown += _table(table, "why", len(plan.stretches) - len(table))
    return f"<div>{shown}{''.join(map(_finding, plan.findings))}</div>"


def _source(source: Source) -> str:
    origin = source.origin
    head = f"<div><b>{escape(origin.name)}</b> · {escape(origin.format)}</div>"
    lost = "".join(f"<div>lost: {escape(line)}</div>" for line in source.lost)
    return f"<div>{head}{lost}{_map(source.p2m)}</div>"


def _map(p2m: P2M) -> str:
    table, end = p2m.table(), memory_end(p2m)
    number = int(table.start.size)
    kinds = ", ".join(f"{size(pages)} {kind.value}" for kind, pages in p2m.count().items())
    head = f"<div>{len(p2m):,} PFNs in {plural(number, 'extent')}: {escape(kinds)}</div>"
    columns: list[NDArray[Any]] = [column[:_ROWS] for column in table]
    rows = [(run.start, run.end, run.kind.value, _behind(run)) for run in runs_of(RunTable(*columns))]
    shown = _strip(few_parts(p2m, end), end) + _table(rows, "first MFN", number - len(rows))
    return f"<div>{head}{shown}</div>"


def _behind(run: Run) -> str:
    if not run.step:
        return ""
    return f"{run.mfn:#x}" + (" descending" if run.step < 0 else "")


def _strip(shown: Sequence[Part], end: int) -> str:
    """Boxes in a row with a legend; a box says on hover what it is."""
    looks = cells(shown, end, _CELLS)
    boxes, position = "", 0
    for look, group in groupby(looks):
        number = len(list(group))
        if look:
            low, high = position * end // _CELLS, (position + number) * end // _CELLS
            title = f"{LOOKS[look].text}, about {low:#x} - {high:#x}"
            boxes += (
                f'<span title="{title}" style="flex:{number} 0 0;{_ink(look)};font-size:.7em;'
                f'overflow:hidden;text-align:center">{LOOKS[look].plain}</span>'
            )
        position += number
    named = " ".join(
        f'<span><b style="{_ink(name)};padding:0 .4em">{look.plain}</b> {look.text}</span>'
        for name, look in LOOKS.items()
        if name in looks
    )
    return (
        f'<div style="display:flex;max-width:60em;height:1.4em;margin:.4em 0">{boxes}</div>'
        f"<div>{named} · 0 - {size(end)}</div>"
    )


def _ink(look: str) -> str:
    """Colours of a box, its letter light or dark as its ground demands."""
    return f"background:{LOOKS[look].light};color:{'#000' if look in _PALE else '#fff'}"


def _table(rows: Iterable[tuple[int, int, str, str]], last: str, hidden: int) -> str:
    head = "".join(f"<th>{text}</th>" for text in ("PFNs, the end not included", "size", "kind", last))
    body = "".join(
        f"<tr><td><code>{start:#x} - {end:#x}</code></td><td>{size(end - start)}</td>"
        f"<td>{escape(kind)}</td><td>{escape(told)}</td></tr>"
        for start, end, kind, told in rows
    )
    more = f"<div>… {plural(hidden, 'more row')}</div>" if hidden > 0 else ""
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{more}"
