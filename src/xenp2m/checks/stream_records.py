"""Single records of a stream: their size, their fields, their place among the others."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from xenp2m.sources.stream.contents import CONTEXT_SIZE
from xenp2m.sources.stream.events import Fault
from xenp2m.sources.stream.wire import OPTIONAL, Rec

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from xenp2m.sources.stream.events import Record

__all__ = ["record_faults"]

_SIZES = {
    Rec.END: 0,
    Rec.X86_PV_INFO: 8,
    Rec.SHARED_INFO: 4096,
    Rec.X86_TSC_INFO: 24,
    Rec.VERIFY: 0,
    Rec.CHECKPOINT: 0,
    Rec.STATIC_DATA_END: 0,
}
_MULTIPLES = {Rec.X86_CPUID_POLICY: 24, Rec.X86_MSR_POLICY: 16}
_VCPU = (Rec.X86_PV_VCPU_BASIC, Rec.X86_PV_VCPU_EXTENDED, Rec.X86_PV_VCPU_XSAVE, Rec.X86_PV_VCPU_MSRS)
_OF_GUEST = {
    "PV": (Rec.X86_PV_INFO, Rec.X86_PV_P2M_FRAMES, *_VCPU),
    "HVM": (Rec.HVM_CONTEXT, Rec.HVM_PARAMS),
}
_RESERVED = {Rec.X86_PV_INFO: (2, 8), Rec.X86_TSC_INFO: (20, 24), **dict.fromkeys(_VCPU, (4, 8))}
_ONCE = (Rec.X86_PV_INFO, Rec.X86_PV_P2M_FRAMES, Rec.STATIC_DATA_END)


def record_faults(
    record: Record, domain: str, version: int, word: int, seen: Mapping[int, int]
) -> Iterator[Fault]:
    """What is wrong with one record of libxc's layer.

    Args:
        record: the record; PAGE_DATA does not come here.
        domain: ``PV`` or ``HVM``.
        version: of the image.
        word: bytes of the guest's word, as X86_PV_INFO says.
        seen: how often each type came before.
    """
    if record.type >= OPTIONAL:
        return
    yield from _order(record, domain, version, seen)
    yield from _size(record, word)
    body, where = record.body or b"", f"record {record.number} ({record.name})"
    if record.type in _RESERVED:
        low, high = _RESERVED[Rec(record.type)]
        if body[low:high].strip(b"\0"):
            text = "0 in a reserved field"
            yield Fault("stream-reserved", where, record.offset + 8 + low, text, body[low:high].hex())
    if record.type == Rec.X86_PV_INFO and len(body) >= 2 and (body[0], body[1]) not in ((8, 4), (4, 3)):
        text, got = "width 8 with 4 levels or width 4 with 3", f"width {body[0]} with {body[1]}"
        yield Fault("stream-guest", where, record.offset + 8, text, got)
    if record.type == Rec.X86_MSR_POLICY and len(body) % 16 == 0:
        for at in range(4, len(body), 16):
            if body[at : at + 4] != bytes(4):
                got = body[at : at + 4].hex()
                yield Fault("stream-reserved", where, record.offset + 8 + at, "flags 0 of an MSR", got)
                break


def _order(record: Record, domain: str, version: int, seen: Mapping[int, int]) -> Iterator[Fault]:
    kind, where = record.type, f"record {record.number} ({record.name})"
    other = "HVM" if domain == "PV" else "PV"
    text = ""
    got = record.name
    if kind in _OF_GUEST[other]:
        text = f"no record of {other} guests"
    elif kind in (Rec.TOOLSTACK, Rec.CHECKPOINT_DIRTY_PFN_LIST):
        text = "a record of this direction and age"
    elif kind in _ONCE and kind in seen:
        text, got = "it once", "another one"
    elif kind == Rec.STATIC_DATA_END and version < 3:
        text = "none in version 2"
    elif kind == Rec.X86_PV_P2M_FRAMES and Rec.X86_PV_INFO not in seen:
        text, got = "X86_PV_INFO before it", "none"
    elif kind == Rec.X86_PV_P2M_FRAMES and version >= 3 and Rec.STATIC_DATA_END not in seen:
        text, got = "STATIC_DATA_END before it", "none"
    elif kind in _MULTIPLES and Rec.STATIC_DATA_END in seen:
        text, got = "it before STATIC_DATA_END", "it behind"
    elif kind in _VCPU and Rec.X86_PV_INFO not in seen:
        text, got = "X86_PV_INFO before it", "none"
    if text:
        yield Fault("stream-order", where, record.offset, text, got)


def _size(record: Record, word: int) -> Iterator[Fault]:
    kind, length, text = record.type, record.length, ""
    if kind in _SIZES and length != _SIZES[Rec(kind)]:
        text = f"{_SIZES[Rec(kind)]:#x} bytes"
    elif kind in _MULTIPLES and (length % _MULTIPLES[Rec(kind)] or not length):
        text = f"a multiple of {_MULTIPLES[Rec(kind)]} bytes"
    elif kind == Rec.X86_PV_VCPU_BASIC and length != 8 + CONTEXT_SIZE[word]:
        text = f"{8 + CONTEXT_SIZE[word]:#x} bytes"
    elif kind in _VCPU and length < 8:
        text = "at least 8 bytes"
    elif kind == Rec.X86_PV_VCPU_MSRS and (length - 8) % 16:
        text = "8 bytes and a multiple of 16"
    elif kind == Rec.X86_PV_P2M_FRAMES and (length < 16 or length % 8):
        text = "at least 16 bytes, a multiple of 8"
    elif kind == Rec.HVM_PARAMS and length:
        body = record.body or b""
        count = struct.unpack_from("<I", body)[0] if len(body) >= 4 else 0
        if length != 8 + 16 * count:
            text = f"{8 + 16 * count:#x} bytes for {count} parameters"
    if text:
        where = f"record {record.number} ({record.name})"
        yield Fault("stream-record-size", where, record.offset + 4, text, f"{length:#x}")
