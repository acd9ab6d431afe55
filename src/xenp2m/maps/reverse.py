"""The way back from the frames that page tables and users name to the PFNs of one guest."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from xenp2m.frames import Kind
from xenp2m.m2p import Inverse

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from xenp2m.p2m import P2M

__all__ = ["Reverse"]

_IDENTITY_BIT = np.uint64(1 << 62)


class Reverse:
    """PFNs of machine frames through the entries of every kind that leads to one.

    Beside the guest's own frames a page table names those of other domains that the guest has a PFN for, and
    device frames, whose PFN is the same number.
    """

    def __init__(self, p2m: P2M) -> None:
        """Prepare for `p2m`."""
        self._p2m = p2m

    def pfns(self, mfns: NDArray[np.int64]) -> NDArray[np.int64]:
        """PFN of each machine frame, the lowest of several; -1 where no entry leads to it.

        Own frames come before foreign ones, these before identity, which counts within the map only.
        O(log runs) a frame.
        """
        found = self._p2m.inverse(mfns)
        left = np.flatnonzero(found < 0)
        found[left] = self._foreign.pfns(mfns[left])
        left = np.flatnonzero(found < 0)
        left = left[(mfns[left] >= 0) & (mfns[left] < len(self._p2m))]
        raw = self._p2m.translate(mfns[left])
        same = raw == (mfns[left].astype(np.uint64) | _IDENTITY_BIT)
        found[left[same]] = mfns[left[same]]
        return found

    @cached_property
    def _foreign(self) -> Inverse:
        table = self._p2m.table().only(Kind.FOREIGN)
        return Inverse(table._replace(kind=np.zeros_like(table.kind)))
