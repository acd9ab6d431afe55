"""Reasons: for every stretch of a planned P2M, why it is what it is."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from xenp2m.e820 import RAM, UNUSABLE, sanitize, type_name
from xenp2m.extents import intersect, subtract
from xenp2m.frames import Kind, counted, pfn_down, pfn_up

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from xenp2m.boot.layout import Layout, Move
    from xenp2m.e820 import Entry
    from xenp2m.extents import Range, Run
    from xenp2m.host import Host

__all__ = ["Stretch", "stretches"]


class Stretch(NamedTuple):
    """PFNs ``[start, end)`` that are what they are for one reason.

    Attributes:
        start: first PFN.
        end: one past the last PFN.
        kind: what they are.
        why: the reason, a phrase.
    """

    start: int
    end: int
    kind: Kind
    why: str


def stretches(host: Host, layout: Layout) -> list[Stretch]:
    """The whole P2M from PFN 0 to its end; empty where the kernel stops before it has one.

    Cost is in runs and entries of the map.
    """
    if layout.runs is None:
        return []
    reasons = _Reasons(host, layout)
    found: list[Stretch] = []
    for run in _by_kind(layout.runs):
        for start, end in reasons.cut(run):
            found.append(Stretch(start, end, run.kind, reasons.why(run.kind, start, end)))
    return found


def _by_kind(runs: Iterable[Run]) -> list[Run]:
    """Runs joined where the kind is the same, whatever the frames behind them."""
    joined: list[Run] = []
    for run in runs:
        if joined and joined[-1].kind is run.kind:
            joined[-1] = joined[-1]._replace(end=run.end)
        else:
            joined.append(run)
    return joined


def _target_groups(moves: Iterable[Move]) -> list[tuple[Range, list[Move]]]:
    """Moves whose targets join, with the PFN range they fill, ascending."""
    groups: list[tuple[Range, list[Move]]] = []
    for move in moves:
        end = move.target + move.size
        if groups and groups[-1][0][1] == move.target:
            (start, _), members = groups[-1]
            members.append(move)
            groups[-1] = ((start, end), members)
        else:
            groups.append(((move.target, end), [move]))
    return groups


class _Reasons:
    """Lookup tables of one layout; all ranges are PFNs and ascend."""

    def __init__(self, host: Host, layout: Layout) -> None:
        self._host = host
        self._moves = layout.moves
        self._sources = [move.source for move in layout.moves]
        self._groups = _target_groups(layout.moves)
        self._targets = [group[0][0] for group in self._groups]
        self._swaps = [((pfn_down(s.paddr), pfn_down(s.paddr + s.size)), s.entry) for s in layout.swaps]
        # The first eras keep no sorted map of the host: there the layout holds the guest's.
        unsorted = host.e820 is not None and host.release.has_one_region
        self._entries: list[Entry] = sanitize(host.e820 or ()) if unsorted else layout.host_map
        self._starts = [pfn_down(entry.start) for entry in self._entries]
        self._extra = layout.extra or []
        self._populated = layout.populated
        self._freed = layout.freed
        self._end_of_map = max((pfn_up(e.end) for e in self._entries), default=0)
        edges = {
            host.nr_pages,
            self._end_of_map,
            *(edge for part in (*layout.populated, *self._extra) for edge in part),
            *(e for g in self._groups for e in g[0]),
            *(e for s in self._swaps for e in s[0]),
        }
        self._edges = sorted(edges)
        self._asked = intersect(self._extra, layout.asked_identity)
        self._borders = sorted({edge for region in (*self._extra, *self._asked) for edge in region})

    def cut(self, run: Run) -> Iterator[Range]:
        """Parts of a run that have different reasons."""
        edges = self._borders if run.kind is Kind.IDENTITY else self._edges
        inner = edges[bisect_right(edges, run.start) : bisect_right(edges, run.end - 1)]
        yield from pairwise([run.start, *inner, run.end])

    def why(self, kind: Kind, start: int, end: int) -> str:
        """The reason, as a phrase."""
        if kind is Kind.IDENTITY:
            over = intersect([(start, end)], self._extra)
            if intersect([(start, end)], self._asked):
                return "extra memory, overwritten: it was placed over this hole of the map"
            wrong = "extra memory, overwritten: identity was rounded out to a whole page of the tree"
            return wrong if over else self._why_identity(start, end)
        if kind is Kind.MFN:
            return self._why_mfn(start)
        if intersect([(start, end)], self._extra):
            return "extra memory: room for the balloon"
        if start >= self._end_of_map:
            return "nothing: behind the map"
        if intersect([(start, end)], self._freed):
            return "given back to the hypervisor"
        if any(entry.type in (RAM, UNUSABLE) for entry in self._between(start, end)):
            return "host RAM that is not dom0's"
        return "no memory"

    def _why_mfn(self, start: int) -> str:
        index = bisect_right(self._targets, start) - 1
        if index >= 0 and start < self._groups[index][0][1]:
            return _why_moved(self._groups[index][1])
        for low, high in self._populated:
            if low <= start < high:
                return "fresh frames in place of those given back"
        for (low, high), entry in self._swaps:
            if low <= start < high:
                return f"the frames of ACPI NVS {entry.start:#x}-{entry.end - 1:#x}"
        return "first allocation"

    def _why_identity(self, start: int, end: int) -> str:
        words: dict[str, None] = {}
        covered: list[Range] = []
        ram = False
        for entry in self._between(start, end):
            if entry.type != RAM:
                words[type_name(entry.type)] = None
                covered.append((pfn_down(entry.start), pfn_up(entry.end)))
            elif pfn_up(entry.start) < pfn_down(entry.end):
                covered.append((pfn_up(entry.start), pfn_down(entry.end)))
                ram = ram or bool(intersect([(start, end)], covered[-1:]))
        if subtract([(start, end)], covered):
            words["gaps" if words else "no memory"] = None
        if ram:
            words["host RAM that is not dom0's" if self._host.is_dom0 else "RAM beyond the limit"] = None
        moved = self._moved_from(start, end)
        freed = sum(high - low for low, high in intersect([(start, end)], self._freed))
        went = f"; its {counted(moved)} moved up" if moved else ""
        went += f"; {counted(freed)} given back" if freed else ""
        return ", ".join(words) + went

    def _between(self, start: int, end: int) -> Iterator[Entry]:
        """Entries of the host's map that touch PFNs ``[start, end)``."""
        first = max(0, bisect_right(self._starts, start) - 2)
        for index in range(first, bisect_left(self._starts, end)):
            if pfn_up(self._entries[index].end) > start:
                yield self._entries[index]

    def _moved_from(self, start: int, end: int) -> int:
        first = max(0, bisect_right(self._sources, start) - 1)
        moves = (self._moves[index] for index in range(first, bisect_left(self._sources, end)))
        return sum(max(0, min(m.source + m.size, end) - max(m.source, start)) for m in moves)


def _why_moved(moves: list[Move]) -> str:
    sources = [(move.source, move.source + move.size) for move in moves]
    low, high = sources[0][0], sources[-1][1]
    holes = len(sources) - sum(left[1] == right[0] for left, right in pairwise(sources))
    where = f"{low:#x} - {high:#x}" if holes == 1 else f"{holes} holes in {low:#x} - {high:#x}"
    return f"{counted(sum(move.size for move in moves))} moved from {where}"
