r"""One line of a memory map, in every form that kernels, Xen and its tools print.

The forms differ in one thing that matters: whether the second number still belongs to the range.
An `Entry` is always half-open; `MapLine.form` says what was read:

===========  =======================================================  =========  =====================
form         looks like                                               the end    printed by
===========  =======================================================  =========  =====================
linux        ``Xen: [mem 0x0-0x9efff] usable``                        inclusive  Linux 3.5 to 6.18
linux7       ``Xen: [mem 0x0-0x9efff]  System RAM``                   inclusive  Linux 7.0 and later
linux-old    ``Xen: 0000000000000000 - 000000000009f000 (usable)``    exclusive  Linux up to 3.4
xen          ``[0000000000000000, 000000000009fbff] (usable)``        inclusive  Xen (4.14 to 4.20 seen)
xen-old      ``0000000000000000 - 000000000009fc00 (usable)``         exclusive  older Xen
efi          ``0000000000000-000000009ffff type=7 attr=...0f``        inclusive  Xen, on EFI
libxl        ``[0 -> a100] RAM``, in frames                           exclusive  ``xl -vvv create``
hvmloader    ``[00]: 00000000:00000000 - 00000000:000a0000: RAM``     exclusive  hvmloader
memmap       ``0x0 0x9fbff System RAM``                               inclusive  /sys/firmware/memmap
iomem        ``00001000-0009efff : System RAM``                       inclusive  /proc/iomem, top level
plain        ``100000 50000000 usable``, all numbers hexadecimal      exclusive  this project
===========  =======================================================  =========  =====================

A line such as ``0x0 - 0x9fc00 usable`` tells no one which it is, and is not taken. An inclusive end
is one less than what the printer added up, modulo 2^64, and is turned back the same way: an entry
of no size (printed ``[mem 0x1000-0xfff]``) and one of negative size come out as they were. Numbers
of up to 24 digits are read, so that one beyond 2^64 is refused by whoever checks the map, not lost.

Sources: Xen ``print_e820_memory_map``, ``efi_init_memory``; Linux ``e820__print_table``,
``e820_print_map`` (before 4.12); libxl ``e820_sanitize``; hvmloader ``dump_e820_table``.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from xenp2m.e820 import (
    ACPI,
    ADDRESS_LIMIT,
    NVS,
    RAM,
    RESERVED,
    SOFT_RESERVED,
    UNUSABLE,
    Entry,
    type_number,
)
from xenp2m.frames import PAGE_SHIFT
from xenp2m.logs.pasted import physical_lines, split_prefixes, strip_prefixes, strip_quotes, unfolded

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["FirmwareMemmap", "MapLine", "efi_type", "is_gap", "parse_line", "parse_payload", "unwrap"]


class MapLine(NamedTuple):
    """One line of a map.

    Attributes:
        entry: the bytes, half-open, and the E820 type.
        form: the name of the form, see the module.
        label: what Linux prints before each line of a map: ``Xen``, ``BIOS-e820``, ``user``,
            ``modified``, ``reserve setup_data``; None for other forms.
    """

    entry: Entry
    form: str
    label: str | None = None


_HEX = "[0-9a-fA-F]"
_WHOSE = r"(?:Xen|BIOS-[\w-]{1,10}|user|modified|reserve setup_data)"
_LABELLED = rf"(?:(?P<label>{_WHOSE}):\s{{0,4}})?"
_TYPE = r"(?P<type>\s{1,8}\S.{0,60})$"
_BRACED = r"(?P<type>\s{1,8}(?:\(|type ).{1,60})$"
_FULL = rf"(?P<a>{_HEX}{{8,24}})%s(?P<b>{_HEX}{{8,24}})"

_LINUX = re.compile(rf"{_LABELLED}\[mem 0x(?P<a>{_HEX}{{1,24}})-0x(?P<b>{_HEX}{{1,24}})\]{_TYPE}")
_GAP = re.compile(rf"{_LABELLED}\[gap 0x{_HEX}{{1,16}}-0x{_HEX}{{1,16}}\]$")
_DASHED = re.compile(_LABELLED + _FULL % " - " + _BRACED)
_XEN = re.compile(r"\[" + _FULL % ", " + r"\]" + _BRACED)
_EFI = re.compile(_FULL % "-" + rf" type=(?P<type>\d{{1,10}}) attr=(?P<attr>{_HEX}{{1,16}})$")
_LIBXL = re.compile(
    r"(?:.{0,80}e820_sanitize:[\w :]{0,24})?\s{0,8}"
    rf"\[(?P<a>{_HEX}{{1,13}}) -> (?P<b>{_HEX}{{1,13}})\]{_TYPE}"
)
_PAIR = rf"{_HEX}{{8}}:{_HEX}{{8}}"
_HVMLOADER = re.compile(rf"\[\d{{2,3}}\]: (?P<a>{_PAIR}) - (?P<b>{_PAIR}):{_TYPE}")
_IOMEM = re.compile(_FULL % "-" + r" :(?P<type> \S.{0,60})$")
_MEMMAP = re.compile(
    rf"0x(?P<a>{_HEX}{{1,16}})\s{{1,8}}0x(?P<b>{_HEX}{{1,16}})(?P<type> [A-Z][\w ()-]{{2,60}})$"
)
_PLAIN = re.compile(
    rf"(?:0x)?(?P<a>{_HEX}{{1,24}})\s{{1,8}}(?:0x)?(?P<b>{_HEX}{{1,24}})"
    r"(?P<type>\s{1,8}[\w(][\w ()-]{0,60})$"
)

_WORDS = {
    "application reserved": SOFT_RESERVED,
    "persistent memory": 7,
    "persistent memory (legacy)": 12,
    "kernel reserved": 128,
}
_SEVEN = ("system ram", "device reserved", "persistent ram")


def _type(text: str) -> int | None:
    """The E820 type behind the words at the end of a line."""
    words = " ".join(text.lower().split())
    if words.startswith("(") and words.endswith(")"):
        words = words[1:-1]
    if words in _WORDS:
        return _WORDS[words]
    if words.startswith("unknown (") and words.endswith(")"):
        try:
            return int(words[9:-1], 16)
        except ValueError:
            return None
    return type_number(words.replace("persistent ram (type", "persistent (type"))


def efi_type(number: int, attributes: int, map_bs: bool = False) -> int:
    """The E820 type that Xen gives a range of the EFI memory map.

    Args:
        number: the EFI memory type.
        attributes: its attribute word; ordinary memory that is not write-back cacheable (bit 3)
            becomes unusable.
        map_bs: whether Xen runs with ``mapbs``, which keeps boot services memory reserved. Its
            header then reads ``EFI memory map: (mapping BootServices)``.

    Source: ``efi_arch_process_memory_map``, xen/arch/x86/efi/efi-boot.h. Neighbours of one type are
    joined there; the map that Xen works with follows under ``EFI RAM map:``.
    """
    if number in (1, 2, 7) or (number in (3, 4) and not map_bs):
        return RAM if attributes & 8 else UNUSABLE
    return {8: UNUSABLE, 9: ACPI, 10: NVS}.get(number, RESERVED)


def is_gap(payload: str) -> bool:
    """Whether the line is one of the ``[gap ...]`` lines of Linux 7: part of a map, no entry."""
    return "[gap " in payload and _GAP.match(payload.strip()) is not None


def parse_line(line: str, *, map_bs: bool = False) -> MapLine | None:
    """Read one line of a map.

    Args:
        line: the line as pasted, with whatever a logger, a console or a mail client put before it.
        map_bs: see `efi_type`.

    Returns:
        The entry with its form and label, or None where the line is none.
    """
    return parse_payload(strip_prefixes(line), map_bs=map_bs)


def parse_payload(payload: str, *, map_bs: bool = False) -> MapLine | None:
    """The same for a line that `xenp2m.logs.pasted.split_prefixes` has already freed."""
    line = payload.strip()
    if "[mem " in line:
        return _linux(_LINUX.match(line))
    if " attr=" in line:
        return _efi(_EFI.match(line), map_bs)
    if ", " in line and (match := _XEN.match(line)):
        return _half_open(match, "xen", inclusive=True)
    if " -> " in line and (match := _LIBXL.match(line)):
        return _half_open(match, "libxl", shift=PAGE_SHIFT)
    if " : " in line and (match := _IOMEM.match(payload)):
        return _half_open(match, "iomem", inclusive=True)
    if " - " in line:
        if match := _DASHED.match(line):
            return _half_open(match, "linux-old" if match["label"] else "xen-old", label=match["label"])
        return _half_open(match, "hvmloader") if (match := _HVMLOADER.match(line)) else None
    if match := _MEMMAP.match(line):
        return _half_open(match, "memmap", inclusive=True)
    return _plain(_PLAIN.match(line))


def _linux(match: re.Match[str] | None) -> MapLine | None:
    if match is None:
        return None
    words = match["type"]
    seven = words.startswith("  ") or words.strip().lower().startswith(_SEVEN)
    return _half_open(match, "linux7" if seven else "linux", inclusive=True, label=match["label"])


def _efi(match: re.Match[str] | None, map_bs: bool) -> MapLine | None:
    if match is None:
        return None
    start, last = int(match["a"], 16), int(match["b"], 16)
    kind = efi_type(int(match["type"]), int(match["attr"], 16), map_bs)
    return MapLine(Entry(start, (last + 1) % ADDRESS_LIMIT, kind), "efi")


def _plain(match: re.Match[str] | None) -> MapLine | None:
    """A plain triple; its type may be a number from 1 to 12."""
    if match is None:
        return None
    words = match["type"].strip()
    if not words.isdecimal():
        return _half_open(match, "plain")
    if not 1 <= int(words) <= 12:
        return None
    return MapLine(Entry(int(match["a"], 16), int(match["b"], 16), int(words)), "plain")


def _half_open(
    match: re.Match[str], form: str, *, inclusive: bool = False, shift: int = 0, label: str | None = None
) -> MapLine | None:
    kind = _type(match["type"])
    if kind is None or (inclusive and match["type"].strip() == "ACPI"):
        return None  # a lone "ACPI" is half of a line that was broken
    start, end = int(match["a"].replace(":", ""), 16), int(match["b"].replace(":", ""), 16)
    if inclusive:
        # Linux prints ranges of no size as ending below their start; others print what firmware says.
        end = 0 if end == ADDRESS_LIMIT - 1 and start == 0 and form.startswith("linux") else end + 1
    return MapLine(Entry(start << shift, end << shift, kind), form, label)


class FirmwareMemmap:
    """Collects ``grep . /sys/firmware/memmap/*/*``: three lines an entry, in the shell's order."""

    _LINE = re.compile(r"\s*/sys/firmware/memmap/(\d{1,6})/(start|end|type):\s*(\S.{0,60})$")

    def __init__(self) -> None:
        self._parts: dict[int, dict[str, str]] = {}

    def feed(self, payload: str) -> bool:
        """Take one line; returns whether it was one of these."""
        match = self._LINE.match(payload) if "/memmap/" in payload else None
        if match:
            self._parts.setdefault(int(match[1]), {})[match[2]] = match[3]
        return match is not None

    def entries(self) -> tuple[Entry, ...]:
        """The entries that are whole, in the order of the firmware."""
        lines = (
            parse_payload(f"{part['start']} {part['end']} {part['type']}")
            for _, part in sorted(self._parts.items())
            if len(part) == 3
        )
        return tuple(line.entry for line in lines if line is not None)


_MAP_HEAD = re.compile(
    rf"{_WHOSE}:$|(?:{_WHOSE}:\s{{0,4}})?(?:\[(?:mem\b|gap\b|{_HEX}{{8}})|{_HEX}{{8,16}}(?: ?-|$))"
)
_MAP_PART = re.compile(
    rf"{_LABELLED}\[mem 0x{_HEX}{{1,16}}-0x{_HEX}{{1,16}}\](?:\s{{1,2}}[A-Za-z]{{4,12}})?$"
    rf"|\[{_HEX}{{8,16}}, {_HEX}{{8,16}}\](?: \(ACPI)?$"
)
_LONG_HEAD = re.compile(
    r"Kernel command line: |Command line: |Linux version \d|Xen version \d|CPU: \d+ |Memory: \d|"
    r"p2m virtual area |Dom0 alloc\.:|Dom0 kernel:|Init\. ramdisk:|Loaded kernel:|Phys-Mach map:|"
    r"Start info:|Page tables:|Boot stack:|TOTAL:|software IO TLB: |initrd moved from |WARNING: CPU: "
)
_NARROWEST, _WIDE = 62, 100
_LONGEST_JOIN = 16_000


def unwrap(text: str) -> Iterator[tuple[int, str]]:
    """The lines of a paste, with those joined again that a mail client broke.

    A line is joined to the one before it where that makes an entry of a map out of two parts that
    are none, or where a long line (a command line, a banner) was broken near the 72nd column. Only a
    line without a prefix of its own is ever joined.

    Args:
        text: the paste; quoted-printable and escape sequences are undone.

    Yields:
        The number of the line, from 1, and its text with its prefixes. Linear in the text.
    """
    held: str | None = None
    number, width = 0, 0
    for next_number, line in physical_lines(unfolded(text)):
        if held is not None:
            joined = _join(held, width, line)
            if joined is not None:
                held, width = joined, len(line)
                continue
            yield number, held
        held, number, width = line, next_number, len(line)
    if held is not None:
        yield number, held


def _join(held: str, width: int, line: str) -> str | None:
    """`held` and `line` as one line, where they were one."""
    if len(held) < 4 or not line or line.startswith(("(XEN)", "[ ")) or len(held) > _LONGEST_JOIN:
        return None
    if ":" not in held and "[" not in held and "-" not in held:
        return None
    bare = strip_quotes(line)
    if split_prefixes(bare).payload != bare or not bare.strip():
        return None
    payload, origin = split_prefixes(held)
    head = payload.strip()
    if _MAP_HEAD.match(head) and parse_payload(head) is None:
        for glue in (" ", ""):
            if (whole := parse_payload(head + glue + bare.strip())) and whole.form != "plain":
                return held + glue + bare.strip()
        if _MAP_PART.match(f"{head} {bare.strip()}"):
            return f"{held} {bare.strip()}"
    if origin is None or not 24 <= width <= _WIDE or not _LONG_HEAD.match(head):
        return None
    if width + 1 + len(bare.split(None, 1)[0]) <= _NARROWEST:
        return None  # the word would have fitted: the line was not broken
    return f"{held} {bare.strip()}"
