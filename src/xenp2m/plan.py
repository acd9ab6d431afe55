"""Plan: one host, its boot, and what was noticed about it.

The layout says what the kernel does; a plan adds the findings, how the boot ends, and for every
stretch of PFNs the reason why it is what it is.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from xenp2m.boot.select import ERAS, boot
from xenp2m.checks.boot import boot_findings, outcome_of
from xenp2m.display import Displayed
from xenp2m.frames import Kind
from xenp2m.kernel import NEWEST
from xenp2m.model.rules import RULES
from xenp2m.reasons import Stretch, stretches

if TYPE_CHECKING:
    from xenp2m.boot.layout import Layout
    from xenp2m.findings import Finding, Outcome
    from xenp2m.host import Host
    from xenp2m.p2m import P2M

__all__ = ["Plan", "make_plan"]


@dataclass
class Plan(Displayed):
    """The answer for one host.

    Attributes:
        host: what was planned for.
        layout: what its kernel does.
        findings: what was noticed, errors first.
        outcome: how the boot ends.
    """

    host: Host
    layout: Layout
    findings: list[Finding] = field(default_factory=list)

    @property
    def outcome(self) -> Outcome:
        """How the boot ends."""
        return outcome_of(self.findings)

    @cached_property
    def p2m(self) -> P2M | None:
        """The final map; None where the kernel stops before it has one."""
        from xenp2m.p2m import P2M

        if self.layout.runs is None:
            return None
        return P2M(self.layout.runs, geometry=self.host.geometry, beyond=self.beyond)

    @property
    def verified(self) -> bool:
        """Whether this boot, as asked for, was compared with the kernel's own code or real boots."""
        own_rules = self.host.rules in (None, self.host.release.p2m) and self.host.extra == "behind"
        return ERAS[self.host.release.era].verified and own_rules

    @property
    def assumed(self) -> tuple[str, ...]:
        """What the input did not tell, and what is not known of this kernel."""
        release, lines = self.host.release, list(self.host.assumed)
        if release.version > NEWEST:
            lines.append(f"Linux {release.version} boots as {NEWEST} does, the newest that is known")
        if self.host.rules is not None:
            lines.append(f"the P2M is edited by the rules {self.host.rules}")
        if self.layout.populated:
            first = self.host.mfn_base + self.host.nr_pages
            lines.append(f"frames populated anew get MFNs from {first:#x} on: Xen gives what it has")
        if not ERAS[release.era].verified:
            lines.append("this era boots as its neighbours do: its own source was not compared")
        return tuple(lines)

    @property
    def beyond(self) -> Kind:
        """What PFNs past the end of the map are: missing in the trees up to 3.15, identity since."""
        rules = RULES.get(self.host.rules or self.host.release.p2m)
        return Kind.MISSING if rules is not None and not rules.beyond_identity else Kind.IDENTITY

    @cached_property
    def stretches(self) -> list[Stretch]:
        """The whole P2M, PFN 0 to its end, stretch by stretch; empty where there is none."""
        return stretches(self.host, self.layout)


def make_plan(host: Host) -> Plan:
    """Boot `host` and look at what came of it. Cost is in entries of the map, not in pages."""
    layout = boot(host)
    return Plan(host, layout, boot_findings(host, layout))
