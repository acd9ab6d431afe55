"""Where the last word on every PFN lies: types and pages by PFN, built record by record.

A stream may tell a PFN many times (live migration, checkpoints); the last record wins. The index
holds 16 bytes for every PFN told, however often.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from xenp2m.sources.stream.wire import PFN_MASK

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from xenp2m.sources.stream.events import Pages

__all__ = ["PageIndex"]

_PENDING = 1 << 22


class PageIndex:
    """The last word and page of every PFN.

    Attributes:
        told: words seen, every repetition counted.
    """

    def __init__(self) -> None:
        self.told = 0
        self._words: list[NDArray[np.uint64]] = []
        self._places: list[NDArray[np.int64]] = []
        self._pending = 0
        self._pfns: NDArray[np.uint64] | None = None
        self._types: NDArray[np.uint8] | None = None

    def add(self, pages: Pages) -> None:
        """Take over what one or many records say."""
        self._words.append(pages.words)
        self._places.append(pages.places)
        self.told += pages.words.size
        self._pending += pages.words.size
        if self._pending > max(_PENDING, self._words[0].size):
            self._fold()

    @property
    def words(self) -> NDArray[np.uint64]:
        """The last word of every PFN (type in bits 63 to 60), ascending by PFN."""
        self._fold()
        return self._words[0]

    @property
    def pfns(self) -> NDArray[np.uint64]:
        """Every PFN told, ascending."""
        self._fold()
        if self._pfns is None:
            self._pfns = self._words[0] & np.uint64(PFN_MASK)
        return self._pfns

    @property
    def types(self) -> NDArray[np.uint8]:
        """The last type of every PFN, in the order of `pfns`."""
        self._fold()
        if self._types is None:
            self._types = (self._words[0] >> np.uint64(60)).astype(np.uint8)
        return self._types

    @property
    def places(self) -> NDArray[np.int64]:
        """Offset of every PFN's page in the input, -1 where its last record carries none."""
        self._fold()
        return self._places[0]

    def find(self, pfns: NDArray[np.uint64]) -> NDArray[np.int64]:
        """Position of each PFN in `words`, -1 where the stream never tells it."""
        told = self.pfns
        if not told.size:
            return np.full(pfns.shape, -1, np.int64)
        slot = np.minimum(np.searchsorted(told, pfns), told.size - 1)
        return np.where(told[slot] == pfns, slot, -1)

    def _fold(self) -> None:
        if len(self._words) == 1 and not self._pending:
            return
        words = np.concatenate([np.empty(0, np.uint64), *self._words])
        places = np.concatenate([np.empty(0, np.int64), *self._places])
        pfns = words & np.uint64(PFN_MASK)
        if pfns.size and not bool((pfns[1:] > pfns[:-1]).all()):
            order = np.argsort(pfns, kind="stable")
            last = np.append(pfns[order][1:] != pfns[order][:-1], True)
            words, places = words[order[last]], places[order[last]]
        self._words, self._places, self._pending = [words], [places], 0
        self._pfns = self._types = None
