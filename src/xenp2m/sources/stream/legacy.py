"""Streams of before Xen 4.6, which have no magic of their own, known by how they begin."""

from __future__ import annotations

__all__ = ["legacy_kind"]

_HINT = "convert-legacy-stream of Xen's tools makes one of today from it"
_MOST_PAGES = 1 << 40


def legacy_kind(head: bytes) -> str | None:
    """Name the legacy stream that begins with `head`, None where it is none.

    A PV guest's stream begins with the number of its P2M entries, all ones, a size, and the name of
    a block, ``vcpu`` or ``extv``; words are as wide as the toolstack that wrote them.
    """
    if head.startswith(b"LinuxGuestRecord"):
        return f"a domain saved by xm, a legacy stream: {_HINT}"
    for word in (8, 4):
        size = int.from_bytes(head[:word], "little")
        mark, name = head[word : 2 * word], head[2 * word + 4 : 2 * word + 8]
        if mark == b"\xff" * word and name in (b"vcpu", b"extv") and 0 < size < _MOST_PAGES:
            return f"a legacy stream of a {8 * word}-bit toolstack: {_HINT}"
    return None
