"""Lines that a predicted boot should print, for each one that the log has."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from xenp2m.diagnosis.result import Check
from xenp2m.e820 import RAM, Entry, type_name
from xenp2m.extents import subtract
from xenp2m.findings import Outcome
from xenp2m.frames import PAGE_SHIFT, Kind, pfn_down, pfn_up

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from xenp2m.extents import Range
    from xenp2m.logs.consolefacts import Log
    from xenp2m.plan import Plan

__all__ = ["against_plan", "ram_frames_of", "unavailable_pages"]

_COUNTED_FIRST = ("g1", "g1-3.1", "g1b", "g2", "g2-3.16")
"""Eras that release pages, and count them, before they populate others."""
_SECTION = 1 << 15
"""Frames of a memory section, ``PAGES_PER_SECTION`` on x86-64: 128 MiB."""


def ram_frames_of(plan: Plan) -> list[Range]:
    """Frames of RAM that Linux counts: of the predicted map, without page 0, below ``mem=``."""
    limit = plan.host.mem_limit
    top = 1 << 52 if limit is None else limit >> PAGE_SHIFT
    spans = [
        (max(1, pfn_up(e.start)), min(top, pfn_down(e.end))) for e in plan.layout.e820 or () if e.type == RAM
    ]
    return sorted(span for span in spans if span[0] < span[1])


def unavailable_pages(frames: Sequence[Range]) -> list[int]:
    """What ``pages in unavailable ranges`` counts: frames without RAM in sections that have some.

    Source: ``init_unavailable_range`` (5.12 to 7.3; 5.10 in stable).
    """
    sections = sorted(
        {s for start, end in frames for s in range(start // _SECTION, (end - 1) // _SECTION + 1)}
    )
    present: list[Range] = []
    for section in sections:
        low = section * _SECTION
        if present and present[-1][1] == low:
            present[-1] = (present[-1][0], low + _SECTION)
        else:
            present.append((low, low + _SECTION))
    counts: list[int] = []
    borders = [(0, 0), *frames, (present[-1][1], present[-1][1])] if present else []
    for (_, end), (start, _) in pairwise(borders):
        hole = sum(min(start, high) - max(end, low) for low, high in present if low < start and high > end)
        if hole > 0:
            counts.append(hole)
    return counts


def against_plan(log: Log, plan: Plan) -> Iterator[Check]:
    """Hold every line that the log has against the plan.

    What a line says that the kernel prints only in some eras is compared where it is there.
    """
    if plan.layout.e820 is not None and log.linux_map_label == "Xen":
        yield from _map(log, plan)
    yield from _counts(log, plan)
    yield from _ranges(log, plan)
    if plan.layout.e820 is not None:
        yield from _memory(log, plan)
    yield from _end(log, plan)


def _number(
    name: str, log: Log, fact: str, printed: int | None, expected: int, *, base: int = 10
) -> Iterator[Check]:
    if printed is not None:
        form = "{:#x}" if base == 16 else "{:,}"
        where = log.where(f"printed.{fact}")
        yield Check(name, form.format(printed), form.format(expected), printed == expected, where)


def _entry(entry: Entry) -> str:
    return f"{entry.start:#x}-{entry.end - 1:#x} {type_name(entry.type)}"


def _map(log: Log, plan: Plan) -> Iterator[Check]:
    """The guest's map, range by range; a map that the log breaks off is compared as far as it goes."""
    where, expected = log.where("linux_map"), list(plan.layout.e820 or ())
    printed = list(log.linux_map)
    first = ""
    if log.linux_map_open:
        expected, first = expected[: len(printed)], "the first "
    if printed == expected:
        said = f"{first}{len(printed)} ranges"
        yield Check("guest's map", said, said, True, where)
        return
    for entry in [e for e in printed if e not in expected][:8]:
        yield Check("guest's map", _entry(entry), "no such range", False, where)
    for entry in [e for e in expected if e not in printed][:8]:
        yield Check("guest's map", "no such range", _entry(entry), False, where)


def _counts(log: Log, plan: Plan) -> Iterator[Check]:
    told, layout = log.printed, plan.layout
    if layout.bug is None or layout.bug.phase > 1:
        yield from _number("Released", log, "released", told.released, _released(plan))
    if layout.runs is None:
        return
    yield from _number("Remapped", log, "remapped", told.remapped, layout.remapped)
    swapped = sum(swap.size for swap in layout.swaps) >> PAGE_SHIFT
    yield from _number("Remapped non-RAM", log, "remapped_nonram", told.remapped_nonram, swapped)
    if layout.p2m_end is None and layout.p2m_size:
        area = layout.p2m_size * plan.host.geometry.word
        yield from _number("p2m virtual area", log, "p2m_area_size", told.p2m_area_size, area, base=16)
    if plan.host.release.era in _COUNTED_FIRST and told.set_identity is not None:
        pages = sum(run.pages for run in layout.runs if run.kind is Kind.IDENTITY)
        yield from _number("1-1 mapping", log, "set_identity", told.set_identity, pages)


def _released(plan: Plan) -> int:
    """Pages of the ``Released`` line: up to 3.17 before any of them are populated again."""
    if plan.host.release.era in _COUNTED_FIRST:
        return sum(end - start for start, end in plan.layout.freed)
    return plan.layout.released


def _ranges(log: Log, plan: Plan) -> Iterator[Check]:
    """Ranges freed and populated (up to 3.17), and an initrd that moved."""
    told, layout = log.printed, plan.layout
    if layout.runs is None:
        return
    pairs = (("freeing", told.freeing, layout.freed), ("populated", told.populated, layout.populated))
    for name, ranges, expected in pairs:
        if ranges:
            printed = [(r.start, r.end) for r in ranges]
            same = printed == list(expected)
            yield Check(name, _pfns(printed), _pfns(expected), same, log.where(f"printed.{name}"))
    if told.one_to_one:
        identity = [(run.start, run.end) for run in layout.runs if run.kind is Kind.IDENTITY]
        printed = [(r.start, r.end) for r in told.one_to_one]
        outside = subtract(printed, identity)
        where = log.where("printed.one_to_one")
        yield Check(
            "1-1 mapping on",
            _pfns(printed),
            f"no identity on {_pfns(outside)}" if outside else "identity",
            not outside,
            where,
        )
    moves = [r for r in layout.relocations if r.what == "initrd"]
    if told.initrd_moved is not None:
        shown = f"to {told.initrd_moved.target.start:#x}"
        expect = f"to {moves[0].target:#x}" if moves else "not moved"
        yield Check("initrd moved", shown, expect, shown == expect, log.where("printed.initrd_moved"))


def _pfns(ranges: Sequence[Range]) -> str:
    text = ", ".join(f"{start:x}-{end:x}" for start, end in ranges[:4])
    return text + (f" and {len(ranges) - 4} more" if len(ranges) > 4 else "") or "none"


def _memory(log: Log, plan: Plan) -> Iterator[Check]:
    told, frames = log.printed, ram_frames_of(plan)
    if not frames:
        return
    yield from _number("last_pfn", log, "last_pfn", told.last_pfn, frames[-1][1], base=16)
    if told.memory_available is not None:
        pages = sum(end - start for start, end in frames)
        total = frames[-1][1] if told.memory_absent is not None else pages
        yield from _number("Memory: total KiB", log, "memory_available", told.memory_available[1], total << 2)
    if told.unavailable:
        expected = unavailable_pages(frames)
        printed, wanted = " ".join(map(str, told.unavailable)), " ".join(map(str, expected))
        where = log.where("printed.unavailable")
        whole = list(told.unavailable) == expected[: len(told.unavailable)]
        yield Check("unavailable ranges", printed, wanted, whole, where)
    if told.too_many_entries or (plan.layout.dropped and log.linux_map):
        told_all = told.too_many_entries + told.messages_dropped
        where = log.where("printed.too_many_entries")
        agrees = (
            bool(told.too_many_entries) == bool(plan.layout.dropped)
            and told_all <= plan.layout.dropped + 4096
        )
        yield Check(
            "ranges that found no room", f"{told_all:,} at most", f"{plan.layout.dropped:,}", agrees, where
        )


_ENDS = {
    Outcome.BOOTS: "boots",
    Outcome.UNSETTLED: "boots or panics",
    Outcome.CRASHES: "crashes",
    Outcome.HALTS: "halts",
}


def _end(log: Log, plan: Plan) -> Iterator[Check]:
    """How it ended. A log that merely stops shows nothing."""
    told = log.printed
    if told.died:
        facts = [f"printed.{fact}" for fact in ("dom0_end", "stops", "faults")]
        where = log.where(next((fact for fact in facts if fact in log.lines), facts[0]))
        printed = (
            "halts" if told.stops or "halted" in (told.dom0_end or "halted" * bool(told.stops)) else "crashes"
        )
        if told.dom0_end is None and not told.stops:
            printed = "dies"
        agrees = plan.outcome is not Outcome.BOOTS
        yield Check("end of the boot", printed, _ENDS[plan.outcome], agrees, where)
    elif told.memory_available is not None or log.running.mem_total_kib is not None:
        up = log.running.mem_total_kib is not None
        fact = "running.mem_total_kib" if up else "printed.memory_available"
        printed = "is up" if up else "no end within the log"
        agrees = not up or plan.outcome in (Outcome.BOOTS, Outcome.UNSETTLED)
        yield Check("end of the boot", printed, _ENDS[plan.outcome], agrees, log.where(fact))
