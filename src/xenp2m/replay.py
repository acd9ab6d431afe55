"""Operations on one era's P2M, replayed: rows of JSON in, answers out.

A row is ``{"kernel": "3.12", "bits": 64, "in": {"nr_pages": ..., "mfn_base": ..., "mfn_desc": ...,
"ops": [["ri", s, e], ...]}}``; its answer has the fields of the tree vectors. Instead of ``kernel``
a row can name ``rules`` (see `xenp2m.model.rules`), and instead of ``bits`` give ``entries`` a page.

======== ========================================================= =====================
``ri``   mark PFNs ``[s, e)`` as identity                          count of frames
``es``   set entry ``pfn`` to ``word``, with ``extend_brk`` pages  1 or 0
``rt``   the page allocator is up, once                            0
``__s``  set entry ``pfn`` to ``word`` without making pages        1 or 0
``s``    set entry ``pfn`` to ``word``                             1 or 0
``g``    read entry ``pfn``                                        the word
======== ========================================================= =====================

A row is checked as a whole before anything of it is done. Where the kernel stops in the middle, the
answer says so: ``bug`` and ``at``, the index of the operation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from xenp2m.errors import InputError, UnsupportedError, XenP2MError, shorten
from xenp2m.frames import GEOMETRY_32, GEOMETRY_64, Geometry, Kind
from xenp2m.kernel import Version
from xenp2m.model.phys_to_machine import PhysToMachine, StoreBeyondEndError
from xenp2m.model.rules import LINEAR, RULES, Edges, Rules, rules_of
from xenp2m.model.shape import leaf_letter, runs, shape

if TYPE_CHECKING:
    from collections.abc import Iterator

    from xenp2m.extents import Run

__all__ = ["Operation", "Replay", "operations", "replay_row", "run_row"]

STORE_BEYOND_END = "store-beyond-p2m-end"
_OPERATIONS = {"ri": 3, "es": 3, "rt": 1, "__s": 3, "s": 3, "g": 2}
_EARLY_ONLY = ("ri", "es")
_MOST_PAGES = 1 << 27


class Operation(NamedTuple):
    """One operation and its two numbers."""

    name: str
    first: int
    second: int


class Replay(NamedTuple):
    """A row, understood.

    Attributes:
        rules: name of the rule set.
        geometry: word size and entries per page.
        mfn_list: the builder's list.
        ops: what is to be done.
    """

    rules: Rules
    geometry: Geometry
    mfn_list: Any
    ops: list[Operation]
