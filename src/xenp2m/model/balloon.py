"""Balloon and foreign frames: what run-time memory management does to a P2M.

Ballooning up takes a page from Xen and stores its MFN. Up to 3.11 the driver stops with BUG_ON where
a frame it is about to fill reads as anything but INVALID: that is how an identity entry that reached
too far shows (the thread's fear). Ballooning down gives a frame's page back and stores INVALID; from
3.12 to 3.19 it stores the MFN of a *scratch page* instead, one for all such frames of a processor,
so that reading them harms nobody. That is why the BUG_ON had to go.

A foreign frame is another domain's page, mapped by grant: its entry carries ``FOREIGN_FRAME_BIT``,
and the page's own entry is kept aside. The *M2P override* (2.6.38 to 3.19) finds the local frame of
such an MFN, because Xen's own M2P names the frame of the page's owner.

Source: ``increase_reservation`` and ``decrease_reservation`` in ``drivers/xen/balloon.c``: the BUG_ON
read in 2.6.39, 3.6 and 3.10; scratch pages come with cd9151e26d31 (4 August 2013) and the BUG_ON goes
with 6a6f6e72eca5 (11 September 2013), both after 3.11 and before 3.12-rc1; scratch pages and the
override go with 0bb599fd3010 (4.0). ``set_foreign_p2m_mapping``, ``m2p_add_override``,
``m2p_remove_override``, ``m2p_find_override`` in ``arch/x86/xen/p2m.c`` (3.18).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from xenp2m.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from xenp2m.model.linear import LinearP2M
    from xenp2m.model.phys_to_machine import PhysToMachine

__all__ = [
    "BALLOON_BUG",
    "BalloonUp",
    "Driver",
    "ForeignFrames",
    "balloon_down",
    "balloon_up",
    "driver_of",
    "is_mapping_valid",
]

BALLOON_BUG = "phys_to_machine_mapping_valid"
"""Code of the BUG_ON, named after its condition."""


class Driver(NamedTuple):
    """What differs between releases of the balloon driver.

    Attributes:
        stops_on_valid: a frame about to be filled must read as INVALID, else BUG (up to 3.11).
        scratch: a frame given back holds the MFN of a scratch page (3.12 to 3.19), else INVALID.
        override: foreign frames are entered in the M2P override (up to 3.19).
    """

    stops_on_valid: bool
    scratch: bool
    override: bool


def driver_of(version: tuple[int, ...]) -> Driver:
    """The balloon driver of a Linux version. Sources: see the top of this file."""
    return Driver(version < (3, 12), (3, 12) <= version < (4, 0), version < (4, 0))


class BalloonUp(NamedTuple):
    """What became of a wish for more memory.

    Attributes:
        filled: frames that got a page.
        bug_pfn: frame at which the kernel stopped with `BALLOON_BUG`; None if it did not.
        failed_pfn: frame whose entry could not be stored for want of a page; None if all were.
    """

    filled: int
    bug_pfn: int | None = None
    failed_pfn: int | None = None


def is_mapping_valid(p2m: PhysToMachine | LinearP2M, pfn: int) -> bool:
    """Whether `pfn` reads as anything but INVALID (``phys_to_machine_mapping_valid``).

    Identity and foreign entries count as valid.
    """
    return p2m.get(pfn) != p2m.geometry.invalid


def balloon_up(
    p2m: PhysToMachine | LinearP2M,
    frames: Iterable[tuple[int, int]],
    *,
    stops_on_valid: bool = True,
) -> BalloonUp:
    """Fill frames with pages.

    Args:
        p2m: the map, changed in place.
        frames: ``(pfn, mfn)`` in the order in which the driver takes them.
        stops_on_valid: whether the era's driver has the BUG_ON.
    """
    filled = 0
    for pfn, mfn in frames:
        if stops_on_valid and is_mapping_valid(p2m, pfn):
            return BalloonUp(filled, bug_pfn=pfn)
        if not p2m.set(pfn, mfn):
            return BalloonUp(filled, failed_pfn=pfn)
        filled += 1
    return BalloonUp(filled)


def balloon_down(p2m: PhysToMachine | LinearP2M, pfns: Iterable[int], scratch_mfn: int | None = None) -> int:
    """Give frames back.

    Args:
        p2m: the map, changed in place.
        pfns: the frames.
        scratch_mfn: what their entries become, where the driver has a scratch page; None for INVALID.

    Returns:
        How many could be stored.
    """
    word = p2m.geometry.invalid if scratch_mfn is None else scratch_mfn
    return sum(p2m.store(pfn, word) for pfn in pfns)


class ForeignFrames:
    """Grant mappings of one guest, with the M2P override of 2.6.38 to 3.19.

    Attributes:
        p2m: the map, changed in place.
        kept: for every frame in use, the word its entry held before.

    Invariant: every frame in `kept` reads as a foreign entry.
    """

    def __init__(self, p2m: PhysToMachine | LinearP2M, m2p: Callable[[int], int | None]) -> None:
        self.p2m = p2m
        self._m2p = m2p
        self.kept: dict[int, int] = {}
        self._override: dict[int, list[int]] = {}

    def map(self, pfn: int, mfn: int, *, override: bool = True) -> bool:
        """Map a foreign `mfn` at `pfn`; False where the entry could not be stored.

        With `override`, a frame of this guest that holds the same MFN (a page shared with itself)
        is marked foreign too, so that lookups of the MFN find the mapping.

        Raises:
            InputError: `pfn` is in use already.
        """
        if pfn in self.kept:
            raise InputError("foreign mapping", "a frame not in use", f"PFN {pfn:#x}")
        before = self.p2m.get(pfn)
        if not self.p2m.set(pfn, mfn | self.p2m.geometry.foreign_bit):
            return False
        self.kept[pfn] = before
        if override:
            self._override.setdefault(mfn, []).insert(0, pfn)
            own = self._m2p(mfn)
            if own is not None and self.p2m.get(own) == mfn:
                self.p2m.set(own, mfn | self.p2m.geometry.foreign_bit)
        return True

    def unmap(self, pfn: int) -> bool:
        """Undo `map`; False where `pfn` holds no foreign entry (-EINVAL)."""
        geometry = self.p2m.geometry
        word = self.p2m.get(pfn)
        if word == geometry.invalid or not word & geometry.foreign_bit or pfn not in self.kept:
            return False
        mfn = word & ~geometry.foreign_bit
        self.p2m.set(pfn, self.kept.pop(pfn))
        users = self._override.get(mfn, [])
        if pfn in users:
            users.remove(pfn)
            own = self._m2p(mfn)
            if not users and own is not None and self.p2m.get(own) == word:
                self.p2m.set(own, mfn)
        return True

    def mfn_to_pfn(self, mfn: int) -> int | None:
        """Local frame behind an MFN: the newest override, or Xen's M2P where the P2M agrees.

        A frame whose own entry is identity answers for itself (706cc9d2a4cb, 2.6.39).
        """
        users = self._override.get(mfn)
        if users:
            return users[0]
        pfn = self._m2p(mfn)
        if pfn is not None and self.p2m.get(pfn) == mfn:
            return pfn
        return mfn if self.p2m.get(mfn) == self.p2m.identity(mfn) else None
