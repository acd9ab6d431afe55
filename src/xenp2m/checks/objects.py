"""Objects of the builder: what lies in their way, what moves, and what stops the kernel."""

from __future__ import annotations

from typing import TYPE_CHECKING

from xenp2m.boot.conflicts import builder_objects, movable_objects
from xenp2m.checks.stories import STORIES
from xenp2m.checks.words import mib, span, spoken
from xenp2m.e820 import RAM, contains, type_name
from xenp2m.extents import subtract
from xenp2m.findings import Finding, Outcome
from xenp2m.frames import PAGE_SIZE, pfn_down, pfn_up

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from xenp2m.boot.layout import Layout
    from xenp2m.extents import Range
    from xenp2m.host import Host

__all__ = ["CHECKS"]


def _relocated(host: Host, layout: Layout) -> Iterator[Finding]:
    for object_ in layout.relocations:
        yield Finding(
            STORIES[f"{object_.what}-relocated"],
            f"{object_.size / 1024:,.0f} KiB from {object_.source:#x} to {object_.target:#x}",
            pfns=((pfn_down(object_.target), pfn_up(object_.target + object_.size)),),
        )


def _unaligned(host: Host, layout: Layout) -> Iterator[Finding]:
    moved = [r for r in layout.relocations if r.target % PAGE_SIZE][:1]
    for object_ in moved:
        halts = object_.what == "p2m"
        yield Finding(
            STORIES["relocation-unaligned"],
            f"the {'P2M list' if halts else 'ramdisk'} moves to {object_.target:#x}, not a page boundary",
            "dom0 halts without a word" if halts else 'dom0 panics: "invalid magic"',
            ((pfn_down(object_.target), pfn_up(object_.target + object_.size)),),
            Outcome.HALTS if halts else Outcome.CRASHES,
        )


def _swapped(host: Host, layout: Layout) -> Iterator[Finding]:
    for swap in layout.swaps:
        pfns = ((pfn_down(swap.paddr), pfn_down(swap.paddr + swap.size)),)
        before, after = span(*swap.entry[:2]), span(*swap.moved[:2])
        yield Finding(STORIES["nvs-swapped"], f"ACPI NVS {before} appears at {after}", pfns=pfns)
        if swap.entry.start % PAGE_SIZE and host.release.nvs == "swap-offset-fault":
            yield Finding(
                STORIES["nvs-offset-fault"],
                f"ACPI NVS {before} appears at {after}, its contents begin at {swap.paddr:#x}",
                "ACPI reads and writes the wrong memory",
                pfns,
            )


def _too_small(host: Host, layout: Layout) -> Iterator[Finding]:
    held = [(name, span) for name, span in builder_objects(host) if pfn_up(span[1]) > host.nr_pages]
    if host.initrd is not None and pfn_up(host.initrd[1]) > host.nr_pages:
        held.append(("ramdisk", host.initrd))
    if held and host.is_dom0:
        name, (start, end) = held[0]
        yield Finding(
            STORIES["allocation-too-small"],
            f"{spoken(name)} {span(start, end)} of {mib(host.nr_pages)}",
            "the hypervisor stops before it starts dom0",
            ((host.nr_pages, pfn_up(end)),),
            Outcome.HALTS,
        )


_BUG_CODES = {
    "nonram-swap-not-page-aligned": "nvs-unaligned",
    "nonram-swap-target-beyond-p2m": "nvs-beyond-p2m",
    "extra-region-smaller-than-remapped": "extra-too-small",
    "store-beyond-p2m-end": "remap-beyond-p2m",
    "remap-p2m-update-failed": "remap-beyond-p2m",
}


_SCREENS = {
    "nonram-swap-not-page-aligned": "BUG in xen_add_remap_nonram, before anything can be seen",
    "nonram-swap-target-beyond-p2m": 'panic "Failed to set p2m mapping for pfn="',
    "extra-region-smaller-than-remapped": "BUG in xen_del_extra_mem, called by xen_remap_memory",
    "store-beyond-p2m-end": "BUG in __set_phys_to_machine, called by xen_remap_memory",
    "remap-p2m-update-failed": 'BUG after "Failed to set p2m mapping for pfn=", in xen_update_mem_tables',
}
"""What the console shows of a BUG without words of its own; the line number differs by version."""


def _bug(host: Host, layout: Layout) -> Iterator[Finding]:
    bug = layout.bug
    if bug is None:
        return
    text = bug.console or ""
    pfns: tuple[Range, ...] = () if bug.pfn is None else ((bug.pfn, bug.pfn + 1),)
    code = _BUG_CODES.get(bug.code)
    if "conflicts with E820" in text:
        yield from _conflict(host, layout, text)
        return
    if code is None:
        code = "no-free-area" if "free" in text or "find new memory" in text else "nvs-no-room"
    what = f'dom0 stops: "{text}"' if text else f"dom0 stops: {_SCREENS[bug.code]}, PFN {bug.pfn:#x}"
    yield Finding(STORIES[code], what, STORIES[code].title, pfns, Outcome.HALTS)


def _conflict(host: Host, layout: Layout, text: str) -> Iterator[Finding]:
    name = text.removeprefix("Xen hypervisor allocated ").removesuffix(" memory conflicts with E820 map")
    start, end = dict(builder_objects(host))[name]
    inside = [e for e in layout.host_map if e.type != RAM and e.start < end and e.end > start]
    held = [
        (max(start, e.start), min(end, e.end)) for e in layout.host_map if e.start < end and e.end > start
    ]
    missing = [f"{type_name(e.type)} {span(e.start, e.end)}" for e in inside]
    missing += [f"no RAM at {span(*gap)}" for gap in subtract([(start, end)], held)]
    if not missing:
        missing = ["two RAM entries that do not join"]
    yield Finding(
        STORIES["image-conflict"],
        f"{spoken(name)} {span(start, end)} meets {'; '.join(missing[:4])}",
        f'dom0 stops: "{text}"',
        ((pfn_down(start), pfn_up(end)),),
        Outcome.HALTS,
    )


def _unchecked(host: Host, layout: Layout) -> Iterator[Finding]:
    if host.release.era == "g3":
        return
    held = [*builder_objects(host), *movable_objects(host)]
    outside = [
        (name, place)
        for name, place in held
        if place[1] > place[0] and not contains(layout.host_map, place[0], place[1] - place[0])
    ]
    if outside:
        names = "; ".join(f"{spoken(name)} {span(*place)}" for name, place in outside)
        yield Finding(
            STORIES["objects-unchecked"],
            f"not inside one RAM entry: {names}",
            "this kernel does not look, and changes the P2M under them",
            tuple((pfn_down(start), pfn_up(end)) for _, (start, end) in outside),
            Outcome.UNSETTLED,
        )


CHECKS: tuple[Callable[[Host, Layout], Iterator[Finding]], ...] = (
    _too_small,
    _bug,
    _unaligned,
    _swapped,
    _relocated,
    _unchecked,
)
