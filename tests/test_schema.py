"""The published JSON schemas hold for what the program reads and answers."""

import json
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from judge import vector_rows
from xenp2m.errors import InputError
from xenp2m.hostrow import host_of_row
from xenp2m.model.linear import LINEAR_RULES
from xenp2m.model.rules import RULES
from xenp2m.plan import make_plan
from xenp2m.replay import replay_row
from xenp2m.replay_input import OPERATIONS
from xenp2m.views.answer import answer, refusal

TOP = Path(__file__).parent.parent
VECTORS = sorted((TOP / "tests" / "vectors").glob("setup-*.jsonl.xz"))


def validator(name):
    schema = json.loads((TOP / "docs" / "schema" / name).read_text())
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


HOST, ANSWER = validator("plan-host.schema.json"), validator("plan-answer.schema.json")


@pytest.mark.parametrize("path", VECTORS, ids=lambda path: path.name)
def test_rows_and_answers_are_valid(path):
    for row in vector_rows(path)[::7]:
        HOST.validate(row)
        HOST.validate(row["in"])
        ANSWER.validate(answer(make_plan(host_of_row(row, "row")), row["id"]))


def test_refusals_are_valid():
    ANSWER.validate(refusal("row: expected a host, got 7", None))


@pytest.mark.parametrize(
    "row",
    [
        {},
        {"nr_pages": 1, "e820": [[0, 4096, 1]], "colour": 1},
        {"in": {"nr_pages": 1, "e820": [[0, 4096, 1]]}, "colour": 1},
        {"nr_pages": 0, "e820": [[0, 4096, 1]]},
        {"nr_pages": 1, "e820": []},
        {"nr_pages": 1, "e820": [[0, 4096]]},
        {"nr_pages": 1, "e820": [[0, 4096, 1]], "dom": "dom1"},
        {"nr_pages": 1, "e820": [[0, 4096, 1]], "pt": [1]},
        [],
    ],
)
def test_schema_and_reader_refuse_the_same(row):
    assert not HOST.is_valid(row)
    with pytest.raises(InputError):
        host_of_row(row, "row")


@pytest.mark.parametrize(
    "change", [{"outcome": "fine"}, {"schema": 2}, {"extra_field": 1}, {"p2m": [[0, 1, "ram"]]}]
)
def test_the_answer_schema_can_fail(change):
    good = answer(make_plan(host_of_row({"nr_pages": 1, "e820": [[0, 1 << 30, 1]]}, "row")), 1)
    assert ANSWER.is_valid(good)
    assert not ANSWER.is_valid(good | change)


REPLAY_ROW, REPLAY_ANSWER = validator("replay-row.schema.json"), validator("replay-answer.schema.json")
TREES = sorted((TOP / "tests" / "vectors").glob("tree-*.jsonl.xz"))
SMALL = {"rules": "seed", "entries": 2, "nr_pages": 3, "ops": [["ri", 4, 7], ["g", 4]]}


@pytest.mark.parametrize("path", TREES, ids=lambda path: path.name)
def test_replayed_rows_and_their_answers_are_valid(path):
    for row in vector_rows(path)[::9]:
        REPLAY_ROW.validate(row)
        REPLAY_ANSWER.validate(replay_row(row))


@pytest.mark.parametrize("rules", [*RULES, *LINEAR_RULES])
def test_every_rule_set_and_operation_has_a_valid_answer(rules):
    early = [["ri", 4, 7], ["ri", 3, 3], ["es", 6, 9], ["__s", 5, 3]]
    ops = [op for op in early if op[0] != "es" or (rules in RULES and RULES[rules].early_set)]
    ops += [["rt"], ["fm", 0, 77], ["save", 0], ["m2p", 77], ["fu", 0], ["pte", 1], ["bd", 1], ["bu", 1, 90]]
    ops += [["s", 2, 91], ["save", 8], ["s", 8, 5]]
    row = {"id": 1, "rules": rules, "entries": 2, "mfn_list": [30, 29, 28], "ops": ops}
    REPLAY_ROW.validate(row)
    answer = replay_row(row)
    assert "out" in answer
    REPLAY_ANSWER.validate(answer)


@pytest.mark.parametrize(
    "change",
    [
        {"rules": "seeds"},
        {"rules": 7},
        {"colour": 1},
        {"bits": 16},
        {"entries": 1},
        {"nr_pages": 0},
        {"mfns": "mixed"},
        {"mfns": "ascending", "mfn_desc": True},
        {"mfn_list": [1]},
        {"ops": None},
        {"ops": [["ri", 1]]},
        {"ops": [["g", -1]]},
        {"ops": [["g"]]},
        {"ops": [["save"]]},
        {"ops": [["rt", 1, 2, 3]]},
        {"ops": [["drop", 1]]},
        {"in": {"nr_pages": 3, "ops": [], "colour": 1}},
        {"in": {"nr_pages": 3, "ops": []}},
        {"in": 3},
    ],
)
def test_the_row_schema_and_the_replay_refuse_the_same(change):
    assert REPLAY_ROW.is_valid(SMALL)
    assert "out" in replay_row(SMALL)
    assert not REPLAY_ROW.is_valid(SMALL | change)
    refused = replay_row(SMALL | change)
    assert "error" in refused
    REPLAY_ANSWER.validate(refused)


@pytest.mark.parametrize(
    ("field", "value"),
    [("p2m", [[0, 1, "ram"]]), ("struct", [[0, 1, "B"]]), ("ret", [None]), ("at", 1), ("more", 1)],
)
def test_the_schema_of_replays_can_fail(field, value):
    good = replay_row(SMALL)
    REPLAY_ANSWER.validate(good)
    assert not REPLAY_ANSWER.is_valid(good | {"out": good["out"] | {field: value}})


def test_the_row_schema_names_every_rule_set_and_operation():
    schema = json.loads((TOP / "docs" / "schema" / "replay-row.schema.json").read_text())
    assert schema["$defs"]["row"]["rules"]["enum"] == [*RULES, *LINEAR_RULES]
    heads = [kind["prefixItems"][0] for kind in schema["$defs"]["operation"]["oneOf"]]
    named = [name for head in heads for name in head.get("enum", [head.get("const")])]
    assert sorted(named) == sorted(OPERATIONS)
