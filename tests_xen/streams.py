"""Just enough of cores, saved streams and list dumps to see whether they tell the same map."""

from __future__ import annotations

import re
import struct

from tests_xen.errors import LabError

__all__ = ["core_pairs", "dumped_pairs", "saved_pfns"]

_XL_HEADER = 48
_LIBXL_HEADER, _LIBXL_RECORD = 16, struct.Struct("<II")
_LIBXL_CONTEXT = 1
_XC_HEADERS = 24 + 16
_PAGE_DATA, _END = 1, 0
_WITHOUT_FRAME = 15
_HIGHEST_MFN = 1 << 40


def core_pairs(core: bytes) -> dict[int, int]:
    """MFN by PFN of ``xl dump-core``.

    Raises:
        LabError: it has no ``.xen_p2m``.
    """
    size, count, strings = struct.unpack_from("<HHH", core, 58)
    (offset,) = struct.unpack_from("<Q", core, 40)
    sections = [struct.unpack_from("<II8x8xQQ", core, offset + n * size) for n in range(count)]
    names = sections[strings][2]
    for name, _, start, length in sections:
        text = core[names + name : core.index(b"\0", names + name)]
        if text == b".xen_p2m":
            pairs = struct.iter_unpack("<QQ", core[start : start + length])
            return {pfn: mfn for pfn, mfn in pairs if pfn != (1 << 64) - 1}
    raise LabError("a core without .xen_p2m")


def dumped_pairs(text: bytes) -> dict[int, int]:
    """MFN by PFN of ``xen-mfndump dump-p2m``, without entries that are no frame of the guest."""
    found = re.findall(rb"pfn=0x([0-9a-f]+) ==> mfn=0x([0-9a-f]+)", text)
    pairs = {int(pfn, 16): int(mfn, 16) for pfn, mfn in found}
    return {pfn: mfn for pfn, mfn in pairs.items() if mfn < _HIGHEST_MFN}


def saved_pfns(stream: bytes) -> set[int]:
    """PFNs that ``xl save`` found a frame behind.

    Raises:
        LabError: it ends in the middle, or is none.
    """
    if not stream.startswith(b"Xen saved domain, xl format"):
        raise LabError("no saved domain")
    at = _XL_HEADER + struct.unpack_from("<I", stream, 44)[0] + _LIBXL_HEADER
    kind, length = _LIBXL_RECORD.unpack_from(stream, at)
    while kind != _LIBXL_CONTEXT:
        at += 8 + -(-length // 8) * 8
        kind, length = _LIBXL_RECORD.unpack_from(stream, at)
    at += 8 + _XC_HEADERS
    pfns: set[int] = set()
    while at + 8 <= len(stream):
        kind, length = _LIBXL_RECORD.unpack_from(stream, at)
        if kind == _END:
            return pfns
        if kind == _PAGE_DATA:
            (count,) = struct.unpack_from("<I", stream, at + 8)
            words = struct.unpack_from(f"<{count}Q", stream, at + 16)
            pfns |= {word & ((1 << 52) - 1) for word in words if word >> 60 != _WITHOUT_FRAME}
        at += 8 + -(-length // 8) * 8
    raise LabError("a saved domain that ends in the middle")
