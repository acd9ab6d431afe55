"""Objects of the builder against the map: who has to move, and where to.

Source: ``xen_is_e820_reserved``, ``xen_find_free_area``, ``xen_relocate_p2m`` (4.3),
``xen_e820_resolve_conflicts``,
``xen_e820_swap_entry_with_ram``, ``xen_add_remap_nonram`` (6.12), all in ``arch/x86/xen/``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from xenp2m.boot.layout import Bug, BugError, Relocation, Swap
from xenp2m.e820 import NVS, RAM, Entry, contains, sanitize
from xenp2m.extents import union
from xenp2m.frames import PAGE_SHIFT, PAGE_SIZE, page_down, page_up

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from xenp2m.extents import Range
    from xenp2m.host import Host

__all__ = [
    "START_INFO_SIZE",
    "builder_objects",
    "check_image",
    "find_free_area",
    "movable_objects",
    "p2m_area_frames",
    "relocate",
    "resolve_nvs",
]

START_INFO_SIZE = 1168
"""Bytes of ``struct start_info`` in a 64-bit guest (Xen ``public/xen.h``)."""

_SWAPS = 4
_MEMBERS = (("kernel", "kernel"), ("xen_start_info", "start_info"), ("page table", "pt"))


def builder_objects(host: Host) -> list[tuple[str, Range]]:
    """Kernel image, start info and page tables in the kernel's words, as byte ranges."""
    objects: list[tuple[str, Range]] = []
    if host.kernel is not None:
        objects.append(("kernel", host.kernel))
    if host.start_info is not None:
        objects.append(("xen_start_info", (host.start_info, host.start_info + START_INFO_SIZE)))
    if host.pt is not None:
        objects.append(("page table", host.pt))
    return objects


def movable_objects(host: Host) -> list[tuple[str, Range]]:
    """The builder's P2M list and the ramdisk, which 4.3 and later can move, as byte ranges."""
    objects: list[tuple[str, Range]] = []
    if host.p2m_frames is not None:
        first, count = host.p2m_frames
        objects.append(("P2M list", (first << PAGE_SHIFT, (first + count) << PAGE_SHIFT)))
    if host.initrd is not None:
        objects.append(("ramdisk", host.initrd))
    return objects


def check_image(host: Host, entries: Sequence[Entry], swaps: list[Swap]) -> list[Entry]:
    """Hold the objects that cannot move against the map.

    Returns:
        The map, with ACPI NVS entries swapped away from under them where the release does that.

    Raises:
        BugError: one of them is not inside one RAM entry.
    """
    early = host.release.checks == "early"
    current = list(entries)
    for name, (start, end) in builder_objects(host):
        if name == "xen_start_info" and not early:
            continue
        if early and host.release.nvs != "conflict":
            current = resolve_nvs(host, current, (start, end), swaps)
        if not contains(current, start, end - start):
            text = f"Xen hypervisor allocated {name} memory conflicts with E820 map"
            raise BugError(Bug("console", 1, text, start >> PAGE_SHIFT))
    return current


def resolve_nvs(host: Host, entries: list[Entry], held: Range, swaps: list[Swap]) -> list[Entry]:
    """Swap every NVS entry that meets `held` (bytes) with RAM above the initial allocation."""
    start, end = held
    index = 0
    while index < len(entries) and start < end and entries[index].start < end:
        entry = entries[index]
        if entry.end > start and entry.type == NVS:
            entries = _swap_with_ram(host, entries, index, swaps)
            if host.release.nvs_scan == "first":
                index = 0
                continue
        index += 1
    return entries


def _swap_with_ram(host: Host, entries: list[Entry], index: int, swaps: list[Swap]) -> list[Entry]:
    nvs = entries[index]
    maddr = page_down(nvs.start)
    size = page_up(nvs.end - maddr)
    offset = nvs.start - maddr
    mem_end = host.ini_pages << PAGE_SHIFT
    for place, ram in enumerate(entries):
        if ram.type != RAM or ram.size < size or ram.end - size < mem_end:
            continue
        paddr = ram.end - size
        at = paddr - offset if host.release.nvs == "swap-offset-fault" else paddr + offset
        moved = Entry(at, at + nvs.size, NVS)
        _need_record(paddr, len(swaps))
        swaps.append(Swap(nvs, moved, paddr, maddr, size))
        changed = list(entries)
        changed[place] = Entry(ram.start, paddr, RAM)
        changed[index] = Entry(maddr, maddr + size, RAM)
        return sanitize([*changed, moved], host.release.e820_entries)
    raise BugError(Bug("console", 1, "No suitable area found for required E820 entry remapping action"))


def _need_record(paddr: int, taken: int) -> None:
    if paddr % PAGE_SIZE:
        raise BugError(Bug("nonram-swap-not-page-aligned", 1, pfn=paddr >> PAGE_SHIFT))
    if taken == _SWAPS:
        text = "Number of required E820 entry remapping actions exceed maximum value"
        raise BugError(Bug("console", 1, text))


def p2m_area_frames(nr_pages: int) -> int:
    """Frames of a relocated P2M list: the list itself and three levels of page tables, rounded up."""
    size = nr_pages * 8
    return sum(-(-size // (1 << shift)) for shift in (12, 21, 30, 39))


def find_free_area(entries: Iterable[Entry], reserved: Iterable[Range], size: int) -> int | None:
    """First place in RAM for `size` bytes that touches none of the `reserved` ranges (bytes).

    The search steps by pages from an entry's first byte, so an unaligned entry gives an unaligned
    place. None where there is no place, and where the place is address 0, which the kernel cannot
    tell from none.
    """
    taken = union(reserved)
    for entry in entries:
        if entry.type == RAM and entry.size >= size:
            start = _slide(entry, taken, size)
            if start is not None:
                return start or None
    return None


def _slide(entry: Entry, taken: list[Range], size: int) -> int | None:
    start = entry.start
    for low, high in taken:
        first = start + max(0, page_up(low - start))
        if first >= start + size:
            break
        if first < high:
            start = first + page_up(high - first)
            if start + size > entry.end:
                return None
    return start


def _reserved(host: Host, extra: Iterable[Range]) -> list[Range]:
    """What memblock holds when the kernel looks for a free area, as byte ranges."""
    # A region whose size turned negative reserves all that follows it.
    ranges = [(s << PAGE_SHIFT, (e if e > s else 1 << 52) << PAGE_SHIFT) for s, e in extra]
    ranges.append((0, host.release.low_reserve))
    ranges += [r for r in (host.kernel, host.pt) if r]
    if host.start_info is not None:
        ranges.append((host.start_info, host.start_info + PAGE_SIZE))
    if host.initrd is not None:
        ranges.append((host.initrd[0], page_up(host.initrd[1])))
    return ranges


def relocate(host: Host, entries: Sequence[Entry], extra: Iterable[Range]) -> Iterable[Relocation]:
    """Move the P2M list, then the initrd, where they are not inside one RAM entry.

    Yields:
        Each relocation as it is done.

    Raises:
        BugError: no free area is large enough.
    """
    reserved = _reserved(host, extra)
    if host.p2m_frames is not None:
        start, size = (n << PAGE_SHIFT for n in host.p2m_frames)
        if contains(entries, start, size):
            reserved.append((start, start + size))
        else:
            size = p2m_area_frames(host.nr_pages) << PAGE_SHIFT
            area = _find(
                "p2m", entries, [*reserved, (start, start + (host.p2m_frames[1] << PAGE_SHIFT))], size
            )
            reserved.append((area, area + size))
            yield Relocation("p2m", start, area, size)
    if host.initrd is not None:
        start, size = host.initrd[0], host.initrd[1] - host.initrd[0]
        if not contains(entries, start, size):
            yield Relocation("initrd", start, _find("initrd", entries, reserved, size), size)


def _find(what: str, entries: Sequence[Entry], reserved: list[Range], size: int) -> int:
    area = find_free_area(entries, reserved, size)
    if area is None:
        text = f"Can't find new memory area for {what} needed due to E820 map conflict"
        raise BugError(Bug("console", 1, text))
    return area
