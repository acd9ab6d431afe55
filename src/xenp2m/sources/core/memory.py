"""The guest's memory in a core: pages by PFN, by MFN and by virtual address, read when asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np

from xenp2m.frames import PAGE_SIZE
from xenp2m.sources.pagetable import Path, path_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from xenp2m.sources.binary import Binary
    from xenp2m.sources.core.table import CoreTable

__all__ = ["CoreMemory"]


class CoreMemory:
    """Pages of a core; the file stays open as long as this lives.

    Attributes:
        table: which page is which.
        translated: the guest's page tables hold PFNs, as those of HVM and PVH guests do.
    """

    whole: ClassVar[bool] = True

    def __init__(self, file: Binary, offset: int, pages: int, table: CoreTable, *, translated: bool) -> None:
        """Serve the first `pages` pages from `offset` on."""
        self.table = table
        self.translated = translated
        self._file, self._offset, self._pages = file, offset, pages

    def page(self, pfn: int) -> bytes | None:
        """The 4096 bytes of `pfn`, None where the core has none. O(log runs)."""
        place = self.table.place(pfn)
        if not 0 <= place < self._pages:
            return None
        return self._file.read(self._offset + place * PAGE_SIZE, PAGE_SIZE, f"the page of PFN {pfn:#x}")

    def frame(self, mfn: int) -> bytes | None:
        """The 4096 bytes of the machine frame `mfn`, None where the core has none. O(log runs)."""
        return self.page(mfn if self.translated else self.table.pfn_of(mfn))

    def pfns(self) -> NDArray[np.uint64]:
        """Every PFN with a page, ascending."""
        pfns = self.table.pfns()
        places = self.table.places(pfns)
        return pfns if places.size == 0 or int(places.max()) < self._pages else pfns[places < self._pages]

    def pages(self, pfns: NDArray[np.uint64]) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """Many pages by PFN: a row of 4096 bytes each, zeros where there is none, and which there are."""
        places = self.table.places(pfns)
        there = (places >= 0) & (places < self._pages)
        offsets = np.full(pfns.size, -1, np.int64)
        if there.any():
            offsets[there] = self._offset + places[there] * PAGE_SIZE
        return self._file.pages(offsets), there

    def has(self, mfns: NDArray[np.uint64]) -> NDArray[np.bool_]:
        """Which machine frames the core has a page of."""
        places = self.table.places(mfns if self.translated else self.table.pfns_of(mfns).view(np.uint64))
        return (places >= 0) & (places < self._pages)

    def frames(self, mfns: NDArray[np.uint64]) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """Many pages by MFN (by PFN of a translated guest), as `pages` has them."""
        return self.pages(mfns if self.translated else self.table.pfns_of(mfns).view(np.uint64))

    def pfns_of(self, mfns: NDArray[np.uint64]) -> NDArray[np.int64]:
        """PFN of each MFN by the core's own table, -1 where it has none."""
        return mfns.astype(np.int64) if self.translated else self.table.pfns_of(mfns)

    def path(self, root: int, vaddr: int, levels: int) -> Path:
        """Walk the guest's page tables from the top table `root`, a frame (`cr3_to_frame`)."""
        return path_of(self.frames, root, vaddr, levels)
