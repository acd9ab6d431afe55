"""Frames of the builder: which move, which are given back, and which are lost."""

from __future__ import annotations

from typing import TYPE_CHECKING

from xenp2m.boot.remap import shared_pages
from xenp2m.checks.stories import STORIES
from xenp2m.checks.words import SHOWN, mib, pfns_text
from xenp2m.e820 import ISA_END, RAM, ram_frames
from xenp2m.extents import intersect, subtract
from xenp2m.findings import Finding, Outcome
from xenp2m.frames import PAGE_SHIFT, PAGE_SIZE, Kind, counted, pfn_down, pfn_up

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from xenp2m.boot.layout import Layout
    from xenp2m.host import Host

__all__ = ["CHECKS"]


def _remapped(host: Host, layout: Layout) -> Iterator[Finding]:
    if layout.moves:
        first = layout.moves[0].target
        yield Finding(
            STORIES["frames-remapped"],
            f"{counted(layout.remapped)} ({mib(layout.remapped)}) move from holes to PFN {first:#x} and on",
            pfns=tuple((m.source, m.source + m.size) for m in layout.moves[:SHOWN]),
        )


def _released(host: Host, layout: Layout) -> Iterator[Finding]:
    if layout.released:
        yield Finding(
            STORIES["pages-released"],
            f"{counted(layout.released)} ({mib(layout.released)}) go back to the hypervisor",
            pfns=tuple(layout.freed[:SHOWN]),
        )


def _lost(host: Host, layout: Layout) -> Iterator[Finding]:
    if host.release.era != "g3" or not layout.host_map:
        return
    end = pfn_up(layout.host_map[-1].end)
    if end < host.nr_pages:
        pages = host.nr_pages - end
        what = f"{counted(pages)} ({mib(pages)}) from PFN {end:#x} on, where the map ends"
        yield Finding(STORIES["frames-lost"], what, pfns=((end, host.nr_pages),))


def _mem(host: Host, layout: Layout) -> Iterator[Finding]:
    if host.mem_limit is None or layout.bug is not None:
        return
    cut = [(max(m.target, host.mem_limit >> PAGE_SHIFT), m.target + m.size) for m in layout.moves]
    cut = [(start, end) for start, end in cut if start < end]
    if cut:
        yield Finding(
            STORIES["mem-below-allocation"],
            f"mem= ends RAM at {host.mem_limit:#x}, frames from holes are to move to PFN {cut[0][0]:#x}",
            "BUG in xen_remap_memory (5.10 was seen to panic later)",
            tuple(cut[:SHOWN]),
            Outcome.CRASHES if host.release.version < (5, 11) else Outcome.HALTS,
        )


def _out_of_reach(host: Host, layout: Layout) -> Iterator[Finding]:
    if not host.release.has_one_region or layout.runs is None:
        return
    built = [(ISA_END >> PAGE_SHIFT, layout.ini_pages)]
    lost = intersect(built, [(run.start, run.end) for run in layout.runs if run.kind is Kind.IDENTITY])
    if lost:
        pages = sum(end - start for start, end in lost)
        what = f"{counted(pages)} ({mib(pages)}) under entries of the map: {pfns_text(lost)}"
        yield Finding(STORIES["frames-out-of-reach"], what, pfns=tuple(lost[:SHOWN]))


def _target_missed(host: Host, layout: Layout) -> Iterator[Finding]:
    if host.release.era not in ("g2r", "g3a") or not layout.released:
        return
    at = max([layout.ini_pages, *(move.target + move.size for move in layout.moves)])
    ram = [(pfn_up(e.start), pfn_down(e.end)) for e in layout.host_map if e.type == RAM]
    room = sum(end - start for start, end in ram if start > at)
    if room > 0 and any(end == at for _, end in ram):
        what = f"RAM ends at PFN {at:#x}, {mib(room)} further up are not tried"
        yield Finding(STORIES["remap-target-missed"], what, pfns=tuple(layout.freed[:SHOWN]))


def _out_of_map(host: Host, layout: Layout) -> Iterator[Finding]:
    if layout.bug is not None or layout.e820 is None or not layout.moves or layout.dropped:
        return
    outside = subtract(((m.target, m.target + m.size) for m in layout.moves), ram_frames(layout.e820))
    if outside:
        pages = sum(end - start for start, end in outside)
        what = f"{counted(pages)} ({mib(pages)}) at {pfns_text(outside)}, which the guest's map does not have"
        yield Finding(STORIES["remapped-out-of-map"], what, pfns=tuple(outside[:SHOWN]))


def _populated(host: Host, layout: Layout) -> Iterator[Finding]:
    if layout.populated:
        pages = sum(end - start for start, end in layout.populated)
        yield Finding(
            STORIES["frames-populated"],
            f"{counted(pages)} ({mib(pages)}) at {pfns_text(layout.populated)}",
            pfns=tuple(layout.populated[:SHOWN]),
        )


def _two_holes(host: Host, layout: Layout) -> Iterator[Finding]:
    shared = sorted(pfn for pfn in shared_pages(layout.holes) if pfn < layout.ini_pages)
    if shared:
        what = f"PFN {shared[0]:#x}" + (f" and {len(shared) - 1:,} more" if shared[1:] else "")
        yield Finding(STORIES["page-in-two-holes"], what, pfns=tuple((p, p + 1) for p in shared[:SHOWN]))


def _partial_extra(host: Host, layout: Layout) -> Iterator[Finding]:
    if layout.shape is None or layout.runs is None or host.release.has_one_region:
        return
    first = [(s >> PAGE_SHIFT, (s >> PAGE_SHIFT) + 1) for s, _ in layout.extra_bytes or () if s % PAGE_SIZE]
    kept = intersect(first, [(run.start, run.end) for run in layout.runs if run.kind is Kind.IDENTITY])
    if kept:
        what = f"{pfns_text(kept)}, where extra memory begins inside the page"
        yield Finding(STORIES["extra-partial-page"], what, pfns=tuple(kept[:SHOWN]))


CHECKS: tuple[Callable[[Host, Layout], Iterator[Finding]], ...] = (
    _mem, _released, _lost, _out_of_reach, _target_missed, _out_of_map, _two_holes,
    _remapped, _populated, _partial_extra,
)  # fmt: skip
