"""The notes of a Xen core: what it is, of how many pages, and which hypervisor it was.

Heads of 16 bytes with the description behind them, without padding. Of the version note there are
two sizes, because the tools' word size decides; the part that is read here is the same in both.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from xenp2m.errors import InputError
from xenp2m.sources import layout

if TYPE_CHECKING:
    from xenp2m.sources.binary import Binary
    from xenp2m.sources.core.elf import Section

__all__ = ["CoreNotes", "read_notes"]

_MOST_BYTES, _MOST_NOTES = 1 << 20, 256
_MOST_VCPUS = 1 << 13
_PAGE = 4096
_XEN = b"Xen"
_FORMAT = 1


@dataclass(frozen=True, slots=True)
class CoreNotes:
    """What the notes say.

    Attributes:
        translated: the header's magic is that of an HVM or PVH guest.
        nr_vcpus: of the guest; a core may have fewer contexts.
        nr_pages: pages in the core.
        xen: version of the hypervisor, None without its note.
    """

    translated: bool
    nr_vcpus: int
    nr_pages: int
    xen: str | None


def read_notes(file: Binary, section: Section) -> CoreNotes:
    """Read the notes.

    Raises:
        InputError: notes that are cut, too many, or of another format.
    """
    if section.size > _MOST_BYTES:
        raise InputError(
            file.at(section.header), f"at most {_MOST_BYTES:#x} bytes of notes", f"{section.size:#x}"
        )
    found = _walk(file, section, file.read(section.offset, section.size, "notes"))
    if layout.NOTE_NONE not in found or layout.NOTE_HEADER not in found:
        raise InputError(file.at(section.offset), "the notes NONE and HEADER of a Xen core", "others")
    offset, data = found[layout.NOTE_HEADER]
    head = _struct(file, offset, data, layout.XEN_DUMPCORE_HEADER)
    magic, pages = int(head["xch_magic"]), int(head["xch_nr_pages"])
    if magic not in (layout.MAGIC_PV, layout.MAGIC_HVM):
        raise InputError(
            file.at(offset), f"magic {layout.MAGIC_PV:#x} or {layout.MAGIC_HVM:#x}", f"{magic:#x}"
        )
    if int(head["xch_page_size"]) != _PAGE:
        raise InputError(file.at(offset + 24), f"pages of {_PAGE} bytes", f"{int(head['xch_page_size']):#x}")
    if int(head["xch_nr_vcpus"]) > _MOST_VCPUS:
        got = f"{int(head['xch_nr_vcpus']):#x}"
        raise InputError(file.at(offset + 8), f"at most {_MOST_VCPUS} vCPUs", got)
    _check_format(file, found)
    return CoreNotes(magic == layout.MAGIC_HVM, int(head["xch_nr_vcpus"]), pages, _version(file, found))


def _walk(file: Binary, section: Section, data: bytes) -> dict[int, tuple[int, bytes]]:
    """Descriptions of the notes named ``Xen`` with their file offsets, by type; of two the first."""
    found: dict[int, tuple[int, bytes]] = {}
    place = 0
    for _ in range(_MOST_NOTES):
        if place == len(data):
            return found
        where = section.offset + place
        if len(data) - place < layout.NOTE.itemsize:
            raise InputError(file.at(where), "a whole note header", f"{len(data) - place} bytes")
        head = np.frombuffer(data, layout.NOTE, 1, place)[0]
        start, size = place + layout.NOTE.itemsize, int(head["descsz"])
        if int(head["namesz"]) != len(_XEN) + 1 or head["name"] != _XEN:
            raise InputError(file.at(where), "a note named Xen", repr(bytes(head["name"])))
        if size > len(data) - start:
            raise InputError(
                file.at(where + 4), f"a note of at most {len(data) - start:#x} bytes", f"{size:#x}"
            )
        found.setdefault(int(head["type"]), (section.offset + start, data[start : start + size]))
        place = start + size
    raise InputError(file.at(section.offset), f"at most {_MOST_NOTES} notes", "more")


def _struct(file: Binary, offset: int, data: bytes, kind: np.dtype[np.void]) -> np.void:
    if len(data) < kind.itemsize:
        raise InputError(file.at(offset), f"a note of {kind.itemsize} bytes", f"{len(data)} bytes")
    record: np.void = np.frombuffer(data, kind, 1)[0]
    return record


def _check_format(file: Binary, found: dict[int, tuple[int, bytes]]) -> None:
    offset, data = found.get(layout.NOTE_FORMAT_VERSION, (0, b""))
    version = int.from_bytes(data[:8], "little")
    if offset and version != _FORMAT:
        raise InputError(
            file.at(offset), "dump-core format 0:1", f"{version >> 32:#x}:{version & 0xFFFF_FFFF:#x}"
        )


def _version(file: Binary, found: dict[int, tuple[int, bytes]]) -> str | None:
    if layout.NOTE_XEN_VERSION not in found:
        return None
    note = _struct(file, *found[layout.NOTE_XEN_VERSION], layout.XEN_DUMPCORE_VERSION)
    extra = bytes(note["extra_version"]).decode("ascii", "replace")
    text = f"{int(note['major_version'])}.{int(note['minor_version'])}{extra}"
    return "".join(c for c in text if c.isprintable())[:64]
