"""Findings about the P2M trees of 2.6.39 to 3.18, and about the premise of the thread of 2011."""

from __future__ import annotations

from typing import TYPE_CHECKING

from xenp2m.boot.overreach import over_reach
from xenp2m.checks.stories import STORIES
from xenp2m.checks.words import SHOWN, mib, pfns_text
from xenp2m.findings import Finding, Outcome
from xenp2m.frames import counted
from xenp2m.model.balloon import driver_of
from xenp2m.model.rules import RULES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from xenp2m.boot.layout import Layout
    from xenp2m.boot.overreach import OverReach
    from xenp2m.extents import Range
    from xenp2m.host import Host

__all__ = ["beyond_tree", "brk_exceeded", "over_reached", "premise"]

_PREMISE = (
    "the premise of the thread; since 2.6.37 extra memory lies behind the whole map, so this very BUG"
    " needs a region that begins inside the last GiB with identity in it, as in a map ending at 0xfec01000;"
    " from 3.2 on extra memory lies in RAM entries again, where the premise would hold"
)


def over_reached(host: Host, layout: Layout) -> Iterator[Finding]:
    """Identity in extra memory: reached over by a swap, or asked for where extra memory fills a hole."""
    found = over_reach(layout)
    if found is None:
        return
    for code, ranges in (("identity-over-extra", found.identity), ("extra-over-hole", found.asked)):
        if ranges:
            pages = sum(end - start for start, end in ranges)
            what = f"{counted(pages)} of extra memory are identity: {pfns_text(ranges)}"
            yield Finding(STORIES[code], what, *_balloon(host, found, tuple(ranges[:SHOWN])))


def _balloon(host: Host, found: OverReach, pfns: tuple[Range, ...]) -> tuple[str, tuple[Range, ...], Outcome]:
    """What the balloon makes of it: the kernel stops, or goes on with a device's frame as memory."""
    after = f"PFN {found.bug_pfn:#x}, after {mib(found.filled)}"
    if driver_of(host.release.version).stops_on_valid:
        return f"the balloon stops dom0 with a BUG at {after}", pfns, Outcome.CRASHES
    return f"the balloon comes to {after}, and the page it gets there is never seen", pfns, Outcome.UNSETTLED


def premise(host: Host, layout: Layout) -> Iterator[Finding]:
    """Extra memory right behind the allocation, as the thread has it."""
    if host.extra == "contiguous" and layout.extra:
        first = layout.extra[0]
        what = f"extra memory at {pfns_text([first])}, right behind the allocation"
        yield Finding(STORIES["extra-contiguous"], what, _PREMISE, (first,))


def beyond_tree(host: Host, layout: Layout) -> Iterator[Finding]:
    """Extra memory behind the last frame that the tree can hold."""
    end = layout.p2m_end
    outside = [(max(s, end), e) for s, e in layout.extra or () if e > end] if end is not None else []
    if outside:
        pages = sum(e - s for s, e in outside)
        what = f"{counted(pages)} ({mib(pages)}) of extra memory lie behind PFN {end:#x}, where the tree ends"
        yield Finding(STORIES["extra-beyond-tree"], what, pfns=tuple(outside[:SHOWN]))


def brk_exceeded(host: Host, layout: Layout) -> Iterator[Finding]:
    """More early pages than p2m.c reserves."""
    if layout.brk_pages is None:
        return
    reserved = RULES[host.release.p2m].reservation.pages(host.geometry)
    if layout.brk_pages > reserved:
        what = f"{layout.brk_pages:,} pages from extend_brk, {reserved:,} reserved"
        why = "a BUG in extend_brk, unless others left room in the __brk area: not settled"
        yield Finding(STORIES["brk-exceeded"], what, why, outcome=Outcome.UNSETTLED)
