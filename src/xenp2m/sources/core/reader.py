"""Core dumps of Xen guests, as ``xl dump-core`` writes them: the map, the memory, whose they are.

Opening one reads headers and notes. The table of pages and the guest's own list are read when they
are first asked for.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from xenp2m.errors import InputError, UnsupportedError, shorten
from xenp2m.extents import Run
from xenp2m.frames import GEOMETRY_32, GEOMETRY_64, PAGE_SIZE, Kind
from xenp2m.p2m import P2M
from xenp2m.runtable import RunTable
from xenp2m.sources import layout
from xenp2m.sources.binary import Binary
from xenp2m.sources.core import elf as coreelf
from xenp2m.sources.core.memory import CoreMemory
from xenp2m.sources.core.notes import read_notes
from xenp2m.sources.core.table import CoreTable
from xenp2m.sources.guestlist import GuestList, recover_list
from xenp2m.sources.known import name_of_head
from xenp2m.sources.source import Guest, LazySource, Origin, Source

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from xenp2m.sources.core.elf import CoreElf
    from xenp2m.sources.core.notes import CoreNotes
    from xenp2m.sources.pagetable import Fetch
    from xenp2m.sources.source import Progress

__all__ = ["read", "sniff"]


def sniff(head: bytes) -> bool:
    """Whether a file that begins with `head` is an ELF core; eighteen bytes are enough."""
    return head[:4] == b"\x7fELF" and head[16:18] == b"\x04\0"


def read(path: Path | str, *, salvage: bool = False, progress: Progress | None = None) -> Source:
    """Open a core.

    Args:
        path: a regular file; pages are read where they lie, so a pipe will not do.
        salvage: take what a truncated file still has; `Source.lost` says what it has not.
        progress: told while a long table is read.

    Returns:
        A source whose map is read when it is first asked for.

    Raises:
        InputError: not a Xen core, or one that contradicts itself; truncated without `salvage`. The
            table and the list are checked when they are read.
        UnsupportedError: compressed, from before the ELF format, or of another architecture.
    """
    file = Binary(path)
    _refuse_others(file)
    elf = coreelf.read_elf(file, salvage=salvage)
    notes = read_notes(file, elf.sections[coreelf.NOTES])
    _check_counts(file, elf, notes, salvage=salvage)
    section = elf.sections[coreelf.PFN_TABLE if notes.translated else coreelf.P2M_TABLE]
    table = CoreTable(file, section, section.size // section.entsize, salvage=salvage, progress=progress)
    pages = elf.sections[coreelf.PAGES]
    memory = CoreMemory(file, pages.offset, pages.size // PAGE_SIZE, table, translated=notes.translated)
    origin = Origin(file.name, f"xen core, {'HVM' if notes.translated else 'PV'}", file.size)
    load = partial(_load, file, origin, elf, notes, salvage=salvage, progress=progress)
    return LazySource(origin, memory, lambda: load(memory))


def _refuse_others(file: Binary) -> None:
    head = file.read(0, min(4096, file.size), "the ELF header")
    if head[:4] != b"\x7fELF":
        known = name_of_head(head, file.name)
        raise UnsupportedError(file.at(0), "an ELF core of a Xen domain", known or shorten(head[:8]))


def _check_counts(file: Binary, elf: CoreElf, notes: CoreNotes, *, salvage: bool) -> None:
    """Refuse sections that are not of ``nr_pages`` pages, or of the other kind of guest."""
    name = coreelf.PFN_TABLE if notes.translated else coreelf.P2M_TABLE
    if name not in elf.sections:
        raise InputError(file.name, f"{name}, as the note's magic has it", "the other table")
    for each, size in ((coreelf.PAGES, PAGE_SIZE), (name, elf.sections[name].entsize)):
        section = elf.sections[each]
        if section.size != notes.nr_pages * size and not (salvage and elf.lost):
            wanted = f"{each} of {notes.nr_pages:#x} * {size} bytes, as the notes have it"
            raise InputError(file.at(section.header), wanted, f"{section.size:#x}")


def _load(
    file: Binary,
    origin: Origin,
    elf: CoreElf,
    notes: CoreNotes,
    memory: CoreMemory,
    *,
    salvage: bool,
    progress: Progress | None,
) -> Source:
    guest, where = _guest(file, elf, notes)
    table = memory.table.table()
    entries = int(table.end[-1]) if table.end.size else 0
    if notes.translated:
        unknown = [Run(0, entries, Kind.UNKNOWN)] if entries else []
        p2m = P2M(unknown, geometry=guest.geometry, beyond=Kind.UNKNOWN)
        return Source(origin, guest, p2m, memory=memory, lost=(*elf.lost, *memory.table.lost))
    if not table.start.size and guest.max_pfn:
        table = RunTable.of([Run(0, min(guest.max_pfn, 1 << 52), Kind.UNKNOWN)])
    listed = P2M(table, geometry=guest.geometry, beyond=Kind.UNKNOWN)
    watched = _watched(memory.frames, guest, progress)
    found = _own_list(guest, watched, notes.nr_pages, where, memory, salvage=salvage)
    inferred = found.inferred
    if found.p2m is None and memory.table.table().start.size:
        inferred = (*inferred, f"the map is the core's own table, {coreelf.P2M_TABLE}, which has frames only")
    return Source(
        origin,
        found.guest,
        listed if found.p2m is None else found.p2m,
        listed=listed,
        leaves=found.leaves,
        memory=memory,
        lost=(*elf.lost, *memory.table.lost, *found.lost),
        inferred=inferred,
    )


def _own_list(
    guest: Guest, fetch: Fetch, pages: int, where: str, memory: CoreMemory, *, salvage: bool
) -> GuestList:
    """The guest's own list; one line instead of it where it is of no sense and `salvage` is set."""
    try:
        return recover_list(guest, fetch, pages, where, memory.has)
    except InputError as error:
        if not salvage:
            raise
        return GuestList(guest, lost=(f"the guest's own list: {error}",))


def _watched(fetch: Fetch, guest: Guest, progress: Progress | None) -> Fetch:
    """`fetch`, telling how many pages it was asked for of those that the guest's list has."""
    done, total = 0, -(-(guest.max_pfn or 0) // guest.geometry.entries)

    def watched(frames: NDArray[np.uint64], /) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        nonlocal done
        done += frames.size
        if progress is not None:
            progress(min(done, total), total)
        return fetch(frames)

    return watched


def _guest(file: Binary, elf: CoreElf, notes: CoreNotes) -> tuple[Guest, str]:
    """The guest, and the place of ``max_pfn`` for messages."""
    geometry = GEOMETRY_32 if elf.word == 4 else GEOMETRY_64
    cr3 = _top_tables(file, elf)
    space = "pfn" if notes.translated else "mfn"
    guest = Guest(geometry, translated=notes.translated, xen=notes.xen, vcpus=len(cr3), frames=space, cr3=cr3)
    shared = elf.sections.get(coreelf.SHARED)
    kind = layout.SHARED_INFO[elf.word]
    if notes.translated or shared is None or shared.size < kind.itemsize:
        return guest, file.name
    arch = np.frombuffer(file.read(shared.offset, kind.itemsize, coreelf.SHARED), kind)[0]
    fields = kind.fields
    assert fields is not None
    told = Guest(
        geometry,
        max_pfn=int(arch["max_pfn"]),
        p2m_cr3=int(arch["p2m_cr3"]),
        p2m_vaddr=int(arch["p2m_vaddr"]),
        frame_list_list=int(arch["pfn_to_mfn_frame_list_list"]),
        generation=int(arch["p2m_generation"]),
        xen=notes.xen,
        vcpus=len(cr3),
        cr3=cr3,
    )
    return told, file.at(shared.offset + int(fields["max_pfn"][1]))


def _top_tables(file: Binary, elf: CoreElf) -> tuple[int, ...]:
    """Frame of every context's top page table, -1 of one that has none."""
    section = elf.sections.get(coreelf.PRSTATUS)
    if section is None or not section.size:
        return ()
    kind = layout.VCPU_GUEST_CONTEXT[elf.word]
    if section.entsize < kind.itemsize:
        wanted = f"contexts of {kind.itemsize} bytes"
        raise InputError(file.at(section.header), wanted, str(section.entsize))
    count = section.size // section.entsize
    if count > 1 << 13:
        raise InputError(file.at(section.header), "at most 8192 contexts", f"{count:#x}")
    found = []
    for number in range(count):
        place = section.offset + number * section.entsize
        context = np.frombuffer(file.read(place, kind.itemsize, coreelf.PRSTATUS), kind)[0]
        cr3 = int(context["ctrlreg"][3])
        found.append(layout.cr3_to_frame(cr3, elf.word) if cr3 else -1)
    return tuple(found)
