"""What every reader returns: where the map came from, whose it is, the map, the guest's memory.

A `Source` is the same value whether it was read from a core, a save stream, a text or a running
domain; what an input cannot tell is None or `Kind.UNKNOWN`, never a guess.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Protocol

from xenp2m.display import Displayed
from xenp2m.frames import GEOMETRY_64, Geometry

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from xenp2m.findings import Finding, Outcome
    from xenp2m.p2m import P2M

__all__ = ["MOST_TEXT", "Guest", "LazySource", "Leaves", "Memory", "Origin", "Progress", "Source"]

MOST_TEXT = 4096
"""Characters of one text that an input may bring to be shown: a path or a paragraph, and no more."""


class Progress(Protocol):
    """Told from time to time how far a reader is."""

    def __call__(self, done: int, total: int | None, /) -> None:
        """`done` of `total` units; `total` is None where the end is not known."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a map came from.

    Attributes:
        name: path as given, ``-`` for standard input, ``live:5`` for a domain.
        format: the kind of input in words of the field, such as ``xen core, PV``.
        size: bytes, where the input has a size.
        sha256: of the whole input in hex, where it was asked for and the input can be read twice.
    """

    name: str
    format: str
    size: int | None = None
    sha256: str | None = None


@dataclass(frozen=True, slots=True)
class Guest:
    """What an input tells about the guest.

    Attributes:
        geometry: word size and fan-out.
        translated: an HVM or PVH guest, whose P2M belongs to Xen: no P2M of its own to read.
        max_pfn: entries that the guest says its P2M has (``arch.max_pfn``: a count, not the last).
        form: how the raw map was found: ``linear list``, ``frame list tree``, or "" where it was not.
        p2m_cr3: ``arch.p2m_cr3`` as stored, 0 where the guest keeps no linear list.
        p2m_vaddr: virtual address of the linear list.
        frame_list_list: MFN of the top of the tree that tools walk; all ones is "none".
        generation: ``arch.p2m_generation``; odd while the guest changes its list.
        xen: version of the hypervisor, ``4.17.7``, where the input says so.
        vcpus: contexts in the input.
        frames: what page tables and contexts of this input hold: ``mfn`` (cores, live domains) or
            ``pfn`` (streams).
        cr3: frame of every vCPU's top page table in that space, in the order of the vCPUs; -1 where
            the input does not tell.
    """

    geometry: Geometry = GEOMETRY_64
    translated: bool = False
    max_pfn: int | None = None
    form: str = ""
    p2m_cr3: int = 0
    p2m_vaddr: int = 0
    frame_list_list: int = 0
    generation: int | None = None
    xen: str | None = None
    vcpus: int | None = None
    frames: str = "mfn"
    cr3: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Leaves:
    """The pages that hold the raw map, one entry for each leaf page of the list, ascending.

    Attributes:
        frames: frame of every leaf page (`space` tells of which space), ``-1`` as uint64 where absent.
        space: ``mfn`` (cores, live domains) or ``pfn`` (streams).
        identity: frame of the shared leaf whose PFNs are identity, where the input shows which it is.
        missing: frame of the shared leaf whose PFNs are missing, likewise.
        why: how `identity` and `missing` were told apart, or why they could not be.
    """

    frames: NDArray[np.uint64]
    space: str
    identity: int | None = None
    missing: int | None = None
    why: str = ""


class Memory(Protocol):
    """The pages of a guest that an input carries, by PFN.

    Attributes:
        whole: every page of the input can be asked for; of a stream in a pipe only the list's own pages
            and page tables are kept.
    """

    whole: ClassVar[bool]

    def page(self, pfn: int) -> bytes | None:
        """The 4096 bytes of `pfn`, or None where the input has none. Never silent zeros."""

    def pages(self, pfns: NDArray[np.uint64], /) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """Many pages: a row of 4096 bytes for each PFN, and which of them there are."""

    def pfns(self) -> NDArray[np.uint64]:
        """Every PFN with a page, ascending."""


@dataclass(frozen=True, slots=True)
class Source(Displayed):
    """A map and its guest, as one input tells them.

    Attributes:
        origin: where it came from.
        guest: whose it is.
        p2m: the raw map: identity, foreign and missing entries kept apart, shared leaves resolved.
            Entries that the input does not tell are `Kind.UNKNOWN`.
        listed: what the input's own table says (``.xen_p2m``, types of a stream), where it has one:
            the filtered view, to hold against `p2m`.
        leaves: pages of the list, where the raw map was found.
        memory: the guest's memory, where the input carries it.
        lost: what could not be read, a line each: empty unless the input was salvaged or torn.
        inferred: what was concluded rather than read, a line each.
        findings: what the reader itself noticed, such as faults in a stream's structure, or what an
            answer of ours says.
        m2p: of an input that is a machine's M2P and no guest's map (`p2m` is empty then): the PFN of
            every MFN, all ones where there is none.
        outcome: how the boot ends, of an answer of ``plan`` that was kept.
    """

    origin: Origin
    guest: Guest
    p2m: P2M
    listed: P2M | None = None
    leaves: Leaves | None = None
    memory: Memory | None = None
    lost: tuple[str, ...] = ()
    inferred: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    m2p: NDArray[np.uint64] | None = None
    outcome: Outcome | None = None


class LazySource(Source):
    """A source of which origin and memory are at hand, and the rest is read when it is first asked for.

    What reading finds wrong is raised by that first question, and by every later one again.
    """

    __slots__ = ("_load", "_loaded")
    _load: Callable[[], Source]
    _loaded: Source | None

    def __init__(self, origin: Origin, memory: Memory | None, load: Callable[[], Source]) -> None:
        """Keep `load`, which returns the same source whole."""
        for name, value in (("origin", origin), ("memory", memory), ("_load", load), ("_loaded", None)):
            object.__setattr__(self, name, value)

    def _whole(self) -> Source:
        if self._loaded is None:
            object.__setattr__(self, "_loaded", self._load())
        assert self._loaded is not None
        return self._loaded

    @property
    def guest(self) -> Guest:
        """Whose it is."""
        return self._whole().guest

    @property
    def p2m(self) -> P2M:
        """The raw map."""
        return self._whole().p2m

    @property
    def listed(self) -> P2M | None:
        """What the input's own table says."""
        return self._whole().listed

    @property
    def leaves(self) -> Leaves | None:
        """Pages of the list."""
        return self._whole().leaves

    @property
    def lost(self) -> tuple[str, ...]:
        """What could not be read."""
        return self._whole().lost

    @property
    def inferred(self) -> tuple[str, ...]:
        """What was concluded."""
        return self._whole().inferred

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What the reader noticed."""
        return self._whole().findings

    @property
    def m2p(self) -> NDArray[np.uint64] | None:
        """A machine's M2P."""
        return self._whole().m2p

    @property
    def outcome(self) -> Outcome | None:
        """How the boot ends."""
        return self._whole().outcome
