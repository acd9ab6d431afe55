"""What exploring one rule set gave: counts, counterexamples, notes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from xenp2m.explore.real import RealCase, real_case
from xenp2m.explore.search import search
from xenp2m.explore.trace import Counterexample, consequence, retrace

if TYPE_CHECKING:
    from collections.abc import Callable

    from xenp2m.explore.operations import Scope
    from xenp2m.explore.search import Found, Search

__all__ = ["NOTES", "Case", "Exploration", "default_bound", "explore"]

NOTES = frozenset({"identity-refused", "identity-edge-not-split", "empty-range-allocates"})
"""Codes of faults that show in an answer or a cost alone: the map is what the answer says."""

_UNBOUNDED = 1 << 10
_BOUNDS = {2: _UNBOUNDED, 3: 2}
"""Operations by entries a page, otherwise one. On the smallest toy all states are reached."""


def default_bound(entries: int, *, is_linear: bool = False) -> int:
    """Operations that end within a minute; linear lists start in many more ways."""
    return 1 if is_linear and entries > 2 else _BOUNDS.get(entries, 1)


@dataclass(frozen=True)
class Case:
    """One counterexample or note.

    Attributes:
        toy: what happened on the toy.
        real: the same on the real geometry, where there is such a case.
    """

    toy: Counterexample
    real: RealCase | None


@dataclass(frozen=True)
class Exploration:
    """Everything about one rule set within one scope.

    Attributes:
        search: counts.
        cases: counterexamples, the shortest of each sort, short ones first.
        notes: the same for what is none.
    """

    search: Search
    cases: list[Case]
    notes: list[Case]


def explore(
    scope: Scope, progress: Callable[[int, int, int, int], None] | None = None, *, real: bool = True
) -> Exploration:
    """Explore one rule set and retrace what was found.

    Args:
        scope: rules, geometry, operations and bound.
        progress: see `search`.
        real: whether each counterexample is put on a real machine, too.
    """
    done = search(scope, progress)
    examples: list[Counterexample] = []
    for found in _one_of_each(done.found):
        example = retrace(found, scope)
        examples.append(example)
        after = consequence(example)
        if after is not None and all(e.code != after.code for e in examples):
            examples.append(after)
    examples.sort(key=lambda example: len(example.shots))
    cases = [Case(e, real_case(e) if real else None) for e in examples if e.code not in NOTES]
    return Exploration(done, cases, [Case(e, None) for e in examples if e.code in NOTES])


def _one_of_each(found: list[Found]) -> list[Found]:
    """Without sets that do not allocate where the set that does goes wrong the same way, as early."""
    best = {(one.code, one.name): len(one.chain) for one in found}
    return [
        one for one in found if one.name != "__s" or best.get((one.code, "s"), _UNBOUNDED) > len(one.chain)
    ]
