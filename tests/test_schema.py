"""The published JSON schemas hold for what the program reads and answers."""

import json
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from judge import vector_rows
from xenp2m.errors import InputError
from xenp2m.hostrow import host_of_row
from xenp2m.plan import make_plan
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
