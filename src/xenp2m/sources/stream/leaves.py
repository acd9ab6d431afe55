"""The raw map of a stream: the leaf pages that X86_PV_P2M_FRAMES names, found among its pages."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from xenp2m.sources.leafmap import LeafMap, leaf_map
from xenp2m.sources.leafroles import Views
from xenp2m.sources.pagetable import ABSENT

if TYPE_CHECKING:
    from xenp2m.frames import Geometry
    from xenp2m.sources.pagetable import Fetch
    from xenp2m.sources.stream.contents import FrameList
    from xenp2m.sources.stream.index import PageIndex

__all__ = ["listed_leaves"]


def listed_leaves(
    frames: FrameList, index: PageIndex, fetch: Fetch, geometry: Geometry, where: str, linear: bool | None
) -> LeafMap:
    """Read the list of a stream.

    Args:
        frames: the record, as long as its range needs.
        index: which PFNs have pages.
        fetch: reads pages by PFN.
        geometry: the guest's.
        where: the stream, for messages.
        linear: whether the toolstack walked the linear list; None where nothing tells.

    Returns:
        The map from PFN 0 on; what lies before the record's range is unknown, and no loss.
    """
    before = frames.start // geometry.entries
    leaves = np.concatenate([np.full(before, ABSENT), frames.pages])
    present = index.places_of(leaves) >= 0
    views = Views(leaves, linear, present=present)
    return leaf_map(views, fetch, frames.end + 1, geometry, where, "pfn")
