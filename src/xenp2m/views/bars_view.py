"""BARs against a guest's map, as text and as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from xenp2m.e820 import type_name
from xenp2m.views.answer import SCHEMA, finding_object
from xenp2m.views.text import Paint, plain, rows, wrapped

if TYPE_CHECKING:
    from collections.abc import Iterator

    from xenp2m.passthrough import Passthrough

__all__ = ["bars_lines", "bars_object"]

_WORDS = {"hole": "ok", "reserved": "ok", "ram": "CONFLICT", "unusable": "CONFLICT"}


def bars_lines(result: Passthrough, width: int, paint: Paint = plain) -> Iterator[str]:
    """Lines about every BAR, then the predicted map."""
    table = [("", "device", "", "addresses", "guest", "host")]
    for check in result.bars:
        bar = check.bar
        span = f"{bar.start:#x}-{bar.end - 1:#x}"
        seen = "" if check.seen else " (predicted)"
        table.append(
            (_WORDS[check.verdict], bar.device, bar.name, span, f"{check.verdict}{seen}", check.host)
        )
    lines = iter(rows(table, frozenset(), width))
    yield paint(next(lines), "dim")
    yield from lines
    yield ""
    told: set[str] = set()
    for finding in sorted(result.findings, key=lambda f: (-f.severity, f.code)):
        label = f"{finding.severity} {finding.code}:"
        text = wrapped(f"{label} {finding.what}", width, " ", "   ")
        yield text.replace(label, paint(label, str(finding.severity)), 1)
        if finding.code not in told:
            told.add(finding.code)
            yield wrapped(f"{finding.story.title}. What to do: {finding.story.fix}", width, "   ", "   ")
    if told:
        yield ""
    head = f"the map libxl gives with e820_host={int(result.e820_host)} (both ends included)"
    yield paint(wrapped(head, width), "dim")
    entries = [(f"{e.start:#x}-{e.end - 1:#x}", type_name(e.type)) for e in result.predicted]
    yield from rows(entries, frozenset(), width)
    if result.assumed:
        yield wrapped(f"assumed: {'; '.join(result.assumed)}", width, " ", "   ")


def bars_object(result: Passthrough) -> dict[str, Any]:
    """One guest as a JSON object; ranges are half-open."""
    return {
        "schema": SCHEMA,
        "e820_host": result.e820_host,
        "predicted": [list(entry) for entry in result.predicted],
        "bars": [
            {
                "device": check.bar.device,
                "bar": check.bar.name,
                "range": [check.bar.start, check.bar.end],
                "verdict": check.verdict,
                "guest": check.guest,
                "host": check.host,
                "seen": check.seen,
            }
            for check in result.bars
        ],
        "findings": [finding_object(finding) for finding in result.findings],
        "assumed": list(result.assumed),
    }
