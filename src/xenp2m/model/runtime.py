"""One guest on its machine: balloon, foreign frames, page tables and tools, on one P2M.

`Runtime` puts the rooms `balloon`, `pte` and `toolstack` together with Xen's own side, the M2P: which
PFN every machine frame of the guest stands for. What a kernel does not keep is made up in one way and
said here: the scratch page of 3.12 to 3.19 is the last frame of the builder's list.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from xenp2m.model.balloon import ForeignFrames, balloon_down, balloon_up
from xenp2m.model.pte import PAGE_PRESENT, make_pte
from xenp2m.model.toolstack import frame_words

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from xenp2m.model.balloon import BalloonUp, Driver
    from xenp2m.model.linear import LinearP2M
    from xenp2m.model.phys_to_machine import PhysToMachine

__all__ = ["Runtime", "SaveView"]


class SaveView(NamedTuple):
    """What tools that save the guest make of its list.

    Attributes:
        words: the raw entries they read, PFN 0 on.
        pages: entries that hold a page of the guest.
        races: PFNs whose MFN does not come back to them through the M2P.
        bogus: PFNs whose entry is no MFN of the machine.
    """

    words: NDArray[Any]
    pages: int
    races: NDArray[np.int64]
    bogus: NDArray[np.int64]


class Runtime:
    """A guest after its boot.

    Args:
        p2m: its map, changed in place.
        mfn_list: the builder's list, from which Xen's M2P begins.
        driver: its balloon driver.
        marks_io: whether its page tables mark identity frames as I/O.

    Attributes:
        foreign: frames mapped by grant.
    """

    def __init__(
        self,
        p2m: PhysToMachine | LinearP2M,
        mfn_list: NDArray[np.int64],
        driver: Driver,
        *,
        marks_io: bool,
    ) -> None:
        self._p2m = p2m
        self._driver = driver
        self._marks_io = marks_io
        self._scratch = int(mfn_list[-1])
        self._order = np.argsort(mfn_list, kind="stable")
        self._mfns = mfn_list[self._order]
        self._changed: dict[int, int | None] = {}
        self.foreign = ForeignFrames(p2m, self.pfn_of)

    def pfn_of(self, mfn: int) -> int | None:
        """The guest's PFN of a machine frame, as Xen's M2P has it; None where it is not the guest's."""
        if mfn in self._changed:
            return self._changed[mfn]
        at = int(np.searchsorted(self._mfns, mfn, side="right")) - 1
        return int(self._order[at]) if at >= 0 and int(self._mfns[at]) == mfn else None

    def balloon_up(self, pfn: int, mfn: int) -> BalloonUp:
        """Fill one frame: Xen gives the page and tells the M2P, then the driver stores it."""
        self._changed[mfn] = pfn
        return balloon_up(self._p2m, [(pfn, mfn)], stops_on_valid=self._driver.stops_on_valid)

    def balloon_down(self, pfn: int) -> bool:
        """Give one frame back; what has no page of its own stays as it is."""
        word = self._p2m.get(pfn)
        if self.pfn_of(word) != pfn:
            return False
        self._changed[word] = None
        return bool(balloon_down(self._p2m, [pfn], self._scratch if self._driver.scratch else None))

    def map_foreign(self, pfn: int, mfn: int) -> bool:
        """Map another domain's page (``set_foreign_p2m_mapping``, with the M2P override up to 3.19)."""
        return self.foreign.map(pfn, mfn, override=self._driver.override)

    def pte(self, pfn: int) -> int:
        """The page-table entry the kernel writes for a present page."""
        return make_pte(self._p2m, pfn, PAGE_PRESENT, marks=self._marks_io)

    def _apply_changes(self, words: NDArray[Any], owner: NDArray[np.int64]) -> None:
        """Put what the balloon changed in the M2P into `owner`, the PFN that each word belongs to."""
        if not self._changed:
            return
        mfns = np.array(sorted(self._changed), np.uint64)
        pfns = np.array([-1 if (p := self._changed[int(m)]) is None else p for m in mfns], np.int64)
        at = np.minimum(np.searchsorted(mfns, words.astype(np.uint64)), len(mfns) - 1)
        changed = mfns[at] == words.astype(np.uint64)
        owner[changed] = pfns[at[changed]]

    def save(self, end_pfn: int = 0) -> SaveView:
        """What tools read up to `end_pfn` (0: as far as the guest tells), each entry held against the M2P.

        O(entries), in bulk.
        """
        words = frame_words(self._p2m, end_pfn or None)
        invalid = words.dtype.type(self._p2m.geometry.invalid)
        at = np.maximum(np.searchsorted(self._mfns, words.astype(np.uint64), side="right") - 1, 0)
        known = self._mfns[at].astype(words.dtype) == words
        owner = np.where(known, self._order[at], -1)
        self._apply_changes(words, owner)
        held = words != invalid
        own = held & (owner == np.arange(len(words)))
        flags = self._p2m.geometry.foreign_bit | self._p2m.geometry.identity_bit
        flagged = (words & words.dtype.type(flags)) != 0
        races, bogus = held & ~own & ~flagged, held & flagged
        return SaveView(words, int(own.sum()), np.flatnonzero(races), np.flatnonzero(bogus))
