"""Which of a list's shared leaf pages holds identity, and which missing entries.

Linux lets whole leaves of identity, and of missing, entries be one page filled with all ones. Such a
page is known by its frame, which recurs, never by its content; which of the two it is shows where
the two views of one list differ, and in what lies behind its end.

Source: ``xen_rebuild_p2m_list``, ``xen_build_mfn_list_list``, ``xen_inv_extra_mem`` and
``get_phys_to_machine``, arch/x86/xen/p2m.c and setup.c, Linux 3.19 to 7.3.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from xenp2m.sources.pagetable import ABSENT

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from xenp2m.sources.pagetable import Fetch

__all__ = ["Roles", "Views", "roles_of"]


@dataclass(frozen=True, slots=True)
class Views:
    """What is known of a list's leaf pages before they are read.

    Attributes:
        frames: frame of every leaf, `ABSENT` where there is none.
        linear: `frames` come from the page tables of the linear list (True), from the tree of frame
            lists (False), or nothing tells (None).
        tree: the same leaves as the tree of frame lists has them, where both views exist.
        behind: frame of the leaf behind the last one of a linear list, where there is one.
        empty_mid: frame that fills a mid page of the tree which stands there more than once.
        present: which of `frames` the input has; None where only reading tells.
    """

    frames: NDArray[np.uint64]
    linear: bool | None
    tree: NDArray[np.uint64] | None = None
    behind: int | None = None
    empty_mid: int | None = None
    present: NDArray[np.bool_] | None = None


@dataclass(frozen=True, slots=True)
class Roles:
    """Which shared page is which.

    Attributes:
        identity: frame of the shared identity page, None where nothing shows it.
        missing: frame of the shared missing page, likewise.
        unknown: other frames that recur, all ones: identity or missing.
        why: one line.
    """

    identity: int | None = None
    missing: int | None = None
    unknown: tuple[int, ...] = ()
    why: str = "every leaf page is private"


def roles_of(views: Views, fetch: Fetch) -> Roles:
    """Tell the shared pages of a list apart.

    In a linear list the page that the tree replaces by another is identity, and the other is missing
    (the tree knows only ``p2m_missing``); what lies behind the end is identity. In a tree the page
    that fills a recurring mid page is missing. Where nothing tells of the only shared page of a linear
    list, and nothing lies behind it, the page is identity: Linux gives room of the balloon pages of
    its own once the list stands (``xen_inv_extra_mem``), so that ``p2m_missing`` is left for 512
    frames in a row that the builder never gave. Anything else stays open.
    """
    shared = _shared(views, fetch)
    if not shared:
        return Roles()
    identity, missing, why = _evidence(views, shared)
    if views.linear and views.behind is None and identity is missing is None and len(shared) == 1:
        identity = min(shared)
        why = (
            f"leaf {identity:#x}, the only shared page of a linear list, is the identity page: "
            "Linux keeps missing entries in pages of their own"
        )
    rest = shared - {identity, missing}
    if identity is not None and missing is None and len(rest) == 1:
        missing, rest = rest.pop(), set()
        why += f"; {missing:#x} is the other shared page"
    if rest:
        names = ", ".join(f"{frame:#x}" for frame in sorted(rest)[:4])
        why = f"{why + '; ' if why else ''}{names} recur, all ones: identity or missing, nothing shows which"
    return Roles(identity, missing, tuple(sorted(rest)), why)


def _shared(views: Views, fetch: Fetch) -> set[int]:
    """Frames that recur and are all ones; where there are any, the one behind the end as well."""
    behind = np.array([] if views.behind is None else [views.behind], np.uint64)
    told = np.concatenate((views.frames[views.frames != ABSENT], behind))
    unique, counts = np.unique(told, return_counts=True)
    recurring = _ones(unique[counts > 1], fetch)
    return recurring | _ones(behind, fetch) if recurring else recurring


def _ones(frames: NDArray[np.uint64], fetch: Fetch) -> set[int]:
    if not frames.size:
        return set()
    pages, there = fetch(frames)
    return set(frames[there & (pages == 0xFF).all(axis=1)].tolist())


def _evidence(views: Views, shared: set[int]) -> tuple[int | None, int | None, str]:
    identity = missing = None
    why = []
    if views.tree is not None:
        differ = (views.frames != views.tree) & (views.frames != ABSENT) & (views.tree != ABSENT)
        ours, theirs = set(views.frames[differ].tolist()), set(views.tree[differ].tolist())
        if len(ours) == len(theirs) == 1 and ours <= shared:
            identity, missing = ours.pop(), theirs.pop()
            why.append(f"leaf {identity:#x} stands in the linear list where the tree has {missing:#x}")
    if views.behind in shared and identity in (None, views.behind):
        identity = views.behind
        why.append(f"leaf {identity:#x} goes on behind the end of the list, where all is identity")
    if views.empty_mid in shared and identity != views.empty_mid:
        missing = views.empty_mid
        why.append(f"leaf {missing:#x} fills the tree's empty mid page")
    return identity, missing, "; ".join(why)
