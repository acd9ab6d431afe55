"""Raw entries in bulk: the kinds of an array of words, their count, their runs.

Words are 64 bits wide with the flags in bits 62 and 63, whatever the guest's word size. Everything
goes through an array block by block, so that temporaries stay small beside a map of 1 TiB.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from xenp2m.extents import Run
from xenp2m.frames import GEOMETRY_32, UNKNOWN_WORD, Kind
from xenp2m.runtable import KINDS, RunTable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

__all__ = [
    "MISSING_WORD",
    "count_words",
    "find_word",
    "joined_plain",
    "joined_tables",
    "kinds_of",
    "runs_of",
    "table_of",
    "table_of_parts",
    "widened",
]

MISSING_WORD = np.uint64(0xFFFF_FFFF_FFFF_FFFF)
"""``INVALID_P2M_ENTRY`` as it stands in an array."""

_BLOCK = 1 << 18
_IDENTITY_BIT, _NUMBER = np.uint64(1 << 62), np.uint64((1 << 62) - 1)
_UNKNOWN = np.uint64(UNKNOWN_WORD)
_MFN, _IDENTITY, _MISSING, _FOREIGN, _OTHER, _UNKNOWN_CODE = range(6)


def kinds_of(words: NDArray[np.uint64], first: int = 0) -> NDArray[np.int8]:
    """Kind of every word as an index into `xenp2m.runtable.KINDS`. O(n).

    Args:
        words: raw entries.
        first: PFN of the first, which identity entries are held against.
    """
    kind = np.zeros(words.size, np.int8)
    if not words.size or words.max() < _IDENTITY_BIT:
        return kind
    pfns = np.arange(first, first + words.size, dtype=np.uint64)
    kind[words >= _IDENTITY_BIT] = _OTHER
    kind[words == (pfns | _IDENTITY_BIT)] = _IDENTITY
    kind[words >= np.uint64(1 << 63)] = _FOREIGN
    kind[words == _UNKNOWN] = _UNKNOWN_CODE
    kind[words == MISSING_WORD] = _MISSING
    return kind


def widened(narrow: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Entries of a 32-bit guest with the flags moved from bits 30 and 31 to bits 62 and 63. O(n)."""
    wide = (narrow & np.uint64(0x3FFF_FFFF)) | ((narrow >> np.uint64(30)) << np.uint64(62))
    wide[(narrow == np.uint64(GEOMETRY_32.invalid)) | (narrow == MISSING_WORD)] = MISSING_WORD
    return wide


def count_words(words: NDArray[np.uint64]) -> Counter[Kind]:
    """Entries of each kind, PFN 0 first. O(n), a block at a time."""
    total = np.zeros(len(KINDS), np.int64)
    for low in range(0, words.size, _BLOCK):
        total += np.bincount(kinds_of(words[low : low + _BLOCK], low), minlength=len(KINDS))
    return Counter({kind: n for kind, n in zip(KINDS, total.tolist(), strict=True) if n})


def find_word(words: NDArray[np.uint64], word: int) -> list[int]:
    """PFNs whose entry is `word`, ascending. O(n), a block at a time."""
    found: list[int] = []
    for low in range(0, words.size, _BLOCK):
        found += (np.flatnonzero(words[low : low + _BLOCK] == np.uint64(word)) + low).tolist()
    return found


def runs_of(table: RunTable) -> list[Run]:
    """Every row of a table as a `Run`. A Python object each: for maps of few runs."""
    rows = zip(*(column.tolist() for column in table), strict=True)
    return [Run(start, end, KINDS[kind], mfn, step) for start, end, kind, mfn, step in rows]


def table_of(words: NDArray[np.uint64], first: int = 0) -> RunTable:
    """The runs of an array: the same as `coalesce` over its single entries. O(n).

    Args:
        words: raw entries.
        first: PFN of the first.
    """
    return table_of_parts((words[low : low + _BLOCK] for low in range(0, words.size, _BLOCK)), first)


def table_of_parts(parts: Iterable[NDArray[np.uint64]], first: int = 0) -> RunTable:
    """The runs of arrays that follow each other, as `table_of` has those of one array. O(n).

    Args:
        parts: raw entries; each array is done with before the next one is asked for.
        first: PFN of the first.
    """
    tables: list[RunTable] = []
    lone = np.empty(0, np.uint64)
    for part in parts:
        # A lone frame may become the first of a run in either direction: it is looked at again.
        words = np.concatenate((lone, part)) if lone.size else part
        if tables and not lone.size:
            ahead = _continued(words, _last(tables[-1]))
            tables[-1].end[-1] += ahead
            words, first = words[ahead:], first + ahead
        if not words.size:
            continue
        rows, lone = _block(words, first), words[:0]
        first += words.size
        if _last(rows).pages == 1:
            rows, lone = _but_last(rows), words[-1:].copy()
            first -= 1
        if rows.start.size:
            tables.append(rows)
    if lone.size:
        tables.append(_block(lone, first))
    return joined_tables(tables)


def joined_tables(tables: Sequence[RunTable]) -> RunTable:
    """Tables that follow each other as one; the runs on both sides of an edge stay apart."""
    if not tables:
        return RunTable.of(())
    return RunTable(
        np.concatenate([rows.start for rows in tables]),
        np.concatenate([rows.end for rows in tables]),
        np.concatenate([rows.kind for rows in tables]),
        np.concatenate([rows.mfn for rows in tables]),
        np.concatenate([rows.step for rows in tables]),
    )


def joined_plain(table: RunTable) -> RunTable:
    """Neighbours of one kind without numbers (identity, missing, unknown) as one row. O(rows)."""
    if not table.start.size:
        return table
    same = (table.kind[1:] == table.kind[:-1]) & (table.step[1:] == 0)
    first = np.append(True, ~same)
    last = np.append(~same, True)
    return RunTable(
        table.start[first], table.end[last], table.kind[first], table.mfn[first], table.step[first]
    )


def _last(rows: RunTable) -> Run:
    start, end, kind, mfn, step = (column[-1].item() for column in rows)
    return Run(start, end, KINDS[kind], mfn, step)


def _but_last(rows: RunTable) -> RunTable:
    return RunTable(rows.start[:-1], rows.end[:-1], rows.kind[:-1], rows.mfn[:-1], rows.step[:-1])


def _continued(words: NDArray[np.uint64], run: Run) -> int:
    """How many of `words`, which follow `run`, go on with it."""
    low, size = 0, 64
    while low < words.size:
        part = words[low : low + size]
        same = kinds_of(part, run.end + low) == KINDS.index(run.kind)
        if run.step:
            ahead = np.arange(run.pages + low, run.pages + low + part.size, dtype=np.int64)
            number = part & _NUMBER if run.kind is Kind.FOREIGN else part
            same &= number.view(np.int64) == run.mfn + ahead * run.step
        stop = np.flatnonzero(~same)
        if stop.size:
            return low + int(stop[0])
        low, size = low + part.size, min(2 * size, _BLOCK)
    return int(words.size)


def _block(words: NDArray[np.uint64], first: int) -> RunTable:
    """The runs of one block, which is not empty."""
    kind = kinds_of(words, first)
    number = words & _NUMBER
    step = np.diff(number.view(np.int64))
    numbered = (kind == _MFN) | (kind == _FOREIGN) | (kind == _OTHER)
    joined = kind[1:] == kind[:-1]
    chained = joined & numbered[1:] & ((step == 1) | (step == -1))
    ends = ~(joined & ~numbered[1:]) & ~chained
    turns = np.flatnonzero(chained[1:] & chained[:-1] & (step[1:] != step[:-1])) + 1
    if turns.size:
        # Of turns in a row every second one only: the frame behind an end starts afresh.
        fresh = np.concatenate(([True], np.diff(turns) != 1))
        offset = np.arange(turns.size) - np.maximum.accumulate(np.where(fresh, np.arange(turns.size), 0))
        ends[turns[offset % 2 == 0]] = True
    start = np.concatenate(([0], np.flatnonzero(ends) + 1))
    end = np.concatenate((start[1:], [words.size]))
    has = numbered[start]
    # The step to the next entry; a single frame counts as ascending.
    ahead = step[np.minimum(start, step.size - 1)] if step.size else np.ones(start.size, np.int64)
    steps = np.where(has, np.where(end - start == 1, 1, ahead), 0)
    raw = np.where(kind[start] == _OTHER, words[start], number[start])
    mfn = np.where(has, raw, np.uint64(0)).view(np.int64)
    return RunTable(start + first, end + first, kind[start], mfn, steps.astype(np.int8))
