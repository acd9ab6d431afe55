"""The sections of a Xen core, by name, each within the file and apart from the others.

pyelftools has the structures of ELF; it is handed single headers, never the file, so that no count
of a hostile file makes it read or allocate anything.

Source: ``docs/misc/dump-core-format.txt`` of Xen, and what ``xc_core_elf`` of 4.14 to 4.17 writes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from xenp2m.errors import InputError, UnsupportedError, shorten

if TYPE_CHECKING:
    from xenp2m.sources.binary import Binary

__all__ = ["NOTES", "P2M_TABLE", "PAGES", "PFN_TABLE", "PRSTATUS", "SHARED", "CoreElf", "Section", "read_elf"]

NOTES, PRSTATUS, SHARED = ".note.Xen", ".xen_prstatus", ".xen_shared_info"
PAGES, P2M_TABLE, PFN_TABLE = ".xen_pages", ".xen_p2m", ".xen_pfn"

_MOST_SECTIONS = 1024
_MOST_NAMES = 1 << 16
_SLOTS = (5168, 2800)
_ET_CORE, _I386, _X86_64, _IA64 = 4, 3, 62, 50
_HEADER, _ENTRY = {1: 52, 2: 64}, {1: 40, 2: 64}


class Section(NamedTuple):
    """One section.

    Attributes:
        name: with its dot.
        offset: in the file, in bytes.
        size: in bytes, all of them in the file unless it is salvaged.
        entsize: bytes of one entry, as the header says.
        header: offset of its header in the file.
    """

    name: str
    offset: int
    size: int
    entsize: int
    header: int

    @property
    def end(self) -> int:
        """Offset of the first byte behind it."""
        return self.offset + self.size


@dataclass(frozen=True, slots=True)
class CoreElf:
    """What the ELF headers say.

    Attributes:
        machine: ``e_machine``: 3 of a 32-bit guest, 62 of a 64-bit one.
        sections: by name.
        lost: what a truncated file no longer has, a line each.
    """

    machine: int
    sections: dict[str, Section]
    lost: list[str] = field(default_factory=list)

    @property
    def word(self) -> int:
        """Bytes in a word of the guest."""
        return 4 if self.machine == _I386 else 8


def read_elf(file: Binary, *, salvage: bool = False) -> CoreElf:
    """Read and check the headers.

    Args:
        file: the core.
        salvage: accept sections cut by the end of the file; where the names are lost, tell sections
            by the order in which Xen's tools write them.

    Raises:
        InputError: not a Xen core, or headers that contradict each other or the file.
        UnsupportedError: a core of another architecture.
    """
    head, structs = _file_header(file)
    headers = _section_headers(file, head, structs)
    lost: list[str] = []
    names = _names(file, headers, head["e_shstrndx"], lost, salvage=salvage)
    named = [(names.get(h["sh_name"], ""), h) for h in headers] if names else _in_order(headers)
    place = head["e_shoff"]
    size = head["e_shentsize"]
    sections: dict[str, Section] = {}
    for number, (name, row) in enumerate(named):
        section = Section(name, row["sh_offset"], row["sh_size"], row["sh_entsize"], place + number * size)
        if not name.startswith((".xen_", ".note.Xen")):
            continue
        if name in sections:
            raise InputError(file.at(section.header), "one section of each name", f"a second {name}")
        sections[name] = _within(file, section, lost, salvage=salvage)
    _check_set(file, sections)
    _check_apart(file, sections, place + len(headers) * size, salvage=salvage)
    return CoreElf(head["e_machine"], sections, lost)


def _file_header(file: Binary) -> tuple[Any, Any]:
    from elftools.elf.enums import ENUM_E_MACHINE, ENUM_E_TYPE
    from elftools.elf.structs import ELFStructs

    ident = file.read(0, 16, "the ELF header")
    if ident[:4] != b"\x7fELF":
        raise InputError(file.at(0), "an ELF file", shorten(ident[:4]))
    if ident[4] not in _HEADER or ident[5] != 1:
        raise InputError(file.at(4), "class 1 or 2, little-endian", f"class {ident[4]}, data {ident[5]}")
    structs: Any = ELFStructs(little_endian=True, elfclass=32 * ident[4])
    structs.create_basic_structs()
    structs.create_advanced_structs()
    head = structs.Elf_Ehdr.parse(file.read(0, _HEADER[ident[4]], "the ELF header"))
    # Names of pyelftools become numbers again; it has none for some values.
    kind = ENUM_E_TYPE.get(head["e_type"], head["e_type"])
    head["e_machine"] = ENUM_E_MACHINE.get(head["e_machine"], head["e_machine"])
    if kind != _ET_CORE:
        raise InputError(file.at(16), "an ELF core (e_type 4)", f"e_type {kind}")
    if head["e_machine"] not in (_I386, _X86_64):
        raise UnsupportedError(file.at(18), "a core of an x86 guest", f"e_machine {head['e_machine']}")
    if head["e_shentsize"] != _ENTRY[ident[4]]:
        raise InputError(file.at(0), f"e_shentsize {_ENTRY[ident[4]]:#x}", f"{head['e_shentsize']:#x}")
    return head, structs


def _section_headers(file: Binary, head: Any, structs: Any) -> list[Any]:  # noqa: ANN401 (of pyelftools)
    count, size = head["e_shnum"], head["e_shentsize"]
    if not 0 < count <= _MOST_SECTIONS:
        raise InputError(file.at(0), f"1 to {_MOST_SECTIONS} sections (e_shnum)", f"{count:#x}")
    data = file.read(head["e_shoff"], count * size, f"{count} section headers")
    return [structs.Elf_Shdr.parse(data[low : low + size]) for low in range(0, len(data), size)]


def _names(
    file: Binary, headers: list[Any], index: int, lost: list[str], *, salvage: bool
) -> dict[int, str] | None:
    """Names by their offset in the string table; None where a truncated file has lost it."""
    if index >= len(headers):
        raise InputError(file.at(0), f"e_shstrndx below {len(headers)}", f"{index:#x}")
    row = headers[index]
    if row["sh_size"] > _MOST_NAMES:
        raise InputError(
            file.at(0), f"at most {_MOST_NAMES:#x} bytes of section names", f"{row['sh_size']:#x}"
        )
    if salvage and row["sh_offset"] + row["sh_size"] > file.size:
        lost.append("names of sections: they are told by their order")
        return None
    data = file.read(row["sh_offset"], row["sh_size"], "section names")
    found = {}
    for header in headers:
        offset = header["sh_name"]
        if offset < len(data):
            raw = data[offset : offset + 64].split(b"\0")[0]
            found[offset] = raw.decode("ascii", "replace")
    return found


def _in_order(headers: list[Any]) -> list[tuple[str, Any]]:
    """Names as Xen's tools order sections: notes, contexts, shared info, pages, table."""
    named = [("", row) for row in headers]
    notes = next((i for i, row in enumerate(headers) if row["sh_type"] == "SHT_NOTE"), None)
    if notes is None:
        return named
    rest = headers[notes + 1 :]
    names = [PRSTATUS] if rest and rest[0]["sh_entsize"] in _SLOTS else []
    if len(rest) - len(names) == 3:
        names.append(SHARED)
    if len(rest) - len(names) == 2:
        names += [PAGES, PFN_TABLE if rest[-1]["sh_entsize"] == 8 else P2M_TABLE]
    for place, name in enumerate((NOTES, *names), notes):
        named[place] = (name, headers[place])
    return named


def _within(file: Binary, section: Section, lost: list[str], *, salvage: bool) -> Section:
    if section.end <= file.size:
        return section
    if not salvage:
        got = f"[{section.offset:#x}, {section.end:#x})"
        raise InputError(
            file.at(section.header), f"{section.name} within a file of {file.size:#x} bytes", got
        )
    left = max(0, file.size - section.offset)
    lost.append(
        f"{section.name}: {section.size - left:,} of {section.size:,} bytes lie behind the end of the file"
    )
    return section._replace(size=left)


def _check_set(file: Binary, sections: dict[str, Section]) -> None:
    have = f"a core with {', '.join(sections) or 'none of them'}"
    for name in (NOTES, PAGES):
        if name not in sections:
            raise InputError(file.name, f"a Xen core with {NOTES} and {PAGES} sections", have)
    if (P2M_TABLE in sections) == (PFN_TABLE in sections):
        raise InputError(file.name, f"either {P2M_TABLE} or {PFN_TABLE}", have)
    wanted = {PAGES: (4096,), P2M_TABLE: (16,), PFN_TABLE: (8,), PRSTATUS: _SLOTS}
    for name, sizes in wanted.items():
        section = sections.get(name)
        if section and section.size and section.entsize not in sizes:
            told = " or ".join(str(size) for size in sizes)
            raise InputError(file.at(section.header), f"{name} entries of {told} bytes", str(section.entsize))


def _check_apart(file: Binary, sections: dict[str, Section], first: int, *, salvage: bool) -> None:
    """Refuse sections that overlap each other or the headers."""
    end, before = first, "the section headers"
    for section in sorted(sections.values(), key=lambda each: each.offset):
        if not section.size:
            continue
        if section.offset < end and not salvage:
            raise InputError(
                file.at(section.header), f"{section.name} behind {before}", f"{section.offset:#x}"
            )
        end, before = section.end, section.name
