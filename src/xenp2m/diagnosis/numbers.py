"""Frame numbers in a fault: which they are, and where on the host they lie."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from xenp2m.diagnosis.result import Number
from xenp2m.e820 import type_name
from xenp2m.frames import PAGE_SHIFT
from xenp2m.place import place_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from xenp2m.logs.consolefacts import Fault, Log
    from xenp2m.plan import Plan

__all__ = ["address", "numbers_of"]

_NAMED = re.compile(r"\b(pfn|mfn)\s?=\s?(0x)?([0-9a-f]{1,13})\b")
_VMEMMAP, _VMEMMAP_END = 0xFFFFEA0000000000, 0xFFFFEC0000000000
_DIRECT, _DIRECT_END = 0xFFFF888000000000, 0xFFFFC88000000000
_MOST = 6


def numbers_of(fault: Fault, log: Log, plan: Plan | None) -> tuple[Number, ...]:
    """Numbers that the fault names, then registers that hold a border of the host's layout.

    A PV kernel is not moved about by KASLR, so the address of a page fault among the struct pages or
    in the direct mapping tells the PFN (x86-64 with four levels; ``vmemmap_base``, ``page_offset_base``).
    """
    found = [*_named(fault, log, plan), *_faulted(fault, log, plan)]
    known = {number.value for number in found}
    for number in _registers(fault, log, plan):
        if number.value not in known and len(found) < _MOST:
            known.add(number.value)
            found.append(number)
    return tuple(found)


def _named(fault: Fault, log: Log, plan: Plan | None) -> Iterator[Number]:
    """``pfn=`` and ``mfn=``: decimal in the warnings of ``xen_update_mem_tables``, else as they look."""
    text = fault.said or fault.text
    for name, prefix, digits in _NAMED.findall(text):
        hexadecimal = bool(prefix) or not digits.isdecimal() or fault.kind != "warning"
        value = int(digits, 16 if hexadecimal else 10)
        means = _pfn(value, log, plan) if name == "pfn" else _mfn(value, log)
        yield Number(name, value, digits, means, False)


def _faulted(fault: Fault, log: Log, plan: Plan | None) -> Iterator[Number]:
    where = fault.address
    if where is None:
        return
    if _VMEMMAP <= where < _VMEMMAP_END:
        pfn = (where - _VMEMMAP) // 64
        yield Number(
            "address", pfn, f"{where:x}", f"the struct page of this PFN; {_pfn(pfn, log, plan)}", True
        )
    elif _DIRECT <= where < _DIRECT_END:
        pfn = (where - _DIRECT) >> PAGE_SHIFT
        yield Number("address", pfn, f"{where:x}", f"in the direct mapping; {_pfn(pfn, log, plan)}", True)


def _registers(fault: Fault, log: Log, plan: Plan | None) -> Iterator[Number]:
    if plan is None or fault.kind == "panic":
        return
    borders = _borders(log, plan)
    for name, value in fault.registers:
        if value in borders:
            yield Number(name, value, f"{value:x}", f"{borders[value]}; {_pfn(value, log, plan)}", True)


def _borders(log: Log, plan: Plan) -> dict[int, str]:
    """PFNs at which something of this host ends or begins, above 1 MiB."""
    host, layout = plan.host, plan.layout
    borders: dict[int, str] = {}
    for move in layout.moves:
        borders.setdefault(move.target, "where frames of a hole move to")
    for start, end in layout.extra_early or ():
        borders.setdefault(start, "where an extra region begins")
        borders.setdefault(end, "where an extra region ends")
    if layout.bug is not None and layout.bug.pfn is not None:
        borders.setdefault(layout.bug.pfn, "the frame at which the predicted boot stops")
    if host.mem_limit is not None:
        borders.setdefault(host.mem_limit >> PAGE_SHIFT, "where mem= ends RAM")
    borders.setdefault(host.nr_pages, "the end of the first allocation")
    for entry in layout.e820 or ():
        borders.setdefault(entry.end >> PAGE_SHIFT, f"where {type_name(entry.type)} of the guest's map ends")
    return {pfn: text for pfn, text in borders.items() if pfn > 0x100}


def address(pfn: int) -> str:
    """A frame's place in the address space, for people: ``1 GiB``, ``1.25 GiB``, ``2,364.0 MiB``."""
    mib = pfn / 256
    return f"{mib / 1024:.4g} GiB" if mib >= 1024 else f"{mib:.4g} MiB"


def _pfn(pfn: int, log: Log, plan: Plan | None) -> str:
    size = log.printed.p2m_area_size
    if size and pfn >= size // 8:
        return f"beyond the P2M area, which ends at {size // 8:#x} ({address(size // 8)})"
    if plan is None:
        return f"at {address(pfn)}"
    said = []
    limit = plan.host.mem_limit
    if limit is not None and pfn >= limit >> PAGE_SHIFT:
        said.append(f"beyond mem=, which ends RAM at {limit >> PAGE_SHIFT:#x}")
    place = place_of(plan, pfn)
    if place is not None:
        said.append(f"predicted {place.kind.value}: {place.why}")
    elif plan.layout.e820 is not None:
        entry = next((e for e in plan.layout.e820 if e.start <= pfn << PAGE_SHIFT < e.end), None)
        said.append(
            f"{type_name(entry.type)} in the guest's map" if entry else "in no range of the guest's map"
        )
    return "; ".join([f"at {address(pfn)}", *said])


def _mfn(mfn: int, log: Log) -> str:
    entry = next((e for e in log.host_map if e.start <= mfn << PAGE_SHIFT < e.end), None)
    what = f"{type_name(entry.type)} of the host" if entry else "in no range of the host's map"
    return f"machine address {address(mfn)}, {what}" if log.host_map else f"machine address {address(mfn)}"
