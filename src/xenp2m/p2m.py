"""P2M: the value in the middle. Everything that looks at a map reads this one interface.

A map is held as runs (a plan: tens of them, whatever the host's size) or as an array of the guest's
own words (a file: flags kept in the words). Both answer the same questions. Arrays are made only
for the range asked for.
"""

from __future__ import annotations

from bisect import bisect_right
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from xenp2m.extents import Run, coalesce, count, overlay
from xenp2m.frames import GEOMETRY_64, Geometry, Kind

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["P2M"]

_CHUNK = 1 << 15
_INVALID = np.uint64(0xFFFF_FFFF_FFFF_FFFF)
_KINDS = (Kind.MFN, Kind.IDENTITY, Kind.MISSING, Kind.FOREIGN, Kind.OTHER)
_MFN, _IDENTITY, _MISSING, _FOREIGN, _OTHER = range(5)


class P2M:
    """A map from PFN to machine frame over ``[0, len(p2m))``.

    Invariants: runs ascend from 0 without gap or overlap; an array holds 64-bit words in which
    ``INVALID_P2M_ENTRY`` is all ones and the flags are bits 62 and 63, whatever the guest's word
    size (a reader of 32-bit guests widens); `Kind.UNKNOWN` occurs in maps of runs only.

    Attributes:
        geometry: word size and fan-out of the guest.
        beyond: what a PFN past the end is: `Kind.IDENTITY` since Linux 3.16, `Kind.MISSING` before.
    """

    def __init__(
        self,
        source: Sequence[Run] | NDArray[np.uint64],
        *,
        geometry: Geometry = GEOMETRY_64,
        beyond: Kind = Kind.IDENTITY,
    ) -> None:
        """Hold a map.

        Args:
            source: runs from PFN 0 on, or one word a PFN (kept, not copied).
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
        else:
            self._runs = _checked(source)

    def __len__(self) -> int:
        """Entries, in PFNs."""
        if self._words is not None:
            return int(self._words.size)
        return self._runs[-1].end if self._runs else 0

    def __repr__(self) -> str:
        form = "words" if self._words is not None else f"{len(self._runs or ())} runs"
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
            return kind, -1 if kind is Kind.MISSING else number
        run = self.run_at(pfn)
        if run.kind is Kind.IDENTITY:
            return run.kind, pfn
        return run.kind, run.at(pfn) if run.step else -1

    def run_at(self, pfn: int) -> Run:
        """The run that holds `pfn`, which must lie below the end. O(log runs) after `extents`."""
        runs = self.extents()
        return runs[bisect_right(self._starts, pfn) - 1]

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
        if flat.dtype.kind == "i" and flat.size and int(flat.min()) < 0:
            raise IndexError(f"expected PFNs from 0 on, got {int(flat.min())}")
        index = flat.astype(np.uint64, copy=False)
        found = np.empty(index.size, np.uint64)
        if self._words is not None and index.size and int(index.max()) < len(self):
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
        """The map as runs, joined as far as they go. O(1) for a plan, O(entries) once for an array."""
        if self._runs is None:
            assert self._words is not None
            self._runs = _runs_of(self._words)
        return self._runs

    def count(self) -> Counter[Kind]:
        """Pages of each kind."""
        return count(self.extents())

    def find(self, mfn: int) -> list[int]:
        """PFNs whose entry is the machine frame `mfn` (M2P), ascending. O(runs)."""
        found = []
        for run in self.extents():
            if run.kind is Kind.MFN:
                offset = (mfn - run.mfn) * run.step
                if 0 <= offset < run.pages:
                    found.append(run.start + offset)
        return found

    def inverse(self, mfns: NDArray[Any]) -> NDArray[np.int64]:
        """M2P in bulk: the lowest PFN behind each MFN, -1 where there is none.

        O(log runs) an MFN; sorts the runs once.
        """
        wanted = np.asarray(mfns).astype(np.int64)
        found = np.full(wanted.shape, -1, np.int64)
        runs = self._m2p
        if runs:
            start, end, pfn, step = (np.array(c, np.int64) for c in zip(*runs, strict=True))
            slot = np.maximum(np.searchsorted(start, wanted, side="right") - 1, 0)
            inside = (wanted >= start[slot]) & (wanted < end[slot])
            found[inside] = (pfn[slot] + (wanted - start[slot]) * step[slot])[inside]
        return found

    @cached_property
    def _starts(self) -> list[int]:
        return [run.start for run in self.extents()]

    @cached_property
    def _scalars(self) -> memoryview:
        assert self._words is not None
        return np.ascontiguousarray(self._words).data

    @cached_property
    def _m2p(self) -> list[tuple[int, int, int, int]]:
        """``(first MFN, end MFN, PFN of the first, step)``, ascending; of one MFN the lowest PFN wins."""
        turned = []
        for run in reversed(self.extents()):
            if run.kind is Kind.MFN:
                last = run.at(run.end - 1)
                low, pfn = (run.mfn, run.start) if last >= run.mfn else (last, run.end - 1)
                turned.append(Run(low, low + run.pages, Kind.MFN, pfn, run.step))
        if not turned:
            return []
        base = [Run(min(r.start for r in turned), max(r.end for r in turned), Kind.UNKNOWN)]
        runs = overlay(turned, base)
        return [(r.start, r.end, r.mfn, r.step) for r in runs if r.kind is Kind.MFN]

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
            identity = self.beyond is Kind.IDENTITY
            found[outside] = index[outside] | np.uint64(1 << 62) if identity else _INVALID

    def _gather_runs(self, index: NDArray[np.uint64], found: NDArray[np.uint64]) -> None:
        starts, base, step = self._run_columns
        slot = np.minimum(np.searchsorted(starts, index, side="right") - 1, starts.size - 1)
        with np.errstate(over="ignore"):
            np.add(base[slot], (index - starts[slot]) * step[slot], out=found)

    @cached_property
    def _run_columns(self) -> tuple[NDArray[np.uint64], NDArray[np.uint64], NDArray[np.uint64]]:
        """Start, first raw word and step of every run, steps modulo 2^64."""
        runs = self.extents()
        if any(r.kind is Kind.UNKNOWN for r in runs):
            raise ValueError("an unknown entry has no raw word")
        base = [GEOMETRY_64.encode(r.kind, r.start, r.mfn) for r in runs]
        steps = [1 if r.kind is Kind.IDENTITY else r.step % (1 << 64) for r in runs]
        return (
            np.array([r.start for r in runs], np.uint64),
            np.array(base, np.uint64),
            np.array(steps, np.uint64),
        )


def _checked(runs: Sequence[Run]) -> list[Run]:
    """`runs` joined, after a check that they start at 0 and leave no gap."""
    position = 0
    for run in runs:
        if run.start != position or run.end <= run.start:
            raise ValueError(f"expected a run from {position:#x} on, got [{run.start:#x}, {run.end:#x})")
        position = run.end
    return coalesce(runs)


def _runs_of(words: NDArray[np.uint64]) -> list[Run]:
    """Runs of an array, vectorised; the same result as `coalesce` over single entries."""
    if not words.size:
        return []
    kind = _kinds(words)
    number = words & np.uint64((1 << 62) - 1)
    step = np.diff(number.view(np.int64))
    numbered = (kind == _MFN) | (kind == _FOREIGN) | (kind == _OTHER)
    joined = kind[1:] == kind[:-1]
    chained = joined & numbered[1:] & ((step == 1) | (step == -1))
    ends = ~(joined & (~numbered[1:])) & ~chained
    turns = np.flatnonzero(chained[1:] & chained[:-1] & (step[1:] != step[:-1])) + 1
    if turns.size:
        fresh = np.concatenate(([True], np.diff(turns) != 1))
        offset = np.arange(turns.size) - np.maximum.accumulate(np.where(fresh, np.arange(turns.size), 0))
        ends[turns[offset % 2 == 0]] = True
    starts = np.concatenate(([0], np.flatnonzero(ends) + 1))
    stops = np.concatenate((starts[1:], [words.size]))
    single = stops - starts == 1
    steps = np.where(single, 1, step[np.minimum(starts, max(words.size - 2, 0))] if step.size else 1)
    return _make_runs(words, kind, starts, stops, steps)


def _kinds(words: NDArray[np.uint64]) -> NDArray[np.uint8]:
    kind = np.zeros(words.size, np.uint8)
    kind[(words >> np.uint64(62)) == 1] = _OTHER
    pfns = np.arange(words.size, dtype=np.uint64)
    kind[words == (pfns | np.uint64(1 << 62))] = _IDENTITY
    kind[(words >> np.uint64(63)) == 1] = _FOREIGN
    kind[words == _INVALID] = _MISSING
    return kind


def _make_runs(
    words: NDArray[np.uint64],
    kind: NDArray[np.uint8],
    starts: NDArray[np.int64],
    stops: NDArray[np.int64],
    steps: NDArray[np.int64],
) -> list[Run]:
    first = words[starts]
    runs = []
    for start, end, code, word, step in zip(
        starts.tolist(), stops.tolist(), kind[starts].tolist(), first.tolist(), steps.tolist(), strict=True
    ):
        if code in (_IDENTITY, _MISSING):
            runs.append(Run(start, end, _KINDS[code]))
        else:
            number = word & ((1 << 62) - 1) if code == _FOREIGN else word
            runs.append(Run(start, end, _KINDS[code], number, step))
    return runs
