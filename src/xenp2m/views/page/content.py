"""What a report says, before it is HTML: facts, findings, rows of the map, lanes above it, provenance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from xenp2m.e820 import type_name
from xenp2m.findings import Outcome
from xenp2m.frames import Kind
from xenp2m.views.page.rows import Rows, rows_of_map, rows_of_plan
from xenp2m.views.palette import LOOKS, parts
from xenp2m.views.plan_text import shown_end
from xenp2m.views.plots.sheet import memory_end
from xenp2m.views.text import plural, size

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from xenp2m.e820 import Entry
    from xenp2m.findings import Finding
    from xenp2m.plan import Plan
    from xenp2m.sources.source import Origin, Source
    from xenp2m.views.page.comparison import Comparison

__all__ = ["Lane", "Report", "report_of_plan", "report_of_source"]


@dataclass(frozen=True, slots=True)
class Lane:
    """A memory map beside the P2M: ``(start, end, type name)`` in bytes, the end not included."""

    name: str
    entries: list[tuple[int, int, str]]


@dataclass(frozen=True, slots=True)
class Report:
    """One report.

    Attributes:
        title: the subject in a few words.
        answer: the first thing to know, a word or two; "" where there is none.
        tone: ``good``, ``warning`` or ``error``: how the answer is meant.
        facts: names and values of the summary.
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
    facts: list[tuple[str, str]]
    findings: Sequence[Finding]
    remarks: list[tuple[str, str]]
    rows: Rows | None
    shown: int
    beyond: str
    lanes: list[Lane]
    origins: Sequence[Origin]
    words: str = ""
    comparison: Comparison | None = None


_TONES = {Outcome.BOOTS: "good", Outcome.UNSETTLED: "warning"}


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
    outcome = plan.outcome
    answer = {Outcome.UNSETTLED: "boots or panics: not settled"}.get(outcome, str(outcome))
    return Report(
        title=title,
        answer=answer,
        tone=_TONES.get(outcome, "error"),
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


def _facts(plan: Plan) -> list[tuple[str, str]]:
    host, layout = plan.host, plan.layout
    held = host.nr_pages - layout.released
    facts = [
        ("kernel", f"Linux {host.release.version}, PV {host.dom}"),
        ("now", f"{size(held)} ({plural(held, 'frame')})"),
    ]
    if layout.runs is not None:
        extra = sum(end - start for start, end in layout.extra or ())
        facts += [
            ("at most", size(held + extra)),
            ("remapped", plural(layout.remapped, "frame")),
            ("released", plural(layout.released, "frame")),
            ("the map itself", f"{plural(layout.map_pages, 'page')}, {size(layout.map_pages)}"),
        ]
        shown = parts(layout.runs, layout.extra or ())
        facts += _kinds((part.look, part.end - part.start) for part in shown)
    return facts


def report_of_source(source: Source, findings: Sequence[Finding], words: str = "") -> Report:
    """The report of a map that was read from a file or a domain.

    Args:
        source: the map and its guest.
        findings: what was noticed about it.
        words: options of the command.
    """
    guest, p2m = source.guest, source.p2m
    facts = [("input", source.origin.format), ("entries", f"{len(p2m):,} PFNs")]
    facts += [("guest's word", f"{guest.geometry.bits} bits")]
    if guest.form:
        facts.append(("map found as", guest.form))
    if guest.xen:
        facts.append(("Xen", guest.xen))
    if guest.vcpus is not None:
        facts.append(("vCPUs", str(guest.vcpus)))
    facts += _kinds((kind.value, pages) for kind, pages in p2m.count().items())
    worst = max((finding.severity for finding in findings), default=0)
    remarks = [("inferred", line) for line in source.inferred] + [("lost", line) for line in source.lost]
    return Report(
        title=source.origin.name,
        answer="" if worst == 0 else plural(sum(f.severity > 0 for f in findings), "finding"),
        tone=("good", "warning", "error")[worst],
        facts=facts,
        findings=findings,
        remarks=remarks,
        rows=rows_of_map(p2m),
        shown=memory_end(p2m),
        beyond=p2m.beyond.value,
        lanes=[],
        origins=[source.origin],
        words=words,
    )


def _kinds(shown: Iterable[tuple[str, int]]) -> list[tuple[str, str]]:
    """Frames by look; identity is left out, as most of it is address space without anything."""
    pages = dict.fromkeys(LOOKS, 0)
    for look, number in shown:
        pages[look] += number
    left_out = (Kind.IDENTITY.value, Kind.MISSING.value)
    counted = ((LOOKS[name].text, n) for name, n in pages.items() if n and name not in left_out)
    return [(text, f"{size(n)} ({plural(n, 'frame')})") for text, n in counted]


def _lane(name: str, entries: Iterable[Entry]) -> Lane:
    return Lane(name, [(entry.start, entry.end, type_name(entry.type)) for entry in entries])
