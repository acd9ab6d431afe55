"""The command: tables, files, bad input in one line, and going on after an interruption."""

import csv
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

TOP = Path(__file__).parent.parent
SCHEMA = Draft202012Validator(json.loads((TOP / "docs/schema/sweep-answer.schema.json").read_text()))
HOST = {"id": "pc", "nr_pages": 1 << 18, "e820": [list(entry) for entry in PC]}
LOG = (TOP / "src/xenp2m/data/host.log.xz").read_bytes()


def run(*arguments, text="", status=0):
    ran = subprocess.run(
        [sys.executable, "-m", "xenp2m", "sweep", *arguments],
        input=text, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert ran.returncode == status, ran.stdout + ran.stderr
    assert "Traceback" not in ran.stderr
    return ran


def complaint(*arguments, text=""):
    ran = run(*arguments, text=text, status=2)
    (line,) = ran.stderr.splitlines()
    assert line.startswith("xenp2m: ")
    assert not ran.stdout
    return line


@pytest.fixture
def host(tmp_path):
    path = tmp_path / "host.json"
    path.write_text(json.dumps(HOST))
    return str(path)


def test_neighbours_with_the_same_answer_are_one_line(host):
    text = run(host, "--kernel", "6.1", "--dom0-mem", "512M..1G:64M").stdout
    assert "512M .. 1024M" in text
    assert len(text.splitlines()) == 4
    wide = run(host, "--kernel", "edges", "--dom0-mem", "1G", status=1).stdout
    assert "frames" not in wide.splitlines()[0]


def test_csv_parquet_and_json_say_the_same(host, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet", reason="pip install 'xenp2m[arrow]'")
    grid = (host, "--kernel", "6.1,3.12", "--dom0-mem", "512M..1G:256M", "--rules", "3.12")
    told = json.loads(run(*grid, "--json").stdout)
    SCHEMA.validate(told)
    run(*grid, "-o", str(tmp_path / "out.parquet"))
    table = parquet.read_table(tmp_path / "out.parquet").to_pylist()
    rows = [row | {"findings": " ".join(row["findings"])} for row in told["rows"]]
    assert table == rows
    lines = list(csv.DictReader(run(*grid, "-o", "-").stdout.splitlines()))
    assert lines == [{name: str(value) for name, value in row.items()} for row in rows]
    assert {row["outcome"] for row in rows} == {"boots", "refused"}


def test_a_file_is_not_written_over(host, tmp_path):
    path = tmp_path / "out.csv"
    path.write_text("mine")
    assert "--force" in complaint(host, "-o", str(path))
    assert path.read_text() == "mine"
    run(host, "-o", str(path), "--force")
    assert path.read_text().startswith("host,kernel")


def test_a_directory_of_logs(tmp_path):
    (tmp_path / "a.log.xz").write_bytes(LOG)
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "b.jsonl").write_text(
        json.dumps(HOST) + "\n" + json.dumps(HOST | {"id": "two"}) + "\n"
    )
    (tmp_path / "noise.log").write_text("no map here\n")
    (tmp_path / "noise.bin").write_bytes(bytes(range(256)))
    ran = run(str(tmp_path), "--json", "--dom0-mem", "1G")
    told = json.loads(ran.stdout)
    SCHEMA.validate(told)
    assert told["hosts"] == 3
    assert {Path(each["where"]).name for each in told["skipped"]} == {"noise.log", "noise.bin"}
    assert ran.stderr.startswith("xenp2m: 2 skipped")
    assert {row["host"] for row in told["rows"]} == {str(tmp_path / "a.log.xz"), "pc", "two"}


def test_a_directory_without_a_host(tmp_path):
    assert "empty" in complaint(str(tmp_path))
    (tmp_path / "noise.log").write_text("no map here\n")
    assert "1 without" in complaint(str(tmp_path))


def test_the_smallest_failing_value(tmp_path):
    e820 = [[0, 0x9FC00, 1], [MIB, 2364 * MIB, 1], [2364 * MIB, 2600 * MIB, 2], [1 << 32, 6 << 30, 1]]
    (tmp_path / "thread.json").write_text(json.dumps(HOST | {"e820": e820}))
    arguments = (
        str(tmp_path / "thread.json"), "--kernel", "2.6.39", "--rules", "seed", "--extra", "contiguous",
        "--dom0-mem", "1G,max:1G..4G:4M", "--find", "--fail", "identity-over-extra",
    )  # fmt: skip
    text = run(*arguments, status=1).stdout
    assert "1G,max:2052M" in text
    assert "PFN 0x80000" in text
    told = json.loads(run(*arguments, "--json", status=1).stdout)
    SCHEMA.validate(told)
    assert told["found"][0]["first"]["pfn"] == 0x80000
    assert "none of 769" in run(*arguments[:3], *arguments[5:], status=0).stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--dom0-mem", "1G..512M"), "goes up"),
        (("--dom0-mem", "1..2"), "sizes with a unit"),
        (("--dom0-mem", "x"), "--dom0-mem"),
        (("--dom0-mem", "1K..1T:1K"), "1,000,000"),
        (("--dom0-mem", "1M..900M:1K", "--kernel", "edges"), "5,000,000"),
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
def test_bad_input_is_one_line(host, arguments, words):
    assert words in complaint(host, *arguments)


def test_rows_that_are_no_host_are_counted(tmp_path):
    rows = [json.dumps(HOST), '{"nr_pages": 0}', "{broken"]
    ran = run("-", text="\n".join(rows), status=0)
    assert "2 skipped" in ran.stderr
    assert complaint("-", text="[1]")


def test_an_interruption_keeps_what_was_done(host, tmp_path):
    """SIGINT to the whole group, as a terminal sends it; the same command then goes on."""
    ledger = tmp_path / "ledger"
    grid = (host, "--kernel", "edges", "--dom0-mem", "256M..3G:2M", "--jobs", "2", "--resume", str(ledger))
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
