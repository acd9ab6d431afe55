"""The map that libxl gives a PV guest with ``e820_host=1``.

RAM first, cut where the machine's first other range begins; RAM of the machine in between shown as
unusable, so that the guest does not take it for a hole; the machine's other ranges as they are; what was
cut, and room for the balloon, behind 4 GiB.

Source: ``e820_sanitize`` in tools/libs/light/libxl_x86.c (the same from 4.2 to 4.20), read; compared with
what ``xl -vvv create`` printed on a real host.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from xenp2m.e820 import RAM, UNUSABLE, Entry
from xenp2m.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["HIGH", "host_e820"]

HIGH = 1 << 32
"""Where the rest of the guest's RAM goes. Always: a misplaced comparison makes the search for the end of
the machine's highest range come out as 1, so even a machine with ranges beyond gets it here."""
_LOW = 0x100000
_MOST = 128
"""``E820MAX``: entries that the toolstack can hold."""


def host_e820(machine: Sequence[Entry], memory_kib: int, maxmem_kib: int, slack_kib: int = 0) -> list[Entry]:
    """The guest's map.

    Args:
        machine: the machine's map as dom0 sees it, the hypervisor's own additions included, sorted, in
            bytes.
        memory_kib: ``memory=``, what the guest starts with.
        maxmem_kib: ``maxmem=``.
        slack_kib: what the toolstack adds for itself.

    Returns:
        Entries in the order in which the toolstack writes them.

    Raises:
        InputError: sizes that no guest has, or more entries than the toolstack can hold.
    """
    if not 0 < memory_kib <= maxmem_kib < 1 << 44:
        raise InputError("memory", "0 < memory <= maxmem", f"{memory_kib} KiB, {maxmem_kib} KiB")
    if len(machine) > _MOST:
        raise InputError("host map", f"at most {_MOST} entries, as libxl can hold", str(len(machine)))
    entries = [entry for entry in machine if entry.start > _LOW]
    others = [entry for entry in entries if entry.type not in (RAM, UNUSABLE)]
    first = min((entry.start for entry in others), default=(1 << 64) - 1)
    size = memory_kib << 10
    cut = max(0, size - (first >> 10 << 10)) if others else 0
    end = size - cut
    middle = [part for entry in entries if (part := _between(entry, end)) is not None]
    if first > end and others:
        middle = _filled(middle, end, first)
    result = [Entry(0, end, RAM), *middle]
    high = cut + (maxmem_kib - memory_kib + slack_kib << 10)
    if high:
        result.append(Entry(HIGH, HIGH + high, RAM))
    return result


def _between(entry: Entry, end: int) -> Entry | None:
    """What becomes of one of the machine's entries above the guest's low RAM."""
    if entry.type == UNUSABLE or entry.end < end:
        return None
    if entry.type != RAM:
        return entry
    if entry.start >= HIGH:
        return None
    return Entry(max(entry.start, end), entry.end, UNUSABLE)


def _filled(middle: list[Entry], end: int, first: int) -> list[Entry]:
    """Unusable from the end of low RAM to the first other range of the machine."""
    for index, entry in enumerate(middle):
        if entry.type == UNUSABLE and entry.start == end:
            return [*middle[:index], Entry(end, first, UNUSABLE), *middle[index + 1 :]]
    return [Entry(end, first, UNUSABLE), *middle]
