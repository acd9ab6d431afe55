"""What a report says, before it is HTML: facts, findings, rows of the map, lanes above it, provenance."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from xenp2m.e820 import type_name
from xenp2m.findings import Outcome, Severity
from xenp2m.frames import Kind
from xenp2m.views.bins import memory_end
from xenp2m.views.page.rows import Rows, rows_of_map, rows_of_plan
from xenp2m.views.palette import LOOKS, parts
from xenp2m.views.plan_text import shown_end
from xenp2m.views.text import plural, size

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from xenp2m.e820 import Entry
    from xenp2m.findings import Finding
    from xenp2m.maps.account import Account
    from xenp2m.plan import Plan
    from xenp2m.sources.source import Guest, Origin, Source
    from xenp2m.views.page.comparison import Comparison

__all__ = ["Fact", "Lane", "Report", "report_of_plan", "report_of_source"]

_REMARKS = 100


@dataclass(frozen=True, slots=True)
class Lane:
    """A memory map beside the P2M: ``(start, end, type name)`` in bytes, the end not included."""

    name: str
    entries: list[tuple[int, int, str]]


class Fact(NamedTuple):
    """A tile of the summary: what, how much, and the same in other words or ""."""

    name: str
    value: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """One report.

    Attributes:
        title: the subject in a few words.
        answer: the first thing to know, a word or two.
        tone: ``good``, ``warning`` or ``error``: how the answer is meant.
        facts: the summary.
        findings: what was noticed, errors first.
        remarks: assumed, inferred or lost: one line each, with its heading.
        rows: the map; None where there is none.
        shown: PFNs ``[0, shown)`` that the strip begins with.
        beyond: what lies past the end of the map.
        lanes: memory maps beside it.
        origins: the inputs.
        words: what the command was told beside them, for the provenance.
        comparison: with a second map; None without one.
    """

    title: str
    answer: str
    tone: str
    facts: list[Fact]
    findings: Sequence[Finding]
    remarks: list[tuple[str, str]]
    rows: Rows | None
    shown: int
    beyond: str
    lanes: list[Lane]
    origins: Sequence[Origin]
    words: str = ""
    comparison: Comparison | None = None

    @property
    def lead(self) -> str:
        """The worst thing noticed, "" where nothing is wrong."""
        return next((f.what for f in self.findings if f.severity > Severity.NOTE), "")


_OUTCOMES = {
    Outcome.BOOTS: ("boots", "good"),
    Outcome.UNSETTLED: ("boots or panics: not settled", "warning"),
    Outcome.CRASHES: ("crashes", "error"),
    Outcome.HALTS: ("halts", "error"),
}


def report_of_plan(plan: Plan, title: str, origins: Sequence[Origin], words: str = "") -> Report:
    """The report of a plan.

    Args:
        plan: a boot, with or without a P2M.
        title: the host in one line.
        origins: of what was read.
        words: options of the command.
    """
    layout = plan.layout
    lanes = [_lane("host map", plan.host.e820 or ())]
    if layout.e820 is not None:
        lanes.append(_lane("guest map", layout.e820))
    answer, tone = _OUTCOMES[plan.outcome]
    return Report(
        title=title,
        answer=answer,
        tone=tone,
        facts=_facts(plan),
        findings=plan.findings,
        remarks=[("assumed", line) for line in plan.assumed],
        rows=rows_of_plan(plan),
        shown=shown_end(plan),
        beyond=plan.beyond.value,
        lanes=lanes,
        origins=origins,
        words=words,
    )


def _facts(plan: Plan) -> list[Fact]:
    host, layout = plan.host, plan.layout
    held = host.nr_pages - layout.released
    facts = [
        Fact("kernel", f"Linux {host.release.version}", f"PV {host.dom}"),
        _frames("now", held),
    ]
    if layout.runs is not None:
        extra = sum(end - start for start, end in layout.extra or ())
        facts += [
            _frames("at most", held + extra),
            _frames("remapped", layout.remapped),
            _frames("released", layout.released),
            Fact("the map itself", size(layout.map_pages), plural(layout.map_pages, "page")),
        ]
        pages = dict.fromkeys(LOOKS, 0)
        for part in parts(layout.runs, layout.extra or ()):
            pages[part.look] += part.end - part.start
        # Identity and missing are mostly address space without anything, and ram is "now" as a rule.
        told = ["identity", "missing"] + ["mfn"] * (pages["mfn"] == held)
        facts += [_frames(LOOKS[look].text, n) for look, n in pages.items() if n and look not in told]
    return facts


def _frames(name: str, pages: int) -> Fact:
    return Fact(name, size(pages), plural(pages, "frame")) if pages else Fact(name, "none")


def report_of_source(source: Source, account: Account, findings: Sequence[Finding]) -> Report:
    """The report of a map that was read from a file or a domain.

    Args:
        source: the map and its guest.
        account: what it consists of.
        findings: what was noticed about it.
    """
    guest, found = source.guest, account.contiguity
    told = Fact("input", source.origin.format), Fact("guest", f"{guest.geometry.bits} bits", _machine(guest))
    facts = [*told, Fact("map", f"{account.entries:,} PFNs", guest.form)]
    facts += [_frames(LOOKS[kind.value].text, pages) for kind, pages in account.kinds.items()]
    if found.runs:
        longest = f"the longest {size(found.longest.pages)}" if found.longest else ""
        facts.append(Fact("contiguity", plural(found.runs, "run"), longest))
        share = f"{100 * found.pages_2m / account.kinds[Kind.MFN]:.0f} % of ram"
        facts.append(Fact("as 2 MiB pages", size(found.pages_2m) if found.pages_2m else "none", share))
    answer, tone = _verdict(findings) if source.outcome is None else _OUTCOMES[source.outcome]
    remarks = [*_said("inferred", source.inferred), *_said("lost", source.lost)]
    return Report(
        title=source.origin.name,
        answer=answer,
        tone=tone,
        facts=facts,
        findings=findings,
        remarks=remarks,
        rows=rows_of_map(source.p2m) if account.entries else None,
        shown=memory_end(source.p2m),
        beyond=source.p2m.beyond.value,
        lanes=[],
        origins=[source.origin],
    )


def _machine(guest: Guest) -> str:
    facts = [] if guest.xen is None else [f"Xen {guest.xen}"]
    return ", ".join(facts if guest.vcpus is None else [*facts, plural(guest.vcpus, "vCPU")])


def _verdict(findings: Sequence[Finding]) -> tuple[str, str]:
    """How many findings of each severity, the worst first, and the tone of that."""
    counted = Counter(finding.severity for finding in findings)
    words = [plural(counted[each], str(each)) for each in sorted(counted, reverse=True)]
    return ", ".join(words) or "no findings", ("good", "warning", "error")[max(counted, default=0)]


def _lane(name: str, entries: Iterable[Entry]) -> Lane:
    return Lane(name, [(entry.start, entry.end, type_name(entry.type)) for entry in entries])


def _said(heading: str, lines: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Remarks of one heading, as many as anybody reads."""
    yield from ((heading, line) for line in lines[:_REMARKS])
    if len(lines) > _REMARKS:
        yield heading, f"{len(lines) - _REMARKS:,} more (xenp2m show --json)"
