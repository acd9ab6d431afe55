"""Identity in the trees of 2.6.39 to 3.18: where it is refused, rounded the wrong way, or not allowed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from xenp2m.checks.stories import STORIES
from xenp2m.checks.words import SHOWN, pfns_text, span
from xenp2m.e820 import RAM, UNUSABLE
from xenp2m.extents import intersect, union
from xenp2m.findings import Finding, Outcome
from xenp2m.frames import PAGE_SHIFT, PAGE_SIZE, Kind, pfn_down, pfn_up
from xenp2m.model.rules import RULES, Edges

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from xenp2m.boot.layout import Layout
    from xenp2m.host import Host

__all__ = ["CHECKS"]


def _refused(host: Host, layout: Layout) -> Iterator[Finding]:
    tree = RULES.get(host.rules or host.release.p2m)
    end = layout.p2m_end
    if tree is None or end is None or tree.edges is not Edges.EVERY_MID or not layout.host_map:
        return
    last = layout.host_map[-1]
    ram = max((e.end for e in layout.host_map if e.type in (RAM, UNUSABLE)), default=0)
    if last.type == RAM or pfn_up(last.end) < end or pfn_up(ram) >= end:
        return
    behind = [(pfn_up(ram), end)]
    held = [(run.start, run.end) for run in layout.runs or () if run.kind is Kind.MISSING]
    missing = intersect(behind, held)
    if missing:
        what = f"the map ends at {last.end:#x}, the tree at PFN {end:#x}: {pfns_text(missing)} stay missing"
        yield Finding(STORIES["identity-refused"], what, pfns=tuple(missing[:SHOWN]))


def _unusable(host: Host, layout: Layout) -> Iterator[Finding]:
    if host.release.era != "g2" or host.release.unusable != "hole" or not host.is_dom0:
        return
    mapped = host.p2m_frames[0] if host.p2m_frames is not None else host.nr_pages
    found = [e for e in layout.host_map if e.type == UNUSABLE and e.start < mapped << PAGE_SHIFT]
    if found:
        yield Finding(
            STORIES["unusable-mapped"],
            f"UNUSABLE {', '.join(span(e.start, e.end) for e in found[:3])} would be mapped",
            "such hosts were seen not to boot",
            tuple((pfn_down(e.start), pfn_up(e.end)) for e in found[:SHOWN]),
            Outcome.CRASHES,
        )


def _partial_pages(host: Host, layout: Layout) -> Iterator[Finding]:
    if not host.release.has_one_region or layout.runs is None:
        return
    odd = [e for e in host.e820 or () if e.type not in (RAM, UNUSABLE) and (e.start | e.end) % PAGE_SIZE]
    edges = [edge for e in odd for edge in (e.start, e.end) if edge % PAGE_SIZE]
    pages = union((edge >> PAGE_SHIFT, (edge >> PAGE_SHIFT) + 1) for edge in edges)
    plain = [(run.start, run.end) for run in layout.runs if run.kind is not Kind.IDENTITY]
    found = intersect(pages, plain)
    if found:
        what = f"{span(*odd[0][:2])} begins or ends inside {pfns_text(found)}"
        yield Finding(STORIES["partial-page-not-identity"], what, pfns=tuple(found[:SHOWN]))


CHECKS: tuple[Callable[[Host, Layout], Iterator[Finding]], ...] = (_unusable, _refused, _partial_pages)
