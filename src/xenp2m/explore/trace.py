"""From a fault that the search found to the operations that lead there, on one whole guest.

The search knows states; here they are walked again, with `xenp2m.model` on the whole tree and a flat
map beside it, so that every counterexample has happened once as a whole.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from xenp2m.explore.operations import IDENTITY, INVALID, MFN, Op
from xenp2m.explore.search import canonical
from xenp2m.explore.toy import Toy
from xenp2m.explore.verdict import expected, judge, note
from xenp2m.model.shape import shape

if TYPE_CHECKING:
    from collections.abc import Iterator

    from xenp2m.explore.operations import Config, Scope
    from xenp2m.explore.search import Found, State
    from xenp2m.model.linear import LinearP2M
    from xenp2m.model.phys_to_machine import PhysToMachine

__all__ = ["Counterexample", "Shot", "consequence", "retrace"]


class Shot(NamedTuple):
    """One operation of a trace.

    Attributes:
        op: the operation.
        ret: what it returned; None for a BUG.
        wanted: the flat map afterwards, one character a frame: ``#`` machine frame, ``=`` identity,
            ``.`` missing, ``?`` anything else.
        reads: the same as the kernel reads it.
    """

    op: Op
    ret: int | None
    wanted: str
    reads: str


@dataclass(frozen=True)
class Counterexample:
    """The shortest sequence that breaks a rule set in one way.

    Attributes:
        scope: rules and geometry.
        code: of the fault.
        config: the start.
        shots: every operation; the last one shows the fault.
        broke: index of the operation after which the map was wrong for the first time.
        shapes: the tree before and after that operation.
        early: pages of ``extend_brk`` taken in all.
        shared: entries of shared pages that were written, as page and index.
    """

    scope: Scope
    code: str
    config: Config
    shots: tuple[Shot, ...]
    broke: int
    shapes: tuple[list[list[Any]], list[list[Any]]]
    early: int
    shared: tuple[tuple[str, int], ...]

    @property
    def ops(self) -> list[Op]:
        """The operations alone."""
        return [shot.op for shot in self.shots]

    @property
    def wrong(self) -> list[int]:
        """Frames that read wrong after the operation that broke the map."""
        shot = self.shots[self.broke]
        return [pfn for pfn, (a, b) in enumerate(zip(shot.wanted, shot.reads, strict=True)) if a != b]


class _Guest:
    """A whole guest and its flat map, run from the start."""

    def __init__(self, toy: Toy, config: Config, ops: list[Op], early_pages: int | None = None) -> None:
        self.toy, self.config = toy, config
        self.p2m: PhysToMachine | LinearP2M = toy.start(config)
        self.built = self.p2m.pages.brk
        self.flat = toy.reads(self.p2m)
        self.shots: list[Shot] = []
        self.code: str | None = None
        self.shapes: list[list[list[Any]]] = [shape(self.p2m.tree)]
        for op in ops:
            self.do(op)

    def do(self, op: Op) -> None:
        """One operation; `code` is what went wrong in it."""
        toy, p2m = self.toy, self.p2m
        pages = p2m.pages.brk
        ret = toy.apply(p2m, op)
        if op.name == "rt":
            # pages of a list that is rebuilt do not count, only those taken afterwards
            p2m.pages.runtime_limit = p2m.pages.runtime + toy.scope.runtime_pages
        reads = toy.reads(p2m)
        self.flat = expected(toy, p2m, self.config, self.flat, op, ret)
        self.code = judge(toy, p2m, op, ret, self.flat, reads)
        cost = p2m.pages.brk - pages
        if self.code is None and self.spent > self.budget:
            self.code = "brk-exceeded"
        if self.code is None and not toy.scope.is_linear:
            self.code = note(op, ret, cost)
        self.shots.append(Shot(op, ret, self._symbols(self.flat), self._symbols(reads)))
        self.shapes.append(shape(p2m.tree))

    def _symbols(self, words: list[int]) -> str:
        return "".join(self.toy.symbol(self.p2m, pfn, word) for pfn, word in enumerate(words))

    @property
    def spent(self) -> int:
        """Pages of ``extend_brk`` beside those of the builder's tree."""
        return self.p2m.pages.brk - self.built

    @property
    def budget(self) -> int:
        """How many of them there are."""
        given = self.toy.scope.early_pages
        if given is not None or self.toy.scope.is_linear:
            return given or 0
        return max(0, (self.p2m.pages.brk_budget or 0) - self.built)

    def is_at(self, state: State) -> bool:
        """Whether the guest is in a state of the search."""
        late = any(shot.op.name == "rt" for shot in self.shots)
        if late != state.late or self.code in _ENDS:
            return False
        units = self.toy.units(self.p2m)
        if late:
            left = (self.p2m.pages.runtime_limit or 0) - self.p2m.pages.runtime
            units = tuple(sorted(canonical(unit, self.toy.entries) for unit in units))
            return units == state.units and left == state.runtime
        ranges = [shot.op.end for shot in self.shots if shot.op.name == "ri"]
        last = ranges[-1] if ranges and self.toy.scope.ops == "boot" else 0
        return units == state.units and last == state.last and self.budget - self.spent == state.early

    def told(self, code: str) -> Counterexample:
        """What happened, as a value."""
        shots = self.shots
        broke = next((i for i, shot in enumerate(shots) if shot.wanted != shot.reads), len(shots) - 1)
        shared = tuple((page, index) for page, index, _ in self.p2m.tree.scribbled())
        shapes = self.shapes[broke], self.shapes[broke + 1]
        return Counterexample(
            self.toy.scope, code, self.config, tuple(shots), broke, shapes, self.spent, shared
        )


_ENDS = frozenset({"brk-exceeded"})
_MOST_FRAMES = 27
"""Frames of a toy of which every start is tried for the plainest trace."""


def retrace(found: Found, scope: Scope) -> Counterexample:
    """The operations behind a fault, and what they did.

    Of several that are as short, the one whose damage lies before the range that did it (where the
    balloon comes first), with the longest list of the builder that leaves it so.
    """
    toy = Toy(scope)
    first = found.chain[0]
    kept = first.config.nr_pages > 0
    config = next(
        c
        for c in scope.configs()
        if (not kept or c == first.config) and toy.units(toy.start(c)) == first.units
    )
    ops: list[Op] = []
    for target in found.chain[1:]:
        guests = (_Guest(toy, config, [*ops, op]) for op in _candidates(toy, config, ops, target.last))
        ops = [shot.op for shot in next(g for g in guests if g.is_at(target)).shots]
    # a fault that needs nothing before it may be plainer behind another list; of 64 frames that takes minutes
    alone = ops or toy.end > _MOST_FRAMES
    starts = [config] if alone else [c for c in scope.configs() if not kept or c[1:] == config[1:]]
    last = (
        _Guest(toy, start, [*ops, op])
        for start in starts
        for op in _candidates(toy, start, ops, None)
        if op.name == found.name
    )
    told = [guest.told(found.code) for guest in last if guest.code == found.code]
    return _longest_list(toy, min(told, key=_plainness))


def _plainness(one: Counterexample) -> tuple[bool, int, int, int]:
    op, wrong = one.ops[-1], one.wrong
    return not (wrong and wrong[0] < op.pfn), -one.config.nr_pages, op.pfn, op.end


def _longest_list(toy: Toy, one: Counterexample) -> Counterexample:
    """The same operations behind the longest list that reaches none of their frames."""
    touched = [op.pfn for op in one.ops if op.name != "rt"]
    for config in toy.scope.configs():
        if config.nr_pages > min([*touched, *one.wrong, toy.end]) or config[1:] != one.config[1:]:
            continue
        if _Guest(toy, config, one.ops[:-1]).code is None:
            guest = _Guest(toy, config, one.ops)
            if guest.code == one.code:
                return guest.told(one.code)
    return one


def _candidates(toy: Toy, config: Config, ops: list[Op], last: int | None) -> Iterator[Op]:
    """Every operation that could follow; `last` is where an identity range would have to end."""
    late = any(op.name == "rt" for op in ops)
    boot = toy.scope.ops == "boot"
    if late:
        names = ["bu", "bd"] if boot else ["s", "__s"]
    else:
        names = ["es"] if boot else ["es", "s", "__s"]
        if not toy.has_early_set:
            names.remove("es")
    values = {"bu": [MFN], "bd": [INVALID], "es": [MFN] if boot else [MFN, IDENTITY, INVALID]}
    if not late:
        yield Op("rt")
        start = max([0, *(op.end for op in ops if op.name == "ri" and boot)])
        for first in range(toy.end - 1, start - 1, -1):
            for end in range(first, toy.end + 1):
                if (last is None or not boot or end == last) and not config.meets_extra(first, end):
                    yield Op("ri", first, end)
    for name in names:
        for pfn in range(toy.end):
            if not late and toy.scope.is_linear and not toy.may_set_early(config, pfn):
                continue
            for value in values.get(name, [MFN, IDENTITY, INVALID]):
                yield Op(name, pfn, 0, value)


def consequence(one: Counterexample) -> Counterexample | None:
    """What the balloon makes of identity where memory should be missing: a BUG, up to 3.11.

    Returns:
        The trace gone on with the end of the early phase and the first frame that the balloon cannot
        fill; None where it can fill all.
    """
    toy = Toy(one.scope)
    shot = one.shots[-1]
    if one.scope.ops != "boot":
        return None
    for pfn in one.wrong:
        if shot.wanted[pfn] != ".":
            continue
        guest = _Guest(toy, one.config, [*one.ops, Op("rt"), Op("bu", pfn, 0, MFN)])
        if guest.code == "identity-over-extra":
            return replace(guest.told("identity-over-extra"), broke=one.broke, shapes=one.shapes)
    return None
