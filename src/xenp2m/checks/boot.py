"""Findings of one boot: every check that there is, in a stable order.

Each check yields findings and reads nothing but a host and its layout. Cost is in entries, never pages.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from xenp2m.checks import frames, guest_map, objects, older, rules, trees
from xenp2m.checks.faults import kernel_faults
from xenp2m.findings import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from xenp2m.boot.layout import Layout
    from xenp2m.findings import Finding
    from xenp2m.host import Host

__all__ = ["boot_findings", "outcome_of"]


def boot_findings(host: Host, layout: Layout) -> list[Finding]:
    """All findings of one boot, errors first, in a stable order."""
    found = [finding for check in _CHECKS for finding in check(host, layout)]
    return sorted(found, key=lambda f: -f.severity)


def outcome_of(findings: list[Finding]) -> Outcome:
    """How the boot ends: the worst that any finding says."""
    return max((f.outcome for f in findings), default=Outcome.BOOTS)


_CHECKS: tuple[Callable[[Host, Layout], Iterable[Finding]], ...] = (
    *objects.CHECKS,
    older.over_reached,
    older.brk_exceeded,
    older.premise,
    older.beyond_tree,
    *trees.CHECKS,
    *guest_map.CHECKS,
    *frames.CHECKS,
    *rules.CHECKS,
    kernel_faults,
)
