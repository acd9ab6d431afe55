"""What the small records of a stream say: word size, list pages, shared info, contexts."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from xenp2m.frames import GEOMETRY_32, GEOMETRY_64, Geometry

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "CONTEXT_SIZE",
    "FrameList",
    "SharedInfo",
    "cr3_of",
    "frame_list",
    "is_linear",
    "pv_info",
    "shared_info",
]

CONTEXT_SIZE = {8: 5168, 4: 2800}
"""Bytes of a ``vcpu_guest_context`` by the guest's word size."""
_CR3 = {8: 4984 + 3 * 8, 4: 2716 + 3 * 4}
_ARCH = {8: 3088, 4: 2316}


@dataclass(frozen=True, slots=True)
class FrameList:
    """X86_PV_P2M_FRAMES.

    Attributes:
        start: first PFN covered.
        end: last PFN covered, inclusive.
        pages: PFN of every leaf page of the list.
    """

    start: int
    end: int
    pages: NDArray[np.uint64]

    def expected(self, geometry: Geometry) -> int:
        """Pages that the range needs; 0 or fewer where it is upside down."""
        return self.end // geometry.entries - self.start // geometry.entries + 1


@dataclass(frozen=True, slots=True)
class SharedInfo:
    """The part of the shared info page that tells of the P2M, as the source host had it."""

    max_pfn: int
    frame_list_list: int
    p2m_cr3: int
    p2m_vaddr: int
    generation: int


def pv_info(body: bytes) -> tuple[int, int] | None:
    """Word size and page table levels of X86_PV_INFO, None where the body is too short."""
    return (body[0], body[1]) if len(body) >= 2 else None


def frame_list(body: bytes) -> FrameList | None:
    """Read X86_PV_P2M_FRAMES, None where the body is no whole number of entries."""
    if len(body) < 8 or len(body) % 8:
        return None
    start, end = struct.unpack_from("<II", body)
    return FrameList(start, end, np.frombuffer(body, "<u8", offset=8).astype(np.uint64))


def shared_info(body: bytes, word: int) -> SharedInfo | None:
    """Read SHARED_INFO of a guest with `word` bytes to a word, None where it is not one page."""
    if len(body) != 4096:
        return None
    code = "Q" if word == GEOMETRY_64.word else "I"
    max_pfn, top, _nmi, cr3, vaddr, generation = struct.unpack_from("<6" + code, body, _ARCH[word])
    return SharedInfo(max_pfn, top, cr3, vaddr, generation)


def is_linear(info: SharedInfo | None, xen: tuple[int, int]) -> bool | None:
    """Whether the toolstack of Xen `xen` walked the guest's linear list; None where nothing tells.

    Since 4.7 it prefers the list to the tree of frame lists (``map_p2m_list`` in xg_sr_save_x86_pv.c).
    """
    return None if info is None else bool(info.p2m_cr3) and xen >= (4, 7)


def cr3_of(body: bytes, word: int) -> int:
    """PFN of the top page table in X86_PV_VCPU_BASIC, -1 where there is none.

    The stream's CR3 holds a PFN where the machine's held an MFN; of 32-bit guests it is folded
    (``xen_cr3_to_pfn``).
    """
    if len(body) < 8 + CONTEXT_SIZE[word]:
        return -1
    value = int.from_bytes(body[8 + _CR3[word] :][:word], "little")
    if word == GEOMETRY_32.word:
        return (value >> 12 | value << 20) & 0xFFFF_FFFF
    return value >> 12
