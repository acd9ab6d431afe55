"""Breadth-first over every sequence of operations: each state once, the shortest way to it first.

A state is what lies behind every top entry, the phase, the pages left, and, under ``boot``, how far
identity ranges have come. Two sequences that lead to the same state are gone on from once. After the
early phase no operation knows of neighbours any more, so there states that differ only in the order
of frames in a leaf page, of leaf pages under a mid page or of top entries are one.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from xenp2m.explore.operations import Config, Op
from xenp2m.explore.steps import Steps
from xenp2m.explore.toy import Toy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from xenp2m.explore.operations import Scope

__all__ = ["MOST_STATES", "Found", "Machine", "Search", "State", "canonical", "search"]

MOST_STATES = 500_000
"""States at which a search ends, whatever its bound: less than a GiB of memory."""


class State(NamedTuple):
    """A guest, as far as it matters.

    Attributes:
        late: whether the page allocator is up.
        config: where it started, as far as that matters still.
        last: behind the last identity range (``boot`` only).
        early: pages of ``extend_brk`` left.
        runtime: pages of the page allocator left.
        units: the state behind each top entry.
    """

    late: bool
    config: Config
    last: int
    early: int
    runtime: int
    units: tuple[str, ...]


class Found(NamedTuple):
    """The first state from which one operation goes wrong in a certain way.

    Attributes:
        code: of the fault.
        name: of the operation.
        chain: states from the start on.
    """

    code: str
    name: str
    chain: list[State]


class Search(NamedTuple):
    """What a search did.

    Attributes:
        scope: what was explored.
        states: states reached.
        transitions: operations evaluated.
        depth: operations in the longest sequences of which every one was done.
        complete: whether every state that any sequence reaches was reached.
        found: faults, shortest first.
        interrupted: whether somebody ended it by Ctrl-C.
    """

    scope: Scope
    states: int
    transitions: int
    depth: int
    complete: bool
    found: list[Found]
    interrupted: bool = False


_LATE = Config(0)


def canonical(unit: str, entries: int) -> str:
    """A unit with frames and leaf pages in order: what is left of it once neighbours do not matter."""
    if unit[1] != "P":
        return unit
    leaves = ["".join(sorted(unit[at : at + entries])) for at in range(2, len(unit), entries)]
    return unit[:2] + "".join(sorted(leaves))


class Machine:
    """Successors of states.

    Attributes:
        scope: what is explored.
        toy: makes the guests.
        transitions: operations evaluated so far.
        faults: what went wrong since this list was emptied: code, name of the operation.
    """

    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self.toy = Toy(scope)
        self.steps = Steps(self.toy)
        self.entries, self.span = self.toy.entries, self.toy.span
        self.by_boot = scope.ops == "boot"
        late_told = getattr(scope.rules, "late_mfn_tree", False)
        self._keeps_config = scope.is_linear or late_told
        self._ranges: dict[tuple[int, Config], list[tuple[Op, list[tuple[int, int, int]]]]] = {}
        self._refused: dict[tuple[int, int], bool] = {}
        self._sorted: dict[str, str] = {}
        self.transitions = 0
        self.faults: list[tuple[str, str]] = []

    def initial(self) -> Iterator[State]:
        """Every start."""
        scope = self.scope
        for config in scope.configs():
            p2m = self.toy.start(config)
            reserved = p2m.pages.brk_budget or 0
            early = max(0, reserved - p2m.pages.brk) if scope.early_pages is None else scope.early_pages
            kept = config if self._keeps_config else _LATE
            if scope.is_linear:
                early = 0
            yield State(False, kept, 0, early, scope.runtime_pages, self.toy.units(p2m))

    def expand(self, state: State) -> list[State]:
        """States that one operation leads to; faults are put into `faults`."""
        found = self._singles(state)
        if not state.late:
            found += self._spreads(state)
            self._end(state, found)
        return found

    def _config(self, state: State) -> Config:
        return Config(1) if state.config == _LATE else state.config

    def _singles(self, state: State) -> list[State]:
        late, _, last, early, runtime, units = state
        config, found = self._config(state), []
        done = set()
        for top, unit in enumerate(units):
            if late:
                # units that are equal after the early phase lead to the same states
                if unit in done:
                    continue
                done.add(unit)
            moves = self.steps.moves(unit, late, top, config)
            self.transitions += moves.tried
            self.faults += moves.faults
            for op, step in moves.changes:
                if step.early > early:
                    self.faults.append(("brk-exceeded", op.name))
                    continue
                if step.runtime > runtime:
                    step = self.steps.limited(unit, op, runtime, top, config)
                    if step.fault is not None:
                        self.faults.append((step.fault, op.name))
                        continue
                new = self._replaced(units, top, step.unit, late)
                found.append(State(late, state.config, last, early - step.early, runtime - step.runtime, new))
            for op in moves.reusing:
                self._reuse(state, top, op, config, found)
        return found

    def _replaced(self, units: tuple[str, ...], top: int, unit: str, late: bool) -> tuple[str, ...]:
        if not late:
            return (*units[:top], unit, *units[top + 1 :])
        short = self._sorted.get(unit)
        if short is None:
            short = self._sorted[unit] = canonical(unit, self.entries)
        return tuple(sorted((*units[:top], short, *units[top + 1 :])))

    def _reuse(self, state: State, top: int, op: Op, config: Config, found: list[State]) -> None:
        units = state.units
        shifted = op._replace(pfn=op.pfn + top * self.span)
        idle = [t for t, unit in enumerate(units) if self.steps.is_idle(unit, config)]
        giver = idle[0] if idle else top
        new, given, pages, fault = self.steps.reuse(shifted, top, units[top], giver, units[giver], config)
        if fault is not None or pages > state.early:
            self.faults.append((fault or "brk-exceeded", op.name))
            return
        changed = list(units)
        changed[giver] = given
        changed[top] = new
        found.append(state._replace(units=tuple(changed), early=state.early - pages))

    def _spreads(self, state: State) -> list[State]:
        _, kept, last, early, runtime, units = state
        config, found = self._config(state), []
        spread = self.steps.spread
        ranges = self._ranges_from(last, config)
        self.transitions += len(ranges)
        for op, parts in ranges:
            if not parts:
                self.faults.append(("identity-refused", "ri"))
                continue
            changed, cost, fault, surplus = None, 0, None, 0
            for top, start, end in parts:
                unit = units[top]
                new, pages, code, surplus = spread(unit, top, start, end, config)
                cost += pages
                fault = fault or code
                if new != unit:
                    changed = list(units) if changed is None else changed
                    changed[top] = new
            if fault is not None:
                self.faults.append((fault, "ri"))
                continue
            if cost or surplus or op.pfn == op.end:
                code = self.steps.counts(op, surplus, cost)
                if code is not None:
                    self.faults.append((code, "ri"))
                if cost > early:
                    self.faults.append(("brk-exceeded", "ri"))
                    continue
            after = op.end if self.by_boot else 0
            if changed is not None or after != last:
                new_units = units if changed is None else tuple(changed)
                found.append(State(False, kept, after, early - cost, runtime, new_units))
        return found

    def _ranges_from(self, last: int, config: Config) -> list[tuple[Op, list[tuple[int, int, int]]]]:
        """Every identity range from a frame on, with its part behind each top entry; none if refused."""
        if (last, config) not in self._ranges:
            found = []
            for start in range(self.toy.end - 1, last - 1, -1):
                for end in range(start, self.toy.end + 1):
                    if config.meets_extra(start, end):
                        continue  # no boot marks extra memory
                    refused = start < end and self._is_refused(start, end)
                    found.append((Op("ri", start, end), [] if refused else list(self._parts(start, end))))
            self._ranges[last, config] = found
        return self._ranges[last, config]

    def _is_refused(self, start: int, end: int) -> bool:
        """Whether a tree that is as good as empty refuses a range as a whole."""
        if self.scope.is_linear:
            return False
        if (start, end) not in self._refused:
            p2m = self.toy.start(Config(1))
            self._refused[start, end] = p2m.set_range_identity(start, end) == 0
        return self._refused[start, end]

    def _parts(self, start: int, end: int) -> Iterator[tuple[int, int, int]]:
        for top in range(start // self.span, min(end // self.span, self.entries - 1) + 1):
            base = top * self.span
            low, high = max(start - base, 0), min(end - base, self.span)
            if low < self.span:
                yield top, low, high

    def _end(self, state: State, found: list[State]) -> None:
        config = self._config(state)
        self.transitions += 1
        steps = [self.steps.end(unit, top, config) for top, unit in enumerate(state.units)]
        fault = next((step.fault for step in steps if step.fault is not None), None)
        if fault is not None:
            self.faults.append((fault, "rt"))
            return
        units = tuple(sorted(canonical(step.unit, self.entries) for step in steps))
        found.append(State(True, _LATE, 0, 0, state.runtime, units))


def search(
    scope: Scope, progress: Callable[[int, int, int, int], None] | None = None, most: int = MOST_STATES
) -> Search:
    """Explore everything within a scope; an interruption ends the search, and what it found is kept.

    Args:
        scope: rules, geometry, operations and bound.
        progress: is told the depth, how many states of it are done, of how many, and transitions.
        most: states at which the search ends; `Search.depth` is then one less than what it was at.

    Returns:
        Counts, and for every code and operation the shortest way there.
    """
    machine = Machine(scope)
    came_from: dict[State, State | None] = dict.fromkeys(machine.initial())
    frontier: list[State] | None = list(came_from)
    found: dict[tuple[str, str], State] = {}
    depth, interrupted = 0, False
    try:
        while frontier and depth < scope.bound:
            tell = None if progress is None else partial(progress, depth + 1)
            frontier = _deepened(machine, frontier, came_from, found, tell, most)
            depth += frontier is not None
    except KeyboardInterrupt:
        frontier, interrupted = None, True
    faults = [Found(code, name, _chain(came_from, state)) for (code, name), state in found.items()]
    complete = frontier is not None and not frontier
    return Search(scope, len(came_from), machine.transitions, depth, complete, faults, interrupted)


def _deepened(
    machine: Machine,
    frontier: list[State],
    came_from: dict[State, State | None],
    found: dict[tuple[str, str], State],
    tell: Callable[[int, int, int], None] | None,
    most: int,
) -> list[State] | None:
    """New states one operation behind those of `frontier`; None where there are too many to go on."""
    following: list[State] = []
    for index, state in enumerate(frontier):
        if len(came_from) >= most:
            return None
        if tell is not None and index % 256 == 0:
            tell(index, len(frontier), machine.transitions)
        for new in machine.expand(state):
            if new not in came_from:
                came_from[new] = state
                following.append(new)
        for fault in machine.faults:
            found.setdefault(fault, state)
        machine.faults.clear()
    return following


def _chain(came_from: dict[State, State | None], state: State) -> list[State]:
    chain = [state]
    while (before := came_from[chain[-1]]) is not None:
        chain.append(before)
    return chain[::-1]
