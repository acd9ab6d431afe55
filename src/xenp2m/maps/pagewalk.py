"""The guest's own page tables, walked for one virtual address, each step kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from xenp2m.errors import InputError
from xenp2m.frames import PAGE_SHIFT

if TYPE_CHECKING:
    from xenp2m.frames import Geometry
    from xenp2m.sources.source import Source

__all__ = ["FRAME_MASK", "LARGE", "PRESENT", "Step", "Walk", "cr3_frame", "pfn_of_frame", "root_of", "walk"]

PRESENT, LARGE = 1, 1 << 7
FRAME_MASK = 0x000F_FFFF_FFFF_F000
"""Bits of a page table entry that are the frame's address (``XEN_PTE_MASK`` without the flags)."""


class Step(NamedTuple):
    """One level of a walk.

    Attributes:
        level: 4 to 1.
        table: PFN of the page table.
        slot: entry in it.
        entry: the raw word.
    """

    level: int
    table: int
    slot: int
    entry: int


@dataclass(frozen=True, slots=True)
class Walk:
    """Where one virtual address leads.

    Attributes:
        steps: the levels looked at, the top one first.
        frame: frame behind the address in the space of `Guest.frames`; None where the walk stopped.
        stopped: why it did, "" where it did not.
    """

    steps: tuple[Step, ...]
    frame: int | None
    stopped: str = ""


def cr3_frame(cr3: int, geometry: Geometry) -> int:
    """Frame in a control register as a PV guest holds it.

    A 32-bit register has the low 20 bits of the frame on top and the others below them
    (``xen_cr3_to_pfn_x86_32`` in Xen's public headers).
    """
    if geometry.word == 8:
        return (cr3 & FRAME_MASK) >> PAGE_SHIFT
    cr3 &= (1 << 32) - 1
    return cr3 >> PAGE_SHIFT | cr3 << 20 & 0xFFF0_0000


def root_of(source: Source, cr3: int | None = None, vcpu: int | None = None) -> int:
    """PFN of the top page table to begin with.

    Args:
        source: whose.
        cr3: the register's value, where the user says one.
        vcpu: whose register, where the user says which; else the first that is known, else the
            kernel's own table that ``p2m_cr3`` names.

    Raises:
        InputError: the input has none of them, or a frame that belongs to no PFN.
    """
    guest, name = source.guest, source.origin.name
    if cr3 is not None:
        frame, what = cr3_frame(cr3, guest.geometry), f"--cr3 {cr3:#x}"
    elif vcpu is not None and not (vcpu < len(guest.cr3) and guest.cr3[vcpu] >= 0):
        raise InputError(name, f"the context of vCPU {vcpu}", f"contexts of {len(guest.cr3)} vCPUs")
    elif any(each >= 0 for each in guest.cr3):
        frame = guest.cr3[vcpu] if vcpu is not None else next(each for each in guest.cr3 if each >= 0)
        what = "cr3 of the vCPU"
    elif guest.p2m_cr3:
        # Linux names swapper_pg_dir here; it stays an MFN even in a stream (xen_setup_mfn_list_list).
        frame, what = cr3_frame(guest.p2m_cr3, guest.geometry), "p2m_cr3"
        pfn = int(source.p2m.inverse(np.array([frame]))[0])
        return _checked(pfn, frame, what, name)
    else:
        raise InputError(name, "a context of a vCPU; name a top page table with --cr3")
    return _checked(pfn_of_frame(source, frame), frame, what, name)


def _checked(pfn: int, frame: int, what: str, name: str) -> int:
    if pfn < 0:
        raise InputError(f"{name}, {what}", "a frame of the guest", f"{frame:#x}, behind no PFN")
    return pfn


def pfn_of_frame(source: Source, frame: int) -> int:
    """PFN of a frame that a page table or context holds, -1 where it is none of the guest's."""
    if source.guest.frames == "pfn":
        return frame
    return int(source.p2m.inverse(np.array([frame]))[0])


def _sound(vaddr: int, levels: int) -> bool:
    """Whether bits 47 to 63 are alike (64-bit guests), or none above 31 is set."""
    return vaddr >> 47 in (0, (1 << 17) - 1) if levels == 4 else vaddr < 1 << 32


def walk(source: Source, root: int, vaddr: int) -> Walk:
    """Walk from the page table at PFN `root` for a virtual address.

    Four levels for a 64-bit guest, three (PAE) for a 32-bit one; 8-byte entries in both.
    """
    levels = 4 if source.guest.geometry.word == 8 else 3
    if source.memory is None:
        raise InputError(source.origin.name, "an input with the guest's memory", source.origin.format)
    if not _sound(vaddr, levels):
        return Walk((), None, "no address of this guest: it is not canonical")
    steps: list[Step] = []
    table = root
    for level in range(levels, 0, -1):
        page = source.memory.page(table)
        if page is None:
            return Walk(tuple(steps), None, f"the page table at PFN {table:#x} is not in the input")
        slot = vaddr >> (PAGE_SHIFT + 9 * (level - 1)) & 0x1FF
        entry = int.from_bytes(page[8 * slot : 8 * slot + 8], "little")
        steps.append(Step(level, table, slot, entry))
        if not entry & PRESENT:
            return Walk(tuple(steps), None, f"the entry of level {level} is not present")
        frame = (entry & FRAME_MASK) >> PAGE_SHIFT
        if level == 1 or (entry & LARGE and level < 4):
            inside = (vaddr >> PAGE_SHIFT) & ((1 << 9 * (level - 1)) - 1)
            return Walk(tuple(steps), frame & -(1 << 9 * (level - 1)) | inside)
        table = pfn_of_frame(source, frame)
        if table < 0:
            return Walk(tuple(steps), None, f"the frame {frame:#x} of level {level - 1} is not the guest's")
    raise AssertionError("a walk ends at level 1")
