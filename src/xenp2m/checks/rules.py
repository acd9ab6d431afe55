"""What holds of every boot's P2M, whatever the era: each rule once, each breach a finding.

Frames above the end of the map are not looked at: there everything is of one kind.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from xenp2m.checks.stories import STORIES
from xenp2m.checks.words import SHOWN, mib, pfns_text
from xenp2m.e820 import ram_frames
from xenp2m.extents import intersect, subtract, union
from xenp2m.findings import Finding
from xenp2m.frames import Kind, counted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from xenp2m.boot.layout import Layout
    from xenp2m.extents import Range, Run
    from xenp2m.host import Host

__all__ = ["CHECKS"]


def _kinds(layout: Layout) -> dict[Kind, list[Range]]:
    found: dict[Kind, list[Range]] = {}
    for run in layout.runs or ():
        found.setdefault(run.kind, []).append((run.start, run.end))
    return found


def _told(code: str, ranges: list[Range]) -> Finding:
    pages = sum(end - start for start, end in ranges)
    what = f"{counted(pages)} ({mib(pages)}): {pfns_text(ranges)}"
    return Finding(STORIES[code], what, pfns=tuple(ranges[:SHOWN]))


def _ram(host: Host, layout: Layout) -> Iterator[Finding]:
    if layout.runs is None or layout.e820 is None:
        return
    kinds = _kinds(layout)
    extra = union(layout.extra or ())
    used = subtract(ram_frames(layout.e820), extra)
    for code, kind in (("ram-is-identity", Kind.IDENTITY), ("ram-without-frame", Kind.MISSING)):
        wrong = intersect(used, kinds.get(kind, []))
        if wrong:
            yield _told(code, wrong)


def _shifted(host: Host, layout: Layout) -> Iterator[Finding]:
    wrong = _kinds(layout).get(Kind.OTHER)
    if wrong:
        yield _told("identity-shifted", wrong)


def _own_number(run: Run) -> int | None:
    """The first PFN of a run whose MFN is its own number, if there is one."""
    if run.step == 1:
        return run.start if run.mfn == run.start else None
    meets, odd = divmod(run.start + run.mfn, 2)
    return meets if not odd and run.start <= meets < run.end else None


def _same(host: Host, layout: Layout) -> Iterator[Finding]:
    for run in layout.runs or ():
        pfn = _own_number(run) if run.kind is Kind.MFN else None
        if pfn is not None:
            end = run.end if run.step == 1 else pfn + 1
            yield _told("mfn-equals-pfn", [(pfn, end)])
            return


CHECKS: tuple[Callable[[Host, Layout], Iterator[Finding]], ...] = (_ram, _shifted, _same)
