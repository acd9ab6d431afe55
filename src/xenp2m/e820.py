"""The E820 memory map: entries, and the order Linux and Xen bring them into.

An entry covers the bytes ``[start, end)``. Addresses are 64-bit; arithmetic that can wrap in the
kernel wraps here too, so an entry of negative size (``end < start``) is a value that can be told
about, not an accident. Maps are plain sequences of `Entry`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from xenp2m.errors import InputError
from xenp2m.frames import pfn_down, pfn_up

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from xenp2m.extents import Range

__all__ = [
    "ACPI",
    "ISA_END",
    "ISA_START",
    "NVS",
    "RAM",
    "RESERVED",
    "UNUSABLE",
    "Entry",
    "contains",
    "gaps",
    "ram_frames",
    "sanitize",
    "type_name",
    "type_number",
    "validated",
]

RAM, RESERVED, ACPI, NVS, UNUSABLE, PMEM, PRAM = 1, 2, 3, 4, 5, 7, 12
SOFT_RESERVED = 0xEFFFFFFF

ISA_START, ISA_END = 0xA0000, 0x100000
"""The window of ISA devices, in bytes (Linux ``ISA_START_ADDRESS`` and ``ISA_END_ADDRESS``)."""

ADDRESS_LIMIT = 1 << 64

_UNMERGEABLE = frozenset({PRAM, SOFT_RESERVED})
_NAMES = {
    RAM: "usable",
    RESERVED: "reserved",
    ACPI: "ACPI data",
    NVS: "ACPI NVS",
    UNUSABLE: "unusable",
    6: "disabled",
    PMEM: "persistent (type 7)",
    PRAM: "persistent (type 12)",
    128: "reserved for the kernel",
    SOFT_RESERVED: "soft reserved",
}
_NUMBERS = {name.lower(): number for number, name in _NAMES.items()} | {
    "ram": RAM,
    "system ram": RAM,
    "device reserved": RESERVED,
    "acpi tables": ACPI,
    "acpi non-volatile storage": NVS,
    "nvs": NVS,
    "acpi": ACPI,
    "unusable memory": UNUSABLE,
    "persistent": PMEM,
    "pmem": PMEM,
    "pram": PRAM,
}


class Entry(NamedTuple):
    """One line of the map: bytes ``[start, end)`` of E820 type `type`."""

    start: int
    end: int
    type: int

    @property
    def size(self) -> int:
        """Bytes, modulo 2^64 as the kernel computes it."""
        return (self.end - self.start) % ADDRESS_LIMIT


def type_name(number: int) -> str:
    """The word Linux up to 6.18 prints for an E820 type."""
    return _NAMES.get(number, f"type {number}")


def type_number(name: str) -> int | None:
    """The E820 type behind a word of Linux, Xen, libxl or ``/proc/iomem``; None for other words."""
    word = " ".join(name.lower().replace("_", " ").split())
    if word in _NUMBERS:
        return _NUMBERS[word]
    for prefix in ("type ", "persistent (type ", "reserved (type "):
        if word.startswith(prefix):
            digits = word.removeprefix(prefix).rstrip(")")
            if digits.isdecimal() and len(digits) <= 10:
                return int(digits)
    return None


def validated(entries: Iterable[Entry], where: str) -> tuple[Entry, ...]:
    """Check that a map can come from firmware.

    Args:
        entries: the map in the order given.
        where: what to call it in an error.

    Returns:
        The same entries.

    Raises:
        InputError: an entry ends before it starts, or reaches 2^64.
    """
    checked = tuple(entries)
    if not checked:
        raise InputError(where, "a memory map of at least one entry", "none")
    for index, entry in enumerate(checked):
        if not 0 <= entry.start <= entry.end < ADDRESS_LIMIT:
            raise InputError(
                f"{where}, entry {index}",
                "0 <= start <= end < 2^64",
                f"start {entry.start:#x}, end {entry.end:#x}",
            )
    return checked


def sanitize(entries: Sequence[Entry], capacity: int | None = None) -> list[Entry]:
    """Sort a map, resolve overlaps and join neighbours, as Linux does.

    Where entries overlap the highest type number wins. Maps of fewer than two entries, and maps in
    which an entry wraps, are returned as they are: the kernel refuses to touch those.

    Args:
        entries: the map, in any order.
        capacity: ranges kept at most; later ones are lost (3.2 to 4.2 pass the number of raw
            entries here). None keeps all.

    Returns:
        A new list. O(n log n).

    Source: ``e820__update_table`` (4.12 to 7.x), ``sanitize_e820_map`` (before); types that never
    merge: ``e820_type_mergeable`` (5.5).
    """
    if len(entries) < 2 or any(e.end < e.start for e in entries):
        return list(entries)
    result = _joined(entries)
    if result is None:
        result = _swept(entries)
    return result if capacity is None else result[:capacity]


def _swept(entries: Sequence[Entry]) -> list[Entry]:
    """The map from the changes of type at each address, lowest first."""
    edges: dict[int, list[int]] = {}
    for entry in entries:
        if entry.start < entry.end:
            edges.setdefault(entry.start, []).append(entry.type)
            edges.setdefault(entry.end, []).append(-entry.type)
    alive: dict[int, int] = {}
    result: list[Entry] = []
    last_type, last_start = 0, 0
    for address in sorted(edges):
        for signed in edges[address]:
            kind = abs(signed)
            alive[kind] = alive.get(kind, 0) + (1 if signed > 0 else -1)
            if not alive[kind]:
                del alive[kind]
        kind = max(alive, default=0)
        if kind != last_type or kind in _UNMERGEABLE:
            if last_type:
                result.append(Entry(last_start, address, last_type))
            last_type, last_start = kind, address
    return result


def _joined(entries: Sequence[Entry]) -> list[Entry] | None:
    """The map with neighbours joined, if it is in order and nothing overlaps; else None."""
    result: list[Entry] = []
    position, last = 0, 0
    for entry in entries:
        start, end, kind = entry
        if start == end:
            continue
        if start < position:
            return None
        if start == position and kind == last and kind not in _UNMERGEABLE:
            result[-1] = Entry(result[-1].start, end, kind)
        else:
            result.append(entry)
        position, last = end, kind
    return result


def gaps(entries: Iterable[Entry], low: int, high: int) -> list[Range]:
    """Byte ranges of ``[low, high)`` that no entry covers, ascending."""
    found: list[Range] = []
    position = low
    for start, end, _ in sorted(entries):
        if start >= high:
            break
        if start > position:
            found.append((position, start))
        position = max(position, end)
    if position < high:
        found.append((position, high))
    return found


def ram_frames(entries: Iterable[Entry]) -> list[Range]:
    """Whole frames of every RAM entry, as half-open PFN ranges in the order given.

    Entries without a whole page are left out.
    """
    frames = ((pfn_up(e.start), pfn_down(e.end)) for e in entries if e.type == RAM)
    return [(start, end) for start, end in frames if start < end]


def contains(entries: Iterable[Entry], start: int, size: int) -> bool:
    """Whether one single RAM entry holds the bytes ``[start, start + size)``.

    An empty object always fits. Source: ``xen_is_e820_reserved`` (4.3 to 7.x), whose answer is the
    opposite.
    """
    end = start + size
    return not size or any(e.type == RAM and e.start <= start and e.end >= end for e in entries)


def has_whole_page(entry: Entry) -> bool:
    """Whether the entry holds at least one aligned 4 KiB page."""
    return pfn_down(entry.end) > pfn_up(entry.start)
