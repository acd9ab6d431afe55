"""A fault that a walk met, as a finding of the catalogue."""

from __future__ import annotations

from typing import TYPE_CHECKING

from xenp2m.checks.stories import STORIES
from xenp2m.findings import Finding

if TYPE_CHECKING:
    from xenp2m.extents import Range
    from xenp2m.sources.stream.events import Fault

__all__ = ["finding_of"]


def finding_of(fault: Fault, pfns: tuple[Range, ...] = ()) -> Finding:
    """The finding of `fault`: where it is, what should be there, what is."""
    place = f"{fault.where}, offset {fault.offset:#x}"
    return Finding(STORIES[fault.code], f"{place}: expected {fault.expected}, got {fault.got}", pfns=pfns)
