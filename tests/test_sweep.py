"""Cases, chunks, the file of finished work and the smallest failing value."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hosts import GIB, MIB, PC, RAM, RESERVED, Entry, pc
from xenp2m.dom0_mem import estimate_available, parse
from xenp2m.errors import InputError
from xenp2m.findings import Severity
from xenp2m.kernel import Version
from xenp2m.plan import make_plan
from xenp2m.sweep.cases import Row, Sweep, Where
from xenp2m.sweep.find import bisected, scanned
from xenp2m.sweep.grid import dom0_mem_values
from xenp2m.sweep.ledger import Ledger
from xenp2m.sweep.run import chunk_size, chunks_of, run_chunks

THREAD = (*PC[:3], Entry(0x100000, 2364 * MIB, RAM), Entry(2364 * MIB, 2600 * MIB, RESERVED), *PC[5:])
VALUES = ("512M", "1G", "1G,max:2G")
GRID = Sweep([("a", pc()), ("b", pc("5.10", e820=THREAD))], (Version(6, 1), Version(3, 12)), (None,), VALUES)


def rows_of(sweep):
    return sweep.chunk(0, len(sweep))


def test_numbers_and_places_are_the_same_thing():
    assert len(GRID) == 12
    assert [GRID.number(GRID.where(number)) for number in range(12)] == list(range(12))
    assert GRID.where(0) == (0, 0, 0, 0)
    assert GRID.where(11) == (1, 1, 0, 2)


def test_a_row_is_the_plan_of_its_case():
    for number, row in enumerate(rows_of(GRID)):
        where = GRID.where(number)
        host = GRID.hosts[where.host][1]
        pages = parse(VALUES[where.value]).pages(estimate_available(host.e820).pages)
        plan = make_plan(
            pc(str(GRID.kernels[where.kernel]), e820=host.e820, nr_pages=pages[0], max_res=pages[1])
        )
        assert (row.nr_pages, row.max_pages) == pages
        assert row.outcome == str(plan.outcome)
        codes = [f.code for f in plan.findings if f.story.about == "host"]
        assert row.findings.split() == list(dict.fromkeys(codes))
        assert row.remapped == plan.layout.remapped
        assert row.fails(frozenset()) == any(f.severity > Severity.NOTE for f in plan.findings)
        assert row.fails(frozenset(codes[:1]))
        assert not row.fails(frozenset({"brk-exceeded"}))


def test_a_case_that_cannot_be_says_why_and_stops_nothing():
    sweep = Sweep([("a", pc())], (Version(6, 1), Version(3, 12)), ("seed",))
    refused, planned = rows_of(sweep)
    assert refused.outcome == "refused"
    assert "3.18" in refused.error
    assert planned.outcome != "refused"
    assert rows_of(Sweep([("u", pc(dom="domU"))], values=("1G",)))[0].outcome == "refused"
    assert "leaves dom0" in rows_of(Sweep([("a", pc())], values=("1G,max:0M",)))[0].error


def test_without_findings_only_the_bug_is_told():
    fast = rows_of(Sweep(GRID.hosts, GRID.kernels, GRID.rules, GRID.values, findings=False))
    for row, whole in zip(fast, rows_of(GRID), strict=True):
        assert row._replace(findings="", pfn=-1, worst="", outcome="") == whole._replace(
            findings="", pfn=-1, worst="", outcome=""
        )


@given(cases=st.integers(1, 10_000), jobs=st.integers(1, 64))
def test_chunks_cover_every_case_once(cases, jobs):
    chunks = chunks_of(cases, chunk_size(cases, jobs))
    assert [number for number, _, _ in chunks] == list(range(len(chunks)))
    assert [n for _, start, stop in chunks for n in range(start, stop)] == list(range(cases))


def test_processes_answer_as_one_does():
    sweep = Sweep([("a", pc())], (Version(6, 1),), (None,), dom0_mem_values(["256M..3G:1M"]))
    chunks = chunks_of(len(sweep), 400)
    done = dict(run_chunks(sweep, chunks, 2))
    assert [row for number, _, _ in chunks for row in done[number]] == rows_of(sweep)


def test_finished_chunks_are_taken_over(tmp_path):
    path = str(tmp_path / "sweep.jsonl")
    first = Ledger(path, GRID, 5)
    first.add(1, GRID.chunk(5, 10))
    first.close()
    second = Ledger(path, GRID, 7)
    assert second.size == 5
    assert second.done == {1: GRID.chunk(5, 10)}
    second.close()


@pytest.mark.parametrize("cut", [1, 20, 100])
def test_a_line_cut_off_by_a_crash_is_dropped(tmp_path, cut):
    path = tmp_path / "sweep.jsonl"
    ledger = Ledger(str(path), GRID, 5)
    ledger.add(0, GRID.chunk(0, 5))
    ledger.add(1, GRID.chunk(5, 10))
    ledger.close()
    path.write_bytes(path.read_bytes()[:-cut])
    again = Ledger(str(path), GRID, 5)
    assert list(again.done) == [0]
    again.add(1, GRID.chunk(5, 10))
    again.close()
    last = Ledger(str(path), GRID, 5)
    assert last.done[1] == GRID.chunk(5, 10)
    last.close()


def test_a_head_cut_off_by_a_crash_begins_anew(tmp_path):
    path = tmp_path / "sweep.jsonl"
    Ledger(str(path), GRID, 5).close()
    path.write_bytes(path.read_bytes()[:9])
    Ledger(str(path), GRID, 5).close()
    assert json.loads(path.read_text())["cases"] == 12


@pytest.mark.parametrize("text", ["hello\n", "hello", "[]\n", '{"schema": 1}\n', "\n", "\x00\xff\n"])
def test_another_file_is_refused_and_not_touched(tmp_path, text):
    path = tmp_path / "sweep.jsonl"
    path.write_text(text)
    with pytest.raises(InputError, match="--resume"):
        Ledger(str(path), GRID, 5)
    assert path.read_text() == text


@pytest.mark.parametrize(
    "row", [["a"], ["a", "6.1", *[""] * 20], ["a", "6.1", "", "", "many"], {}, "row", None]
)
def test_rows_that_are_none_are_refused(tmp_path, row):
    path = tmp_path / "sweep.jsonl"
    ledger = Ledger(str(path), GRID, 5)
    ledger.add(0, GRID.chunk(0, 5))
    ledger.close()
    assert len(Ledger(str(path), GRID, 5).done[0]) == 5
    head, first = path.read_text().splitlines()
    told = json.loads(first)
    told["rows"][2] = row
    path.write_text(f"{head}\n{json.dumps(told)}\n")
    open_files = len(list(Path("/proc/self/fd").iterdir()))
    with pytest.raises(InputError, match="--resume"):
        Ledger(str(path), GRID, 5)
    assert len(list(Path("/proc/self/fd").iterdir())) == open_files


def test_finished_work_of_another_grid_is_refused(tmp_path):
    path = str(tmp_path / "sweep.jsonl")
    Ledger(path, GRID, 5).close()
    other = Sweep(GRID.hosts, GRID.kernels, GRID.rules, ("513M", *VALUES[1:]))
    with pytest.raises(InputError, match="same hosts and grid"):
        Ledger(path, other, 5)
    with pytest.raises(InputError, match="--resume"):
        Ledger(str(tmp_path), GRID, 5)


def thread(grid, **changes):
    host = pc("2.6.39", e820=THREAD, extra="contiguous", rules="seed", **changes)
    return Sweep([("thread", host)], values=dom0_mem_values([grid]))


OVER = frozenset({"identity-over-extra"})
UNIT = {"4M": 1, "256K": 1024}


@pytest.mark.parametrize(("step", "how", "first"), [("4M", "scan", 2052), ("256K", "bisection", 2049)])
def test_the_case_of_the_thread_is_found_without_being_told_where(step, how, first):
    """A hole from 2364 MiB; the first maximum behind 2 GiB lets the balloon run into identity."""
    sweep = thread(f"1G,max:1G..4G:{step}")
    (found,) = looked(sweep, how, OVER)
    assert (found.how, found.values) == (how, len(sweep))
    assert first - 1 < int(found.row.dom0_mem.removeprefix("1G,max:")[:-1]) / UNIT[step] <= first
    assert found.row.pfn == 2 * GIB >> 12
    assert found.before.dom0_mem == "1G,max:2048M"
    assert found.plans == found.values if how == "scan" else found.plans < found.values / 20
    landed = Sweep([("thread", pc("2.6.39", e820=THREAD, extra="contiguous"))], values=sweep.values)
    (none,) = looked(landed, how, OVER)
    assert none.row is None


def looked(sweep, how, codes):
    if how == "scan":
        return scanned(sweep, rows_of(sweep), codes)
    return [bisected(sweep, sweep.where(0), codes)]


class Made(Sweep):
    """A sweep whose answers are given."""

    def __init__(self, fails):
        super().__init__([("made", pc())], values=[str(i) for i in range(len(fails))])
        self._fails = fails

    def row(self, where):
        return Row(
            "made",
            "6.1",
            remapped=where.value,
            worst="error" if self._fails[where.value] else "",
            outcome="boots",
        )


@settings(max_examples=200, deadline=None)
@given(count=st.integers(1, 9000), first=st.integers(0, 9100))
def test_a_monotone_axis_is_bisected_exactly(count, first):
    made = Made([value >= first for value in range(count)])
    found = bisected(made, Where(0, 0, 0, 0), frozenset())
    assert (None if found.row is None else found.row.remapped) == (first if first < count else None)
    assert (None if found.before is None else found.before.remapped) == (
        first - 1 if 0 < first < count else None
    )
    assert found.how == "bisection"
    assert found.plans <= 257 + 6


@given(fails=st.lists(st.booleans(), min_size=1, max_size=200), lines=st.integers(1, 3))
def test_every_line_of_a_scan_is_told(fails, lines):
    made = Made(fails)
    made.hosts = made.hosts * lines
    for found in scanned(made, rows_of(made), frozenset()):
        first = fails.index(True) if True in fails else None
        assert (None if found.row is None else found.row.remapped) == first
        assert (found.how, found.plans, found.failing) == ("scan", len(fails), sum(fails))
        assert (found.before is None) == (first in (None, 0))


def test_an_axis_that_is_not_monotone_is_scanned():
    fails = [False] * 4000
    fails[1500:1600] = [True] * 100
    fails[3500:] = [True] * 500
    behind: list[int] = []
    found = bisected(Made(fails), Where(0, 0, 0, 0), frozenset(), behind.append)
    assert (found.how, found.row.remapped, found.plans) == ("scan", 1500, 4000)
    assert behind == list(range(1, 4001))
    assert bisected(Made([True, *fails]), Where(0, 0, 0, 0), frozenset()).row.remapped == 0


def test_one_value_that_fails_at_a_gib_is_not_passed_over():
    """The proposed rules on 3.5: extra memory begins at 1 GiB, where a hole turns the GiB into identity."""
    hole = Entry(1226 * MIB, 1227 * MIB, RESERVED)
    ram = Entry(0x100000, hole.start, RAM), hole, Entry(hole.end, 3 * GIB, RAM)
    host = pc("3.5", e820=(*PC[:3], *ram), rules="seed")
    sweep = Sweep([("a", host)], values=dom0_mem_values(["max:512M..1200M:64K"]))
    (whole,) = scanned(sweep, rows_of(sweep), OVER)
    found = bisected(sweep, sweep.where(0), OVER)
    assert (found.row, found.before) == (whole.row, whole.before)
    assert 0 < whole.failing < 10


def test_a_line_that_cannot_be_planned_does_not_hide_the_others():
    sweep = Sweep([("a", pc())], (Version(6, 1), Version(3, 12)), ("seed",), ("1G", "2G"))
    refused, planned = scanned(sweep, rows_of(sweep), frozenset())
    assert (refused.is_refused, planned.is_refused) == (True, False)
    assert bisected(sweep, sweep.where(0), frozenset()).is_refused
