"""A page-table entry made from a PFN: where the P2M's words meet the MMU.

A guest writes PFNs into its page tables; the kernel puts the MFN in their place. The flag bits of the
P2M entry are stripped, a missing frame gives an empty entry (its PFN is forgotten), and in 2.6.39 to
3.15 an identity frame marked the entry as I/O, so that reading it back did not look for a PFN.

Source: ``pte_pfn_to_mfn`` in ``arch/x86/xen/mmu.c``: fb38923ead0e (2.6.39) adds the I/O flag (read in
3.4 and 3.10); 7f2f88224517 no longer sets it, since ``mfn_to_pfn`` knows identity frames by then: the
last of the eight patches on high MMIO regions of which 3cb83e46d032 (3.16) is another. The flag itself,
``_PAGE_IOMAP``, is removed by f955371ca9d3 (3.18). Later texts strip both bits and set nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from xenp2m.frames import PAGE_SHIFT

if TYPE_CHECKING:
    from xenp2m.model.linear import LinearP2M
    from xenp2m.model.phys_to_machine import PhysToMachine

__all__ = ["PAGE_IOMAP", "PAGE_PRESENT", "make_pte", "marks_io"]

PAGE_PRESENT = 1 << 0
PAGE_IOMAP = 1 << 10
"""``_PAGE_IOMAP``: the software bit for I/O mappings (bit 10)."""

_MARKING = frozenset({"seed-bit", "2.6.39", "3.6", "3.12"})


def marks_io(rules: str) -> bool:
    """Whether kernels of a rule set mark identity frames as I/O in page tables."""
    return rules in _MARKING


def make_pte(p2m: PhysToMachine | LinearP2M, pfn: int, flags: int, *, marks: bool | None = None) -> int:
    """The entry a guest's kernel writes for `pfn`.

    Args:
        p2m: the guest's map.
        pfn: frame to be mapped.
        flags: low bits of the entry; without `PAGE_PRESENT` nothing is translated.
        marks: whether identity sets `PAGE_IOMAP`; None for what the rules say.

    Returns:
        The raw entry: MFN and flags, or 0 for a missing frame.
    """
    if not flags & PAGE_PRESENT:
        return pfn << PAGE_SHIFT | flags
    geometry = p2m.geometry
    word = p2m.get(pfn)
    # both flag bits are set in INVALID, so it is tested first
    if word == geometry.invalid:
        return 0
    mfn = word & ~(geometry.foreign_bit | geometry.identity_bit)
    if word & geometry.identity_bit and (marks_io(p2m.rules.name) if marks is None else marks):
        flags |= PAGE_IOMAP
    return mfn << PAGE_SHIFT | flags
