"""What one boot leaves behind: the guest's map, its P2M and how they came about."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from xenp2m.e820 import Entry
    from xenp2m.extents import Range, Run

__all__ = ["Bug", "BugError", "Layout", "Move", "Relocation", "Swap"]


class Bug(NamedTuple):
    """A place where the kernel's own code stops.

    Attributes:
        code: short name, as in the ``bug`` field of the JSON answer.
        phase: 1 memory setup, 4 remapping.
        console: the text the kernel writes before it stops, if any.
        pfn: the frame it stumbles over, where there is one.
    """

    code: str
    phase: int
    console: str | None = None
    pfn: int | None = None


class BugError(Exception):
    """Ends the replay of a boot where the kernel would end. Never leaves this package."""

    def __init__(self, bug: Bug) -> None:
        self.bug = bug
        super().__init__(bug.code)


class Move(NamedTuple):
    """`size` pages whose frames leave a hole and appear again in RAM, in ascending order.

    Attributes:
        source: first PFN, inside a hole.
        target: first PFN the frames are found at afterwards.
        size: number of pages.
    """

    source: int
    target: int
    size: int


class Swap(NamedTuple):
    """An ACPI NVS entry that changed places with RAM.

    Attributes:
        entry: the entry where the firmware put it.
        moved: the entry where the guest sees it.
        paddr: page-aligned start of the new place, bytes.
        maddr: page-aligned start of the old place, bytes: the frames behind the new one.
        size: bytes, a whole number of pages.
    """

    entry: Entry
    moved: Entry
    paddr: int
    maddr: int
    size: int


class Relocation(NamedTuple):
    """An object that the kernel copied out of a conflict.

    Attributes:
        what: ``p2m`` or ``initrd``.
        source: byte address before.
        target: byte address after.
        size: bytes; for the P2M the new list with its page tables.
    """

    what: str
    source: int
    target: int
    size: int


@dataclass(slots=True)
class Layout:
    """The outcome of one boot. Fields are in the order in which the kernel computes them.

    Attributes:
        limit: most pages this kernel takes.
        ini_pages: initial pages the kernel counts with.
        max_pages: pages it may ever have, those that make up for holes included.
        holes: what the map does not give as RAM, as PFN ranges, rounded outwards; a page that
            holds a RAM entry of less than a page belongs to two of them.
        host_map: the map after the first sorting, NVS swaps included.
        table: every range the kernel adds for the guest, before the last sorting; stored up to
            the table's capacity, ranges without a byte among them.
        dropped: ranges lost because the table was full.
        stalled: bytes of the RAM entry that cost those ranges, where there is one.
        e820: the guest's final map.
        extra_pages: pages granted as extra memory.
        extra_early: extra regions after memory setup, PFN ranges.
        extra: what the remapped pages left of them.
        extra_lost: regions that found no slot (128 are kept).
        moves: frames moved out of holes.
        released: pages given back to the hypervisor.
        freed: their PFN ranges in the order of release.
        swaps: NVS entries that changed places.
        relocations: P2M list and initrd where they had to move.
        runs: the P2M over ``[0, p2m_size)``; everything above is identity.
        p2m_size: entries of the final list.
        shared_max_pfn: ``shared_info.arch.max_pfn``, the end of what tools read.
        alloc_p2m_pages: pages taken for the final list, shared ones and the tools' tree included.
        extra_bytes_early: extra regions after memory setup in bytes, in the eras that keep them so.
        extra_bytes: what the remapped pages left of them.
        populated: PFN ranges that got fresh pages, in order (3.5 to 3.17).
        p2m_end: end of `runs` where the P2M is a tree: the whole PFN space.
        shape: the tree's pages, in the form of the vectors' ``struct``.
        brk_pages: pages the tree took with ``extend_brk``.
        asked_identity: what the boot asked a tree to mark as identity, PFN ranges.
        bug: where the kernel stops, if it does.
    """

    limit: int = 0
    ini_pages: int = 0
    max_pages: int = 0
    holes: list[Range] = field(default_factory=list)
    host_map: list[Entry] = field(default_factory=list)
    table: list[Entry] = field(default_factory=list)
    dropped: int = 0
    stalled: Range | None = None
    e820: list[Entry] | None = None
    extra_pages: int = 0
    extra_early: list[Range] | None = None
    extra: list[Range] | None = None
    extra_lost: int = 0
    moves: list[Move] = field(default_factory=list)
    released: int = 0
    freed: list[Range] = field(default_factory=list)
    swaps: list[Swap] = field(default_factory=list)
    relocations: list[Relocation] = field(default_factory=list)
    runs: list[Run] | None = None
    p2m_size: int = 0
    shared_max_pfn: int = 0
    alloc_p2m_pages: int = 0
    extra_bytes_early: list[Range] | None = None
    extra_bytes: list[Range] | None = None
    populated: list[Range] = field(default_factory=list)
    p2m_end: int | None = None
    shape: list[list[Any]] | None = None
    brk_pages: int | None = None
    asked_identity: list[Range] = field(default_factory=list)
    bug: Bug | None = None

    @property
    def map_end(self) -> int:
        """End of `runs`: of the list, or of the tree's PFN space."""
        return self.p2m_size if self.p2m_end is None else self.p2m_end

    @property
    def map_pages(self) -> int:
        """Pages the map takes beside the builder's list."""
        return self.alloc_p2m_pages if self.brk_pages is None else self.brk_pages

    @property
    def remapped(self) -> int:
        """Pages moved out of holes (the kernel's "Remapped N page(s)")."""
        return sum(move.size for move in self.moves)
