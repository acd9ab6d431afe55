"""The rules of every era: how a kernel edits its P2M tree, as values.

A rule set is one `Rules`; `xenp2m.model.phys_to_machine` obeys it. The landed ones are named after
the first release that was read and compared; the ``seed`` ones are the patch discussed on xen-devel
on 4 January 2011, its variants and the thread's three ways out. Those were never released: what the
quoted hunks do not say is filled in from the thread's words, and `verified` is False.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from xenp2m.model.alloc import BrkReservation

__all__ = ["RULES", "Edges", "Rules"]


class Edges(StrEnum):
    """What an identity range does about pages that it covers only in part."""

    IGNORED = "ignored"
    """Nothing: each frame is set by itself, and a swap can reach beyond the range."""
    BUILDER = "builder"
    """Every page of the range gets a leaf first, as if the builder's list covered it."""
    EARLY_SET = "early-set"
    """Frames are set one by one with a set that takes ``extend_brk`` pages."""
    HOISTED = "hoisted"
    """The same with the ordinary set, which takes ``extend_brk`` pages while it is early."""
    EVERY_MID = "every-mid"
    """A mid page for all that is touched, and a leaf at either end, needed or not (2.6.39 to 3.15)."""
    SPLIT = "split"
    """Mid and leaf pages only where an end lies inside one (``early_split_p2m``, 3.16 to 3.18)."""


_BRK = BrkReservation(7, 2, 6, 3, (64, 500))
"""Of 3.6 to 3.15: ``p2m_mid``, ``p2m_mid_mfn``, ``p2m_mid_identity``, ``p2m_populated``."""


@dataclass(frozen=True, slots=True)
class Rules:
    """How one era edits the tree.

    Attributes:
        name: what ``--rules`` and JSON call it.
        source: function, version and commit the rule follows, in one line.
        verified: whether it was compared with the answers of that kernel's own code.
        by_value: identity is asked for by ``mfn == pfn`` and answered by the plain number (seed);
            otherwise by ``IDENTITY_FRAME_BIT``.
        void_identity: void entries begin as identity, and missing needs a page.
        swap: an identity set turns a whole missing leaf into the shared identity page.
        swap_mid: and a whole missing mid page into the shared identity mid page.
        guard: a store into the shared missing page is refused.
        edges: see `Edges`.
        early_set: there is a set that takes ``extend_brk`` pages.
        reuse: that set first looks for a leaf that holds only identity or only missing.
        beyond_identity: frames past the end of the tree read as identity, otherwise as missing.
        late_mfn_tree: the tools' tree is built when the early phase ends, with bootmem.
        revectors: 64-bit kernels copy the builder's list, packed, before the allocator is up
            (``xen_revector_p2m_tree``, 3.7 to 3.18); a boot does, a replay does not.
        reservation: the ``__brk`` pages p2m.c reserves.
    """

    name: str
    source: str
    verified: bool = True
    by_value: bool = False
    void_identity: bool = False
    swap: bool = True
    swap_mid: bool = False
    guard: bool = True
    edges: Edges = Edges.EVERY_MID
    early_set: bool = True
    reuse: bool = True
    beyond_identity: bool = False
    late_mfn_tree: bool = False
    revectors: bool = False
    reservation: BrkReservation = _BRK

    @property
    def mid_identity(self) -> bool:
        """Whether the shared identity mid page exists."""
        return self.swap_mid or self.void_identity


_SEED_BRK = BrkReservation(8, 2, 0, 0, (128, 128))
_THREAD = (
    "xen-devel, 4 January 2011, Konrad Rzeszutek Wilk and Ian Campbell on the series of 30 December 2010"
)


def _seed(name: str, what: str, **how: bool | Edges) -> Rules:
    given = {
        "swap_mid": True,
        "by_value": True,
        "edges": Edges.IGNORED,
        "early_set": False,
        "reuse": False,
    } | how
    return Rules(name, f"{_THREAD}: {what}", verified=False, reservation=_SEED_BRK, **given)  # type: ignore[arg-type]


_TABLE = (
    _seed("seed", "the quoted hunks of get_phys_to_machine and __set_phys_to_machine, void entries missing"),
    _seed("seed-bit", "the same with patch 7/8, IDENTITY_FRAME_BIT", by_value=False),
    _seed(
        "seed-void-identity",
        "the earlier RFC, void entries 1-1",
        void_identity=True,
        swap=False,
        swap_mid=False,
    ),
    _seed("seed-builder", "first way out, the builder covers the E820 holes", edges=Edges.BUILDER),
    _seed(
        "seed-early",
        "second way out, set_phys_to_machine_early with extend_brk, without the swap",
        swap=False,
        swap_mid=False,
        early_set=True,
        edges=Edges.EARLY_SET,
    ),
    _seed(
        "seed-hoisted",
        "third way out, the identity case moved up into set_phys_to_machine, which allocates",
        swap=False,
        swap_mid=False,
        edges=Edges.HOISTED,
    ),
    Rules(
        "2.6.39",
        "set_phys_range_identity, __set_phys_to_machine, alloc_p2m in 2.6.39 (f4cec35b0d4b)",
        early_set=False,
        reuse=False,
        reservation=BrkReservation(7, 2, 6, 0, (128, 128)),
    ),
    Rules("3.6", "early_set_phys_to_machine, early_can_reuse_p2m_middle in 3.6 (250a41e0ecc4)"),
    Rules(
        "3.12",
        "early_set_phys_to_machine, early_can_reuse_p2m_middle, xen_revector_p2m_tree in 3.12",
        revectors=True,
    ),
    Rules(
        "3.16",
        "early_split_p2m, p2m_mid_identity in 3.16 (3cb83e46d032); the tools' tree as in 3.12",
        verified=False,
        swap_mid=True,
        edges=Edges.SPLIT,
        beyond_identity=True,
        revectors=True,
        reservation=BrkReservation(8, 2, 6, 3, (64, 500)),
    ),
    Rules(
        "3.18",
        "early_split_p2m, p2m_mid_identity, xen_build_mfn_list_list in 3.18 (3cb83e46d032)",
        swap_mid=True,
        edges=Edges.SPLIT,
        beyond_identity=True,
        revectors=True,
        late_mfn_tree=True,
        reservation=BrkReservation(5, 1, 60, 0, (64, 500)),
    ),
)

RULES: dict[str, Rules] = {rules.name: rules for rules in _TABLE}
"""Every rule set for the tree, oldest first."""
