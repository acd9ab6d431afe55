"""Findings as text: one line each, what to do below those that matter."""

from __future__ import annotations

from typing import TYPE_CHECKING

from xenp2m.findings import Severity
from xenp2m.views.text import Paint, plain, wrapped

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from xenp2m.findings import Finding

__all__ = ["finding_lines", "findings_lines"]


def findings_lines(
    findings: Sequence[Finding], width: int, *, verbose: bool = False, paint: Paint = plain
) -> Iterator[str]:
    """Lines about every finding; notes with what to do only if `verbose`."""
    if not findings:
        yield " findings: none"
        return
    for finding in findings:
        fix = verbose or finding.severity >= Severity.WARNING
        yield from finding_lines(finding, width, paint, fix=fix)
    yield paint(wrapped("xenp2m explain CODE tells the story of a finding", width), "dim")


def finding_lines(finding: Finding, width: int, paint: Paint = plain, *, fix: bool) -> Iterator[str]:
    """Lines about one finding; `fix` adds why it matters and what to do."""
    label = f" {finding.severity} {finding.code}: "
    text = wrapped(label.strip() + " " + finding.what, width, " ", "   ")
    yield text.replace(label.strip(), paint(label.strip(), str(finding.severity)), 1)
    if fix:
        why = finding.why or finding.story.title
        yield wrapped(f"{why}. {finding.story.fix}", width, "   ", "   ")
    elif finding.why:
        yield wrapped(f"{finding.why}.", width, "   ", "   ")
