"""The answer of `plan` as JSON: the judged fields under the names and forms of the setup vectors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from xenp2m.frames import PAGE_SHIFT, PAGE_SIZE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from xenp2m.extents import Range
    from xenp2m.findings import Finding
    from xenp2m.plan import Plan

__all__ = ["SCHEMA", "answer", "finding_object", "refusal"]

SCHEMA = 1
"""Version of every JSON object the program prints; it changes when a field's meaning does."""


def answer(plan: Plan, row_id: object) -> dict[str, Any]:
    """One plan as an object; fields the kernel did not live to compute are left out."""
    layout = plan.layout
    result: dict[str, Any] = {"id": row_id, "schema": SCHEMA, "kernel": str(plan.host.release.version)}
    if plan.host.rules is not None:
        result["rules"] = plan.host.rules
    if plan.host.extra != "behind":
        result["extra_memory"] = plan.host.extra
    if layout.e820 is not None:
        result["e820"] = [list(entry) for entry in layout.e820]
        result["extra_early"] = _regions(layout.extra_bytes_early, layout.extra_early)
    for move in layout.relocations:
        moved = [move.target, move.size // PAGE_SIZE] if move.what == "p2m" else move.target
        result[f"{move.what}_moved"] = moved
    if layout.runs is not None:
        result |= {
            "extra": _regions(layout.extra_bytes, layout.extra),
            "released": layout.released,
            "freed": [list(r) for r in layout.freed],
            "populated": [list(r) for r in layout.populated],
            "remapped": layout.remapped,
            "p2m": [run.listed() for run in layout.runs],
            "p2m_end": layout.p2m_size if layout.p2m_end is None else layout.p2m_end,
            "shared_max_pfn": layout.shared_max_pfn,
        }
        if layout.shape is None:
            result |= {"p2m_size": layout.p2m_size, "alloc_p2m_pages": layout.alloc_p2m_pages}
        else:
            result |= {"brk_pages": layout.brk_pages, "struct": layout.shape}
    if layout.bug is not None:
        result |= {"bug": layout.bug.code, "phase": layout.bug.phase}
        if layout.bug.console is not None:
            result["console"] = layout.bug.console
    result["verified"] = plan.verified
    result["assumed"] = list(plan.assumed)
    result["findings"] = [finding_object(finding) for finding in plan.findings]
    result["outcome"] = str(plan.outcome)
    return result


def _regions(exact: Iterable[Range] | None, frames: Iterable[Range] | None) -> list[list[int]]:
    """Regions in bytes: as the kernel kept them, or by frames in the eras that count these."""
    return _bytes(frames or ()) if exact is None else [list(region) for region in exact]


def finding_object(finding: Finding) -> dict[str, Any]:
    """One finding as an object."""
    return {
        "code": finding.code,
        "severity": str(finding.severity),
        "about": finding.story.about,
        "what": finding.what,
        "why": finding.why or finding.story.title,
        "fix": finding.story.fix,
        "pfns": [list(r) for r in finding.pfns],
    }


def _bytes(frames: Iterable[Range]) -> list[list[int]]:
    return [[start << PAGE_SHIFT, end << PAGE_SHIFT] for start, end in frames]


def refusal(reason: str, row_id: object) -> dict[str, Any]:
    """The object that answers an input which cannot be used."""
    return {"id": row_id, "schema": SCHEMA, "error": reason}
