"""Where the builder put its objects, what lies there on this machine, and where they would fit.

The hypervisor loads dom0's kernel where its image asks for it, and the start info and the first page
tables right behind. Nothing of that can move; the P2M list and the ramdisk can, since 4.3.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from xenp2m.boot.conflicts import builder_objects, movable_objects
from xenp2m.boot.g3 import host_entries
from xenp2m.e820 import NVS, RAM, Entry, contains
from xenp2m.extents import intersect, subtract
from xenp2m.frames import PAGE_SHIFT, page_down, page_up

if TYPE_CHECKING:
    from xenp2m.extents import Range
    from xenp2m.host import Host

__all__ = ["LOAD_STEP", "Conflict", "Placement", "placement_of"]

LOAD_STEP = 2 << 20
"""Step of a kernel's load address: ``CONFIG_PHYSICAL_ALIGN``, 2 MiB at its least."""


class Conflict(NamedTuple):
    """One object of the builder.

    Attributes:
        name: ``kernel``, ``xen_start_info``, ``page table``, ``P2M list`` or ``ramdisk``.
        place: bytes, half-open.
        meets: entries in it that are not RAM, in bytes.
        gaps: bytes of it that no entry covers.
        fits: whether one RAM entry holds it.
        fate: ``fits``, ``moves``, ``swaps`` (the ACPI NVS under it changes places with RAM), ``stops``
            (the kernel says so and halts) or ``unchecked`` (the kernel does not look).
    """

    name: str
    place: Range
    meets: tuple[Entry, ...]
    gaps: tuple[Range, ...]
    fits: bool
    fate: str


class Placement(NamedTuple):
    """All objects of a host, and what would help.

    Attributes:
        objects: in the order in which the kernel looks at them.
        loads: load addresses at which kernel, start info and page tables fit, first and last of each
            stretch, in steps of `LOAD_STEP`; of the whole block as it lies, moved as one.
        swap_need: bytes of RAM that the ACPI NVS under the block needs to change places with.
        spare: bytes of RAM above the initial allocation.
    """

    objects: tuple[Conflict, ...]
    loads: tuple[Range, ...]
    swap_need: int
    spare: int


def placement_of(host: Host) -> Placement:
    """Hold every object against the host's map. Cost is in entries of the map."""
    entries = host_entries(host)
    fixed = builder_objects(host)
    objects = [_conflict(host, entries, name, place, movable=False) for name, place in fixed]
    objects += [_conflict(host, entries, *held, movable=True) for held in movable_objects(host)]
    block = [place for _, place in fixed]
    above = [(host.ini_pages << PAGE_SHIFT, 1 << 64)]
    ram = [(e.start, e.end) for e in entries if e.type == RAM]
    need = sum(
        page_up(e.end - page_down(e.start))
        for e in entries
        if e.type == NVS and any(e.start < end and e.end > start for start, end in block)
    )
    return Placement(
        tuple(objects),
        tuple(_loads(entries, block, host.ini_pages << PAGE_SHIFT)),
        need,
        sum(end - start for start, end in intersect(ram, above)),
    )


def _conflict(host: Host, entries: list[Entry], name: str, place: Range, *, movable: bool) -> Conflict:
    start, end = place
    held = [e for e in entries if e.start < end and e.end > start]
    meets = tuple(e for e in held if e.type != RAM)
    gaps = tuple(subtract([place], [(e.start, e.end) for e in held]))
    fits = contains(entries, start, end - start)
    return Conflict(name, place, meets, gaps, fits, _fate(host, name, meets, gaps, fits, movable))


def _fate(
    host: Host, name: str, meets: tuple[Entry, ...], gaps: tuple[Range, ...], fits: bool, movable: bool
) -> str:
    release = host.release
    if fits:
        return "fits"
    if release.era != "g3" or (name == "xen_start_info" and release.checks == "late"):
        return "unchecked"
    if movable:
        return "moves"
    only_nvs = bool(meets) and not gaps and all(e.type == NVS for e in meets)
    return "swaps" if only_nvs and release.nvs != "conflict" else "stops"


def _loads(entries: list[Entry], block: list[Range], top: int) -> list[Range]:
    """First and last load address of every stretch in which each part of the block is inside RAM."""
    if not block:
        return []
    load = block[0][0]
    shifts = [(-load, top - max(end for _, end in block) + 1)]
    for start, end in block:
        room = ((e.start - start, e.end - end + 1) for e in entries if e.type == RAM)
        shifts = intersect(shifts, sorted((low, high) for low, high in room if low < high))
    found = []
    for low, high in shifts:
        first = max(LOAD_STEP, -(-(load + low) // LOAD_STEP) * LOAD_STEP)
        last = (load + high - 1) // LOAD_STEP * LOAD_STEP
        if first <= last:
            found.append((first, last))
    return found
