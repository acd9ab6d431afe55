"""The P2M tree of a boot, on runs: which page hangs where, and what every frame reads as.

The twin of `xenp2m.model.phys_to_machine` for whole boots: kinds of mid and leaf pages by ranges
instead of pools of pages, words by runs instead of arrays. Its operations are those that memory
setup needs, on ranges of frames; cost is in runs, never in pages.

Leaf pages are ``M`` p2m_missing, ``I`` p2m_identity, ``L`` a page of the builder's list at home,
``l`` one used again elsewhere, ``B`` one from ``extend_brk``. Mid pages are ``M``, ``I`` or ``B``.

Source: as in `xenp2m.model.early` and `xenp2m.model.range_identity`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from xenp2m.boot.layout import Bug, BugError
from xenp2m.boot.rangemap import RangeMap
from xenp2m.extents import Run, coalesce
from xenp2m.frames import Kind
from xenp2m.model.alloc import MFN_TREE_PAGES
from xenp2m.model.rules import Edges

if TYPE_CHECKING:
    from collections.abc import Iterator

    from xenp2m.extents import Range
    from xenp2m.frames import Geometry
    from xenp2m.model.rules import Rules

__all__ = ["IDENTITY", "MISSING", "Frames", "RunTree"]


class Frames(NamedTuple):
    """What a run of frames reads as: for MFNs the number is ``offset + step * pfn``."""

    kind: Kind
    offset: int = 0
    step: int = 0

    def own(self, start: int, end: int) -> Range:
        """The PFNs within ``[start, end)`` whose MFN is the same number; an empty range for none."""
        if self.step == 1:
            return (start, end) if self.offset == 0 else (start, start)
        pfn, odd = divmod(self.offset, 2)
        return (pfn, pfn + 1) if start <= pfn < end and not odd else (start, start)

    def moved(self, by: int) -> Frames:
        """The same frames behind PFNs that are `by` higher."""
        return self._replace(offset=self.offset - by * self.step)


MISSING, IDENTITY = Frames(Kind.MISSING), Frames(Kind.IDENTITY)


class RunTree:
    """The tree while a boot edits it.

    Attributes:
        leaves: kind of the leaf page at every leaf-sized place.
        mids: kind of the mid page behind every top entry.
        words: what every frame reads as.
        brk: 4 KiB pages taken with ``extend_brk``.
        asked: ranges that identity was asked for and not refused, in order.
    """

    def __init__(self, rules: Rules, geometry: Geometry) -> None:
        self.rules = rules
        self.geometry = geometry
        entries = geometry.entries
        self._void = "I" if rules.void_identity else "M"
        self.leaves: RangeMap[str] = RangeMap(entries**2, self._void)
        self.mids: RangeMap[str] = RangeMap(entries, self._void)
        self.words: RangeMap[Frames] = RangeMap(entries**3, IDENTITY if rules.void_identity else MISSING)
        self.brk = (5 if rules.mid_identity else 4) + (0 if rules.late_mfn_tree else MFN_TREE_PAGES)
        self.asked: list[Range] = []
        self._last_leaf = -(-rules.reservation.max_domain_pages(geometry) // entries)

    def graft(self, pages: int, frames: Frames) -> None:
        """Hang the builder's list of `pages` entries into the tree."""
        leaves = -(-pages // self.geometry.entries)
        self.leaves.assign(0, leaves, "L")
        self.words.assign(0, leaves * self.geometry.entries, MISSING)
        self.words.assign(0, pages, frames)
        self._need_mids(0, leaves)

    def reads(self, start: int, end: int, kind: Kind) -> list[Range]:
        """Ranges within ``[start, end)`` that read as `kind`."""
        found: list[Range] = []
        for low, high, frames in self.words.items(start, end):
            if frames.kind is not kind:
                continue
            if found and found[-1][1] == low:
                found[-1] = (found[-1][0], high)
            else:
                found.append((low, high))
        return found

    def holds(self, mfn: int) -> bool:
        """Whether any entry holds this MFN."""
        for low, high, frames in self.words.items():
            if frames.kind is Kind.MFN and low <= (mfn - frames.offset) * frames.step < high:
                return True
        return False

    def empty(self, start: int, end: int, *, keep_own: bool = False) -> None:
        """Store INVALID in every entry that holds an MFN; shared identity pages hide the store.

        With `keep_own` entries whose MFN is their own PFN are left alone. Under the rules of void
        identity what is to be missing needs pages, and gets them.
        """
        if self.rules.void_identity:
            for low, high, kind in self.leaves.items(
                start // self.geometry.entries, -(-end // self.geometry.entries)
            ):
                if kind == "I":
                    self._new_leaves(low, high)
            self.words.assign(start, end, MISSING)
        for low, high, frames in self.words.items(start, end):
            if frames.kind is not Kind.MFN:
                continue
            own = frames.own(low, high) if keep_own else (low, low)
            self.words.assign(low, own[0], MISSING)
            self.words.assign(own[1], high, MISSING)

    def set_identity(self, start: int, end: int) -> None:
        """``set_phys_range_identity``: see `xenp2m.model.range_identity`."""
        last = self.geometry.max_p2m_pfn
        if self.rules.edges is Edges.SPLIT:
            end = min(end, last)
        if start >= last or start > end or (self.rules.edges is not Edges.SPLIT and end >= last):
            return
        self.asked.append((start, end))
        self._prepare(start, end)
        self._sweep(start, end)

    def _prepare(self, start: int, end: int) -> None:
        """Pages that the era makes before it marks a range: see `xenp2m.model.rules.Edges`."""
        entries, edges = self.geometry.entries, self.rules.edges
        if edges in (Edges.BUILDER, Edges.EARLY_SET, Edges.HOISTED):
            for low, high, kind in self.leaves.items(start // entries, -(-end // entries)):
                if kind == "M" and start < end:
                    self._new_leaves(low, high)
        elif edges is Edges.SPLIT:
            for pfn in (start, end):
                if pfn % entries**2:
                    self._need_mids(pfn // entries, pfn // entries + 1)
        elif edges is Edges.EVERY_MID and start // entries**2 < -(-end // entries**2):
            self._need_mids(start // entries**2 * entries, -(-end // entries**2) * entries)
        if edges not in (Edges.SPLIT, Edges.EVERY_MID):
            return
        for pfn in (start, end):
            if pfn % entries and self.leaves[pfn // entries] == "M":
                self._new_leaves(pfn // entries, pfn // entries + 1)

    def _sweep(self, start: int, end: int) -> None:
        """Shared missing pages of the range become identity, private ones get words."""
        entries = self.geometry.entries
        if start >= end:
            return
        first, last = start // entries, -(-end // entries)
        for low, high, kind in self.mids.items(first // entries, -(-last // entries)):
            if kind == "M":
                self.mids.assign(low, high, "I")
                self._share(low * entries, high * entries)
        for low, high, kind in self.leaves.items(first, last):
            if kind == "M":
                self._share(low, high)
            elif kind != "I":
                self.words.assign(max(start, low * entries), min(end, high * entries), IDENTITY)

    def _share(self, first: int, end: int) -> None:
        """Point leaf places at the shared identity page."""
        entries = self.geometry.entries
        self.leaves.assign(first, end, "I")
        self.words.assign(first * entries, end * entries, IDENTITY)

    def fill(self, start: int, end: int, frames: Frames) -> None:
        """``early_set_phys_to_machine`` for every frame of ``[start, end)``, upwards.

        Leaf pages that say nothing are used again, first ones first, for whole leaves; the others
        come from ``extend_brk``. A shared identity page hides the store.

        Raises:
            BugError: the range goes past the end of the tree.
        """
        entries = self.geometry.entries
        if end > self.words.end:
            raise BugError(Bug("store-beyond-p2m-end", 1, pfn=max(start, self.words.end)))
        while start < end:
            place = start // entries
            _, high, kind = self.leaves.run_at(place)
            stop = min(end, high * entries)
            if kind == "M":
                leaf = place
                if start % entries:
                    self._new_leaves(place, place + 1)
                    leaf += 1
                    self.words.assign(start, min(stop, leaf * entries), frames)
                self._place(leaf, -(-stop // entries))
                self.words.assign(leaf * entries, -(-stop // entries) * entries, MISSING)
            if kind != "I":
                self.words.assign(start, stop, frames)
            start = stop

    def _place(self, first: int, end: int) -> None:
        """Private pages for missing leaf places, reused ones as far as there are any."""
        self._need_mids(first, end)
        while first < end:
            idle = self._idle() if self.rules.reuse else None
            if idle is None:
                self._new_leaves(first, end)
                return
            low, high, page, shared = idle
            count = min(high - low, end - first)
            if shared == "I":
                self._share(low, low + count)
            else:
                self.leaves.assign(low, low + count, "M")
            self.leaves.assign(first, first + count, page)
            # a page that changes places is emptied, and no longer idle once its frames are stored
            self.words.assign(first * self.geometry.entries, (first + count) * self.geometry.entries, _HELD)
            first += count

    def _idle(self) -> tuple[int, int, str, str] | None:
        """First private leaf pages that are all identity or all missing.

        Returns:
            First place, end, what the pages are elsewhere (``l`` or ``B``), and the shared page
            that can stand for them.
        """
        entries = self.geometry.entries
        for first, end, kind in self.leaves.items(0, self._last_leaf):
            if kind in "MI":
                continue
            for low, high, frames in self.words.items(first * entries, end * entries):
                low, high = -(-low // entries), high // entries
                if low < high and frames in (MISSING, IDENTITY):
                    return low, high, "B" if kind == "B" else "l", "I" if frames == IDENTITY else "M"
        return None

    def _need_mids(self, first: int, end: int) -> None:
        """Mid pages, and pages of MFNs where tools have a tree already, for leaf places."""
        entries = self.geometry.entries
        for low, high, kind in self.mids.items(first // entries, -(-end // entries)):
            if kind == self._void:
                self.mids.assign(low, high, "B")
                self.brk += (high - low) * (1 if self.rules.late_mfn_tree else 2)

    def _new_leaves(self, first: int, end: int) -> None:
        """Empty leaf pages from ``extend_brk``."""
        if first < end:
            self._need_mids(first, end)
            self.leaves.assign(first, end, "B")
            self.brk += end - first

    def revector(self) -> None:
        """Copy the pages of the builder's list, packed, to memory of the kernel's own.

        Only which of them count as "at home" changes: those whose place is their number in order.
        Source: ``xen_revector_p2m_tree`` (3.7 to 3.18, 64-bit).
        """
        used = 0
        for first, end, kind in self.leaves.items(0, self._last_leaf):
            if kind in "Ll":
                self.leaves.assign(first, end, "L" if first == used else "l")
                used += end - first

    def runs(self) -> list[Run]:
        """The map over the whole PFN space."""
        return coalesce(
            Run(low, high, f.kind, f.offset + f.step * low if f.step else 0, f.step)
            for low, high, f in self.words.items()
        )

    def shape(self) -> list[list[Any]]:
        """The structure, in the form of `xenp2m.model.shape.shape`."""
        return list(self._shape())

    def _shape(self) -> Iterator[list[Any]]:
        entries = self.geometry.entries
        for low, high, kind in self.mids.items():
            if kind != "B":
                yield [low, high, "mid_missing" if kind == "M" else "mid_identity"]
                continue
            for top in range(low, high):
                base = top * entries
                leaves = [[a - base, b - base, k] for a, b, k in self.leaves.items(base, base + entries)]
                yield [top, top + 1, "B", leaves]


_HELD = Frames(Kind.UNKNOWN)
"""Entries of a page that was just moved: about to be stored."""
