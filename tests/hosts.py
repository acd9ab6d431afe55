"""Small hosts for tests."""

from __future__ import annotations

from dataclasses import replace

from xenp2m.e820 import ACPI, NVS, RAM, RESERVED, Entry
from xenp2m.host import Host
from xenp2m.kernel import Release, Version

MIB = 1 << 20
GIB = 1 << 30

PC = (
    Entry(0, 0x9FC00, RAM),
    Entry(0x9FC00, 0xA0000, RESERVED),
    Entry(0xF0000, 0x100000, RESERVED),
    Entry(0x100000, 0x7FFDC000, RAM),
    Entry(0x7FFDC000, 0x80000000, RESERVED),
    Entry(0xFEC00000, 0xFEC01000, RESERVED),
    Entry(4 * GIB, 6 * GIB, RAM),
)
"""A PC with 4 GiB, a hole between 2 and 4 GiB."""


def pc(version: str = "6.1", **changes: object) -> Host:
    """dom0 with 1 GiB, at most 1.5 GiB, on `PC`; `changes` replace fields."""
    release = Release.of(Version.parse(version))
    host = Host(release=release, nr_pages=GIB >> 12, e820=PC, max_res=3 * GIB >> 13)
    return replace(host, **changes)


def with_range(start: int, end: int, kind: int = RESERVED) -> tuple[Entry, ...]:
    """`PC` with a range cut out of its RAM below 2 GiB and given another type."""
    low, high = Entry(0x100000, start, RAM), Entry(end, 0x7FFDC000, RAM)
    return (*PC[:3], low, Entry(start, end, kind), high, *PC[4:])


__all__ = ["ACPI", "GIB", "MIB", "NVS", "PC", "RAM", "RESERVED", "Entry", "pc", "with_range"]
