"""How findings say sizes and ranges."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from xenp2m.extents import Range

__all__ = ["SHOWN", "mib", "pfns_text", "span", "spoken"]

SHOWN = 64
"""Ranges that one finding lists at most."""


def mib(pages: int) -> str:
    """Pages as MiB, with one decimal."""
    return f"{pages / 256:,.1f} MiB"


def pfns_text(ranges: Sequence[Range]) -> str:
    """PFN ranges, the first three of many."""
    text = ", ".join(f"PFNs {start:#x} - {end:#x} ({start}, {end})" for start, end in ranges[:3])
    return text + (" and more" if len(ranges) > 3 else "")


def span(start: int, end: int) -> str:
    """A byte range as the field writes it: inclusive."""
    return f"{start:#x}-{end - 1:#x}"


def spoken(name: str) -> str:
    """An object of the builder, from the kernel's word to a reader's."""
    return name.replace("xen_start_info", "start info")
