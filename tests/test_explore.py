"""What exploring each rule set finds, and that a rule taken away is noticed."""

import functools

import pytest

from xenp2m.errors import InputError
from xenp2m.explore.eras import RULE_SETS, varied
from xenp2m.explore.exploration import NOTES, default_bound, explore
from xenp2m.explore.operations import Scope
from xenp2m.explore.real import stretched
from xenp2m.explore.search import search
from xenp2m.frames import GEOMETRY_64, Geometry
from xenp2m.model import range_identity
from xenp2m.model.rules import Edges

LANDED = ["2.6.39", "3.6", "3.12", "3.16", "3.18"]
LINEAR = ["linear-5.10", "linear-5.12", "linear"]


@functools.cache
def explored(name, ops, bound=2, changes=(), **how):
    """Two operations are enough for every fault under ``all``."""
    return explore(Scope(varied(RULE_SETS[name], changes), Geometry(8, 2), ops, bound, **how))


def sorts(done):
    """Code, name of the last operation, operations."""
    return {(case.toy.code, case.toy.ops[-1].name, len(case.toy.ops)) for case in done.cases}


@pytest.mark.parametrize("name", ["seed", "seed-bit"])
def test_a_boot_of_the_proposed_patch_over_reaches_at_both_levels_and_meets_the_bug(name):
    done = explored(name, "boot", 99)
    assert done.search.complete
    assert sorts(done) == {
        ("over-reach-leaf", "ri", 1),
        ("over-reach-mid", "ri", 1),
        ("identity-over-extra", "bu", 3),
    }
    assert all(case.real.by_plan and case.real.by_replay for case in done.cases)


@pytest.mark.parametrize("name", LANDED + LINEAR)
def test_a_boot_by_the_landed_rules_changes_no_neighbour(name):
    done = explored(name, "boot", 99)
    assert done.search.complete
    assert done.cases == []
    assert {case.toy.code for case in done.notes} <= NOTES


@pytest.mark.parametrize("name", ["seed-builder", "seed-early", "seed-hoisted"])
def test_the_three_ways_out_break_nothing_but_their_budget_in_a_boot(name):
    assert {code for code, _, _ in sorts(explored(name, "boot", 99))} == {"brk-exceeded"}
    assert explored(name, "boot", 99, early_pages=20).cases == []


@pytest.mark.parametrize("name", ["2.6.39", "3.6", "3.12"])
def test_until_3_15_a_set_writes_into_shared_pages(name):
    found = sorts(explored(name, "all"))
    ways = ["s"] if name == "2.6.39" else ["s", "es"]
    assert found == {(code, way, length) for way in ways for code, length in
                     (("over-reach-leaf", 1), ("missing-mid-scribbled", 1), ("identity-leaf-store", 2))}  # fmt: skip


@pytest.mark.parametrize("name", ["3.16", "3.18"])
def test_from_3_16_a_set_swaps_a_whole_mid_page(name):
    found = sorts(explored(name, "all"))
    assert found == {(code, way, length) for way in ("s", "es") for code, length in
                     (("over-reach-leaf", 1), ("over-reach-mid", 1), ("identity-leaf-store", 2))}  # fmt: skip


@pytest.mark.parametrize("name", LINEAR)
def test_linear_lists_show_nothing_in_any_order(name):
    done = explored(name, "all", 3)
    assert (done.cases, done.notes) == ([], [])


def test_linear_shows_nothing_however_long_the_sequence():
    done = search(Scope(RULE_SETS["linear"], Geometry(8, 2), "all", 99, runtime_pages=1))
    assert done.complete
    assert done.found == []


def test_the_unaligned_fill_of_3_19_shifts_identity():
    for done in (
        explored("linear", "all", changes=("unaligned-identity-fill",)),
        explored("linear-3.19", "all"),
    ):
        assert ("identity-shifted", "s", 2) in sorts(done)
        case = next(case for case in done.cases if case.toy.ops[-1].name == "s")
        assert "?" in case.toy.shots[-1].reads
    assert explored("linear-3.19", "all").cases[0].real.by_replay


def test_every_case_happens_on_the_real_geometry_too():
    checked = 0
    for name in ("seed", "seed-bit", *LANDED):
        for ops in ("boot", "all"):
            for case in explored(name, ops).cases:
                assert case.real is not None
                assert (case.real.by_plan, case.real.by_replay) == (True, True), (name, case.toy.code)
                checked += 1
    assert checked > 25


def test_the_bug_of_the_balloon_becomes_the_case_of_the_thread():
    done = explored("seed", "boot", 99)
    real = next(case.real for case in done.cases if case.toy.code == "identity-over-extra")
    assert real.dom0_mem == "512M,max:513M"
    assert real.extra == "contiguous"


# --- a rule taken away ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", LANDED)
def test_without_the_edges_a_boot_over_reaches(name):
    codes = {code for code, _, _ in sorts(explored(name, "boot", 2, ("edges=ignored",)))}
    assert "over-reach-leaf" in codes


@pytest.mark.parametrize("name", LANDED)
def test_without_the_guard_the_shared_missing_page_is_written(name):
    codes = {code for code, _, _ in sorts(explored(name, "all", 1, ("guard=off",)))}
    assert "missing-leaf-scribbled" in codes


@pytest.mark.parametrize(("name", "edges"), [("2.6.39", Edges.EVERY_MID), ("3.18", Edges.SPLIT)])
def test_the_model_itself_is_what_is_explored(monkeypatch, name, edges):
    monkeypatch.setitem(range_identity._PREPARE, edges, range_identity._nothing)
    assert "over-reach-leaf" in {code for code, _, _ in sorts(explored(name, "boot", 1))}


def test_a_reused_leaf_that_is_not_emptied_is_noticed(monkeypatch):
    from xenp2m.model import early

    def keep(p2m, pfn):
        found = early.idle_leaf(p2m)
        if pfn % p2m.geometry.entries or found is None:
            return False
        early.alloc_mid(p2m, pfn)
        early._hang(p2m, pfn // p2m.geometry.entries, found[1], found[1])
        return True

    monkeypatch.setattr(early, "reuse_leaf", keep)
    assert explored("3.6", "boot", 4).cases


# --- budgets, bounds, determinism -------------------------------------------------------------------


@pytest.mark.parametrize("name", LANDED)
def test_early_pages_run_out_as_a_bug_and_run_time_pages_as_an_answer(name):
    short = explored(name, "boot", 2, early_pages=1)
    assert {code for code, _, _ in sorts(short)} == {"brk-exceeded"}
    assert explored(name, "boot", 3, runtime_pages=0).cases == []


def test_pages_left_are_part_of_the_state():
    counts = [
        search(Scope(RULE_SETS["3.12"], Geometry(8, 2), "boot", 4, runtime_pages=pages)).states
        for pages in (0, 1)
    ]
    assert counts == sorted(set(counts))


def test_a_bound_stops_and_more_of_it_only_adds():
    short, long = (explored("3.18", "all", bound) for bound in (1, 2))
    assert not short.search.complete
    assert short.search.depth == 1
    assert sorts(short) < sorts(long)
    assert [default_bound(entries) for entries in (3, 4)] == [2, 1]
    assert default_bound(3, is_linear=True) == 1


def test_a_search_ends_at_some_states_and_claims_no_more_than_it_did():
    scope = Scope(RULE_SETS["seed"], Geometry(8, 2), "all", 99)
    cut, short = search(scope, most=2000), search(Scope(RULE_SETS["seed"], Geometry(8, 2), "all", 2))
    assert not cut.complete
    assert 2000 <= cut.states < 2400
    assert cut.depth == 2
    assert short.states < cut.states
    assert {one.code for one in cut.found} >= {one.code for one in short.found}


def test_the_same_every_time():
    again = explored.__wrapped__("3.12", "all")
    assert again is not explored("3.12", "all")
    assert again == explored("3.12", "all")


def test_a_real_pfn_shares_pages_as_the_toy_does():
    n = GEOMETRY_64.entries
    for entries in (2, 3, 4):
        real = [stretched(pfn, entries) for pfn in range(entries**3 + 1)]
        assert real == sorted(set(real))
        for pfn in range(entries**3):
            assert (real[pfn] % n == 0) == (pfn % entries == 0)
            assert real[pfn] // n**2 == pfn // entries**2


def test_progress_is_told():
    calls = []
    search(Scope(RULE_SETS["seed"], Geometry(8, 2), "all", 3), lambda *told: calls.append(told))
    assert calls
    assert max(depth for depth, *_ in calls) == 3
    assert all(index < count for _, index, count, _ in calls)


@pytest.mark.parametrize(
    ("name", "change"),
    [("3.12", "nonsense=on"), ("3.12", "guard=maybe"), ("3.12", "edges=sharp"), ("linear", "guard=off")],
)
def test_changes_that_cannot_be(name, change):
    with pytest.raises(InputError, match="--variant"):
        varied(RULE_SETS[name], (change,))
