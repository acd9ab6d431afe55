"""The guest's memory in a stream: read from the file when asked for, or the few pages kept of a pipe."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np

from xenp2m.frames import PAGE_SIZE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from xenp2m.sources.binary import Binary
    from xenp2m.sources.stream.index import PageIndex

__all__ = ["FileMemory", "KeptMemory"]


class FileMemory:
    """Pages by PFN out of a stream in a file; the file stays open as long as this lives."""

    whole: ClassVar[bool] = True

    def __init__(self, binary: Binary, index: PageIndex) -> None:
        """Serve the pages that `index` places in `binary`."""
        self._binary, self._index = binary, index

    def page(self, pfn: int) -> bytes | None:
        """The 4096 bytes of `pfn` as its last record has them, None where it has none.

        Raises:
            InputError: the file shrank.
        """
        if not 0 <= pfn < 1 << 52:
            return None
        place = int(self._index.places_of(np.array([pfn], np.uint64))[0])
        return None if place < 0 else self._binary.read(place, PAGE_SIZE, f"the page of PFN {pfn:#x}")

    def pages(self, pfns: NDArray[np.uint64]) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """Many pages: a row of 4096 bytes each, zeros where there is none, and which there are."""
        offsets = self._index.places_of(pfns)
        return self._binary.pages(offsets), offsets >= 0

    def pfns(self) -> NDArray[np.uint64]:
        """Every PFN with a page, ascending."""
        return self._index.pfns(self._index.rows.place >= 0)


class KeptMemory:
    """The pages that were kept while a pipe passed: the P2M's own, and page tables."""

    whole: ClassVar[bool] = False

    def __init__(self, pages: dict[int, bytes]) -> None:
        """Serve `pages` by PFN."""
        self._pages = pages

    def page(self, pfn: int) -> bytes | None:
        """The 4096 bytes of `pfn`, None where they were not kept."""
        return self._pages.get(pfn)

    def pages(self, pfns: NDArray[np.uint64]) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """Many pages: a row of 4096 bytes each, zeros where there is none, and which there are."""
        found = [self._pages.get(pfn) for pfn in pfns.tolist()]
        data = b"".join(page or bytes(PAGE_SIZE) for page in found)
        there = np.array([page is not None for page in found], np.bool_)
        return np.frombuffer(data, np.uint8).reshape(-1, PAGE_SIZE), there

    def pfns(self) -> NDArray[np.uint64]:
        """Every PFN with a page that was kept, ascending."""
        return np.array(sorted(self._pages), np.uint64)
