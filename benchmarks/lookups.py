"""Lookups by size of the map: in bulk beside C and numpy, one at a time beside dictionaries and trees."""

import ctypes
import random
from pathlib import Path

import numpy as np

from benchmarks.clock import beside, best
from benchmarks.peers import c_library
from xenp2m.extents import Run
from xenp2m.frames import GEOMETRY_32, GEOMETRY_64, Kind
from xenp2m.model.phys_to_machine import PhysToMachine
from xenp2m.model.rules import RULES
from xenp2m.p2m import P2M

__all__ = ["lookups"]

MILLION = 1 << 20
RUN = 32
"""Frames of a run in a map that is as fragmented as a busy host's."""


def lookups(report):
    """Bulk by size, trees, one at a time."""
    report.section(
        "Many lookups at once",
        "Nanoseconds a lookup of random PFNs (in the last columns of PFNs in order), in maps that grow.\n"
        "C is `benchmarks/gather.c`, compiled in this run: an array, and the three levels of a guest.",
    )
    _bulk(report)
    _trees(report)
    report.section(
        "One lookup at a time",
        "Nanoseconds a lookup in a Python loop, the loop included; the least of five rounds.",
    )
    _scalars(report)


def _bulk(report):
    library = c_library("gather", report)
    free = _free_memory()
    rows, last = [], None
    for entries in (1, 4, 16) if report.quick else (1, 4, 16, 64, 256):
        size = entries * MILLION
        if size * 8 * 1.5 > free:
            report.missing(f"{entries}M entries", f"{size * 12 >> 30} GiB of memory, {free >> 30} are free")
            continue
        row = _one_size(library, size, report.quick)
        rows.append([f"{entries} M", *row.values()])
        last = row
    report.table(["entries", *last], rows)
    why = "a pass over the PFNs that holds them against the end, which shows where the map fits the caches"
    for entries in (1, 16):
        ratio = _translate_beside_take(entries * MILLION, report.quick)
        report(
            f"P2M.translate beside numpy.take, {entries}M entries",
            ratio,
            "times",
            1.6 if entries == 1 else 1.2,
            why=why,
        )
    if library:
        why = "a new array for the answer, and the system hands out its pages; C writes where it wrote before"
        report("  beside C's array, the largest map", rows[-1][5] / rows[-1][1], "times", 2, why=why)
        report("  beside C's walk of three levels, the largest map", rows[-1][5] / rows[-1][2], "times", 1.5)


def _translate_beside_take(size, quick):
    words = np.arange(size, dtype=np.uint64)
    pfns = np.random.default_rng(2011).integers(0, size, MILLION if quick else 16 * MILLION)
    p2m = P2M(words)
    return beside(lambda: p2m.translate(pfns), lambda: np.take(words, pfns))


def _one_size(library, size, quick):
    """Nanoseconds a lookup of every way, by its name."""
    count = MILLION if quick else 4 * MILLION
    words = np.arange(size, dtype=np.uint64) * np.uint64(7919) & np.uint64((1 << 40) - 1)
    pfns = np.random.default_rng(2011).integers(0, size, count)
    row, tail = {}, np.arange(count) % size
    p2m, out = P2M(words), np.empty(count, np.uint64)
    if library:
        top = _pages_of(words)
        row["C array"] = _c(library.flat, words, pfns, out)
        assert (out == words[pfns]).all()
        row["C walk"] = _c(library.walk, top[0], pfns, out)
        assert (out == words[pfns]).all()
    else:
        row |= {"C array": None, "C walk": None}
    row["numpy.take"] = best(lambda: np.take(words, pfns)) / count * 1e9
    row["numpy [ ]"] = best(lambda: words[pfns]) / count * 1e9
    row["translate"] = best(lambda: p2m.translate(pfns)) / count * 1e9
    assert (p2m.translate(pfns) == words[pfns]).all()
    row["take, in order"] = best(lambda: np.take(words, tail)) / count * 1e9
    row["translate, in order"] = best(lambda: p2m.translate(tail)) / count * 1e9
    return row


def _c(function, table, pfns, out):
    pointers = [ctypes.c_void_p(array.ctypes.data) for array in (table, pfns, out)]
    return best(lambda: function(*pointers, ctypes.c_size_t(pfns.size))) / pfns.size * 1e9


def _pages_of(words):
    """Pointers to the pages of a list, and pointers to the pages of those; all arrays, to be kept."""
    leaves = words.ctypes.data + np.arange(0, words.nbytes, 4096, dtype=np.uint64)
    mids = np.zeros(-(-leaves.size // 512) * 512, np.uint64)
    mids[: leaves.size] = leaves
    return mids.ctypes.data + np.arange(0, mids.nbytes, 4096, dtype=np.uint64), mids


def _free_memory():
    told = Path("/proc/meminfo").read_text(encoding="ascii")
    return int(told.split("MemAvailable:")[1].split()[0]) << 10


def _trees(report):
    """Random PFNs in a tree of a guest, beside `numpy.take` on the same map as one array."""
    # 14 of 16 parts have pages, in leaves of their own; one part is identity, one missing
    size = (4 if report.quick else 16) * MILLION
    part = size // 16
    chance = np.random.default_rng(2011)
    pfns = chance.integers(0, size, size // 2)
    for geometry in (GEOMETRY_64, GEOMETRY_32):
        p2m = PhysToMachine(RULES["3.12"], geometry, chance.permutation(14 * part))
        p2m.set_range_identity(14 * part, 15 * part - 100)
        flat = p2m.gather(np.arange(size))
        ratio = beside(lambda p2m=p2m: p2m.gather(pfns), lambda flat=flat: np.take(flat, pfns))
        report(
            f"tree of {geometry.entries} a page, {size // MILLION}M entries, beside numpy.take",
            ratio,
            "times",
            2.5,
        )
    order = chance.permutation(size // RUN)
    runs = P2M(
        [Run(i * RUN, (i + 1) * RUN, Kind.MFN, int(mfn) * RUN, 1) for i, mfn in enumerate(order.tolist())]
    )
    array = P2M(runs.translate(np.arange(size)))
    some = pfns[: MILLION // 4]
    why = "a binary search for each; runs are for storing and comparing, an array is for asking"
    ratio = beside(lambda: runs.translate(some), lambda: array.translate(some), 3)
    report(f"map of {order.size:,} runs beside the same as an array", ratio, "times", why=why)


def _scalars(report):
    """One PFN after another in a map of runs, by whatever one might keep it in."""
    rows = []
    for runs in (1 << 10, 1 << 13 if report.quick else 1 << 15):
        mfns = np.random.default_rng(2011).permutation(runs) * RUN
        words = (mfns[:, None] + np.arange(RUN)).reshape(-1).astype(np.uint64)
        ways = _ways(words, dict(zip(range(0, words.size, RUN), mfns.tolist(), strict=True)))
        keys = random.Random(2011).choices(range(words.size), k=20_000)
        assert all(way(keys[0]) == int(words[keys[0]]) for way in ways.values() if way)
        times = {name: _each(way, keys[:50] if name == "portion" else keys) for name, way in ways.items()}
        rows.append([f"{words.size:,} entries, {runs:,} runs", *times.values()])
    why = (
        "`P2M.lookup` names the kind beside the number, in 8 bytes an entry where a `dict` takes about 100; "
        "that costs some calls of Python functions more than a bare `dict`. Only the smaller map is asked of "
        "portion, whose time for each question, and the more so for building, grows with its intervals."
    )
    report.table(["map", *times], rows, why)
    why = "the kind and its number in place of a bare word; many at once go through `translate`"
    report("P2M.lookup beside dict", times["P2M.lookup"] / times["dict"], "times", 12, why=why)
    report(
        "  intervaltree beside P2M.lookup",
        times["intervaltree"] / times["P2M.lookup"],
        "times",
        2,
        at_least=True,
    )


def _ways(words, starts):
    """Every way to look one PFN up; None for portion where the map is too large to build it."""
    from intervaltree import IntervalTree
    from portion import IntervalDict, closedopen
    from sortedcontainers import SortedDict

    p2m, listed, ordered = P2M(words), dict(enumerate(words.tolist())), SortedDict(starts)
    tree = IntervalTree.from_tuples((start, start + RUN, mfn) for start, mfn in starts.items())
    small = len(starts) <= 1 << 10
    intervals = IntervalDict((closedopen(start, start + RUN), start) for start in starts if small)

    def by_sorted(pfn):
        start = ordered.keys()[ordered.bisect_right(pfn) - 1]
        return ordered[start] + pfn - start

    def by_tree(pfn):
        (found,) = tree[pfn]
        return found.data + pfn - found.begin

    return {
        "memoryview": memoryview(words).__getitem__,
        "P2M.lookup": lambda pfn: p2m.lookup(pfn)[1],
        "numpy [ ]": lambda pfn: int(words[pfn]),
        "dict": listed.__getitem__,
        "sortedcontainers": by_sorted,
        "intervaltree": by_tree,
        "portion": (lambda pfn: starts[intervals[pfn]] + pfn - intervals[pfn]) if small else None,
    }


def _each(way, keys):
    """Nanoseconds of one call, the least of five rounds; None where there is no such way."""
    if way is None:
        return None

    def all_of_them():
        for key in keys:
            way(key)

    return best(all_of_them) / len(keys) * 1e9
