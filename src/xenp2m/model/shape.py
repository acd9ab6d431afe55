"""The tree seen as a whole: its map as runs, and its shape as ranges of page kinds.

Both walk top entries and mid pages, and read only leaf pages that are private: cost grows with
pages made, not with frames covered.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from xenp2m.extents import Run, coalesce
from xenp2m.frames import Kind
from xenp2m.model.alloc import Origin
from xenp2m.model.tree import FIRST, IDENTITY, MISSING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from xenp2m.frames import Geometry
    from xenp2m.model.linear import LinearP2M
    from xenp2m.model.phys_to_machine import PhysToMachine
    from xenp2m.model.tree import Tree, Words

__all__ = ["leaf_letter", "runs", "shape", "word_runs"]


def _segments(values: NDArray[Any]) -> Iterator[tuple[int, int, int]]:
    """Runs of equal values as ``(first, end, value)``."""
    cuts = np.flatnonzero(values[1:] != values[:-1]) + 1
    starts = [0, *cuts.tolist(), len(values)]
    for first, end in pairwise(starts):
        yield first, end, int(values[first])


def word_runs(geometry: Geometry, base: int, words: Words, by_value: bool = False) -> Iterator[Run]:
    """Runs of raw words.

    Args:
        geometry: how words are encoded.
        base: PFN of the first word.
        words: the raw words, as the kernel reads them.
        by_value: a word that equals its PFN means identity (the seed).

    Yields:
        Ascending runs without gap. They may still continue each other: see `extents.coalesce`.
    """
    kinds, numbers = np.zeros(len(words), np.int8), words
    flags = words.dtype.type(geometry.foreign_bit | geometry.identity_bit)
    if by_value or ((words & flags) != 0).any():
        kinds, numbers = _classify(geometry, base, words, by_value)
    yield from _kind_runs(base, kinds, numbers)


def _classify(
    geometry: Geometry, base: int, words: Words, by_value: bool
) -> tuple[NDArray[np.int8], NDArray[Any]]:
    """Kind (an index of `_KINDS`) and number of every word: `Geometry.classify` in bulk."""
    pfns = np.arange(base, base + len(words)).astype(words.dtype)
    foreign, identity = words.dtype.type(geometry.foreign_bit), words.dtype.type(geometry.identity_bit)
    kinds = np.zeros(len(words), np.int8)
    numbers = words.copy()
    bit = (words & identity) != 0
    kinds[bit] = 3
    kinds[bit & ((words ^ identity) == pfns)] = 1
    far = (words & foreign) != 0
    kinds[far] = 2
    numbers[far] &= ~(foreign | identity)
    if by_value:
        kinds[words == pfns] = 1
    kinds[words == words.dtype.type(geometry.invalid)] = 4
    return kinds, numbers


_KINDS = (Kind.MFN, Kind.IDENTITY, Kind.FOREIGN, Kind.OTHER, Kind.MISSING)


def _kind_runs(base: int, kinds: NDArray[np.int8], numbers: NDArray[Any]) -> Iterator[Run]:
    """Runs of one kind and, where it has numbers, of one step."""
    differences = numbers[1:] - numbers[:-1]  # unsigned: a step down wraps
    joins = np.zeros(len(kinds), np.int8)
    joins[:-1] = differences == 1
    joins[:-1] -= differences == np.iinfo(numbers.dtype).max
    if kinds.any():
        joins[:-1][((kinds == 1) | (kinds == 4))[1:]] = 1
        joins[:-1][kinds[1:] != kinds[:-1]] = 0
    start, count = 0, len(kinds)
    for first, end, step in _segments(joins):
        if step == 0:
            # each boundary here is a cut: the pages before them stand alone, but for the one
            # that an earlier step led to
            for place in range(max(first, start), end):
                yield _run(base, start, place + 1, kinds, numbers)
                start = place + 1
        elif start < first:
            # the step changes: the page at `first` was the last of the run before
            yield _run(base, start, first + 1, kinds, numbers)
            start = first + 1
    if start < count:
        yield _run(base, start, count, kinds, numbers)


def _run(base: int, start: int, end: int, kinds: NDArray[np.int8], numbers: NDArray[Any]) -> Run:
    kind = _KINDS[kinds[start]]
    if kind in (Kind.IDENTITY, Kind.MISSING):
        return Run(base + start, base + end, kind)
    first = int(numbers[start])
    step = int(numbers[start + 1]) - first if end - start > 1 else 1
    return Run(base + start, base + end, kind, first, step)


def runs(p2m: PhysToMachine | LinearP2M) -> list[Run]:
    """The map over the whole PFN space, as the kernel reads it."""
    return coalesce(_pieces(p2m))


def _pieces(p2m: PhysToMachine | LinearP2M) -> Iterator[Run]:
    """Runs of the whole space; private leaf pages that are neighbours are read in one go."""
    entries = p2m.geometry.entries
    waiting: list[NDArray[Any]] = []
    base = 0
    for first, end, leaves in _leaf_ranges(p2m.tree):
        if not isinstance(leaves, Kind):
            base = base if waiting else first * entries
            waiting.append(leaves)
            continue
        if waiting:
            yield from _read(p2m, base, waiting)
            waiting = []
        yield Run(first * entries, end * entries, leaves)
    if waiting:
        yield from _read(p2m, base, waiting)


def _leaf_ranges(tree: Tree) -> Iterator[tuple[int, int, Kind | NDArray[Any]]]:
    """Ranges of leaf places: what they are throughout, or the rows that have to be read.

    A shared missing leaf that was overwritten has to be read.
    """
    entries = tree.geometry.entries
    clean = bool((tree.leaves.rows[MISSING] == tree.geometry.invalid).all())
    for first, end, row in _segments(tree.top):
        mid = tree.mids.rows[row]
        parts: list[tuple[int, int, Kind | NDArray[Any]]] = []
        for low, high, what in _segments(np.minimum(mid, FIRST)):
            if what == IDENTITY:
                parts.append((low, high, Kind.IDENTITY))
            else:
                parts.append((low, high, Kind.MISSING if what == MISSING and clean else mid[low:high]))
        if len(parts) == 1 and isinstance(parts[0][2], Kind):
            yield first * entries, end * entries, parts[0][2]
            continue
        for start in range(first * entries, end * entries, entries):
            for low, high, leaves in parts:
                yield start + low, start + high, leaves


def _read(p2m: PhysToMachine | LinearP2M, base: int, leaves: list[NDArray[Any]]) -> Iterator[Run]:
    """Runs behind private leaf pages that follow each other from PFN `base` on."""
    words = p2m.tree.leaves.rows[np.concatenate(leaves)].reshape(-1)
    return word_runs(p2m.geometry, base, words, p2m.rules.by_value)


_ALL = "MILlBR"


def _letters(tree: Tree, place: int, rows: NDArray[Any]) -> NDArray[np.int64]:
    """Indices into `_ALL` for the leaf pages that hang at `place` and after it."""
    codes: NDArray[np.int64] = np.minimum(rows, FIRST).astype(np.int64)
    home = rows - FIRST == np.arange(place, place + len(rows))
    codes[(rows >= FIRST) & ~home] = 3
    own = rows >= FIRST + tree.list_leaves
    codes[own] = np.frombuffer(tree.leaves.origin, np.uint8)[rows[own]] - Origin.BRK + 4
    return codes


def leaf_letter(tree: Tree, place: int, row: int) -> str:
    """One letter for a leaf page.

    Args:
        tree: the tree.
        place: where it hangs, in units of leaves.
        row: the page.

    Returns:
        ``M`` p2m_missing, ``I`` p2m_identity, ``L`` a page of the builder's list at home, ``l`` one
        used elsewhere, ``B`` from brk, ``R`` made at run time.
    """
    return _ALL[int(_letters(tree, place, np.array([row]))[0])]


def shape(tree: Tree) -> list[list[Any]]:
    """The structure as ranges of kinds.

    Returns:
        ``[top, end, "mid_missing"]`` or ``"mid_identity"`` for shared mid pages, and
        ``[top, top + 1, letter, [[mid, end, letter], ...]]`` for the others.
    """
    entries = tree.geometry.entries
    found: list[list[Any]] = []
    for first, end, row in _segments(tree.top):
        if row < FIRST:
            found.append([first, end, "mid_missing" if row == MISSING else "mid_identity"])
            continue
        for top in range(first, end):
            letters = _letters(tree, top * entries, tree.mids.rows[row])
            leaves = [[low, high, _ALL[code]] for low, high, code in _segments(letters)]
            found.append([top, top + 1, _ALL[tree.mids.origin[row] - Origin.BRK + 4], leaves])
    return found
