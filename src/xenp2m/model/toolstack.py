"""The P2M as the toolstack sees it: the tree of MFNs, the M2P, and what saving a domain accepts.

Tools know one value that is not an MFN: INVALID, all ones. Everything else is looked up in the
machine's M2P and has to come back to the same PFN. An identity entry never does, because the M2P of
a device frame is not its own number; so do values invented as markers (the thread's 0xFFFFFFFE), and
many PFNs that point at one dummy page.

Source: ``xc_domain_save.c`` of January 2011 (``MFN_IS_IN_PSEUDOPHYS_MAP``, ``canonicalize_pagetable``
and the check of the frame list), xen.git.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from xenp2m.frames import Geometry
    from xenp2m.model.linear import LinearP2M
    from xenp2m.model.phys_to_machine import PhysToMachine

__all__ = [
    "SaveCheck",
    "Verdict",
    "build_m2p",
    "check_entry",
    "check_list",
    "frame_list",
    "frame_words",
    "is_in_pseudophys_map",
]


class Verdict(StrEnum):
    """What the save code makes of one P2M entry."""

    INVALID = "invalid"
    """No page: skipped."""
    MFN = "mfn"
    """A page whose M2P entry names the PFN."""
    RACE = "race"
    """An MFN that does not come back: counted as a race, fatal unless the domain runs on."""
    BOGUS = "bogus"
    """A number beyond the machine's M2P: no MFN at all."""


@dataclass(slots=True)
class SaveCheck:
    """The last check of a whole list.

    Attributes:
        races: PFNs whose MFN does not come back, first ones first.
        bogus: PFNs whose entry is no MFN of this machine.
        pages: entries that hold a page.
    """

    races: list[int] = field(default_factory=list)
    bogus: list[int] = field(default_factory=list)
    pages: int = 0


def build_m2p(p2m: Sequence[int], geometry: Geometry) -> dict[int, int]:
    """The M2P that Xen keeps for a guest: MFN to PFN, of plain MFN entries only.

    Where two PFNs hold one MFN the later one wins, as the last update does.
    """
    flags = geometry.foreign_bit | geometry.identity_bit
    return {int(mfn): pfn for pfn, mfn in enumerate(p2m) if not int(mfn) & flags}


def is_in_pseudophys_map(mfn: int, p2m: Sequence[int], m2p: Mapping[int, int], max_mfn: int) -> bool:
    """Whether tools take `mfn` for a page of the guest (``MFN_IS_IN_PSEUDOPHYS_MAP``)."""
    if mfn >= max_mfn:
        return False
    pfn = m2p.get(mfn)
    return pfn is not None and pfn < len(p2m) and p2m[pfn] == mfn


def check_entry(pfn: int, word: int, m2p: Mapping[int, int], max_mfn: int, geometry: Geometry) -> Verdict:
    """Classify one raw word of the list as the save code does."""
    if word == geometry.invalid:
        return Verdict.INVALID
    if word >= max_mfn:
        return Verdict.BOGUS
    return Verdict.MFN if m2p.get(word) == pfn else Verdict.RACE


def check_list(p2m: Sequence[int], m2p: Mapping[int, int], max_mfn: int, geometry: Geometry) -> SaveCheck:
    """Hold every entry against the M2P: the last check before a domain is written out. O(pages)."""
    found = SaveCheck()
    for pfn, word in enumerate(p2m):
        verdict = check_entry(pfn, int(word), m2p, max_mfn, geometry)
        if verdict is Verdict.MFN:
            found.pages += 1
        elif verdict is Verdict.RACE:
            found.races.append(pfn)
        elif verdict is Verdict.BOGUS:
            found.bogus.append(pfn)
    return found


def frame_list(p2m: PhysToMachine | LinearP2M, end_pfn: int | None = None) -> list[int]:
    """What tools read through ``pfn_to_mfn_frame_list_list``.

    Args:
        p2m: the guest's map; its tools' tree must have been built.
        end_pfn: ``shared_info.arch.max_pfn``; None for what the guest tells itself.

    Returns:
        One raw word per PFN. Shared identity pages read as INVALID; identity in private leaf pages
        shows with its bit, which tools do not know.
    """
    words: list[int] = frame_words(p2m, end_pfn).tolist()
    return words


def frame_words(p2m: PhysToMachine | LinearP2M, end_pfn: int | None = None) -> NDArray[Any]:
    """`frame_list` as an array; empty where there is no tools' tree. O(PFNs read)."""
    if p2m.mfn_tree is None:
        return np.empty(0, p2m.tree.leaves.rows.dtype)
    told = p2m.last_pfn if hasattr(p2m, "last_pfn") else p2m.max_pfn
    return p2m.mfn_tree.view(p2m.tree, told if end_pfn is None else end_pfn)
