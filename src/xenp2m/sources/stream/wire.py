"""Numbers and layouts of migration streams, as Xen's documents spell them.

Source: docs/specs/libxc-migration-stream.pandoc (revision 3), libxl-migration-stream.pandoc
(revision 2), ``struct save_file_header`` of tools/xl/xl.h, Xen 4.6 to 4.20.
"""

from __future__ import annotations

import struct
from enum import IntEnum

import numpy as np

__all__ = [
    "CARRIES",
    "DOMAIN_HEADER",
    "DOMAIN_TYPES",
    "IMAGE_HEADER",
    "IMAGE_ID",
    "IMAGE_MARKER",
    "LIBXL_HEADER",
    "LIBXL_MAGIC",
    "OPTIONAL",
    "PFN_MASK",
    "RECORD_HEADER",
    "RECORD_LIMIT",
    "RESERVED_MASK",
    "XL_HEADER",
    "XL_MAGIC",
    "Libxl",
    "PageType",
    "Rec",
    "align8",
    "name_of",
]

XL_MAGIC = b"Xen saved domain, xl format\n \0 \r"
XL_HEADER = struct.Struct("<IIII")
"""Byte order mark, mandatory flags, optional flags, bytes of optional data."""
LIBXL_MAGIC = 0x4C6962786C466D74
LIBXL_HEADER = struct.Struct(">QII")
"""Magic, version, options; big-endian."""
IMAGE_MARKER = (1 << 64) - 1
IMAGE_ID = 0x58454E46
IMAGE_HEADER = struct.Struct(">QIIHHI")
"""Marker, id, version, options, two reserved fields; big-endian."""
DOMAIN_HEADER = struct.Struct("<IHHII")
"""Type, page shift, reserved, Xen's major and minor version."""
DOMAIN_TYPES = {1: "PV", 2: "HVM"}
RECORD_HEADER = struct.Struct("<II")
"""Type and length of the body; the body is padded to eight bytes."""
RECORD_LIMIT = 128 << 20
"""Longest body that the restoring side takes (``REC_LENGTH_MAX``)."""
OPTIONAL = 1 << 31
"""Bit of a record's type: whoever does not know it may skip it."""
PFN_MASK = (1 << 52) - 1
RESERVED_MASK = 0xFF << 52


class Rec(IntEnum):
    """Records of libxc's layer (``REC_TYPE_*``)."""

    END = 0x00
    PAGE_DATA = 0x01
    X86_PV_INFO = 0x02
    X86_PV_P2M_FRAMES = 0x03
    X86_PV_VCPU_BASIC = 0x04
    X86_PV_VCPU_EXTENDED = 0x05
    X86_PV_VCPU_XSAVE = 0x06
    SHARED_INFO = 0x07
    X86_TSC_INFO = 0x08
    HVM_CONTEXT = 0x09
    HVM_PARAMS = 0x0A
    TOOLSTACK = 0x0B
    X86_PV_VCPU_MSRS = 0x0C
    VERIFY = 0x0D
    CHECKPOINT = 0x0E
    CHECKPOINT_DIRTY_PFN_LIST = 0x0F
    STATIC_DATA_END = 0x10
    X86_CPUID_POLICY = 0x11
    X86_MSR_POLICY = 0x12


class Libxl(IntEnum):
    """Records of libxl's layer."""

    END = 0
    LIBXC_CONTEXT = 1
    EMULATOR_XENSTORE_DATA = 2
    EMULATOR_CONTEXT = 3
    CHECKPOINT_END = 4
    CHECKPOINT_STATE = 5


class PageType(IntEnum):
    """Upper four bits of a PFN word (``XEN_DOMCTL_PFINFO_*``); bit 3 of L1TAB to L4TAB pins."""

    NOTAB = 0
    L1TAB = 1
    L2TAB = 2
    L3TAB = 3
    L4TAB = 4
    BROKEN = 13
    XALLOC = 14
    XTAB = 15


CARRIES = np.array([t in (0, 1, 2, 3, 4, 9, 10, 11, 12) for t in range(16)])
"""Whether a PFN word of each type is followed by its page."""


def align8(length: int) -> int:
    """`length` rounded up to eight bytes."""
    return (length + 7) & ~7


def name_of(layer: str, kind: int) -> str:
    """A record's name, ``PAGE_DATA`` or ``type 0x80000001``."""
    names: type[Rec | Libxl] = Libxl if layer == "libxl" else Rec
    try:
        return names(kind).name
    except ValueError:
        return f"type {kind:#x}"
