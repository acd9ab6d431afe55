"""A running or paused PV domain, read through Xen's libraries: ``live:self`` and ``live:DOMID``.

``live:self`` is dom0, where this runs: Xen maps a domain's own frames only under ``DOMID_SELF``, so a
tool that says 0 sees nothing. Nothing is written; a map that changes while it is read is read again.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from time import sleep
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from xenp2m.errors import InputError, shorten
from xenp2m.frames import GEOMETRIES, PAGE_SIZE, Kind
from xenp2m.sources.guestlist import recover_list
from xenp2m.sources.layout import SHARED_INFO, cr3_to_frame
from xenp2m.sources.source import Guest, Origin, Source
from xenp2m.sources.xenlibs import DOMID_SELF, XenLibraries

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from xenp2m.p2m import P2M
    from xenp2m.sources.guestlist import GuestList
    from xenp2m.sources.pagetable import Fetch
    from xenp2m.sources.xenlibs import Domain, Toolstack

__all__ = ["PREFIX", "LiveMemory", "read"]

PREFIX = "live:"
_TRIES = 5
_PAUSE_SECONDS = 0.2


class LiveMemory:
    """Pages of a running domain as they are when they are asked for."""

    whole: ClassVar[bool] = True

    def __init__(self, p2m: P2M, fetch: Fetch) -> None:
        """Serve the frames that `p2m` names, read by `fetch`."""
        self._p2m, self._fetch = p2m, fetch

    def page(self, pfn: int) -> bytes | None:
        """The 4096 bytes of `pfn`, None where no frame of the domain's own is behind it."""
        kind, mfn = self._p2m.lookup(pfn)
        if kind is not Kind.MFN:
            return None
        pages, there = self._fetch(np.array([mfn], np.uint64))
        return pages[0].tobytes() if there[0] else None

    def pages(self, pfns: NDArray[np.uint64]) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """Many pages by PFN, a row of 4096 bytes each, and which of them there are."""
        words = self._p2m.translate(pfns)
        own = words < np.uint64(1 << 62)
        rows, there = np.zeros((pfns.size, PAGE_SIZE), np.uint8), np.zeros(pfns.size, np.bool_)
        rows[own], there[own] = self._fetch(words[own])
        return rows, there

    def pfns(self) -> NDArray[np.uint64]:
        """Every PFN with a frame of the domain's own, ascending."""
        runs = [np.arange(r.start, r.end, dtype=np.uint64) for r in self._p2m.extents() if r.kind is Kind.MFN]
        return np.concatenate(runs) if runs else np.zeros(0, np.uint64)

    def frames(self, mfns: NDArray[np.uint64]) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """Pages by MFN, a row of 4096 bytes each, and which of them there are."""
        return self._fetch(mfns)


def read(name: str, *, salvage: bool = False, toolstack: Toolstack | None = None) -> Source:
    """Read a domain's map.

    Args:
        name: ``live:self``, or ``live:`` and a domain's number.
        salvage: take a list that never kept still, and say so, instead of refusing it.
        toolstack: what to ask; Xen's libraries of this machine by default.

    Raises:
        InputError: no such domain, no leave to look, a list that changes all the time or is of no
            sense.
        UnsupportedError: not a PV domain, or a version of Xen that is not known.
    """
    domid = _domid(name)
    kit = XenLibraries() if toolstack is None else toolstack
    domain = kit.domain(domid)
    fetch = partial(kit.pages, domid or DOMID_SELF)
    found, torn = _settled(name, kit, domain, fetch)
    if torn and not salvage:
        raise InputError(name, "a list that keeps still for a moment (xl pause), or --salvage", torn)
    if found.p2m is None:
        raise InputError(name, "a P2M that the guest has published", found.lost[0])
    origin = Origin(name, f"running domain, Xen {kit.xen}")
    lost = (*found.lost, torn) if torn else found.lost
    memory = LiveMemory(found.p2m, fetch)
    return Source(
        origin, found.guest, found.p2m, leaves=found.leaves, memory=memory, lost=lost, inferred=found.inferred
    )


def _domid(name: str) -> int:
    """The domain's number; dom0 for ``self``, as no other domain may ask."""
    text = name.removeprefix(PREFIX)
    if text == "self":
        return 0
    if not text.isascii() or not text.isdecimal() or len(text) > 5 or int(text) >= DOMID_SELF:
        raise InputError(name[:40], "live:self, or live: and a domain's number (xl list)", shorten(text))
    return int(text)


def _settled(name: str, kit: Toolstack, domain: Domain, fetch: Fetch) -> tuple[GuestList, str]:
    """Read the list until its generation is even and the same before and after.

    Returns:
        The list, and one line where it never was.
    """
    guest = _guest(name, kit, domain, fetch)
    for _ in range(_TRIES):
        found = recover_list(guest, fetch, domain.pages, f"{name}: shared_info (MFN {domain.shared_info:#x})")
        after = _guest(name, kit, domain, fetch)
        if after == guest and not (guest.generation or 0) & 1:
            return found, ""
        guest = after
        sleep(_PAUSE_SECONDS)
    return found, f"the list changed while it was read, {_TRIES} times (p2m_generation {guest.generation})"


def _guest(name: str, kit: Toolstack, domain: Domain, fetch: Fetch) -> Guest:
    """What the domain's shared info says at this moment."""
    pages, there = fetch(np.array([domain.shared_info], np.uint64))
    if not there[0]:
        raise InputError(
            name, f"to map its shared_info (MFN {domain.shared_info:#x})", "Xen's no: is this root in dom0?"
        )
    layout = SHARED_INFO[domain.word]
    info = pages[0, : layout.itemsize].view(layout)[0]
    geometry = GEOMETRIES[8 * domain.word]
    guest = Guest(
        geometry=geometry,
        max_pfn=int(info["max_pfn"]),
        p2m_cr3=int(info["p2m_cr3"]),
        p2m_vaddr=int(info["p2m_vaddr"]),
        frame_list_list=int(info["pfn_to_mfn_frame_list_list"]),
        generation=int(info["p2m_generation"]),
        xen=kit.xen,
        vcpus=len(domain.cr3) or None,
    )
    return replace(guest, cr3=tuple(cr3_to_frame(each, domain.word) for each in domain.cr3))
