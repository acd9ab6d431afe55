"""P2M: the value in the middle. Everything that looks at a map reads this one interface.

A map is held as runs (a plan: tens of them, whatever the host's size), as columns of runs (a
fragmented table) or as an array of the guest's own words (a file: flags kept in the words). All
answer the same questions. Arrays are made only for the range asked for.
"""

from __future__ import annotations

from collections import Counter
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from xenp2m.display import Displayed
from xenp2m.entries import MISSING_WORD, count_words, find_word, runs_of, table_of
from xenp2m.extents import Run, coalesce, count
from xenp2m.frames import GEOMETRY_64, UNKNOWN_WORD, Geometry, Kind
from xenp2m.m2p import Duplicates, Inverse, duplicates
from xenp2m.runtable import KINDS, RunTable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

__all__ = ["P2M"]

_CHUNK = 1 << 15
_IDENTITY_BIT = np.uint64(1 << 62)


class P2M(Displayed):
    """A map from PFN to machine frame over ``[0, len(p2m))``.

    Invariants: runs ascend from 0 without gap or overlap; an array holds 64-bit words in which
    ``INVALID_P2M_ENTRY`` is all ones and the flags are bits 62 and 63, whatever the guest's word
    size (a reader of 32-bit guests widens), and `UNKNOWN_WORD` stands for `Kind.UNKNOWN`.

    Attributes:
        geometry: word size and fan-out of the guest.
        beyond: what a PFN past the end is: `Kind.IDENTITY` since Linux 3.16, `Kind.MISSING` before,
            `Kind.UNKNOWN` where the input does not show which.
    """

    def __init__(
        self,
        source: Sequence[Run] | RunTable | NDArray[np.uint64],
        *,
        geometry: Geometry = GEOMETRY_64,
        beyond: Kind = Kind.IDENTITY,
    ) -> None:
        """Hold a map.

        Args:
            source: runs from PFN 0 on, joined columns of such runs, or one word a PFN (columns and
                words are kept, not copied).
            geometry: the guest's.
            beyond: meaning of PFNs past the end.

        Raises:
            ValueError: runs with a gap or overlap, or an array of another shape or type.
        """
        self.geometry = geometry
        self.beyond = beyond
        self._runs: list[Run] | None = None
        self._words: NDArray[np.uint64] | None = None
        if isinstance(source, np.ndarray):
            if source.dtype != np.uint64 or source.ndim != 1:
                raise ValueError(f"expected one uint64 a PFN, got {source.dtype} of shape {source.shape}")
            self._words = source
        elif isinstance(source, RunTable):
            _check_columns(source)
            self.__dict__["_table"] = source
        else:
            self._runs = _checked(source)

    def __len__(self) -> int:
        """Entries, in PFNs."""
        if self._words is not None:
            return int(self._words.size)
        if self._runs is not None:
            return self._runs[-1].end if self._runs else 0
        return int(self._table.end[-1]) if self._table.end.size else 0

    def __repr__(self) -> str:
        form = "words" if self._words is not None else f"{self._table.start.size} runs"
        return f"<P2M of {len(self):#x} PFNs, {form}>"

    def lookup(self, pfn: int) -> tuple[Kind, int]:
        """What `pfn` is.

        Returns:
            The kind, and the MFN behind it: of ``mfn``, ``foreign`` and ``identity`` entries the
            frame number, of ``other`` the raw word, of ``missing`` and ``unknown`` -1.
            O(log runs), or O(1) on an array.

        Raises:
            IndexError: a negative PFN.
        """
        if pfn < 0:
            raise IndexError(f"expected a PFN from 0 on, got {pfn}")
        if pfn >= len(self):
            return self.beyond, pfn if self.beyond is Kind.IDENTITY else -1
        if self._words is not None:
            kind, number = GEOMETRY_64.classify(pfn, self._scalars[pfn])
            return kind, -1 if kind in (Kind.MISSING, Kind.UNKNOWN) else number
        run = self.run_at(pfn)
        if run.kind is Kind.IDENTITY:
            return run.kind, pfn
        return run.kind, run.at(pfn) if run.step else -1

    def run_at(self, pfn: int) -> Run:
        """The run that holds `pfn`, which must lie below the end. O(log runs) after `table`."""
        table = self._table
        row = int(np.searchsorted(table.start, pfn, side="right")) - 1
        start, end, kind, mfn, step = (int(column[row]) for column in table)
        return Run(start, end, KINDS[kind], mfn, step)

    def translate(self, pfns: NDArray[Any]) -> NDArray[np.uint64]:
        """Raw words of many PFNs at once.

        Args:
            pfns: integers of any width, any shape; each is checked against the end.

        Returns:
            64-bit words of the same shape. PFNs past the end read as `beyond`.

        Raises:
            IndexError: a negative PFN.
        """
        flat = np.ascontiguousarray(pfns).reshape(-1)
        # Without their sign, negative numbers are the largest: one pass finds both ends.
        index = flat.view(np.uint64) if flat.dtype == np.int64 else flat.astype(np.uint64, copy=False)
        largest = int(index.max()) if index.size else 0
        if flat.dtype.kind == "i" and largest >> 63:
            raise IndexError(f"expected PFNs from 0 on, got {int(flat.min())}")
        found = np.empty(index.size, np.uint64)
        if self._words is not None and index.size and largest < len(self):
            # Every index is in bounds: of numpy's modes "wrap" is the fastest then.
            np.take(self._words, index.view(np.int64), out=found, mode="wrap")
            return found.reshape(np.shape(pfns))
        for low in range(0, index.size, _CHUNK):
            self._gather(index[low : low + _CHUNK], found[low : low + _CHUNK])
        return found.reshape(np.shape(pfns))

    def words(self, start: int, end: int) -> NDArray[np.uint64]:
        """Raw words of the PFNs ``[start, end)``, which may reach past the end of the map."""
        if not 0 <= start <= end:
            raise IndexError(f"expected 0 <= start <= end, got [{start}, {end})")
        if self._words is not None and end <= len(self):
            return self._words[start:end]
        return self.translate(np.arange(start, end, dtype=np.uint64))

    def extents(self) -> list[Run]:
        """The map as runs, joined as far as they go: a Python object each.

        O(1) for a plan, O(entries) once for an array. `table` has the same for maps of many runs.
        """
        if self._runs is None:
            self._runs = runs_of(self._table)
        return self._runs

    def runs(self) -> Iterator[Run]:
        """The same runs one after the other, none of them kept: for maps of very many."""
        if self._runs is not None:
            yield from self._runs
            return
        for low in range(0, self._table.start.size, _CHUNK):
            columns: list[NDArray[Any]] = [column[low : low + _CHUNK] for column in self._table]
            yield from runs_of(RunTable(*columns))

    def table(self) -> RunTable:
        """The map as columns of runs. O(1) after the first call, O(entries) once for an array."""
        return self._table

    def count(self) -> Counter[Kind]:
        """Pages of each kind. O(runs), or O(entries) in small pieces for an array."""
        if self._words is not None:
            return count_words(self._words)
        if self._runs is not None:
            return count(self._runs)
        table = self._table
        pages = {kind: int(table.pages[table.kind == code].sum()) for code, kind in enumerate(KINDS)}
        return Counter({kind: n for kind, n in pages.items() if n})

    def find(self, mfn: int) -> list[int]:
        """PFNs whose entry is the machine frame `mfn` (M2P), ascending. O(runs), or O(entries)."""
        if self._words is not None:
            return find_word(self._words, mfn) if 0 <= mfn < 1 << 62 else []
        rows = self._table.only(Kind.MFN)
        offset = (mfn - rows.mfn) * rows.step
        inside = (offset >= 0) & (offset < rows.pages)
        return [int(pfn) for pfn in rows.start[inside] + offset[inside]]

    def inverse(self, mfns: NDArray[Any]) -> NDArray[np.int64]:
        """M2P in bulk: the lowest PFN behind each MFN, -1 where there is none.

        O(log runs) an MFN; sorts the runs once.
        """
        return self._inverse.pfns(mfns)

    def duplicates(self, most: int = 1 << 20) -> Duplicates:
        """Machine frames that several PFNs name. Sorts the runs; some `most` PFNs are listed at most."""
        return duplicates(self._table, most)

    @cached_property
    def _table(self) -> RunTable:
        return RunTable.of(self._runs or ()) if self._words is None else table_of(self._words)

    @cached_property
    def _inverse(self) -> Inverse:
        return Inverse(self._table)

    @cached_property
    def _scalars(self) -> memoryview:
        assert self._words is not None
        return np.ascontiguousarray(self._words).data

    def _gather(self, index: NDArray[np.uint64], found: NDArray[np.uint64]) -> None:
        """Fill `found` for one chunk of checked, unsigned PFNs."""
        size = len(self)
        past = bool(index.size) and int(index.max()) >= size
        if self._words is not None and size:
            inside = np.minimum(index, np.uint64(size - 1)) if past else index
            np.take(self._words, inside.view(np.int64), out=found, mode="wrap")
        elif size:
            self._gather_runs(index, found)
        if past:
            outside = index >= np.uint64(size)
            if self.beyond is Kind.IDENTITY:
                found[outside] = index[outside] | _IDENTITY_BIT
            else:
                found[outside] = UNKNOWN_WORD if self.beyond is Kind.UNKNOWN else MISSING_WORD

    def _gather_runs(self, index: NDArray[np.uint64], found: NDArray[np.uint64]) -> None:
        starts, base, step = self._run_columns
        slot = np.minimum(np.searchsorted(starts, index, side="right") - 1, starts.size - 1)
        with np.errstate(over="ignore"):
            np.add(base[slot], (index - starts[slot]) * step[slot], out=found)

    @cached_property
    def _run_columns(self) -> tuple[NDArray[np.uint64], NDArray[np.uint64], NDArray[np.uint64]]:
        """Start, first raw word and step of every run, steps modulo 2^64."""
        start, _, kind, mfn, step = self._table
        base = mfn.astype(np.uint64)
        steps = step.astype(np.int64)
        identity = kind == KINDS.index(Kind.IDENTITY)
        base[identity] = start[identity].astype(np.uint64) | _IDENTITY_BIT
        steps[identity] = 1
        base[kind == KINDS.index(Kind.FOREIGN)] |= np.uint64(1 << 63)
        base[kind == KINDS.index(Kind.MISSING)] = MISSING_WORD
        base[kind == KINDS.index(Kind.UNKNOWN)] = UNKNOWN_WORD
        return start.astype(np.uint64), base, steps.view(np.uint64)


def _check_columns(table: RunTable) -> None:
    """Refuse columns with a gap, an overlap or an empty run."""
    follows = np.concatenate((np.zeros(1, np.int64), table.end))[:-1] if table.end.size else table.end
    wrong = np.flatnonzero((table.start != follows) | (table.end <= table.start))
    if wrong.size:
        row = int(wrong[0])
        raise ValueError(
            f"expected a run from {int(follows[row]):#x} on, "
            f"got [{int(table.start[row]):#x}, {int(table.end[row]):#x})"
        )


def _checked(runs: Sequence[Run]) -> list[Run]:
    """`runs` joined, after a check that they start at 0 and leave no gap."""
    position = 0
    for run in runs:
        if run.start != position or run.end <= run.start:
            raise ValueError(f"expected a run from {position:#x} on, got [{run.start:#x}, {run.end:#x})")
        position = run.end
    return coalesce(runs)
