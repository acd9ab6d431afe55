"""An exploration as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from xenp2m.checks.stories import STORIES
from xenp2m.explore.exploration import NOTES

if TYPE_CHECKING:
    from xenp2m.explore.exploration import Case, Exploration
    from xenp2m.explore.operations import Op
    from xenp2m.explore.real import RealCase

__all__ = ["explore_answer"]


def explore_answer(done: Exploration, varied: tuple[str, ...] = ()) -> dict[str, Any]:
    """One object for one rule set and set of operations.

    Args:
        done: the exploration.
        varied: what was changed of the rules by hand.
    """
    search, scope = done.search, done.search.scope
    return {
        "schema": 1,
        "rules": scope.rules.name,
        "variants": list(varied),
        "verified": scope.rules.verified and not varied,
        "ops": scope.ops,
        "geometry": {"bits": scope.geometry.bits, "entries": scope.geometry.entries},
        "bound": None if search.complete else search.depth,
        "complete": search.complete,
        "depth": search.depth,
        "pages": {"runtime": scope.runtime_pages, "early": scope.early_pages},
        "states": search.states,
        "transitions": search.transitions,
        "findings": [_case(case) for case in (*done.cases, *done.notes)],
    }


def _case(case: Case) -> dict[str, Any]:
    toy = case.toy
    shot = toy.shots[toy.broke]
    told: dict[str, Any] = {
        "code": toy.code,
        "severity": "note" if toy.code in NOTES else str(STORIES[toy.code].severity),
        "is_counterexample": toy.code not in NOTES,
        "nr_pages": toy.config.nr_pages,
        "extra": [toy.config.extra_start, toy.config.extra_end] if toy.config.extra_end else None,
        "trace": [_op(one.op) for one in toy.shots],
        "ret": [one.ret for one in toy.shots],
        "broke": toy.broke if toy.wrong else None,
        "wanted": shot.wanted,
        "reads": shot.reads,
        "before": toy.shapes[0],
        "after": toy.shapes[1],
        "early_pages": toy.early,
    }
    return told | ({} if case.real is None else {"real": _real(case.real)})


def _op(op: Op) -> list[object]:
    """An operation by its name, its frame or range, and what it stores."""
    if op.name == "rt":
        return ["rt"]
    return [op.name, op.pfn, op.end] if op.name == "ri" else [op.name, op.pfn, op.value]


def _real(real: RealCase) -> dict[str, Any]:
    return {
        "kernel": str(real.kernel),
        "dom0_mem": real.dom0_mem,
        "nr_pages": real.nr_pages,
        "max_pages": real.max_pages,
        "e820": [list(entry) for entry in real.e820],
        "pfn": real.pfn,
        "wanted": real.wanted.value,
        "plan_shows_it": real.by_plan,
        "replay_shows_it": real.by_replay,
        "replay": real.row,
    }
