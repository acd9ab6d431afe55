"""The command: tables, files, bad input in one line, and going on after an interruption."""

import csv
import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from hosts import MIB, PC
from xenp2m.cli.app import run

TOP = Path(__file__).parent.parent
SCHEMA = Draft202012Validator(json.loads((TOP / "docs/schema/sweep-answer.schema.json").read_text()))
HOST = {"id": "pc", "nr_pages": 1 << 18, "e820": [list(entry) for entry in PC]}
LOG = (TOP / "src/xenp2m/data/host.log.xz").read_bytes()


@pytest.fixture
def sweep(capsys, monkeypatch):
    """Runs the verb in this process: what it prints, once its status is the one asked for."""

    def ran(*arguments, text="", status=0):
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
        given = run(["sweep", *arguments])
        told = capsys.readouterr()
        assert given == status, told
        return told

    return ran


@pytest.fixture
def complaint(sweep):
    """Runs what cannot be done: the one line that says so."""

    def ran(*arguments, text=""):
        told = sweep(*arguments, text=text, status=2)
        (line,) = told.err.splitlines()
        assert line.startswith("xenp2m: ")
        assert not told.out
        return line

    return ran


@pytest.fixture
def host(tmp_path):
    path = tmp_path / "host.json"
    path.write_text(json.dumps(HOST))
    return str(path)


def test_neighbours_with_the_same_answer_are_one_line(host, sweep):
    text = sweep(host, "--kernel", "6.1", "--dom0-mem", "512M..1G:64M").out
    assert "512M .. 1024M" in text
    assert len(text.splitlines()) == 4
    wide = sweep(host, "--kernel", "edges", "--dom0-mem", "1G", status=1).out
    assert "frames" not in wide.splitlines()[0]


def test_csv_parquet_and_json_say_the_same(host, tmp_path, sweep):
    parquet = pytest.importorskip("pyarrow.parquet", reason="pip install 'xenp2m[arrow]'")
    grid = (host, "--kernel", "6.1,3.12", "--dom0-mem", "512M..1G:256M", "--rules", "3.12")
    told = json.loads(sweep(*grid, "--json").out)
    SCHEMA.validate(told)
    sweep(*grid, "-o", str(tmp_path / "out.parquet"))
    table = parquet.read_table(tmp_path / "out.parquet").to_pylist()
    rows = [row | {"findings": " ".join(row["findings"])} for row in told["rows"]]
    assert table == rows
    lines = list(csv.DictReader(sweep(*grid, "-o", "-").out.splitlines()))
    assert lines == [{name: str(value) for name, value in row.items()} for row in rows]
    assert {row["outcome"] for row in rows} == {"boots", "refused"}


def test_a_file_is_not_written_over(host, tmp_path, sweep, complaint):
    path = tmp_path / "out.csv"
    path.write_text("mine")
    assert "--force" in complaint(host, "-o", str(path))
    assert path.read_text() == "mine"
    sweep(host, "-o", str(path), "--force")
    assert path.read_text().startswith("host,kernel")


def test_a_directory_of_logs(tmp_path, sweep):
    (tmp_path / "a.log.xz").write_bytes(LOG)
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "b.jsonl").write_text(
        json.dumps(HOST) + "\n" + json.dumps(HOST | {"id": "two"}) + "\n"
    )
    (tmp_path / "noise.log").write_text("no map here\n")
    (tmp_path / "noise.bin").write_bytes(bytes(range(256)))
    ran = sweep(str(tmp_path), "--json", "--dom0-mem", "1G")
    told = json.loads(ran.out)
    SCHEMA.validate(told)
    assert told["hosts"] == 3
    assert {Path(each["where"]).name for each in told["skipped"]} == {"noise.log", "noise.bin"}
    assert ran.err.startswith("xenp2m: 2 skipped")
    assert {row["host"] for row in told["rows"]} == {str(tmp_path / "a.log.xz"), "pc", "two"}


def test_a_directory_without_a_host(tmp_path, complaint):
    assert "empty" in complaint(str(tmp_path))
    (tmp_path / "noise.log").write_text("no map here\n")
    assert "1 without" in complaint(str(tmp_path))


def test_the_smallest_failing_value(tmp_path, sweep):
    e820 = [[0, 0x9FC00, 1], [MIB, 2364 * MIB, 1], [2364 * MIB, 2600 * MIB, 2], [1 << 32, 6 << 30, 1]]
    (tmp_path / "thread.json").write_text(json.dumps(HOST | {"e820": e820}))
    arguments = (
        str(tmp_path / "thread.json"), "--kernel", "2.6.39", "--rules", "seed", "--extra", "contiguous",
        "--dom0-mem", "1G,max:1G..4G:4M", "--find", "--fail", "identity-over-extra",
    )  # fmt: skip
    text = sweep(*arguments, status=1).out
    assert "1G,max:2052M" in text
    assert "PFN 0x80000" in text
    told = json.loads(sweep(*arguments, "--json", status=1).out)
    SCHEMA.validate(told)
    assert told["found"][0]["first"]["pfn"] == 0x80000
    assert "none of 769" in sweep(*arguments[:3], *arguments[5:], status=0).out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--dom0-mem", "1G..512M"), "goes up"),
        (("--dom0-mem", "1..2"), "sizes with a unit"),
        (("--dom0-mem", "x"), "--dom0-mem"),
        (("--dom0-mem", "1K..1T:1K"), "1,000,000"),
        (("--dom0-mem", "1M..300M:1K", "--kernel", "edges"), "5,000,000"),
        (("--kernel", "banana"), "banana"),
        (("--kernel", "2.4"), "2.6.39"),
        (("--rules", "nope"), "--rules"),
        (("--kernel", "6.1", "--rules", "seed"), "3.18"),
        (("--find",), "--dom0-mem"),
        (("--fail", "nvs-swapped"), "--find"),
        (("--find", "--dom0-mem", "1G..2G", "--fail", "nope"), "explain"),
        (("-o", "table.txt"), ".csv or .parquet"),
        (("-o", "/nonexistent/x.csv"), "/nonexistent"),
        (("--resume", "/nonexistent/x"), "--resume"),
        (("--jobs", "0"), "--jobs"),
        (("--scheduler", "nowhere"), "tcp://HOST:8786"),
        (("--scheduler", "tcp://127.0.0.1:1"), "Dask scheduler"),
        (("--scheduler", "tcp://127.0.0.1:99999"), "Dask scheduler"),
    ],
    ids=lambda value: " ".join(value)[:40] if isinstance(value, tuple) else "",
)
def test_bad_input_is_one_line(host, arguments, words, complaint):
    assert words in complaint(host, *arguments)


def test_rows_that_are_no_host_are_counted(tmp_path, sweep, complaint):
    rows = [json.dumps(HOST), '{"nr_pages": 0}', "{broken"]
    ran = sweep("-", text="\n".join(rows), status=0)
    assert "2 skipped" in ran.err
    assert complaint("-", text="[1]")


def test_an_interruption_keeps_what_was_done(host, tmp_path):
    """SIGINT to the whole group, as a terminal sends it; the same command then goes on."""
    ledger = tmp_path / "ledger"
    values = ("--kernel", "5.10,6.1,6.12", "--dom0-mem", "256M..3G:1M", "--jobs", "2")
    grid = (host, *values, "--resume", str(ledger))
    command = [sys.executable, "-m", "xenp2m", "sweep", *grid, "-o", "-"]
    # A shell's background job, and all below it, begins with the signal ignored.
    started = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip
    while started.poll() is None and (not ledger.exists() or ledger.read_bytes().count(b"\n") < 3):
        time.sleep(0.02)
    os.killpg(started.pid, signal.SIGINT)
    _, errors = started.communicate(timeout=60)
    assert started.returncode == 2
    (line,) = errors.splitlines()
    assert "interrupted" in line
    assert "kept in" in line
    kept = ledger.read_bytes()
    assert kept.count(b"\n") >= 3
    small = json.loads(kept.split(b"\n")[1])
    rest = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert rest.returncode in (0, 1)
    assert ledger.read_bytes().startswith(kept[: kept.rfind(b"\n") + 1])
    table = rest.stdout.splitlines()
    head = json.loads(kept.split(b"\n")[0])
    assert len(table) == 1 + head["cases"]
    first = 1 + small["chunk"] * head["chunk"]
    assert table[first].split(",")[4] == str(small["rows"][0][4])


def stopped_after(chunks):
    """`run_chunks` that is interrupted behind some chunks, the first of which comes last."""

    def run_some(sweep, all_chunks, jobs):
        for number, start, stop in (*all_chunks[1:chunks], all_chunks[0]):
            yield number, sweep.chunk(start, stop)
        raise KeyboardInterrupt

    return run_some


def test_without_a_file_an_interruption_shows_what_was_done(host, capsys, monkeypatch):
    monkeypatch.setattr("xenp2m.cli.sweep.run_chunks", stopped_after(3))
    values = ("--kernel", "6.1,3.5", "--dom0-mem", "512M..1G:64M", "--jobs", "1")
    assert run(["sweep", host, *values]) == 2
    told = capsys.readouterr()
    assert told.err == "xenp2m: interrupted: 15 of 18 cases done, --resume FILE keeps them\n"
    assert "15 cases of 1 host" in told.out
    assert "512M .. 832M" in told.out
    assert run(["sweep", host, *values, "--find"]) == 2
    assert [line for line in capsys.readouterr().out.splitlines() if "Linux" in line] == ["pc · Linux 6.1"]
    assert run(["sweep", host, *values, "--json"]) == 2
    assert not capsys.readouterr().out


def test_a_search_goes_on_where_a_table_stopped(host, sweep, tmp_path):
    values = (host, "--dom0-mem", "512M..1G:64M", "--resume", str(tmp_path / "file"))
    sweep(*values)
    kept = (tmp_path / "file").read_bytes()
    assert "none of 9 values fails" in sweep(*values, "--find").out
    assert (tmp_path / "file").read_bytes() == kept


def test_a_long_axis_is_bisected_in_this_process(host, sweep, complaint):
    values = (host, "--dom0-mem", "512M..1G:64K", "--find")
    assert "of 8,193: by bisection, --scan looks at each" in " ".join(sweep(*values).out.split())
    assert "--scan" in complaint(*values, "--jobs", "2")
