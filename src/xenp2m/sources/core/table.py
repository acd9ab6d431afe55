"""The table of a core, ``.xen_p2m`` or ``.xen_pfn``: which page of the file is which PFN and MFN.

The table is read when it is first asked for, in pieces, and kept as runs; of a core of 4 GiB that is
16 MiB of reading once. The rows of PFNs that were gone when the dump reached them are all ones and
stand at the end.
"""

from __future__ import annotations

from bisect import bisect_right
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from xenp2m.entries import joined_tables, table_of
from xenp2m.errors import InputError
from xenp2m.frames import UNKNOWN_WORD, Kind
from xenp2m.m2p import Inverse
from xenp2m.runtable import KINDS, RunTable

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from xenp2m.sources.binary import Binary
    from xenp2m.sources.core.elf import Section
    from xenp2m.sources.source import Progress

__all__ = ["CoreTable"]

_PIECE = 1 << 22
_PROBES = 16
_NONE = np.uint64(0xFFFF_FFFF_FFFF_FFFF)
_MOST_FRAME = np.uint64(1 << 52)
_MFN, _UNKNOWN = KINDS.index(Kind.MFN), KINDS.index(Kind.UNKNOWN)


class CoreTable:
    """Rows of one table; row i belongs to page i of the core.

    Attributes:
        lost: what was passed over in a salvaged file, a line each; complete after the first question.
    """

    def __init__(
        self,
        file: Binary,
        section: Section,
        rows: int,
        *,
        salvage: bool = False,
        progress: Progress | None = None,
    ) -> None:
        """Look at the first `rows` rows of `section`, which lie in the file."""
        self.lost: list[str] = []
        self._file, self._section, self._rows = file, section, rows
        self._pairs = section.entsize == 16
        self._salvage, self._progress = salvage, progress
        self._probes = _PROBES

    def table(self) -> RunTable:
        """PFNs as runs: ``mfn`` where there is a row, ``unknown`` between rows.

        Of a translated guest the numbers behind the runs are PFNs again: Xen does not tell MFNs.

        Raises:
            InputError: PFNs that do not ascend, or frames beyond 52 bits.
        """
        return self._read[0]

    def places(self, pfns: NDArray[np.uint64]) -> NDArray[np.int64]:
        """Number of each PFN's page in the core, -1 where it has none."""
        table, first = self._read
        wanted = np.minimum(pfns, _MOST_FRAME).astype(np.int64)
        if not table.start.size:
            return np.full(wanted.shape, -1, np.int64)
        row = np.searchsorted(table.start, wanted, side="right") - 1
        inside = (wanted < table.end[row]) & (table.kind[row] == _MFN)
        return np.where(inside, first[row] + wanted - table.start[row], -1)

    def place(self, pfn: int) -> int:
        """Number of one PFN's page in the core, -1 where it has none. O(log runs), no arrays made.

        The first few are looked up in the file, so that a page or two do not need the whole table.
        """
        if self._probes and "_read" not in self.__dict__:
            self._probes -= 1
            row = self._probe(pfn)
            if row >= 0:
                return row
        start, end, kind, first = self._scalars
        row = bisect_right(start, pfn) - 1
        if row < 0 or pfn >= end[row] or kind[row] != _MFN:
            return -1
        return first[row] + pfn - start[row]

    def pfn_of(self, mfn: int) -> int:
        """PFN of one MFN, the lowest of several, -1 where no row names it."""
        return self._inverse.pfn(mfn)

    def _probe(self, pfn: int) -> int:
        """The row of `pfn` by halving; -1 where the way to it does not lead there."""
        size, low, high = self._section.entsize, 0, self._rows
        while low < high:
            middle = (low + high) // 2
            place = self._section.offset + middle * size
            found = int.from_bytes(self._file.read(place, 8, self._section.name), "little")
            if found == pfn:
                return middle
            low, high = (middle + 1, high) if found < pfn else (low, middle)
        return -1

    def pfns_of(self, mfns: NDArray[np.uint64]) -> NDArray[np.int64]:
        """PFN of each MFN, the lowest of several, -1 where no row names it."""
        return self._inverse.pfns(np.minimum(mfns, _MOST_FRAME))

    def pfns(self) -> NDArray[np.uint64]:
        """Every PFN with a row, ascending. O(rows)."""
        table = self.table().only(Kind.MFN)
        ahead = np.arange(int(table.pages.sum())) - np.repeat(table.pages.cumsum() - table.pages, table.pages)
        return (np.repeat(table.start, table.pages) + ahead).astype(np.uint64)

    @cached_property
    def _scalars(self) -> tuple[memoryview[int], memoryview[int], memoryview[int], memoryview[int]]:
        table, first = self._read
        return table.start.data, table.end.data, table.kind.data, first.data

    @cached_property
    def _inverse(self) -> Inverse:
        return Inverse(self.table())

    @cached_property
    def _read(self) -> tuple[RunTable, NDArray[np.int64]]:
        """Runs, and the page of the first frame of each."""
        tables: list[RunTable] = []
        first: list[NDArray[np.int64]] = []
        end = 0
        for low in range(0, self._rows, _PIECE):
            pfn, mfn, place = self._rows_of(low, min(self._rows, low + _PIECE), end)
            if pfn.size:
                rows, start = _runs(pfn, mfn, place, end)
                tables.append(rows)
                first.append(start)
                end = int(rows.end[-1])
            if self._progress:
                self._progress(min(self._rows, low + _PIECE), self._rows)
        return joined_tables(tables), np.concatenate(first) if first else np.zeros(0, np.int64)

    def _rows_of(
        self, low: int, high: int, end: int
    ) -> tuple[NDArray[np.uint64], NDArray[np.uint64], NDArray[np.int64]]:
        """PFN, MFN and page of the valid rows ``[low, high)``; PFNs ascend from `end` on."""
        size = self._section.entsize
        offset = self._section.offset + low * size
        data = self._file.array(offset, (high - low) * size // 8, "<u8", self._section.name)
        pfn = np.ascontiguousarray(data[::2]) if self._pairs else data
        mfn = np.ascontiguousarray(data[1::2]) if self._pairs else data
        before = np.concatenate((np.array([end], np.uint64), pfn[:-1] + np.uint64(1)))
        good = pfn >= before
        good &= (pfn < _MOST_FRAME) & (mfn < _MOST_FRAME)
        if good.all():
            return pfn, mfn, np.arange(low, high)
        gone = pfn == _NONE
        tail = int(np.flatnonzero(~gone)[-1]) + 1 if not gone.all() else 0
        bad = np.flatnonzero(~good[:tail])
        if bad.size and not self._salvage:
            at = int(bad[0])
            row = f"PFN {int(pfn[at]):#x}" + (f", MFN {int(mfn[at]):#x}" if self._pairs else "")
            wanted = f"a PFN from {int(before[at]):#x} on, and frames below 2^52"
            raise InputError(self._file.at(offset + at * size), wanted, row)
        if bad.size:
            good = self._ascending(pfn, mfn, end)
            count = tail - int(good.sum())
            self.lost.append(f"{self._section.name}: {count:,} rows that do not ascend or are no frames")
        return pfn[good], mfn[good], np.flatnonzero(good) + low

    @staticmethod
    def _ascending(pfn: NDArray[np.uint64], mfn: NDArray[np.uint64], end: int) -> NDArray[np.bool_]:
        """Rows whose PFN lies above every PFN before it."""
        fine = (pfn < _MOST_FRAME) & (mfn < _MOST_FRAME)
        value = np.where(fine, pfn, 0).astype(np.int64)
        highest = np.concatenate(([end - 1], np.maximum.accumulate(value)[:-1]))
        good: NDArray[np.bool_] = fine & (value > np.maximum.accumulate(highest))
        return good


def _runs(
    pfn: NDArray[np.uint64], mfn: NDArray[np.uint64], place: NDArray[np.int64], end: int
) -> tuple[RunTable, NDArray[np.int64]]:
    """Runs of ascending rows from `end` on, and the page behind the start of each run.

    The rows are laid side by side with a breaker where a PFN, or a page, is left out; runs of that
    array are the runs of the map, and each breaker is a gap.
    """
    skips = np.flatnonzero((np.diff(pfn) != 1) | (np.diff(place) != 1)) + 1
    if int(pfn[0]) > end:
        skips = np.concatenate(([0], skips))
    laid = table_of(np.insert(mfn, skips, np.uint64(UNKNOWN_WORD)))
    gap = laid.kind == _UNKNOWN
    # Breakers in front of an index: how far it was moved by them.
    index = laid.start - np.cumsum(gap) + gap
    start = np.where(gap, 0, pfn[np.minimum(index, pfn.size - 1)].astype(np.int64))
    stop = start + (laid.end - laid.start)
    before = np.concatenate(([end], stop[:-1]))
    after = np.concatenate((start[1:], [0]))
    start, stop = np.where(gap, before, start), np.where(gap, after, stop)
    mfn_of_start = np.where(gap, 0, laid.mfn)
    first = np.where(gap, -1, place[np.minimum(index, pfn.size - 1)])
    # A breaker between pages that lie apart, but not their PFNs, is no gap of the map.
    keep = stop > start
    columns = start[keep], stop[keep], laid.kind[keep], mfn_of_start[keep], laid.step[keep]
    return RunTable(*columns), first[keep]
