"""``xenp2m explore``: stories, the overview, JSON, and a case that is true of the machine it names."""

import json
import re
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from xenp2m.checks.stories import STORIES
from xenp2m.cli.app import run
from xenp2m.cli.explore import _Bar
from xenp2m.explore.eras import RULE_SETS
from xenp2m.explore.exploration import explore
from xenp2m.explore.operations import Scope
from xenp2m.explore.search import search
from xenp2m.explore.ways_out import WAYS
from xenp2m.frames import Geometry

TOP = Path(__file__).parent.parent
SCHEMA = json.loads((TOP / "docs/schema/explore-answer.schema.json").read_text())
Draft202012Validator.check_schema(SCHEMA)


def xenp2m(capsys, *words):
    status = run(list(words))
    told = capsys.readouterr()
    return status, told.out, told.err


def rows(text):
    return [json.loads(line) for line in text.splitlines()]


def test_answers_are_valid_and_carry_what_was_explored(capsys):
    status, out, _ = xenp2m(capsys, "explore", "seed", "3.18", "linear", "--bound", "2", "--json")
    assert status == 1
    validator = Draft202012Validator(SCHEMA)
    found = rows(out)
    assert [(row["rules"], row["ops"]) for row in found] == [
        (name, ops) for name in ("seed", "3.18", "linear") for ops in ("boot", "all")
    ]
    for row in found:
        validator.validate(row)
        assert row["geometry"] == {"bits": 64, "entries": 2}
        assert row["bound"] == 2
        assert {one["code"] for one in row["findings"]} <= STORIES.keys()
    assert not validator.is_valid(found[0] | {"states": "many"})


def test_no_bound_on_the_smallest_toy(capsys):
    _, out, _ = xenp2m(capsys, "explore", "2.6.39", "--ops", "boot", "--json")
    row = rows(out)[0]
    assert (row["bound"], row["complete"]) == (None, True)
    assert [one["code"] for one in row["findings"] if one["is_counterexample"]] == []


@pytest.mark.parametrize("name", ["linear", "2.6.39"])
def test_status_0_without_counterexamples(capsys, name):
    status, out, _ = xenp2m(capsys, "explore", name, "--ops", "boot")
    assert status == 0
    assert "no counterexample" in out


def test_a_story_draws_the_tables_before_and_after(capsys):
    status, out, _ = xenp2m(capsys, "explore", "seed", "--ops", "boot")
    assert status == 1
    before, after = out.split("2 over-reach-mid")[1].split("page tables after operation 0")[:2]
    assert "p2m_mid_missing" in before
    assert "p2m_mid_identity" in after.split("on a machine")[0]


def test_without_names_all_rule_sets_are_a_table(capsys):
    status, out, _ = xenp2m(capsys, "explore", "--bound", "1", "--ops", "boot")
    assert status == 1
    for name in RULE_SETS:
        assert re.search(rf"^ {re.escape(name)}\s+boot", out, re.MULTILINE)


def test_the_machine_of_a_story_has_its_fault(capsys, tmp_path):
    """The map and the command, as they are printed, given back to the program."""
    _, out, _ = xenp2m(capsys, "explore", "seed", "--ops", "boot")
    block = out.split("3 identity-over-extra")[1].split("on a machine")[1]
    text = "\n".join(line for line in block.splitlines() if re.match(r"\s+[0-9a-f]{16} - ", line))
    (tmp_path / "map.txt").write_text(text + "\n")
    flat = " ".join(block.split())
    plan = re.search(r"xenp2m plan map\.txt (.*?) xenp2m replay", flat)[1].split()
    status, out, _ = xenp2m(capsys, "plan", str(tmp_path / "map.txt"), *plan, "--json")
    assert status == 1
    assert "identity-over-extra" in {one["code"] for one in json.loads(out)["findings"]}
    replay = re.search(r"xenp2m replay (.*? g:0x[0-9a-f]+)", flat)[1].split()
    _, out, _ = xenp2m(capsys, "replay", *replay, "--json")
    answer = json.loads(out)["out"]
    assert answer["ret"][-1] == int(replay[-1].removeprefix("g:"), 16)  # identity by value


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nonsense"], "expected rules, one of seed"),
        (["--variant", "guard=off"], "the RULES to change"),
        (["seed", "--variant", "colour=red"], "--variant"),
        (["seed", "--ops", "some"], "some"),
        (["seed", "--entries", "1"], "entries"),
        (["seed", "--entries", "5"], "entries"),
        (["seed", "--maps", "5"], "--compare as well"),
        (["--compare", "--bound", "2"], "no --compare"),
        (["seed", "--bound", "0"], "bound"),
    ],
)
def test_bad_words(capsys, words, message):
    status, out, err = xenp2m(capsys, "explore", *words)
    assert (status, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1


def test_a_changed_rule_is_named_and_found(capsys):
    status, out, _ = xenp2m(
        capsys, "explore", "3.12", "--variant", "edges=ignored", "--ops", "boot", "--json"
    )
    row = rows(out)[0]
    assert status == 1
    assert row["variants"] == ["edges=ignored"]
    assert not row["verified"]
    assert "over-reach-leaf" in {one["code"] for one in row["findings"]}


def test_a_bar_on_a_terminal_only(capsys, monkeypatch):
    scope = Scope(RULE_SETS["seed"], Geometry(8, 2), "all", 1)
    _Bar().operations(scope)(2, 5, 10, 12345)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    bar = _Bar()
    bar.operations(scope)(2, 5, 10, 12345)
    told = capsys.readouterr().err
    assert "[##########          ] 12,345 transitions" in told
    assert "\n" not in told
    bar.wipe()
    assert capsys.readouterr().err == "\r\x1b[K"


def test_the_ways_out_are_compared_in_one_command(capsys):
    status, out, _ = xenp2m(capsys, "explore", "--compare", "--maps", "300")
    assert status == 0
    assert "300 random machines (seed 2011)" in " ".join(out.split())
    status, out, _ = xenp2m(capsys, "explore", "--compare", "--maps", "300", "--json")
    answer = json.loads(out)
    assert (status, answer["machines"]) == (0, 300)
    assert [one["rules"] for one in answer["ways"]] == list(WAYS)
    assert xenp2m(capsys, "explore", "linear", "--compare")[0] == 2


def test_a_rule_set_named_twice_is_explored_once(capsys):
    _, out, _ = xenp2m(capsys, "explore", "seed", "seed", "--bound", "1", "--ops", "boot", "--json")
    assert len(rows(out)) == 1


def test_interrupting_the_overview_keeps_what_was_done(capsys, monkeypatch):
    done = []

    def explored(scope, progress, **how):
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(explore(scope, progress, **how))
        return done[-1]

    monkeypatch.setattr("xenp2m.cli.explore.explore", explored)
    status, out, _ = xenp2m(capsys, "explore", "--bound", "1", "--ops", "boot")
    assert status == 2
    assert " seed-bit " in out
    assert " seed-void-identity " not in out


def test_interrupting_a_search_keeps_what_it_found(capsys, monkeypatch):
    def told(scope, progress):
        def show(depth, index, count, transitions):
            if depth == 3:
                raise KeyboardInterrupt

        return search(scope, show)

    monkeypatch.setattr("xenp2m.explore.exploration.search", told)
    status, out, err = xenp2m(capsys, "explore", "seed", "linear", "--ops", "all", "--json")
    (answer,) = rows(out)
    assert (status, err) == (2, "xenp2m: interrupted\n")
    assert (answer["rules"], answer["depth"], answer["complete"]) == ("seed", 2, False)
    whole = rows(xenp2m(capsys, "explore", "seed", "--ops", "all", "--bound", "2", "--json")[1])
    assert answer["findings"] == whole[0]["findings"] != []
    _, out, _ = xenp2m(capsys, "explore", "seed", "--ops", "all")
    assert "sequences of 3 were tried in part" in out


def test_where_a_search_stopped_is_said(capsys, monkeypatch):
    monkeypatch.setattr(
        "xenp2m.explore.exploration.search", lambda scope, progress: search(scope, progress, most=2000)
    )
    _, out, _ = xenp2m(capsys, "explore", "seed", "--ops", "all")
    assert "every sequence of up to 2 operations" in out
    assert "sequences of 3 were tried in part" in out


def test_answers_of_the_comparison_are_valid(capsys):
    schema = json.loads((TOP / "docs/schema/explore-compare.schema.json").read_text())
    Draft202012Validator.check_schema(schema)
    _, out, _ = xenp2m(capsys, "explore", "--compare", "--maps", "20", "--json")
    validator = Draft202012Validator(schema)
    validator.validate(rows(out)[0])
    assert not validator.is_valid(rows(out)[0] | {"machines": 0})


def test_four_entries_a_page_are_told_as_well(capsys):
    status, out, _ = xenp2m(capsys, "explore", "seed", "--entries", "4", "--ops", "boot", "--json")
    (answer,) = rows(out)
    assert (status, answer["geometry"]["entries"], answer["depth"]) == (1, 4, 1)
    assert {"over-reach-leaf", "over-reach-mid"} <= {found["code"] for found in answer["findings"]}
