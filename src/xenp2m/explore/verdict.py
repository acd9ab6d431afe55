"""What one operation should leave behind in a flat map, and what it is called where it does not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from xenp2m.explore.operations import MFN
from xenp2m.model.tree import IDENTITY

if TYPE_CHECKING:
    from collections.abc import Sequence

    from xenp2m.explore.operations import Config, Op
    from xenp2m.explore.toy import Toy
    from xenp2m.model.linear import LinearP2M
    from xenp2m.model.phys_to_machine import PhysToMachine

__all__ = ["expected", "judge", "note"]


def expected(
    toy: Toy, p2m: PhysToMachine | LinearP2M, config: Config, before: Sequence[int], op: Op, ret: int | None
) -> list[int]:
    """The flat map after an operation that returned `ret`: what was asked for, and nothing else.

    A set that fails, and a range that is refused, leave everything as it was. The end of the early
    phase empties the extra region of a linear list.
    """
    after = list(before)
    if op.name == "rt":
        if toy.scope.is_linear:
            empty = [p2m.geometry.invalid] * (config.extra_end - config.extra_start)
            after[config.extra_start : config.extra_end] = empty
    elif op.name == "ri":
        if ret:
            after[op.pfn : op.end] = [p2m.identity(pfn) for pfn in range(op.pfn, op.end)]
    elif ret:
        after[op.pfn] = toy.word(p2m, op)
    return after


def judge(
    toy: Toy, p2m: PhysToMachine | LinearP2M, op: Op, ret: int | None, wanted: list[int], after: list[int]
) -> str | None:
    """The code of what went wrong; None where the map is what it should be.

    Args:
        toy: knows the geometry.
        p2m: after the operation.
        op: the operation.
        ret: what it returned.
        wanted: the flat map.
        after: what the kernel reads.
    """
    if ret is None:
        return "identity-over-extra"
    pages = {page for page, _, _ in p2m.tree.scribbled()}
    if "identity" in pages:
        return "identity-leaf-store"
    if pages & {"mid_missing", "mid_identity"}:
        return "missing-mid-scribbled"
    if "missing" in pages:
        return "missing-leaf-scribbled"
    wrong = [pfn for pfn, words in enumerate(zip(wanted, after, strict=True)) if words[0] != words[1]]
    if not wrong:
        return "early-set-refused" if op.name == "es" and op.value == MFN and not ret else None
    if wrong == [op.pfn] and ret and p2m.tree.leaf_of(op.pfn) == IDENTITY:
        return "identity-leaf-store"
    if any(toy.symbol(p2m, pfn, after[pfn]) == "?" for pfn in wrong):
        return "identity-shifted"
    if all(after[pfn] == p2m.identity(pfn) for pfn in wrong) and wrong != [op.pfn]:
        is_mid = int(p2m.tree.top[p2m.tree.index(wrong[0])[0]]) == IDENTITY
        return "over-reach-mid" if is_mid else "over-reach-leaf"
    return "map-differs"


def note(op: Op, ret: int | None, pages: int) -> str | None:
    """The code of a fault of a tree that shows in the answer or the cost alone, never in the map."""
    if op.name != "ri" or ret is None:
        return None
    if op.pfn == op.end:
        return "empty-range-allocates" if pages else None
    if ret == 0:
        return "identity-refused"
    return "identity-edge-not-split" if ret > op.end - op.pfn else None
