"""Account: what a map consists of, how contiguous it is, and what its own pages cost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from xenp2m.entries import runs_of
from xenp2m.extents import Run
from xenp2m.frames import Kind
from xenp2m.runtable import KINDS, RunTable

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from xenp2m.p2m import P2M
    from xenp2m.sources.source import Leaves, Source

__all__ = ["FIRST", "Account", "Contiguity", "LeafPages", "Lengths", "account_of", "contiguity", "leaf_pages"]

_ABSENT = np.uint64((1 << 64) - 1)
ORDER_2M, ORDER_1G = 9, 18
FIRST = 32
"""Runs that an account carries as objects."""


class Lengths(NamedTuple):
    """Runs of MFNs whose length is in ``[2^order, 2^(order + 1))`` frames.

    Attributes:
        order: binary logarithm of the shortest length of the class.
        runs: how many runs.
        pages: frames in them.
    """

    order: int
    runs: int
    pages: int


@dataclass(frozen=True, slots=True)
class Contiguity:
    """How the machine frames of a map lie.

    Attributes:
        runs: stretches in which PFN and MFN ascend together, or the MFN descends.
        descending: those of them in which it descends.
        longest: the longest ascending one, the first of several; None where there is none.
        lengths: the ascending runs by length, a single frame among them; classes without runs are left out.
        pages_2m: frames that could be 2 MiB pages: 512 in a row, the first PFN and the first MFN on a
            boundary of 512.
        pages_1g: frames that could be 1 GiB pages, likewise of 262,144.
    """

    runs: int
    descending: int
    longest: Run | None
    lengths: tuple[Lengths, ...]
    pages_2m: int
    pages_1g: int


@dataclass(frozen=True, slots=True)
class LeafPages:
    """The pages of the P2M's lowest level.

    Attributes:
        entries: leaf pages that the list names, the absent ones included.
        absent: of them those without a page.
        distinct: different frames among the rest: what the list costs in memory.
        identity: entries that are the shared identity page.
        missing: entries that are the shared missing page.
        shared: frame and count of every other frame that stands more than once, the first 16.
    """

    entries: int
    absent: int
    distinct: int
    identity: int
    missing: int
    shared: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Account:
    """What a map consists of.

    Attributes:
        entries: PFNs of the map.
        runs: stretches in which kind and number continue.
        first: the first of them, up to `FIRST`.
        stretches: the map by kind alone, whatever the numbers are.
        kinds: frames of each kind that occurs.
        contiguity: how its machine frames lie.
        leaves: pages of the list; None where the input does not show them.
        m2p: of a machine's M2P: MFNs in all, and those with a PFN.
    """

    entries: int
    runs: int
    first: tuple[Run, ...]
    stretches: tuple[Run, ...]
    kinds: dict[Kind, int]
    contiguity: Contiguity
    leaves: LeafPages | None
    m2p: tuple[int, int] | None = None


def account_of(source: Source) -> Account:
    """Count a source's map. O(runs), after the runs of the map are known."""
    counted, table = source.p2m.count(), source.p2m.table()
    return Account(
        entries=len(source.p2m),
        runs=int(table.start.size),
        first=tuple(runs_of(_head(table, FIRST))),
        stretches=_by_kind(table),
        kinds={kind: counted[kind] for kind in Kind if counted[kind]},
        contiguity=contiguity(source.p2m),
        leaves=None if source.leaves is None else leaf_pages(source.leaves),
        m2p=None if source.m2p is None else (source.m2p.size, int((source.m2p != _ABSENT).sum())),
    )


def _head(table: RunTable, rows: int) -> RunTable:
    columns: list[NDArray[Any]] = [column[:rows] for column in table]
    return RunTable(*columns)


def _by_kind(table: RunTable) -> tuple[Run, ...]:
    if not table.start.size:
        return ()
    starts = np.concatenate(([0], np.flatnonzero(np.diff(table.kind)) + 1))
    ends = np.append(table.start[starts[1:]], table.end[-1])
    rows = zip(table.start[starts].tolist(), ends.tolist(), table.kind[starts].tolist(), strict=True)
    return tuple(Run(start, end, KINDS[kind]) for start, end, kind in rows)


def contiguity(p2m: P2M) -> Contiguity:
    """How the MFNs of a map lie. O(runs)."""
    table = p2m.table().only(Kind.MFN)
    up = table.step > 0
    start, mfn, pages = table.start[up], table.mfn[up], table.pages[up]
    longest = None
    if pages.size:
        row = int(pages.argmax())
        first = int(start[row])
        longest = Run(first, first + int(pages[row]), Kind.MFN, int(mfn[row]), 1)
    return Contiguity(
        runs=int(table.start.size),
        descending=int((~up).sum()),
        longest=longest,
        lengths=_lengths(pages),
        pages_2m=_aligned(start, mfn, pages, ORDER_2M),
        pages_1g=_aligned(start, mfn, pages, ORDER_1G),
    )


def _lengths(pages: NDArray[np.int64]) -> tuple[Lengths, ...]:
    orders = np.frexp(pages.astype(np.float64))[1] - 1
    runs = np.bincount(orders, minlength=1)
    frames = np.bincount(orders, weights=pages, minlength=1)
    return tuple(
        Lengths(order, int(runs[order]), int(frames[order])) for order in np.flatnonzero(runs).tolist()
    )


def _aligned(start: NDArray[np.int64], mfn: NDArray[np.int64], pages: NDArray[np.int64], order: int) -> int:
    """Frames in whole aligned blocks of ``2^order`` within runs whose PFN and MFN are aligned alike."""
    size = 1 << order
    alike = (start ^ mfn) & (size - 1) == 0
    low = (start[alike] + size - 1) >> order
    high = (start[alike] + pages[alike]) >> order
    return int(np.maximum(high - low, 0).sum()) << order


def leaf_pages(leaves: Leaves) -> LeafPages:
    """Count the pages of a list. O(n log n) in leaf pages."""
    present = leaves.frames[leaves.frames != _ABSENT]
    frames, counts = np.unique(present, return_counts=True)
    times = dict(zip(frames.tolist(), counts.tolist(), strict=True))
    identity = times.get(leaves.identity, 0) if leaves.identity is not None else 0
    missing = times.get(leaves.missing, 0) if leaves.missing is not None else 0
    shared = [
        (frame, count)
        for frame, count in times.items()
        if count > 1 and frame not in (leaves.identity, leaves.missing)
    ]
    return LeafPages(
        entries=int(leaves.frames.size),
        absent=int(leaves.frames.size - present.size),
        distinct=int(frames.size),
        identity=identity,
        missing=missing,
        shared=tuple(shared[:16]),
    )
