"""Findings of one map that was read: from a source, one function for each.

Each check reads nothing but its argument. Cost is in runs; an M2P is looked up
frame by frame.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from xenp2m.checks.stories import STORIES
from xenp2m.checks.words import SHOWN
from xenp2m.extents import subtract, union
from xenp2m.findings import Finding
from xenp2m.frames import Kind, counted
from xenp2m.runtable import KINDS, changes, ranges_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from xenp2m.extents import Range
    from xenp2m.p2m import P2M
    from xenp2m.sources.source import Source

__all__ = ["MAX_MFN", "RULES", "m2p_findings", "map_findings"]

MAX_MFN = 1 << 40
"""MFNs are below this: 52 bits of address (``PADDR_BITS`` of Xen, ``__PHYSICAL_MASK_SHIFT`` of Linux)."""

_CHUNK = 1 << 20
_MFN, _MISSING = KINDS.index(Kind.MFN), KINDS.index(Kind.MISSING)


def map_findings(source: Source, rules: Sequence[str] = ("map", "save")) -> list[Finding]:
    """All findings of one source, errors first, in a stable order.

    Args:
        source: what was read; what its reader noticed is part of the answer, and is not noticed twice.
        rules: which rules: keys of `RULES`.
    """
    found = [*source.findings]
    told = {finding.code for finding in found}
    for name in rules:
        found += (each for check in RULES[name] for each in check(source) if each.code not in told)
    return sorted(found, key=lambda f: -f.severity)


def _finding(code: str, what: str, ranges: Sequence[Range], why: str = "") -> Finding:
    return Finding(STORIES[code], what, why, tuple(ranges[:SHOWN]))


def _ranges(source: Source, *kinds: Kind) -> list[Range]:
    """Runs of some kinds as ranges, ascending."""
    table = source.p2m.table()
    chosen = np.isin(table.kind, [KINDS.index(kind) for kind in kinds])
    return list(zip(table.start[chosen].tolist(), table.end[chosen].tolist(), strict=True))


def _all(what: str, ranges: Sequence[Range]) -> str:
    pages = sum(end - start for start, end in ranges)
    start, end = ranges[0]
    first = f"PFN {start:#x}" if end == start + 1 else f"PFNs {start:#x} - {end:#x}"
    return f"{counted(pages)} {what}: {first}{' and more' if len(ranges) > 1 else ''}"


def _lost(source: Source) -> Iterator[Finding]:
    if source.lost:
        more = f", and {len(source.lost) - 1} more" if len(source.lost) > 1 else ""
        yield _finding("map-incomplete", source.lost[0] + more, [])


def _torn(source: Source) -> Iterator[Finding]:
    generation = source.guest.generation
    if generation is not None and generation & 1:
        yield _finding("map-torn", f"p2m_generation is {generation}, an odd number", [])


def _duplicates(source: Source) -> Iterator[Finding]:
    shared = source.p2m.duplicates(most=1 << 16)
    if shared.total:
        first = int(shared.mfns[0])
        others = [f"{pfn:#x}" for pfn in shared.pfns[shared.mfns == first][:4].tolist()]
        what = f"{counted(shared.total)} share {shared.frames:,} machine frames"
        what += f", the first is mfn {first:#x} behind PFNs {', '.join(others)}"
        yield _finding("map-duplicate", what, ranges_of(np.unique(shared.pfns)))


def _other(source: Source) -> Iterator[Finding]:
    ranges = _ranges(source, Kind.OTHER)
    if ranges:
        yield _finding("map-entry-other", _all("with the identity bit and another number", ranges), ranges)


def _implausible(source: Source) -> Iterator[Finding]:
    table = source.p2m.table().only(Kind.MFN)
    top = np.maximum(table.mfn, table.mfn + (table.pages - 1) * table.step)
    bad = top >= MAX_MFN
    ranges = list(zip(table.start[bad].tolist(), table.end[bad].tolist(), strict=True))
    if ranges:
        what = _all("with a machine frame of more than 40 bits", ranges)
        yield _finding("map-mfn-implausible", f"{what} ({int(top.max()):#x})", ranges)


def _past_end(source: Source) -> Iterator[Finding]:
    end = source.guest.max_pfn
    if end is None or end >= len(source.p2m):
        return
    ranges = [
        (max(start, end), stop) for start, stop in _ranges(source, Kind.MFN, Kind.FOREIGN) if stop > end
    ]
    if ranges:
        yield _finding("map-past-end", _all(f"above max_pfn {end:#x}", ranges), ranges)


def _listed(source: Source) -> Iterator[Finding]:
    if source.listed is None or not len(source.p2m) or not len(source.listed):
        return
    end = len(source.p2m)
    rows = changes(source.p2m.table(), source.listed.table().up_to(end, source.listed.beyond))
    # The table knows frames and nothing else: only what it claims, or leaves out, can be wrong.
    wrong = (rows.right == _MFN) & (rows.left != KINDS.index(Kind.UNKNOWN))
    wrong |= (rows.left == _MFN) & (rows.right == _MISSING)
    rows = rows.where(wrong)
    ranges = list(zip(rows.start.tolist(), rows.end.tolist(), strict=True))
    if ranges:
        yield _finding("map-listed-disagrees", _all("in which they differ", ranges), ranges)


def _foreign(source: Source) -> Iterator[Finding]:
    ranges = _ranges(source, Kind.FOREIGN)
    if ranges:
        yield _finding("map-foreign", _all("of other domains", ranges), ranges)


def _loses(source: Source) -> Iterator[Finding]:
    """Entries that a restore turns into missing ones: identity by value, and foreign."""
    if source.leaves is None:
        return
    entries, shared = source.guest.geometry.entries, source.leaves.identity
    ranges = _ranges(source, Kind.IDENTITY, Kind.FOREIGN)
    if shared is not None:
        leaves = np.flatnonzero(source.leaves.frames == np.uint64(shared)) * entries
        ranges = subtract(ranges, [(start, start + entries) for start in leaves.tolist()])
    if ranges:
        yield _finding("save-loses-entries", _all("that a restore brings back as missing", ranges), ranges)


def _leaves(source: Source) -> Iterator[Finding]:
    """Pages of the list that are no pages of the guest."""
    leaves = source.leaves
    if leaves is None:
        return
    frames = np.unique(leaves.frames[leaves.frames != np.uint64((1 << 64) - 1)]).astype(np.int64)
    if leaves.space == "mfn":
        bad = frames[source.p2m.inverse(frames) < 0]
    else:
        kinds = [source.p2m.lookup(pfn)[0] for pfn in frames.tolist()]
        bad = frames[[kind not in (Kind.MFN, Kind.UNKNOWN) for kind in kinds]]
    if bad.size:
        what = f"{bad.size:,} of its {frames.size:,} pages, the first at {leaves.space} {int(bad[0]):#x}"
        yield _finding("save-refuses-list", f"no PFN leads to {what}", [])


RULES: dict[str, tuple[Callable[[Source], Iterator[Finding]], ...]] = {
    "map": (_lost, _torn, _duplicates, _other, _implausible, _past_end, _listed, _foreign),
    "save": (_loses, _leaves),
}
"""Rules by name: ``map`` of a sound map, ``save`` of the toolstack's save and restore."""


def m2p_findings(p2m: P2M, m2p: NDArray[np.uint64]) -> list[Finding]:
    """Frames whose entry in the machine's M2P is not their PFN.

    Args:
        p2m: the guest's map.
        m2p: the PFN of every MFN, all ones where there is none; frames above its end disagree.

    Returns:
        One finding, or none. O(frames).
    """
    ranges: list[Range] = []
    table = p2m.table().only(Kind.MFN)
    for start, end in union(zip(table.start.tolist(), table.end.tolist(), strict=True)):
        for low in range(start, end, _CHUNK):
            pfns = np.arange(low, min(low + _CHUNK, end), dtype=np.int64)
            mfns = p2m.translate(pfns).astype(np.int64)
            known = mfns < m2p.size
            told = np.full(pfns.size, (1 << 64) - 1, np.uint64)
            told[known] = m2p[mfns[known]]
            ranges += ranges_of(pfns[told != pfns.astype(np.uint64)])
    if not ranges:
        return []
    what = _all("to which the M2P does not lead back", ranges)
    return [_finding("map-m2p-disagrees", what, ranges)]
