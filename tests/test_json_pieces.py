"""JSON in pieces says what `json.dumps` says of the same value, and holds few rows at a time."""

import json
import tracemalloc

import numpy as np
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from xenp2m.cli import jsonpieces
from xenp2m.cli.app import verbs
from xenp2m.cli.jsonpieces import json_pieces
from xenp2m.extents import Run
from xenp2m.frames import Kind
from xenp2m.maps.mapdiff import compare
from xenp2m.p2m import P2M
from xenp2m.runtable import KINDS, RunTable
from xenp2m.sources.npz import save
from xenp2m.sources.source import Guest, Origin, Source

PLAIN = st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists, max_leaves=9)
ROWS = st.lists(PLAIN, max_size=12)


@given(st.dictionaries(st.text(), PLAIN | st.tuples(ROWS), max_size=5), st.integers(1, 6))
def test_the_same_text_as_of_lists(answer, most):
    lists = {key: value[0] if isinstance(value, tuple) else value for key, value in answer.items()}
    lazy = {key: iter(value[0]) if isinstance(value, tuple) else value for key, value in answer.items()}
    before, jsonpieces._ROWS = jsonpieces._ROWS, most
    try:
        assert "".join(json_pieces(lazy)) == json.dumps(lists)
    finally:
        jsonpieces._ROWS = before


def scattered(count, seed=1):
    """A map of `count` runs of two frames each, no two of which continue each other."""
    start = np.arange(count, dtype=np.int64) * 2
    mfn = np.random.default_rng(seed).permutation(count).astype(np.int64) * 3 + 100
    kind, step = np.full(count, KINDS.index(Kind.MFN), np.int8), np.ones(count, np.int8)
    return P2M(RunTable(start, start + 2, kind, mfn, step))


def test_runs_one_by_one_are_the_extents():
    for p2m in (scattered(70_000), P2M([Run(0, 9, Kind.MISSING)]), P2M(np.zeros(3, np.uint64)), P2M([])):
        assert list(p2m.runs()) == p2m.extents()


def peak_of(work):
    """Bytes that Python's objects and arrays take at most during `work`."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_memory_does_not_grow_with_the_rows():
    def written(count):
        p2m = scattered(count)
        rows = {"p2m": (run.listed() for run in p2m.runs())}
        return peak_of(lambda: sum(map(len, json_pieces(rows))))

    assert written(300_000) < 1.2 * written(100_000)


def test_memory_of_differences_does_not_grow_with_the_rows():
    def walked(count):
        diff = compare(scattered(count, 1), scattered(count, 2))
        return peak_of(lambda: sum(1 for _ in diff.differences()))

    assert walked(200_000) < 1.2 * walked(60_000)


def test_the_commands_print_one_object_in_the_form_of_json_dumps(tmp_path):
    names = []
    for seed in (1, 2):
        p2m = scattered(20_000, seed)
        with (tmp_path / f"{seed}.npz").open("wb") as file:
            save(Source(Origin("made", "test", None, None), Guest(max_pfn=len(p2m)), p2m), file)
        names.append(str(tmp_path / f"{seed}.npz"))
    for words, key, rows in (
        (["show", names[0], "--json"], "p2m", 20_000),
        (["diff", *names, "--json"], "differences", None),
    ):
        out = CliRunner().invoke(verbs(), words, standalone_mode=False).output
        answer = json.loads(out)
        assert out == json.dumps(answer) + "\n"
        assert len(answer[key]) == rows or (rows is None and len(answer[key]) > 10_000)
    exported = tmp_path / "out.json"
    CliRunner().invoke(
        verbs(), ["export", names[0], "--to", "json", "-o", str(exported)], standalone_mode=False
    )
    assert exported.read_text() == json.dumps(json.loads(exported.read_text())) + "\n"
    assert len(json.loads(exported.read_text())["p2m"]) == 20_000
