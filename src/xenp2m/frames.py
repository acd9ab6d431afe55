"""Frames, the guest's word size, and how one P2M entry is encoded.

A *PFN* counts the 4 KiB pages of a guest's own (pseudo-physical) memory, an *MFN* those of the
machine. A P2M entry is one word of the guest: an MFN, or one of the values below.

Source of the encoding: Linux ``arch/x86/include/asm/xen/page.h`` (``INVALID_P2M_ENTRY``,
``FOREIGN_FRAME_BIT``, ``IDENTITY_FRAME_BIT``), unchanged from 2.6.39 to 7.3.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

__all__ = [
    "GEOMETRIES",
    "GEOMETRY_32",
    "GEOMETRY_64",
    "PAGE_SHIFT",
    "PAGE_SIZE",
    "UNKNOWN_WORD",
    "Geometry",
    "Kind",
    "counted",
    "page_down",
    "page_up",
    "pfn_down",
    "pfn_up",
]

PAGE_SHIFT = 12
PAGE_SIZE = 1 << PAGE_SHIFT

UNKNOWN_WORD = (1 << 64) - 2
"""What stands in an array of entries for `Kind.UNKNOWN`: our own value, in no guest's list.

As an entry it would be a foreign frame at the very end of a 62-bit machine, which no processor has;
a 32-bit guest's words never reach it, because a reader widens them.
"""


def pfn_down(address: int) -> int:
    """Frame that holds byte `address` (Linux ``PFN_DOWN``)."""
    return address >> PAGE_SHIFT


def pfn_up(address: int) -> int:
    """First frame that starts at or after byte `address` (Linux ``PFN_UP``)."""
    return (address + PAGE_SIZE - 1) >> PAGE_SHIFT


def counted(count: int) -> str:
    """``1 frame``, ``1,024 frames``."""
    return f"{count:,} frame{'s' * (count != 1)}"


def page_down(address: int) -> int:
    """`address` rounded down to a page boundary, in bytes."""
    return address & -PAGE_SIZE


def page_up(address: int) -> int:
    """`address` rounded up to a page boundary, in bytes."""
    return (address + PAGE_SIZE - 1) & -PAGE_SIZE


class Kind(StrEnum):
    """What one P2M entry means. The list is closed: every entry is exactly one of these."""

    MFN = "mfn"
    """A machine frame of the guest's own."""
    IDENTITY = "identity"
    """The machine frame of the same number: device memory, firmware tables, holes."""
    MISSING = "missing"
    """No frame behind this PFN: room for the balloon, or nothing."""
    FOREIGN = "foreign"
    """A frame of another domain, mapped by grant or privcmd."""
    OTHER = "other"
    """The identity bit with a number that is not the PFN: no sound map holds one."""
    UNKNOWN = "unknown"
    """The input does not tell."""


@dataclass(frozen=True, slots=True)
class Geometry:
    """Word size of the guest kernel and the fan-out of its P2M.

    Attributes:
        word: bytes in an ``unsigned long`` of the guest.
        entries: entries on a leaf, a mid and the top page (``P2M_PER_PAGE`` and its siblings).
    """

    word: int
    entries: int

    @property
    def bits(self) -> int:
        """Bits in a word."""
        return 8 * self.word

    @property
    def invalid(self) -> int:
        """``INVALID_P2M_ENTRY``: all ones. It has both flag bits set, so test it first."""
        return (1 << self.bits) - 1

    @property
    def foreign_bit(self) -> int:
        """``FOREIGN_FRAME_BIT``, the topmost bit."""
        return 1 << (self.bits - 1)

    @property
    def identity_bit(self) -> int:
        """``IDENTITY_FRAME_BIT``, the bit below it."""
        return 1 << (self.bits - 2)

    @property
    def max_p2m_pfn(self) -> int:
        """Frames that a three-level tree can hold (``MAX_P2M_PFN``), exclusive."""
        return self.entries**3

    def classify(self, pfn: int, word: int) -> tuple[Kind, int]:
        """Read one raw entry.

        Args:
            pfn: the frame the entry belongs to.
            word: the raw word.

        Returns:
            The kind and its number: the MFN of ``mfn``, ``identity`` and ``foreign`` entries
            without flag bits, the raw word of ``other``, ``missing`` and ``unknown``.
        """
        if word == self.invalid:
            return Kind.MISSING, word
        if word == UNKNOWN_WORD:
            return Kind.UNKNOWN, word
        if word & self.foreign_bit:
            return Kind.FOREIGN, word & ~(self.foreign_bit | self.identity_bit)
        if word & self.identity_bit:
            number = word ^ self.identity_bit
            return (Kind.IDENTITY, number) if number == pfn else (Kind.OTHER, word)
        return Kind.MFN, word

    def encode(self, kind: Kind, pfn: int, number: int) -> int:
        """Write one raw entry: the inverse of `classify`.

        Raises:
            ValueError: ``unknown`` in a 32-bit word, which has no value to spare.
        """
        if kind is Kind.MFN or kind is Kind.OTHER:
            return number
        if kind is Kind.IDENTITY:
            return pfn | self.identity_bit
        if kind is Kind.FOREIGN:
            return number | self.foreign_bit
        if kind is Kind.MISSING:
            return self.invalid
        if self.word == 8:
            return UNKNOWN_WORD
        raise ValueError("an unknown entry has no 32-bit word")


GEOMETRY_64 = Geometry(word=8, entries=512)
GEOMETRY_32 = Geometry(word=4, entries=1024)
GEOMETRIES = {32: GEOMETRY_32, 64: GEOMETRY_64}
"""The two real geometries by the bits of a word."""
