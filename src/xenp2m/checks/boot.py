"""Findings of one boot: from a host and its layout, one function for each.

Each check yields findings and reads nothing but its two arguments. Cost is in entries, never pages.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from xenp2m.boot.conflicts import builder_objects
from xenp2m.checks.older import beyond_tree, brk_exceeded, over_reached, premise
from xenp2m.checks.stories import STORIES
from xenp2m.e820 import RAM, has_whole_page, type_name
from xenp2m.extents import subtract
from xenp2m.findings import Finding, Outcome
from xenp2m.frames import PAGE_SHIFT, PAGE_SIZE, counted, page_up, pfn_down, pfn_up

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from xenp2m.boot.layout import Layout
    from xenp2m.extents import Range
    from xenp2m.host import Host

__all__ = ["boot_findings", "outcome_of"]

_SHOWN_PFNS = 64


def boot_findings(host: Host, layout: Layout) -> list[Finding]:
    """All findings of one boot, errors first, in a stable order."""
    found = [finding for check in _CHECKS for finding in check(host, layout)]
    return sorted(found, key=lambda f: -f.severity)


def outcome_of(findings: list[Finding]) -> Outcome:
    """How the boot ends: the worst that any finding says."""
    return max((f.outcome for f in findings), default=Outcome.BOOTS)


def _mib(pages: int) -> str:
    return f"{pages / 256:,.1f} MiB"


def _span(start: int, end: int) -> str:
    """A byte range as the field writes it: inclusive."""
    return f"{start:#x}-{end - 1:#x}"


def _remapped(host: Host, layout: Layout) -> Iterator[Finding]:
    if layout.moves:
        first = layout.moves[0].target
        yield Finding(
            STORIES["frames-remapped"],
            f"{counted(layout.remapped)} ({_mib(layout.remapped)}) move from holes to PFN {first:#x} and on",
            pfns=tuple((m.source, m.source + m.size) for m in layout.moves[:_SHOWN_PFNS]),
        )


def _ibft(host: Host, layout: Layout) -> Iterator[Finding]:
    if host.ibft and host.is_dom0 and host.e820 is not None:
        yield Finding(
            STORIES["ibft-window"], "0x80000-0xfffff reserved by this kernel", pfns=((0x80, 0x100),)
        )


def _leftover(host: Host, layout: Layout) -> Iterator[Finding]:
    if layout.e820 is None or not host.is_dom0:
        return
    given = [(pfn_up(e.start), pfn_down(e.end)) for e in layout.e820 if e.type == RAM]
    have = [(pfn_up(e.start), pfn_down(e.end)) for e in layout.host_map if e.type == RAM]
    left = [r for r in subtract(have, given) if r[1] > layout.ini_pages]
    pages = sum(end - start for start, end in left)
    if pages:
        code = "leftover-unusable" if host.release.leftover == "unusable" else "ram-not-given"
        yield Finding(
            STORIES[code], f"{_mib(pages)} of host RAM stay outside", pfns=tuple(left[:_SHOWN_PFNS])
        )


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
        before, after = _span(*swap.entry[:2]), _span(*swap.moved[:2])
        yield Finding(STORIES["nvs-swapped"], f"ACPI NVS {before} appears at {after}", pfns=pfns)
        if swap.entry.start % PAGE_SIZE and host.release.nvs == "swap-offset-fault":
            yield Finding(
                STORIES["nvs-offset-fault"],
                f"ACPI NVS {before} appears at {after}, its contents begin at {swap.paddr:#x}",
                "ACPI reads and writes the wrong memory",
                pfns,
            )


def _released(host: Host, layout: Layout) -> Iterator[Finding]:
    if layout.released:
        yield Finding(
            STORIES["pages-released"],
            f"{counted(layout.released)} ({_mib(layout.released)}) go back to the hypervisor",
            pfns=tuple(layout.freed[:_SHOWN_PFNS]),
        )


def _capped(host: Host, layout: Layout) -> Iterator[Finding]:
    wanted = layout.max_pages - layout.ini_pages
    room = sum(
        max(0, pfn_down(e.end) - max(pfn_up(e.start), layout.ini_pages))
        for e in layout.host_map if e.type == RAM
    )  # fmt: skip
    lost = min(wanted, room) - layout.extra_pages
    if lost > 0:
        what = (
            f"extra memory is {_mib(layout.extra_pages)}, ten times the start; max allows {_mib(lost)} more"
        )
        yield Finding(STORIES["extra-capped"], what)


def _regions(host: Host, layout: Layout) -> Iterator[Finding]:
    if layout.extra_lost:
        yield Finding(STORIES["extra-regions-full"], f"{layout.extra_lost} extra regions find no slot")


def _subpage(host: Host, layout: Layout) -> Iterator[Finding]:
    inverted = {e.start for e in layout.table if e.end < e.start}
    for entry in layout.host_map:
        if entry.type == RAM and page_up(entry.start) in inverted and not has_whole_page(entry):
            below = entry.start < layout.ini_pages << PAGE_SHIFT
            yield Finding(
                STORIES["ram-without-page"],
                f"RAM {_span(*entry[:2])} holds no whole page",
                _pageless_why(host, below),
                ((pfn_down(entry.start), pfn_up(entry.end)),),
                Outcome.HALTS if host.release.version >= (7, 0) else Outcome.CRASHES,
            )


def _pageless_why(host: Host, below: bool) -> str:
    series = host.release.version[:2]
    if series == (7, 2):
        return f"dom0 dies in {'xen_remap_memory' if below else 'firmware_map_add_entry'}"
    if series in ((5, 10), (6, 1), (6, 12)):
        return "dom0 was seen to panic on this series"
    return "dom0 dies: 5.10, 6.1 and 6.12 were seen to panic, 7.2 to halt; not settled for this version"


def _overflow(host: Host, layout: Layout) -> Iterator[Finding]:
    if layout.stalled is None:
        return
    start, end = layout.stalled
    pfns: tuple[Range, ...] = ((pfn_up(start), pfn_down(end)),)
    place = f"extra memory ends at {start:#x}, off a page boundary"
    stray = _stray(layout)
    if layout.dropped:
        yield Finding(
            STORIES["map-overflow"],
            f"{place}: {layout.dropped:,} ranges do not fit into the guest's map",
            _overflow_why(_overflow_outcome(host)),
            pfns,
            _overflow_outcome(host),
        )
    elif stray:
        what = f"{place}: PFN {stray[0]:#x} becomes extra memory by itself"
        yield Finding(STORIES["extra-page-stray"], what, pfns=(stray,))


def _stray(layout: Layout) -> Range | None:
    """The page left over, where it found a place."""
    regions = layout.extra_early or []
    return next((r for r in reversed(regions) if r[1] - r[0] == 1), None)


_PANICKED = {(5, 10), (6, 12), (6, 18), (7, 2), (7, 3)}


def _overflow_outcome(host: Host) -> Outcome:
    series = host.release.version[:2]
    if series == (6, 1):
        return Outcome.BOOTS
    return Outcome.CRASHES if series in _PANICKED else Outcome.UNSETTLED


def _overflow_why(outcome: Outcome) -> str:
    if outcome is Outcome.BOOTS:
        return "6.1 was seen to boot with such a map, without the I/O APIC and ISA ranges in it"
    if outcome is Outcome.CRASHES:
        return "this series was seen to panic when it touches the page left over, outside its map"
    return "boots or panics: not settled for this version (6.1 boots; 5.10, 6.12, 6.18, 7.2 and 7.3 panic)"


def _max_below(host: Host, layout: Layout) -> Iterator[Finding]:
    limit = host.max_res
    if host.is_dom0 and limit is not None and 0 < limit < host.nr_pages:
        yield Finding(
            STORIES["max-below-allocation"],
            f"dom0 starts with {_mib(host.nr_pages)}, its maximum is {_mib(limit)}",
            pfns=((limit, host.nr_pages),),
        )


def _lost(host: Host, layout: Layout) -> Iterator[Finding]:
    if host.release.era != "g3" or not layout.host_map:
        return
    end = pfn_up(layout.host_map[-1].end)
    if end < host.nr_pages:
        pages = host.nr_pages - end
        what = f"{counted(pages)} ({_mib(pages)}) from PFN {end:#x} on, where the map ends"
        yield Finding(STORIES["frames-lost"], what, pfns=((end, host.nr_pages),))


def _too_small(host: Host, layout: Layout) -> Iterator[Finding]:
    held = [(name, span) for name, span in builder_objects(host) if pfn_up(span[1]) > host.nr_pages]
    if host.initrd is not None and pfn_up(host.initrd[1]) > host.nr_pages:
        held.append(("ramdisk", host.initrd))
    if held and host.is_dom0:
        name, (start, end) = held[0]
        yield Finding(
            STORIES["allocation-too-small"],
            f"{name.replace('xen_start_info', 'start info')} {_span(start, end)} of {_mib(host.nr_pages)}",
            "the hypervisor stops before it starts dom0",
            ((host.nr_pages, pfn_up(end)),),
            Outcome.HALTS,
        )


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
            tuple(cut[:_SHOWN_PFNS]),
            Outcome.CRASHES if host.release.version < (5, 11) else Outcome.HALTS,
        )


_BUG_CODES = {
    "nonram-swap-not-page-aligned": "nvs-unaligned",
    "nonram-swap-target-beyond-p2m": "nvs-beyond-p2m",
    "extra-region-smaller-than-remapped": "extra-too-small",
    "store-beyond-p2m-end": "remap-beyond-p2m",
    "remap-p2m-update-failed": "remap-beyond-p2m",
}


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
    what = f'dom0 stops: "{text}"' if text else f"dom0 stops with a BUG at PFN {bug.pfn:#x}"
    yield Finding(STORIES[code], what, STORIES[code].title, pfns, Outcome.HALTS)


def _conflict(host: Host, layout: Layout, text: str) -> Iterator[Finding]:
    name = text.removeprefix("Xen hypervisor allocated ").removesuffix(" memory conflicts with E820 map")
    start, end = dict(builder_objects(host))[name]
    inside = [e for e in layout.host_map if e.type != RAM and e.start < end and e.end > start]
    held = [
        (max(start, e.start), min(end, e.end)) for e in layout.host_map if e.start < end and e.end > start
    ]
    missing = [f"{type_name(e.type)} {_span(e.start, e.end)}" for e in inside]
    missing += [f"no RAM at {_span(*gap)}" for gap in subtract([(start, end)], held)]
    if not missing:
        missing = ["two RAM entries that do not join"]
    yield Finding(
        STORIES["image-conflict"],
        f"{name.replace('xen_start_info', 'start info')} {_span(start, end)} meets {'; '.join(missing[:4])}",
        f'dom0 stops: "{text}"',
        ((pfn_down(start), pfn_up(end)),),
        Outcome.HALTS,
    )


_CHECKS: tuple[Callable[[Host, Layout], Iterator[Finding]], ...] = (
    _too_small, _bug, over_reached, _subpage, _overflow, _unaligned, _mem,
    _released, _max_below, _lost, _capped, _regions, _swapped, _relocated,
    _remapped, _ibft, _leftover, brk_exceeded, premise, beyond_tree,
)  # fmt: skip
