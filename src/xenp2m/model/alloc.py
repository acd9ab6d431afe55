"""Page budgets of the P2M: what a kernel may take before and after its page allocator is up.

Before, pages come out of the kernel image's own ``__brk`` area (``extend_brk``), whose size was fixed
when the kernel was built; exceeding it is a BUG. Afterwards they come from the page allocator, which
can fail. Here both are values: `Pages.over_budget` and the answer of `Pages.runtime_page`.

Source: ``RESERVE_BRK`` lines and ``extend_brk`` calls of ``arch/x86/xen/p2m.c``, 2.6.39 to 3.18.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

from xenp2m.frames import PAGE_SIZE
from xenp2m.model.errors import BrkExhaustedError

if TYPE_CHECKING:
    from xenp2m.frames import Geometry

__all__ = ["MFN_TREE_PAGES", "BrkReservation", "Origin", "Pages"]


class Origin(IntEnum):
    """Where a page of the tree came from. The letters are those of the replay's ``struct``."""

    SHARED = 0
    """One of the pages that many entries point to."""
    LIST = 1
    """A piece of the domain builder's MFN list."""
    BRK = 2
    """``extend_brk``, before the allocator is up."""
    RUNTIME = 3
    """The page allocator."""


MFN_TREE_PAGES = 3
"""``p2m_mid_missing_mfn``, ``p2m_top_mfn_p`` and ``p2m_top_mfn``: pages of the tools' tree at its least."""


BRK_AREA = 1 << 15
"""Pages beyond which no ``__brk`` area reaches: 128 MiB, far above any kernel's."""


@dataclass(slots=True)
class Pages:
    """Pages taken so far, by allocator.

    Attributes:
        brk: 4 KiB pages from ``extend_brk``.
        runtime: pages from the page allocator.
        bootmem: pages from ``alloc_bootmem_align`` (3.18 builds the tools' tree with it).
        runtime_limit: pages the allocator still gives out in all; None for no limit.
        brk_budget: pages that p2m.c reserved for itself; None where that is unknown.
    """

    brk: int = 0
    runtime: int = 0
    bootmem: int = 0
    runtime_limit: int | None = None
    brk_budget: int | None = None

    def brk_page(self) -> None:
        """Take one page of ``extend_brk``.

        Raises:
            BrkExhaustedError: no kernel has an area of that size.
        """
        if not self.brk_pages(1):
            raise BrkExhaustedError

    def brk_pages(self, wanted: int) -> int:
        """Take pages of ``extend_brk``, as many of those wanted as there are; returns how many."""
        given = min(wanted, max(0, BRK_AREA - self.brk))
        self.brk += given
        return given

    def runtime_page(self) -> bool:
        """Take one page of the page allocator; False where it has none left."""
        if self.runtime_limit is not None and self.runtime >= self.runtime_limit:
            return False
        self.runtime += 1
        return True

    @property
    def over_budget(self) -> int:
        """``extend_brk`` pages beyond what p2m.c reserved: in the kernel a BUG once all slack is gone."""
        return 0 if self.brk_budget is None else max(0, self.brk - self.brk_budget)


@dataclass(frozen=True, slots=True)
class BrkReservation:
    """What p2m.c reserves in the ``__brk`` area when the kernel is built.

    Attributes:
        fixed: shared pages and the top levels.
        per_mid: pages per mid page of the largest domain (1, or 2 with a page of MFNs beside it).
        edges: pages for the boundaries of identity ranges.
        populated: pages for leaves that are populated again.
        limit_gib: largest domain in GiB, ``MAX_DOMAIN_PAGES``, for 32 and for 64 bits.
    """

    fixed: int
    per_mid: int
    edges: int
    populated: int
    limit_gib: tuple[int, int]

    def max_domain_pages(self, geometry: Geometry) -> int:
        """``MAX_DOMAIN_PAGES``: frames the tree is built for, at most those it can hold."""
        gib = self.limit_gib[geometry.word == 8]
        return min(gib << 18, geometry.max_p2m_pfn)

    def pages(self, geometry: Geometry) -> int:
        """Reserved pages that the tree itself can use."""
        mids = self.max_domain_pages(geometry) // geometry.entries**2
        return self.fixed + self.per_mid * mids + self.edges + self.populated

    def total_bytes(self, geometry: Geometry) -> int:
        """All that p2m.c reserves: the pages above and the hash of the M2P override (1024 list heads)."""
        return self.pages(geometry) * PAGE_SIZE + 2 * geometry.word * 1024
