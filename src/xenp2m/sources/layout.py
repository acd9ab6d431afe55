"""What Xen keeps in memory and in core notes, in the spelling of its public headers.

Offsets are those that a compiler gives ``xen/include/public`` for x86, 4.14 to 4.20; only fields that
a map needs are named. Everything is little-endian.

========================= ============================================
`SHARED_INFO`             ``struct shared_info`` (``xen.h``, ``arch-x86/xen.h``)
`START_INFO`              ``struct start_info`` (``xen.h``)
`VCPU_GUEST_CONTEXT`      ``struct vcpu_guest_context`` (``arch-x86/xen.h``)
`NOTE` and its siblings   ``struct xen_dumpcore_elfnote_*`` (tools, ``xenguest.h``)
========================= ============================================
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from xenp2m.frames import PAGE_SHIFT

if TYPE_CHECKING:
    from typing import Any

__all__ = [
    "MAGIC_HVM",
    "MAGIC_PV",
    "NOTE",
    "NOTE_FORMAT_VERSION",
    "NOTE_HEADER",
    "NOTE_NONE",
    "NOTE_XEN_VERSION",
    "SHARED_INFO",
    "START_INFO",
    "VCPU_GUEST_CONTEXT",
    "XEN_DUMPCORE_HEADER",
    "XEN_DUMPCORE_VERSION",
    "cr3_to_frame",
    "frame_to_cr3",
]


def _struct(size: int, **fields: tuple[Any, int]) -> np.dtype[np.void]:
    """A structure of `size` bytes with some of its fields as ``name=(type, offset)``."""
    return np.dtype(
        {
            "names": list(fields),
            "formats": [kind for kind, _ in fields.values()],
            "offsets": [offset for _, offset in fields.values()],
            "itemsize": size,
        }
    )


SHARED_INFO = {
    8: _struct(
        3136,
        max_pfn=("<u8", 3088),
        pfn_to_mfn_frame_list_list=("<u8", 3096),
        nmi_reason=("<u8", 3104),
        p2m_cr3=("<u8", 3112),
        p2m_vaddr=("<u8", 3120),
        p2m_generation=("<u8", 3128),
    ),
    4: _struct(
        2344,
        max_pfn=("<u4", 2316),
        pfn_to_mfn_frame_list_list=("<u4", 2320),
        nmi_reason=("<u4", 2324),
        p2m_cr3=("<u4", 2328),
        p2m_vaddr=("<u4", 2332),
        p2m_generation=("<u4", 2336),
    ),
}
"""By bytes in the guest's word. The fields are those of its ``arch`` member."""

START_INFO = {
    8: _struct(
        1168,
        magic=("S32", 0),
        nr_pages=("<u8", 32),
        shared_info=("<u8", 40),
        flags=("<u4", 48),
        store_mfn=("<u8", 56),
        pt_base=("<u8", 88),
        mfn_list=("<u8", 104),
        first_p2m_pfn=("<u8", 1152),
        nr_p2m_frames=("<u8", 1160),
    ),
    4: _struct(
        1112,
        magic=("S32", 0),
        nr_pages=("<u4", 32),
        shared_info=("<u4", 36),
        flags=("<u4", 40),
        store_mfn=("<u4", 44),
        pt_base=("<u4", 60),
        mfn_list=("<u4", 68),
        first_p2m_pfn=("<u4", 1104),
        nr_p2m_frames=("<u4", 1108),
    ),
}

VCPU_GUEST_CONTEXT = {
    8: _struct(5168, flags=("<u8", 512), gdt_frames=(("<u8", (16,)), 4832), ctrlreg=(("<u8", (8,)), 4984)),
    4: _struct(2800, flags=("<u4", 512), gdt_frames=(("<u4", (16,)), 2640), ctrlreg=(("<u4", (8,)), 2716)),
}
"""By bytes in the guest's word; 64-bit tools give every slot of a core the larger size."""

NOTE = _struct(16, namesz=("<u4", 0), descsz=("<u4", 4), type=("<u4", 8), name=("S4", 12))
"""Head of a note; the description follows at once, without padding."""

NOTE_NONE, NOTE_HEADER, NOTE_XEN_VERSION, NOTE_FORMAT_VERSION = range(0x2000000, 0x2000004)

MAGIC_PV, MAGIC_HVM = 0xF00FEBED, 0xF00FEBEE

XEN_DUMPCORE_HEADER = _struct(
    32, xch_magic=("<u8", 0), xch_nr_vcpus=("<u8", 8), xch_nr_pages=("<u8", 16), xch_page_size=("<u8", 24)
)

XEN_DUMPCORE_VERSION = _struct(
    1276, major_version=("<u8", 0), minor_version=("<u8", 8), extra_version=("S16", 16)
)
"""The smaller of two sizes: 1276 bytes of 32-bit tools, 1280 of 64-bit tools."""


def cr3_to_frame(cr3: int, word: int) -> int:
    """Frame of the top page table that a guest of `word` bytes keeps in ``cr3`` or ``p2m_cr3``.

    A 32-bit guest folds the frame's upper twelve bits into the register's lower ones
    (``xen_cr3_to_pfn``, ``arch-x86/xen-x86_32.h``).
    """
    if word == 8:
        return cr3 >> PAGE_SHIFT
    return (cr3 >> PAGE_SHIFT | cr3 << 20) & 0xFFFF_FFFF


def frame_to_cr3(frame: int, word: int) -> int:
    """The inverse of `cr3_to_frame` (``xen_pfn_to_cr3``)."""
    if word == 8:
        return frame << PAGE_SHIFT
    return (frame << PAGE_SHIFT | frame >> 20) & 0xFFFF_FFFF
