"""Place: one PFN of a plan, what it is, and why."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING

from xenp2m.frames import PAGE_SHIFT, PAGE_SIZE, Kind

if TYPE_CHECKING:
    from collections.abc import Iterable

    from xenp2m.e820 import Entry
    from xenp2m.plan import Plan

__all__ = ["Place", "place_of"]


@dataclass(frozen=True, slots=True)
class Place:
    """One frame of the guest.

    Attributes:
        pfn: the frame.
        kind: what its P2M entry is.
        mfn: machine frame behind it; None where there is none.
        why: the reason, a phrase.
        start: first PFN of the stretch it belongs to.
        end: one past that stretch's last PFN.
        moved_from: PFN the frame was at before it moved out of a hole, or None.
        moved_to: PFN where the frame that the builder put here went, or None.
        host: entries of the machine's map that touch the page.
        guest: entries of the guest's map that touch it.
    """

    pfn: int
    kind: Kind
    mfn: int | None
    why: str
    start: int
    end: int
    moved_from: int | None
    moved_to: int | None
    host: tuple[Entry, ...]
    guest: tuple[Entry, ...]


def place_of(plan: Plan, pfn: int) -> Place | None:
    """What `pfn` is in a plan; None where the kernel stops before it has a map. O(log) after the first."""
    if plan.p2m is None:
        return None
    kind, mfn = plan.p2m.lookup(pfn)
    stretch_starts = [stretch.start for stretch in plan.stretches]
    if pfn < plan.layout.map_end:
        stretch = plan.stretches[bisect_right(stretch_starts, pfn) - 1]
        start, end, why = stretch.start, stretch.end, stretch.why
    else:
        start, end = plan.layout.map_end, 1 << 52
        why = f"beyond the end of the P2M, where everything is {plan.beyond.value}"
    moves = plan.layout.moves
    return Place(
        pfn=pfn,
        kind=kind,
        mfn=None if mfn < 0 else mfn,
        why=why,
        start=start,
        end=end,
        moved_from=next((m.source + pfn - m.target for m in moves if 0 <= pfn - m.target < m.size), None),
        moved_to=next((m.target + pfn - m.source for m in moves if 0 <= pfn - m.source < m.size), None),
        host=_touching(plan.host.e820 or (), pfn),
        guest=_touching(plan.layout.e820 or (), pfn),
    )


def _touching(entries: Iterable[Entry], pfn: int) -> tuple[Entry, ...]:
    low = pfn << PAGE_SHIFT
    return tuple(e for e in entries if e.start < low + PAGE_SIZE and e.end > low)
