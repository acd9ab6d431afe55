"""Lookup: PFNs, MFNs and addresses of any space through one source, many at once."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from xenp2m.errors import InputError, shorten
from xenp2m.frames import PAGE_SHIFT, PAGE_SIZE, Kind
from xenp2m.maps.pagewalk import root_of, walk
from xenp2m.maps.reverse import Reverse
from xenp2m.runtable import KINDS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from xenp2m.maps.pagewalk import Walk
    from xenp2m.sources.source import Source

__all__ = ["Answer", "Item", "Translator", "parse_item"]

_ITEM = re.compile(
    r"(?:(pfn|mfn|paddr|addr|address|maddr|vaddr)[:=])?(?:(0x[0-9a-f]{1,16})|(\d{1,20})([kmgt](?:i?b)?)?)",
    re.IGNORECASE,
)
_UNITS = {"k": 10, "m": 20, "g": 30, "t": 40}
_SPACES = {"addr": "paddr", "address": "paddr"}
_FORMS = "a PFN (0x9f), mfn:0x1700ff, paddr:0x9f000, maddr:0x1700ff000, vaddr:0xffff... or a size (2364M)"
_CODES = {"pfn": 0, "paddr": 1, "mfn": 2, "maddr": 3, "vaddr": 4}
"""Spaces: addresses are odd, half of the code is 0 for the guest's, 1 for the machine's."""

_ADDRESSES = frozenset({"paddr", "maddr", "vaddr"})
_NONE = (1 << 64) - 1


class Item(NamedTuple):
    """What is looked up.

    Attributes:
        text: as the user wrote it.
        space: ``pfn``, ``mfn``, ``paddr`` (pseudo-physical), ``maddr`` (machine) or ``vaddr``.
        number: frame number or address.
    """

    text: str
    space: str
    number: int


class Answer(NamedTuple):
    """What one item is.

    Attributes:
        item: what was looked up.
        pfn: the PFN; None where no entry of the map leads to it.
        kind: of the PFN's entry; `Kind.UNKNOWN` without a PFN, and in a machine's M2P.
        mfn: the machine frame; None where there is none.
        offset: of the address in its page, None for frame numbers.
        more: further PFNs with the same machine frame.
        walk: steps through the page tables of a virtual address.
    """

    item: Item
    pfn: int | None
    kind: Kind
    mfn: int | None
    offset: int | None = None
    more: tuple[int, ...] = ()
    walk: Walk | None = None


def parse_item(text: str, where: str = "lookup") -> Item:
    """Read one item.

    Raises:
        InputError: it is no number of a known space, or too large for its space.
    """
    match = _ITEM.fullmatch(text)
    if match is None:
        raise InputError(where, _FORMS, shorten(text))
    name, sixteen, ten, unit = match.groups()
    space = _SPACES.get(name.lower(), name.lower()) if name else ("paddr" if unit else "pfn")
    number = int(sixteen, 16) if sixteen else int(ten)
    if unit:
        number <<= _UNITS[unit[0].lower()]
    limit = 52 if space.endswith("fn") else 64
    if number >> limit:
        raise InputError(where, f"a number below 2^{limit}", shorten(text))
    return Item(text, space, number)


class Translator:
    """Looks items up in one source; what it needs for that is made once."""

    def __init__(self, source: Source, cr3: int | None = None, vcpu: int | None = None) -> None:
        """Prepare lookups.

        Args:
            source: a map, or a machine's M2P.
            cr3: register to walk page tables from.
            vcpu: vCPU whose register it is.
        """
        self._source = source
        self._said = cr3, vcpu
        self._root: int | None = None
        self._reverse = Reverse(source.p2m)

    def answers(self, items: Sequence[Item]) -> list[Answer]:
        """Look many items up at once.

        Returns:
            One answer for each, in order. O(log runs) for each; a virtual address costs its walk.

        Raises:
            InputError: the source cannot answer an item of this space.
        """
        if self._source.m2p is not None:
            return self._from_m2p(items)
        pfns, mfns = self._frames(items)
        walks: dict[int, Walk] = {}
        for index in [index for index, item in enumerate(items) if item.space == "vaddr"]:
            walks[index] = self._walk(items[index])
            frame = walks[index].frame
            (pfns if self._source.guest.frames == "pfn" else mfns)[index] = -1 if frame is None else frame
        backward = np.flatnonzero((pfns < 0) & (mfns >= 0))
        pfns[backward] = self._reverse.pfns(mfns[backward])
        more = self._more(mfns[backward])
        kinds, numbers = self._entries(pfns)
        known = pfns >= 0
        mfns[known] = numbers[known]
        columns = zip(items, pfns.tolist(), kinds.tolist(), mfns.tolist(), strict=True)
        found = [
            Answer(
                item,
                pfn if pfn >= 0 else None,
                KINDS[kind],
                mfn if mfn >= 0 else None,
                item.number % PAGE_SIZE if item.space in _ADDRESSES else None,
            )
            for item, pfn, kind, mfn in columns
        ]
        for index in backward.tolist() if more else ():
            others = tuple(pfn for pfn in more.get(found[index].mfn or 0, ()) if pfn != found[index].pfn)
            found[index] = found[index]._replace(more=others)
        for index, walked in walks.items():
            found[index] = found[index]._replace(walk=walked)
        return found

    def _frames(self, items: Sequence[Item]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """PFNs and MFNs that the items say themselves, -1 for the others."""
        spaces = np.array([_CODES[item.space] for item in items], np.int8)
        numbers = np.array([item.number for item in items], np.uint64)
        frames = np.where(spaces & 1, numbers >> np.uint64(PAGE_SHIFT), numbers).astype(np.int64)
        pfns = np.where(spaces >> 1 == 0, frames, -1)
        return pfns, np.where(spaces >> 1 == 1, frames, -1)

    def _entries(self, pfns: NDArray[np.int64]) -> tuple[NDArray[np.int8], NDArray[np.int64]]:
        """Kind and machine frame of each PFN, unknown and -1 of negative ones."""
        p2m = self._source.p2m
        table = p2m.table()
        kinds = np.full(pfns.size, KINDS.index(Kind.UNKNOWN), np.int8)
        numbers = np.full(pfns.size, -1, np.int64)
        inside = (pfns >= 0) & (pfns < len(p2m))
        row = np.searchsorted(table.start, pfns[inside], side="right") - 1
        kinds[inside] = table.kind[row]
        numbered = table.step[row] != 0
        found = table.mfn[row] + (pfns[inside] - table.start[row]) * table.step[row]
        numbers[inside] = np.where(numbered, found, -1)
        kinds[pfns >= len(p2m)] = KINDS.index(p2m.beyond)
        identity = kinds == KINDS.index(Kind.IDENTITY)
        numbers[identity] = pfns[identity]
        numbers[kinds == KINDS.index(Kind.OTHER)] = -1
        return kinds, numbers

    def _more(self, mfns: NDArray[np.int64]) -> dict[int, list[int]]:
        """All PFNs of those machine frames that have several."""
        if not mfns.size or not (shared := self._source.p2m.duplicates()).total:
            return {}
        chosen = np.isin(shared.mfns, mfns)
        found: dict[int, list[int]] = {}
        for mfn, pfn in zip(shared.mfns[chosen].tolist(), shared.pfns[chosen].tolist(), strict=True):
            found.setdefault(mfn, []).append(pfn)
        return found

    def _walk(self, item: Item) -> Walk:
        if self._root is None:
            self._root = root_of(self._source, *self._said)
        return walk(self._source, self._root, item.number)

    def _from_m2p(self, items: Sequence[Item]) -> list[Answer]:
        m2p, found = self._source.m2p, []
        assert m2p is not None
        for item in items:
            if item.space not in ("mfn", "maddr"):
                raise InputError(
                    "lookup", "an MFN or machine address: the input is a machine's M2P", item.text
                )
            mfn = item.number >> (PAGE_SHIFT if item.space == "maddr" else 0)
            pfn = int(m2p[mfn]) if mfn < m2p.size else _NONE
            offset = item.number % PAGE_SIZE if item.space == "maddr" else None
            found.append(Answer(item, None if pfn == _NONE else pfn, Kind.UNKNOWN, mfn, offset))
        return found
