"""Transitions of one top entry at a time, each computed once by `xenp2m.model` and kept.

A set changes nothing but what lies behind its own top entry, and a range does to each top entry what
it would do to it alone: as long as no shared page was written, and a state with such a page is never
gone on from. So a transition of the whole tree is put together from transitions of its units.
`tests/test_explore_steps.py` holds that against whole guests, operation by operation.
"""

from __future__ import annotations

from typing import NamedTuple

from xenp2m.explore.operations import IDENTITY, INVALID, MFN, Config, Op
from xenp2m.explore.toy import Toy, pages_of
from xenp2m.explore.verdict import expected, judge, note
from xenp2m.model.early import idle_leaf
from xenp2m.model.phys_to_machine import PhysToMachine
from xenp2m.model.rules import Rules

__all__ = ["Moves", "Spread", "Step", "Steps"]


class Step(NamedTuple):
    """What one operation does to one unit.

    Attributes:
        unit: the state afterwards.
        early: pages of ``extend_brk`` it takes.
        runtime: pages of the page allocator it takes.
        fault: code of what went wrong, or None.
    """

    unit: str
    early: int
    runtime: int
    fault: str | None


class Moves(NamedTuple):
    """Every operation on single frames of one unit.

    Attributes:
        tried: how many there are.
        changes: those that change something, one for each outcome, with the first operation of it.
        faults: those that go wrong: code, name of the operation.
        reusing: early sets that use an idle leaf page of any unit, if there is one, again.
    """

    tried: int
    changes: list[tuple[Op, Step]]
    faults: list[tuple[str, str]]
    reusing: list[Op]


class Spread(NamedTuple):
    """What the part of an identity range does to one unit.

    Attributes:
        unit: the state afterwards.
        early: pages of ``extend_brk`` it takes.
        fault: code of what went wrong, or None.
        surplus: frames that the walk goes on beyond the end of the range.
    """

    unit: str
    early: int
    fault: str | None
    surplus: int


_ANY = Config(1)
_EVERY = (MFN, IDENTITY, INVALID)


class Steps:
    """Transitions within one scope, computed when they are first asked for."""

    def __init__(self, toy: Toy) -> None:
        self.toy = toy
        self._moves: dict[tuple[str, bool, int, Config], Moves] = {}
        self._limited: dict[tuple[str, Op, int], Step] = {}
        self._spreads: dict[tuple[str, int, int, int, Config], Spread] = {}
        self._reuses: dict[tuple[Op, int, str, int, str], tuple[str, str, int, str | None]] = {}
        self._ends: dict[tuple[str, int, Config], Step] = {}
        self._idle: dict[str, bool] = {}

    def place(self, top: int, late: bool) -> int:
        """The top entry whose transitions stand for those of `top`.

        A tree treats all alike. The early linear list does not: it ends somewhere.
        """
        return top if self.toy.scope.is_linear and not late else 0

    def _matters(self, config: Config, late: bool) -> Config:
        """What an operation has to know of the start: the pages of an early linear list, else nothing."""
        if not self.toy.scope.is_linear or late:
            return _ANY
        return Config(self.toy.list_end(config))

    def moves(self, unit: str, late: bool, top: int, config: Config) -> Moves:
        """All operations on single frames."""
        top, config = self.place(top, late), self._matters(config, late)
        key = unit, late, top, config
        if key not in self._moves:
            self._moves[key] = self._compute_moves(unit, late, top, config)
        return self._moves[key]

    def _compute_moves(self, unit: str, late: bool, top: int, config: Config) -> Moves:
        tried = 0
        changes: dict[object, tuple[Op, Step]] = {}
        faults: dict[tuple[str, str], None] = {}
        reusing: list[Op] = []
        p2m = self.toy.load(config, late, {top: unit})
        first = top * self.toy.span
        before = self.toy.reads(p2m)
        symbols = [self.toy.symbol(p2m, pfn, before[pfn]) for pfn in range(first, first + self.toy.span)]
        for op in self._singles(symbols, late, first, config):
            tried += 1
            if self._may_reuse(op, unit, first):
                reusing.append(op)
            step = self.do(config, late, top, unit, op)
            if step.fault is not None:
                faults.setdefault((step.fault, op.name))
            elif step.unit != unit or step.early or step.runtime:
                changes.setdefault((op, step) if step.early or step.runtime else step, (op, step))
        if reusing:
            again = set(reusing)
            changes = {k: v for k, v in changes.items() if v[0] not in again}
        return Moves(tried, list(changes.values()), list(faults), reusing)

    def _singles(self, symbols: list[str], late: bool, first: int, config: Config) -> list[Op]:
        """Operations on single frames of a unit that reads as `symbols`."""
        found: list[Op] = []
        linear = self.toy.scope.is_linear
        for pfn, symbol in enumerate(symbols, first):
            if self.toy.scope.ops == "boot":
                if late:
                    found += [Op("bu", pfn, 0, MFN)] * (symbol == ".")
                    found += [Op("bd", pfn, 0, INVALID)] * (symbol == "#")
                elif symbol == "." and self.toy.has_early_set:
                    found.append(Op("es", pfn, 0, MFN))
                continue
            if linear and not late and not self.toy.may_set_early(config, pfn):
                continue
            names = ["s", "__s"] if late or not self.toy.has_early_set else ["es", "s", "__s"]
            found += [Op(name, pfn, 0, value) for name in names for value in _EVERY]
        return found

    def _may_reuse(self, op: Op, unit: str, first: int) -> bool:
        """Whether an early set wants a leaf page and looks for an idle one."""
        rules = self.toy.scope.rules
        if op.name != "es" or not isinstance(rules, Rules) or not rules.reuse:
            return False
        at = op.pfn - first
        return at % self.toy.entries == 0 and (unit[1] == "M" or (unit[1] == "P" and unit[2 + at] == "m"))

    def do(
        self, config: Config, late: bool, top: int, unit: str, op: Op, runtime_limit: int | None = None
    ) -> Step:
        """One operation on one unit, by the model."""
        toy = self.toy
        p2m = toy.load(config, late, {top: unit}, runtime_limit)
        before = toy.reads(p2m)
        early, runtime = p2m.pages.brk, p2m.pages.runtime
        ret = toy.apply(p2m, op)
        fault = judge(toy, p2m, op, ret, expected(toy, p2m, config, before, op, ret), toy.reads(p2m))
        early, runtime = p2m.pages.brk - early, p2m.pages.runtime - runtime
        return Step(toy.unit(p2m, top), early, runtime, fault)

    def limited(self, unit: str, op: Op, left: int, top: int, config: Config) -> Step:
        """A run-time set for which there are only `left` pages."""
        key = unit, op, left
        if key not in self._limited:
            self._limited[key] = self.do(config, True, self.place(top, True), unit, op, left)
        return self._limited[key]

    def spread(self, unit: str, top: int, start: int, end: int, config: Config) -> Spread:
        """The part of an identity range behind one top entry; `start` and `end` count from it."""
        top, config = self.place(top, False), self._matters(config, False)
        key = unit, top, start, end, config
        if key not in self._spreads:
            first = top * self.toy.span
            op = Op("ri", first + start, first + end)
            toy = self.toy
            p2m = toy.load(config, False, {top: unit})
            before = toy.reads(p2m)
            ret = toy.apply(p2m, op)
            fault = judge(toy, p2m, op, ret, expected(toy, p2m, config, before, op, ret), toy.reads(p2m))
            new = toy.unit(p2m, top)
            cost = pages_of(new, toy.entries) - pages_of(unit, toy.entries)
            self._spreads[key] = Spread(new, cost, fault, (ret or 0) - (end - start))
        return self._spreads[key]

    def is_idle(self, unit: str, config: Config) -> bool:
        """Whether a unit has a leaf page that an early set would use again."""
        if unit not in self._idle:
            p2m = self.toy.load(config, False, {0: unit})
            assert isinstance(p2m, PhysToMachine)
            self._idle[unit] = idle_leaf(p2m) is not None
        return self._idle[unit]

    def reuse(
        self, op: Op, top: int, unit: str, giver: int, given: str, config: Config
    ) -> tuple[str, str, int, str | None]:
        """An early set that takes its leaf page from the unit of another top entry, or from its own.

        Returns:
            The state of `top`, the state of `giver`, pages taken, code of what went wrong.
        """
        key = op, top, unit, giver, given
        if key not in self._reuses:
            toy = self.toy
            p2m = toy.load(config, False, {giver: given, top: unit})
            before = toy.reads(p2m)
            ret = toy.apply(p2m, op)
            fault = judge(toy, p2m, op, ret, expected(toy, p2m, config, before, op, ret), toy.reads(p2m))
            self._reuses[key] = toy.unit(p2m, top), toy.unit(p2m, giver), p2m.pages.brk, fault
        return self._reuses[key]

    def end(self, unit: str, top: int, config: Config) -> Step:
        """What the end of the early phase does to one unit."""
        key = unit, top, config
        if key not in self._ends:
            step = self.do(config, False, top, unit, Op("rt"))
            self._ends[key] = Step(step.unit, 0, 0, step.fault)
        return self._ends[key]

    def counts(self, op: Op, surplus: int, pages: int) -> str | None:
        """The code of a range whose answer or cost is wrong."""
        return None if self.toy.scope.is_linear else note(op, op.end - op.pfn + surplus, pages)
