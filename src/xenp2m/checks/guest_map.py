"""The guest's map: what is left out of it, what it cannot hold, and the bounds of extra memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from xenp2m.checks.stories import STORIES
from xenp2m.checks.words import SHOWN, mib, pfns_text, span
from xenp2m.e820 import RAM, UNUSABLE, has_whole_page, sanitize, type_name
from xenp2m.extents import subtract
from xenp2m.findings import Finding, Outcome
from xenp2m.frames import PAGE_SHIFT, PAGE_SIZE, page_up, pfn_down, pfn_up
from xenp2m.host import UNLIMITED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from xenp2m.boot.layout import Layout
    from xenp2m.extents import Range
    from xenp2m.host import Host

__all__ = ["CHECKS"]

_4_GIB = 1 << 32


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
        yield Finding(STORIES[code], f"{mib(pages)} of host RAM stay outside", pfns=tuple(left[:SHOWN]))


def _capped(host: Host, layout: Layout) -> Iterator[Finding]:
    wanted = layout.max_pages - layout.ini_pages
    room = sum(
        max(0, pfn_down(e.end) - max(pfn_up(e.start), layout.ini_pages))
        for e in layout.host_map if e.type == RAM
    )  # fmt: skip
    lost = min(wanted, room) - layout.extra_pages
    if lost > 0:
        what = f"extra memory is {mib(layout.extra_pages)}, ten times the start; max allows {mib(lost)} more"
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
                f"RAM {span(*entry[:2])} holds no whole page",
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
            f"dom0 starts with {mib(host.nr_pages)}, its maximum is {mib(limit)}",
            pfns=((limit, host.nr_pages),),
        )


def _entries_lost(host: Host, layout: Layout) -> Iterator[Finding]:
    given = host.e820
    if (
        host.release.has_one_region
        or host.release.era == "g3"
        or given is None
        or len(layout.host_map) < len(given)
    ):
        return
    usable = RAM if host.is_dom0 and host.release.unusable == "ram" else UNUSABLE
    whole = sanitize([e._replace(type=usable) if e.type == UNUSABLE else e for e in given])
    lost = whole[len(layout.host_map) :]
    if lost:
        names = ", ".join(f"{type_name(e.type)} {span(e.start, e.end)}" for e in lost[:3])
        yield Finding(
            STORIES["map-entries-lost"],
            f"{len(given)} entries sort to {len(whole)} ranges, the last are lost: {names}",
            pfns=tuple((pfn_down(e.start), pfn_up(e.end)) for e in lost[:SHOWN]),
        )


def _max_ignored(host: Host, layout: Layout) -> Iterator[Finding]:
    if (
        host.release.era not in ("g1", "g1-3.0")
        or not host.is_dom0
        or host.max_res is None
        or host.extra == "contiguous"
    ):
        return
    pages = layout.ini_pages + layout.extra_pages - layout.released
    if 0 < host.max_res < pages:
        what = f"dom0 prepares for {mib(pages)}, its maximum is {mib(host.max_res)}"
        yield Finding(STORIES["max-ignored"], what, pfns=tuple(layout.extra or ()))


def _max_wraps(host: Host, layout: Layout) -> Iterator[Finding]:
    if host.release.era in ("g1", "g1-3.0", "g3") or not host.is_dom0 or host.max_res is None:
        return
    if host.max_res >= 1 << 31 and host.max_res != UNLIMITED:
        read = host.max_res & 0xFFFFFFFF
        taken = "none" if read == 0 or read >= 1 << 31 else f"{read:,} pages"
        yield Finding(STORIES["max-wraps"], f"the maximum of {host.max_res:,} pages is read as {taken}")


def _low_extra(host: Host, layout: Layout) -> Iterator[Finding]:
    low = [r for r in layout.extra or () if r[0] < _4_GIB >> PAGE_SHIFT]
    if low and host.release.has_one_region and host.geometry.word == 8:
        yield Finding(STORIES["extra-below-4g"], f"extra memory begins at {pfns_text(low)}", pfns=tuple(low))


def _over_holes(host: Host, layout: Layout) -> Iterator[Finding]:
    if host.extra != "contiguous" or host.max_res is None:
        return
    end = layout.ini_pages + layout.extra_pages
    wanted = min(host.max_res, layout.limit)
    if end < wanted:
        what = f"RAM ends at PFN {end:#x}, the maximum at PFN {wanted:#x}"
        yield Finding(STORIES["extra-over-holes"], what, pfns=((end, wanted),))


def _cut_ram(host: Host, layout: Layout) -> Iterator[Finding]:
    if host.is_dom0 or host.e820 is None or layout.e820 is None:
        return
    had = [(max(e.start, 1 << 20), min(e.end, _4_GIB)) for e in host.e820 if e.type == RAM]
    kept = [(e.start, e.end) for e in layout.e820 if e.type in (RAM, UNUSABLE) and e.start < e.end]
    cut = [r for r in subtract([h for h in had if h[0] < h[1]], kept) if r[1] - r[0] >= PAGE_SIZE]
    if cut:
        names = ", ".join(span(*r) for r in cut[:3])
        yield Finding(
            STORIES["ram-looks-like-hole"],
            f"RAM of its map that the guest leaves out, below 4 GiB: {names}",
            pfns=tuple((pfn_up(s), pfn_down(e)) for s, e in cut[:SHOWN]),
        )


def _underflow(host: Host, layout: Layout) -> Iterator[Finding]:
    extra = sum(end - start for start, end in layout.extra or ())
    if host.is_dom0 and host.release.version >= (7, 0) and layout.bug is None and extra >= host.nr_pages:
        what = f"{mib(extra)} of extra memory, {mib(host.nr_pages)} at the start"
        yield Finding(STORIES["balloon-underflow"], what, "only without CONFIG_XEN_UNPOPULATED_ALLOC")


def _short_list(host: Host, layout: Layout) -> Iterator[Finding]:
    release = host.release
    grows = host.p2m_limit_gb or not host.is_dom0
    if not grows and release.beyond == "bugs" and release.version >= (5, 9) and layout.runs is not None:
        what = f"the list ends at PFN {layout.p2m_size:#x}, where dom0's own memory does"
        yield Finding(STORIES["p2m-too-short"], what, pfns=((layout.p2m_size, layout.p2m_size + 1),))


CHECKS: tuple[Callable[[Host, Layout], Iterator[Finding]], ...] = (
    _subpage, _overflow, _max_below, _capped, _regions, _ibft, _leftover,
    _entries_lost, _max_ignored, _max_wraps, _low_extra, _over_holes, _cut_ram, _underflow, _short_list,
)  # fmt: skip
