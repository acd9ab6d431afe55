"""Transitions put together from units, beside whole guests; and the whole search beside a slow twin."""

from copy import deepcopy

import pytest

from tree_twin import TwinTree
from xenp2m.explore.eras import RULE_SETS
from xenp2m.explore.operations import IDENTITY, INVALID, MFN, Config, Op, Scope
from xenp2m.explore.search import Machine, State, canonical, search
from xenp2m.explore.toy import Toy, pages_of
from xenp2m.explore.verdict import expected, judge, note
from xenp2m.frames import Geometry
from xenp2m.model.rules import RULES

SAMPLED = 25
"""States whose every transition is done again on a whole guest, for each rule set."""


def reached(scope, most=4000):
    """A machine and states it reaches, breadth-first."""
    machine = Machine(scope)
    states = list(dict.fromkeys(machine.initial()))
    seen, at = set(states), 0
    while at < len(states) and len(states) < most:
        for new in machine.expand(states[at]):
            if new not in seen:
                seen.add(new)
                states.append(new)
        at += 1
    machine.faults.clear()
    return machine, states


def whole_operations(toy, state, config, before):
    """Every operation on a state, said again in the words of the issue rather than of the code."""
    boot, late = toy.scope.ops == "boot", state.late
    for pfn in range(toy.end):
        missing, mfn = before[pfn] == ".", before[pfn] == "#"
        if boot and late:
            yield from [Op("bu", pfn, 0, MFN)] * missing + [Op("bd", pfn, 0, INVALID)] * mfn
        elif boot:
            yield from [Op("es", pfn, 0, MFN)] * (missing and toy.has_early_set)
        elif late or not toy.scope.is_linear or pfn < -(-config.nr_pages // toy.entries) * toy.entries:
            names = ["s", "__s"] + ["es"] * (toy.has_early_set and not late)
            yield from (Op(name, pfn, 0, value) for name in names for value in (MFN, IDENTITY, INVALID))
    if not late:
        yield Op("rt")
        for start in range(state.last, toy.end):
            for end in range(start, toy.end + 1):
                if not config.meets_extra(start, end):
                    yield Op("ri", start, end)


def by_whole_guests(toy, state):
    """Successors and faults of a state, each by a guest of its own."""
    config = state.config if state.config.nr_pages else Config(1)
    everything = dict(enumerate(state.units))
    fresh = toy.load(config, state.late, everything)
    symbols = [toy.symbol(fresh, pfn, word) for pfn, word in enumerate(toy.reads(fresh))]
    found, faults = set(), set()
    for op in whole_operations(toy, state, config, symbols):
        p2m = toy.load(config, state.late, everything, state.runtime if state.late else None)
        before, brk, runtime = toy.reads(p2m), p2m.pages.brk, p2m.pages.runtime
        ret = toy.apply(p2m, op)
        code = judge(toy, p2m, op, ret, expected(toy, p2m, config, before, op, ret), toy.reads(p2m))
        brk, runtime = p2m.pages.brk - brk, p2m.pages.runtime - runtime
        told = None if toy.scope.is_linear or code else note(op, ret, brk)
        if code is None and brk > state.early:
            code = "brk-exceeded"
        faults |= {(each, op.name) for each in (code, told) if each}
        if code is not None:
            continue
        late = state.late or op.name == "rt"
        units = toy.units(p2m)
        if late:
            units = tuple(sorted(canonical(unit, toy.entries) for unit in units))
        last = (
            op.end
            if toy.scope.ops == "boot" and op.name == "ri" and told != "identity-refused"
            else state.last
        )
        if op.name == "rt":
            found.add(State(True, Config(0), 0, 0, state.runtime, units))
        else:
            left = state.runtime - runtime if state.late else state.runtime
            found.add(State(late, state.config, last, state.early - brk, left, units))
    return found - {state}, faults


@pytest.mark.parametrize("ops", ["boot", "all"])
@pytest.mark.parametrize("name", list(RULE_SETS))
def test_a_transition_of_units_is_one_of_the_whole(name, ops):
    machine, states = reached(Scope(RULE_SETS[name], Geometry(8, 2), ops, 99))
    for state in states[:: max(1, len(states) // SAMPLED)]:
        found = set(machine.expand(state)) - {state}
        faults = set(machine.faults)
        machine.faults.clear()
        assert (found, faults) == by_whole_guests(machine.toy, state), state


@pytest.mark.parametrize("name", ["seed", "3.6", "3.18", "linear"])
def test_three_entries_a_page_are_put_together_the_same_way(name):
    machine, states = reached(Scope(RULE_SETS[name], Geometry(8, 3), "boot", 99), most=900)
    for state in states[:: len(states) // 4]:
        found = set(machine.expand(state)) - {state}
        faults = set(machine.faults)
        machine.faults.clear()
        assert (found, faults) == by_whole_guests(machine.toy, state), state


@pytest.mark.parametrize("name", list(RULE_SETS))
def test_a_guest_can_be_put_into_any_state(name):
    scope = Scope(RULE_SETS[name], Geometry(8, 2), "all", 99)
    toy = Toy(scope)
    _, states = reached(scope)
    for state in states[::40]:
        config = state.config if state.config.nr_pages else Config(1)
        p2m = toy.load(config, state.late, dict(enumerate(state.units)))
        assert toy.units(p2m) == state.units
        assert p2m.tree.check() == []
        assert all(word == p2m.get(pfn) for pfn, word in enumerate(toy.reads(p2m)))


def test_pages_behind_a_unit():
    assert pages_of("0M", 2) == pages_of("-I", 2) == 0
    assert pages_of("1M", 2) == 1
    assert pages_of("1Pmm#.", 2) == 3
    assert pages_of("-P==ii", 2) == 2


# --- the search beside every sequence on the slow twin ---------------------------------------------


def twin_operations(twin, rules, end):
    names = ["s", "__s"] + ["es"] * (twin.early and (rules.early_set or rules.edges == "hoisted"))
    yield from ((name, pfn, value) for name in names for pfn in range(end) for value in "mix")
    if twin.early:
        yield ("rt", 0, "")
        yield from (("ri", start, stop) for start in range(end) for stop in range(start, end + 1))


def on_twin(twin, flat, op, rules):
    """Do one operation on a twin; returns the flat map it should leave."""
    name, pfn, value = op
    flat = list(flat)
    if name == "rt":
        twin.rt()
    elif name == "ri":
        if twin.ri(pfn, value):
            flat[pfn:value] = [twin.ident(i) for i in range(pfn, value)]
    else:
        word = {"m": 5000 + pfn, "i": twin.ident(pfn), "x": twin.g.invalid}[value]
        early = twin.early_set if rules.early_set else twin.set
        ret = {"s": twin.set, "__s": twin.store, "es": early}[name](pfn, word)
        if ret:
            flat[pfn] = word
    return flat


@pytest.mark.parametrize("name", ["seed", "seed-builder", "2.6.39", "3.6", "3.18"])
def test_the_shortest_faults_are_those_of_every_sequence_on_the_twin(name):
    """All sequences of two operations; those that begin with a fault are not gone on from."""
    rules, geometry = RULES[name], Geometry(8, 2)
    shortest = {}
    for pages in range(1, 9):
        start = TwinTree(rules, geometry, range(100, 100 + pages))
        level = [(start, [start.get(pfn) for pfn in range(8)])]
        for depth in (1, 2) if pages in (2, 4) else (1,):
            following = {}
            for before, flat in level:
                for op in twin_operations(before, rules, 8):
                    twin = deepcopy(before)
                    after = on_twin(twin, flat, op, rules)
                    reads = [twin.get(pfn) for pfn in range(8)]
                    lost = [s for s in twin.scribbled() if s[0] != "mid_identity"]
                    if reads != after or lost:
                        shortest[op[0]] = min(depth, shortest.get(op[0], depth))
                    elif depth == 1:
                        key = (tuple(reads), repr(twin.top), twin.early)
                        following.setdefault(key, (twin, after))
            level = list(following.values())
    done = search(Scope(rules, geometry, "all", 2))
    own = {}
    for one in done.found:
        if one.code not in (
            "identity-refused",
            "identity-edge-not-split",
            "empty-range-allocates",
            "brk-exceeded",
        ):
            own[one.name] = min(len(one.chain), own.get(one.name, 99))
    assert own == shortest
