"""Images of a guest's memory by pseudo-physical address: a flat one, and an ELF core."""

from __future__ import annotations

import struct
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from xenp2m.errors import InputError
from xenp2m.export.pagetables import PageTables
from xenp2m.frames import PAGE_SIZE
from xenp2m.runtable import ranges_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import BinaryIO

    from numpy.typing import NDArray

    from xenp2m.extents import Range
    from xenp2m.sources.source import Source

    Progress = Callable[[int], object]

__all__ = ["Image", "write_elf", "write_flat"]

_BATCH = 1 << 8
_EHDR = struct.Struct("<16sHHIQQQIHHHHHH")
_PHDR = struct.Struct("<IIQQQQQQ")
_SHDR = struct.Struct("<IIQQQQIIQQ")
_NHDR = struct.Struct("<III")
_PT_LOAD, _PT_NOTE, _ET_CORE, _PN_XNUM = 1, 4, 4, 0xFFFF
_MACHINES = {8: 62, 4: 3}
_VMCOREINFO = b"VMCOREINFO\0"
_NOTE_ROOM = 3 * PAGE_SIZE


class Image(NamedTuple):
    """What was written.

    Attributes:
        pages: pages of the guest.
        tables: page tables put into pseudo-physical form.
        inferred: those of them that no context leads to, known by how the guest maps them.
        cleared: entries of theirs that led to no frame of the guest.
        vmcoreinfo: whether the kernel's own description was found (an ELF carries it as a note).
    """

    pages: int
    tables: int
    inferred: int
    cleared: int
    vmcoreinfo: bool = False


def write_flat(source: Source, file: BinaryIO, progress: Progress = int) -> Image:
    """The byte at pseudo-physical address A stands at offset A; what is no page is a hole.

    Args:
        source: with the guest's memory.
        file: new, seekable.
        progress: told how many pages are written.

    Raises:
        InputError: the source has no memory, or parts of it only, as of a stream in a pipe.
    """
    tables = PageTables(source)
    pfns = _pfns(source)
    for part, rows in _blocks(source, pfns, tables, progress):
        _put(file, part.astype(np.int64), rows)
    file.truncate((int(pfns[-1]) + 1) * PAGE_SIZE)
    return Image(int(pfns.size), len(tables.levels), tables.inferred, tables.cleared)


def write_elf(source: Source, file: BinaryIO, progress: Progress = int) -> Image:
    """An ELF core with one PT_LOAD for each stretch of pages, physical addresses being pseudo-physical.

    A kernel's VMCOREINFO, where it stands in the guest's memory, becomes a note, by which crash, drgn
    and others know the kernel and its page tables.

    Args:
        source: with the guest's memory.
        file: new, seekable.
        progress: told how many pages are written.

    Raises:
        InputError: the source has no memory, or parts of it only, as of a stream in a pipe.
    """
    tables = PageTables(source)
    pfns = _pfns(source)
    loads = ranges_of(pfns)
    notes = _EHDR.size + _PHDR.size * (len(loads) + 1) + _SHDR.size
    start = (notes + _NOTE_ROOM + PAGE_SIZE - 1) & -PAGE_SIZE
    found, place = b"", start // PAGE_SIZE
    for part, rows in _blocks(source, pfns, tables, progress):
        if not found:
            found = _vmcoreinfo(source, part, rows)
        _put(file, np.arange(place, place + part.size), rows)
        place += part.size
    file.truncate(place * PAGE_SIZE)
    file.seek(0)
    file.write(_headers(source, loads, notes, start, len(found)))
    file.seek(notes)
    file.write(found)
    return Image(int(pfns.size), len(tables.levels), tables.inferred, tables.cleared, bool(found))


def _pfns(source: Source) -> NDArray[np.uint64]:
    if source.memory is not None and not source.memory.whole:
        text = "a file: of a pipe only page tables and the pages of the list are kept"
        raise InputError(source.origin.name, text, "a pipe")
    pfns = source.memory.pfns() if source.memory is not None else np.zeros(0, np.uint64)
    if not pfns.size:
        raise InputError(source.origin.name, "an input with the guest's memory", source.origin.format)
    return pfns


def _blocks(
    source: Source, pfns: NDArray[np.uint64], tables: PageTables, progress: Progress
) -> Iterator[tuple[NDArray[np.uint64], NDArray[np.uint8]]]:
    """PFNs and their pages as an image has them, many at a time."""
    assert source.memory is not None
    known = np.array(sorted(tables.levels), np.uint64)
    for low in range(0, pfns.size, _BATCH):
        part = pfns[low : low + _BATCH]
        rows, there = source.memory.pages(part)
        if not there.all():
            gone = int(part[~there][0])
            raise InputError(source.origin.name, f"the page of PFN {gone:#x}", "none: the input has changed")
        for row in np.flatnonzero(np.isin(part, known)).tolist():
            page = tables.converted(int(part[row]), rows[row].tobytes())
            rows[row] = np.frombuffer(page, np.uint8)
        yield part, rows
        progress(low + part.size)


def _put(file: BinaryIO, places: NDArray[np.int64], rows: NDArray[np.uint8]) -> None:
    """Write pages to their places, counted in pages; a page of zeros stays a hole."""
    used = np.flatnonzero(rows.view(np.uint64).any(axis=1))
    far = (np.diff(used) != 1) | (np.diff(places[used]) != 1)
    edges = [0, *(np.flatnonzero(far) + 1).tolist(), int(used.size)]
    for low, high in pairwise(edges):
        if high > low:
            first = int(used[low])
            file.seek(int(places[first]) * PAGE_SIZE)
            file.write(rows[first : first + high - low].tobytes())


def _vmcoreinfo(source: Source, pfns: NDArray[np.uint64], rows: NDArray[np.uint8]) -> bytes:
    """The first note among pages that begins one of them, whole; empty where there is none.

    Linux fills a page-aligned buffer with the note as a core shall have it (``update_vmcoreinfo_note``).
    """
    size = len(_VMCOREINFO)
    begins = (rows[:, 12 : 12 + size] == np.frombuffer(_VMCOREINFO, np.uint8)).all(axis=1)
    for row in np.flatnonzero(begins).tolist():
        if note := _note(source, int(pfns[row]), rows[row].tobytes()):
            return note
    return b""


def _note(source: Source, pfn: int, page: bytes) -> bytes:
    """The note that begins a page, whole; empty where it is none."""
    name, size, kind = _NHDR.unpack_from(page)
    if name != len(_VMCOREINFO) or kind or not 0 < size <= 2 * PAGE_SIZE:
        return b""
    room = 24 + (size + 3 & -4)
    text = page
    while len(text) < room:
        assert source.memory is not None
        following = source.memory.page(pfn + len(text) // PAGE_SIZE)
        if following is None:
            return b""
        text += following
    return text[:room]


def _headers(source: Source, loads: list[Range], notes: int, start: int, note: int) -> bytes:
    number = len(loads) + 1
    many = number >= _PN_XNUM
    ident = b"\x7fELF\x02\x01\x01".ljust(16, b"\0")
    machine = _MACHINES[source.guest.geometry.word]
    sections = notes - _SHDR.size
    parts = [
        _EHDR.pack(
            ident, _ET_CORE, machine, 1, 0, _EHDR.size, sections if many else 0, 0, _EHDR.size, _PHDR.size,
            min(number, _PN_XNUM), _SHDR.size if many else 0, int(many), 0,
        ),
        _PHDR.pack(_PT_NOTE, 0, notes, 0, 0, note, note, 4),
    ]  # fmt: skip
    offset = start
    for first, end in loads:
        size = (end - first) * PAGE_SIZE
        # An alignment of 0, as Linux' own vmcore has: by it crash knows a kdump, whose VMCOREINFO it reads.
        parts.append(_PHDR.pack(_PT_LOAD, 7, offset, 0, first * PAGE_SIZE, size, size, 0))
        offset += size
    # With more than 65,534 program headers their number stands in the first section header.
    parts.append(_SHDR.pack(0, 0, 0, 0, 0, 0, 0, number if many else 0, 0, 0))
    return b"".join(parts)
