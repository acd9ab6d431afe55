"""Sources made by hand: a map, page tables and a little memory, without a file."""

import numpy as np

from xenp2m.frames import GEOMETRY_32, GEOMETRY_64, Kind
from xenp2m.p2m import P2M
from xenp2m.sources.source import Guest, Origin, Source

INVALID = (1 << 64) - 1
IDENTITY, FOREIGN = 1 << 62, 1 << 63


class OneByOne:
    """Memory that has `page` alone: many pages are many of them."""

    whole = True

    def pages(self, pfns):
        found = [self.page(pfn) for pfn in pfns.tolist()]
        rows = np.frombuffer(b"".join(page or bytes(4096) for page in found), np.uint8).reshape(-1, 4096)
        return rows.copy(), np.array([page is not None for page in found], bool)


class Pages(OneByOne):
    """Memory out of a dictionary."""

    def __init__(self, pages):
        self._pages = pages

    def page(self, pfn):
        return self._pages.get(pfn)

    def pfns(self):
        return np.array(sorted(self._pages), np.uint64)


def source_of(words, *, beyond=Kind.MISSING, **facts):
    """A source whose map has these words."""
    guest = facts.pop("guest", Guest())
    p2m = P2M(np.array(words, np.uint64), geometry=guest.geometry, beyond=beyond)
    return Source(Origin("made.core", "made by hand"), guest, p2m, **facts)


def table(entries):
    """A page of 8-byte words; `entries` by index."""
    words = np.zeros(512, np.uint64)
    for index, entry in entries.items():
        words[index] = entry
    return words.tobytes()


def walkable(*, frames="mfn", bits=64):
    """A guest of 16 frames with page tables at PFNs 1 to 4, MFN = 0x100 + PFN.

    Virtual pages: 5 -> PFN 5, 6 -> the foreign MFN 0x900 (PFN 9), 7 -> MFN 10, identity, 8 -> MFN 0x7777 of
    nobody; 9 is not present. On 64 bits Xen's own slot 256 of the top table is in use.
    """
    base = 0x100 if frames == "mfn" else 0

    def pte(pfn, flags=0x67):
        return (base + pfn) << 12 | flags

    words = [0x100 + pfn for pfn in range(16)]
    words[9], words[10], words[11] = FOREIGN | 0x900, IDENTITY | 10, INVALID
    other = {6: 0x900, 7: 10, 8: 0x7777} if frames == "mfn" else {6: 9, 7: 10}
    leaves = {5: pte(5), **{page: mfn << 12 | 0x67 for page, mfn in other.items()}, 9: 0x1234000}
    if bits == 64:
        tables = {1: {0: pte(2), 256: 0x5555067}, 2: {0: pte(3)}, 3: {0: pte(4)}, 4: leaves}
    else:
        tables = {1: {0: pte(3), 5: 0x123067}, 3: {0: pte(4)}, 4: leaves}
    pages = {pfn: bytes([pfn]) * 4096 for pfn in range(16) if pfn not in (9, 10, 11)}
    pages |= {pfn: table(entries) for pfn, entries in tables.items()}
    geometry = GEOMETRY_64 if bits == 64 else GEOMETRY_32
    guest = Guest(geometry=geometry, frames=frames, cr3=(base + 1,))
    return source_of(words, guest=guest, memory=Pages(pages))
