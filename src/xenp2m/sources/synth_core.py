"""A map and a little memory written as a core of any kind, without a Xen.

The file is what ``xl dump-core`` of 4.17 writes, section by section, with holes where pages are zero.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from xenp2m.frames import Geometry, Kind
from xenp2m.sources import layout
from xenp2m.sources.core import elf as coreelf
from xenp2m.sources.synth_list import ListInMemory, lay_list

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from xenp2m.p2m import P2M

__all__ = ["CoreSpec", "synth_core"]

_PAGE = 4096
_SLOT = 5168
_ROWS = 1 << 20
_NONE = 0xFFFF_FFFF_FFFF_FFFF
_VERSION_SIZE = {64: 1280, 32: 1276}


def _elf_header(word: str) -> np.dtype[np.void]:
    half = [(name, "<u2") for name in ("ehsize", "phentsize", "phnum", "shentsize", "shnum", "shstrndx")]
    wide = [(name, word) for name in ("entry", "phoff", "shoff")]
    return np.dtype(
        [
            ("ident", "S16"),
            ("type", "<u2"),
            ("machine", "<u2"),
            ("version", "<u4"),
            *wide,
            ("flags", "<u4"),
            *half,
        ]
    )


def _section_header(word: str) -> np.dtype[np.void]:
    wide = [(name, word) for name in ("flags", "addr", "offset", "size")]
    return np.dtype(
        [
            ("name", "<u4"),
            ("type", "<u4"),
            *wide,
            ("link", "<u4"),
            ("info", "<u4"),
            ("align", word),
            ("entsize", word),
        ]
    )


_EHDR = {64: _elf_header("<u8"), 32: _elf_header("<u4")}
_SHDR = {64: _section_header("<u8"), 32: _section_header("<u4")}


@dataclass(frozen=True, slots=True)
class CoreSpec:
    """What kind of core to write.

    Attributes:
        linear: the guest publishes a linear list (``p2m_cr3``).
        tree: the guest publishes the tree of frame lists.
        shared: list pages of identity, or missing, entries alone are one page of all ones.
        hvm: an HVM or PVH guest's: PFNs without MFNs, no list.
        elf: 64, or 32 as 32-bit tools wrote it for a 32-bit guest.
        gone: rows of pages that went away while the dump was made, at the end.
        generation: ``p2m_generation``; odd is torn.
        memory: contents by PFN; other pages are zero.
    """

    linear: bool = True
    tree: bool = True
    shared: bool = True
    hvm: bool = False
    elf: int = 64
    gone: int = 0
    generation: int = 2
    memory: Mapping[int, bytes] = field(default_factory=dict)


def synth_core(path: Path | str, p2m: P2M, spec: CoreSpec | None = None) -> None:
    """Write a core; nothing is left behind on failure.

    Args:
        path: the file to make.
        p2m: the guest's raw map; its frames (kind ``mfn``) are the pages of the core, and the last of
            them hold its own list.
        spec: what kind of core, by default a PV guest's with both views of the list.

    Raises:
        ValueError: the map has too few frames for its own list, or unknown entries.
        OSError: the file cannot be written.
    """
    writer = _Writer(p2m, spec or CoreSpec())
    target = Path(path)
    beside = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        with beside.open("xb") as file:
            writer.write(file)
        beside.replace(target)
    finally:
        beside.unlink(missing_ok=True)


class _Writer:
    def __init__(self, p2m: P2M, spec: CoreSpec) -> None:
        self._p2m, self._spec = p2m, spec
        self._geometry: Geometry = p2m.geometry
        self._pfns = _frame_pfns(p2m)
        free = self._pfns
        if spec.memory:
            free = free[~np.isin(free, np.array(sorted(spec.memory), np.uint64))]
        self._list: ListInMemory | None = None
        if not spec.hvm:
            self._list = lay_list(p2m, free, linear=spec.linear, tree=spec.tree, shared=spec.shared)

    def write(self, file: BinaryIO) -> None:
        """Write the whole file."""
        rows = int(self._pfns.size) + self._spec.gone
        parts = self._parts(rows)
        names = b"\0.shstrtab\0" + b"".join(name.encode() + b"\0" for name, *_ in parts)
        headers = _EHDR[self._spec.elf].itemsize + _SHDR[self._spec.elf].itemsize * (len(parts) + 2)
        sections, place = [], headers
        for name, kind, entry, size, _ in parts:
            place = -(-place // _PAGE) * _PAGE if name == coreelf.PAGES else place
            sections.append((name, kind, place, size, entry))
            place += size
        file.write(self._headers([(".shstrtab", 3, place, len(names), 0), *sections], names))
        for (_, _, offset, _, _), (_, _, _, _, data) in zip(sections, parts, strict=True):
            file.seek(offset)
            file.write(data)
        self._write_pages(file, sections[-2][2])
        file.seek(sections[-1][2])
        self._write_table(file)
        file.write(names)

    def _parts(self, rows: int) -> list[tuple[str, int, int, int, bytes]]:
        """Name, type, entry size, size and content of the sections; the last two are written apart."""
        entry, table = (8, coreelf.PFN_TABLE) if self._spec.hvm else (16, coreelf.P2M_TABLE)
        parts = [(coreelf.NOTES, 7, 0, self._notes(rows)), (coreelf.PRSTATUS, 1, _SLOT, self._context())]
        if not self._spec.hvm:
            parts.append((coreelf.SHARED, 1, _PAGE, self._shared_info()))
        return [
            *((name, kind, each, len(data), data) for name, kind, each, data in parts),
            (coreelf.PAGES, 1, _PAGE, rows * _PAGE, b""),
            (table, 1, entry, rows * entry, b""),
        ]

    def _headers(self, sections: list[tuple[str, int, int, int, int]], names: bytes) -> bytes:
        elf = self._spec.elf
        head, rows = np.zeros(1, _EHDR[elf]), np.zeros(len(sections) + 1, _SHDR[elf])
        head["ident"] = b"\x7fELF" + bytes((elf // 32, 1, 1, 0, 1))
        head["type"], head["machine"] = 4, 62 if self._geometry.word == 8 else 3
        head["version"], head["shoff"], head["ehsize"] = 1, head.itemsize, head.itemsize
        head["phentsize"], head["shentsize"] = 56 if elf == 64 else 32, rows.itemsize
        head["shnum"], head["shstrndx"] = rows.size, 1
        for row, (name, kind, offset, size, entry) in zip(rows[1:], sections, strict=True):
            row["name"] = names.index(b"\0" + name.encode() + b"\0") + 1
            row["type"], row["offset"], row["size"], row["entsize"] = kind, offset, size, entry
        return head.tobytes() + rows.tobytes()

    def _notes(self, rows: int) -> bytes:
        header, version = np.zeros((), layout.XEN_DUMPCORE_HEADER), np.zeros((), layout.XEN_DUMPCORE_VERSION)
        header["xch_magic"] = layout.MAGIC_HVM if self._spec.hvm else layout.MAGIC_PV
        header["xch_nr_vcpus"], header["xch_nr_pages"], header["xch_page_size"] = 1, rows, _PAGE
        version["major_version"], version["minor_version"], version["extra_version"] = 4, 17, b".0"
        descriptions = {
            layout.NOTE_NONE: b"",
            layout.NOTE_HEADER: header.tobytes(),
            layout.NOTE_XEN_VERSION: version.tobytes().ljust(_VERSION_SIZE[self._spec.elf], b"\0"),
            layout.NOTE_FORMAT_VERSION: (1).to_bytes(8, "little"),
        }
        notes = b""
        for kind, data in descriptions.items():
            head = np.zeros((), layout.NOTE)
            head["namesz"], head["descsz"], head["type"], head["name"] = 4, len(data), kind, b"Xen"
            notes += head.tobytes() + data
        return notes

    def _context(self) -> bytes:
        context = np.zeros((), layout.VCPU_GUEST_CONTEXT[self._geometry.word])
        context["ctrlreg"][3] = self._list.p2m_cr3 if self._list else 0
        return context.tobytes().ljust(_SLOT, b"\0")

    def _shared_info(self) -> bytes:
        assert self._list is not None
        shared = np.zeros((), layout.SHARED_INFO[self._geometry.word])
        shared["max_pfn"] = len(self._p2m)
        shared["pfn_to_mfn_frame_list_list"] = self._list.frame_list_list
        shared["p2m_cr3"], shared["p2m_vaddr"] = self._list.p2m_cr3, self._list.p2m_vaddr
        shared["p2m_generation"] = self._spec.generation
        return shared.tobytes().ljust(_PAGE, b"\0")

    def _write_pages(self, file: BinaryIO, start: int) -> None:
        """Pages that are not zero; the list's own in stretches, whose PFNs may lie apart in the map."""
        for pfn, page in self._spec.memory.items():
            self._write_page(file, start, pfn, page)
        if self._list is None:
            return
        for pfn, page in self._list.tables.items():
            self._write_page(file, start, pfn, page)
        for pfns, content in self._list.leaves():
            places = np.searchsorted(self._pfns, pfns.astype(np.uint64))
            for part in np.split(np.arange(pfns.size), np.flatnonzero(np.diff(places) != 1) + 1):
                file.seek(start + int(places[part[0]]) * _PAGE)
                file.write(content[int(part[0]) * _PAGE : (int(part[-1]) + 1) * _PAGE])

    def _write_page(self, file: BinaryIO, start: int, pfn: int, page: bytes) -> None:
        place = int(np.searchsorted(self._pfns, np.uint64(pfn)))
        if place == self._pfns.size or int(self._pfns[place]) != pfn or len(page) != _PAGE:
            raise ValueError(f"expected {_PAGE} bytes for a PFN with a frame, got {len(page)} for {pfn:#x}")
        file.seek(start + place * _PAGE)
        file.write(page)

    def _write_table(self, file: BinaryIO) -> None:
        for low in range(0, self._pfns.size, _ROWS):
            pfns = self._pfns[low : low + _ROWS]
            if self._spec.hvm:
                file.write(pfns.astype("<u8").tobytes())
                continue
            rows = np.empty((pfns.size, 2), "<u8")
            rows[:, 0], rows[:, 1] = pfns, self._p2m.translate(pfns)
            file.write(rows.tobytes())
        file.write(_NONE.to_bytes(8, "little") * (self._spec.gone * (1 if self._spec.hvm else 2)))


def _frame_pfns(p2m: P2M) -> NDArray[np.uint64]:
    """PFNs with a frame of the guest's own, ascending."""
    table = p2m.table().only(Kind.MFN)
    ahead = np.arange(int(table.pages.sum())) - np.repeat(table.pages.cumsum() - table.pages, table.pages)
    return (np.repeat(table.start, table.pages) + ahead).astype(np.uint64)
