"""A map against the guest's E820: frames over holes, identity over RAM."""

from __future__ import annotations

from typing import TYPE_CHECKING

from xenp2m.checks.stories import STORIES
from xenp2m.checks.words import SHOWN
from xenp2m.e820 import RAM
from xenp2m.extents import intersect, subtract
from xenp2m.findings import Finding
from xenp2m.frames import Kind, counted, pfn_down, pfn_up
from xenp2m.runtable import KINDS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from xenp2m.e820 import Entry
    from xenp2m.extents import Range
    from xenp2m.p2m import P2M

__all__ = ["e820_findings"]

_ISA = (0xA0, 0x100)


def e820_findings(p2m: P2M, e820: Iterable[Entry], *, dom0: bool = True) -> list[Finding]:
    """Where a map does not fit the guest's E820. O(n log n) in runs and entries.

    Pages that RAM covers in part belong to neither side. Frames above the last RAM entry are left out:
    hotplugged memory and grants lie there.

    Args:
        p2m: the guest's map.
        e820: the guest's, sanitised.
        dom0: whether the ISA window counts. A domU's kernel writes it into the map when identity is set
            already, and has memory there (``xen_memory_setup``; seen on real guests).
    """
    ram = [(pfn_up(e.start), pfn_down(e.end)) for e in e820 if e.type == RAM]
    touched = [(pfn_down(e.start), pfn_up(e.end)) for e in e820 if e.type == RAM]
    end = min(len(p2m), max((stop for _, stop in ram), default=0))
    holes = subtract([(0, end)], touched if dom0 else [*touched, _ISA])
    table = p2m.table()

    def frames(kind: Kind) -> list[Range]:
        rows = table.kind == KINDS.index(kind)
        return list(zip(table.start[rows].tolist(), table.end[rows].tolist(), strict=True))

    wrong = (
        ("with a machine frame where the E820 has no RAM", intersect(frames(Kind.MFN), holes)),
        ("missing where the E820 has no RAM", intersect(frames(Kind.MISSING), holes)),
        ("identity where the E820 has RAM", intersect(frames(Kind.IDENTITY), ram)),
    )
    return [_finding(what, ranges) for what, ranges in wrong if ranges]


def _finding(what: str, ranges: list[Range]) -> Finding:
    pages = sum(end - start for start, end in ranges)
    start, end = ranges[0]
    text = f"{counted(pages)} {what}: PFNs {start:#x} - {end:#x}{' and more' if len(ranges) > 1 else ''}"
    return Finding(STORIES["map-overlaps-e820"], text, pfns=tuple(ranges[:SHOWN]))
