"""The headers of a stream's layers, field by field."""

from __future__ import annotations

from typing import TYPE_CHECKING

from xenp2m.errors import UnsupportedError
from xenp2m.sources.stream.events import Fault
from xenp2m.sources.stream.wire import (
    DOMAIN_HEADER,
    DOMAIN_TYPES,
    IMAGE_HEADER,
    IMAGE_ID,
    IMAGE_MARKER,
    LIBXL_HEADER,
    LIBXL_MAGIC,
    XL_HEADER,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["domain_faults", "image_faults", "libxl_faults", "xl_faults"]

_CODE = "stream-header"
_CONVERT = "convert-legacy-stream (of Xen's tools) makes a stream of today from it"


def xl_faults(data: bytes, offset: int) -> Iterator[Fault]:
    """What is wrong with xl's header of 48 bytes.

    Raises:
        UnsupportedError: a legacy stream follows.
    """
    order, mandatory, _optional, _length = XL_HEADER.unpack_from(data, 32)
    where = "xl header"
    if order != 0x01020304:
        yield Fault(_CODE, where, offset + 32, "0x1020304 (byte order)", f"{order:#x}", fatal=True)
        return
    if mandatory & ~3:
        text = "no mandatory flags but 0x1 and 0x2"
        yield Fault(_CODE, where, offset + 36, text, f"{mandatory:#x}", fatal=True)
    if not mandatory & 2:
        text = "a stream of version 2 behind it (flag 0x2)"
        raise UnsupportedError(f"xl header: offset {offset + 36:#x}", text, f"a legacy stream: {_CONVERT}")


def libxl_faults(data: bytes, offset: int) -> Iterator[Fault]:
    """What is wrong with libxl's header of 16 bytes."""
    magic, version, options = LIBXL_HEADER.unpack(data)
    where = "libxl header"
    if magic != LIBXL_MAGIC:
        yield Fault(_CODE, where, offset, f"{LIBXL_MAGIC:#x} (LibxlFmt)", f"{magic:#x}", fatal=True)
        return
    if version != 2:
        yield Fault(_CODE, where, offset + 8, "version 2", str(version), fatal=True)
    if options & 1:
        yield Fault(_CODE, where, offset + 12, "little-endian records", f"options {options:#x}", fatal=True)
    if options & ~3:
        yield Fault("stream-reserved", where, offset + 12, "no options but 0x1 and 0x2", f"{options:#x}")


def image_faults(data: bytes, offset: int) -> Iterator[Fault]:
    """What is wrong with libxc's image header of 24 bytes."""
    marker, identity, version, options, first, second = IMAGE_HEADER.unpack(data)
    where = "image header"
    if marker != IMAGE_MARKER:
        yield Fault(_CODE, where, offset, f"{IMAGE_MARKER:#x} (marker)", f"{marker:#x}", fatal=True)
        return
    if identity != IMAGE_ID:
        yield Fault(_CODE, where, offset + 8, f"{IMAGE_ID:#x} (XENF)", f"{identity:#x}", fatal=True)
    if version not in (2, 3):
        yield Fault(_CODE, where, offset + 12, "version 2 or 3", str(version), fatal=True)
    if options & 1:
        yield Fault(_CODE, where, offset + 16, "little-endian records", f"options {options:#x}", fatal=True)
    if options & ~1:
        yield Fault("stream-reserved", where, offset + 16, "no options but 0x1", f"{options:#x}")
    if first or second:
        got = f"{first:#x}, {second:#x}"
        yield Fault("stream-reserved", where, offset + 18, "0 in reserved fields", got)


def domain_faults(data: bytes, offset: int) -> Iterator[Fault]:
    """What is wrong with libxc's domain header of 16 bytes."""
    kind, shift, reserved, _major, _minor = DOMAIN_HEADER.unpack(data)
    where = "domain header"
    if kind not in DOMAIN_TYPES:
        yield Fault(_CODE, where, offset, "type 1 (x86 PV) or 2 (x86 HVM)", f"{kind:#x}", fatal=True)
    if shift != 12:
        yield Fault(_CODE, where, offset + 4, "a page shift of 12", str(shift), fatal=True)
    if reserved:
        yield Fault("stream-reserved", where, offset + 6, "0 in a reserved field", f"{reserved:#x}")
