"""The bar on standard error."""

import contextlib
import io
import lzma
import os
import pty
import re
import subprocess
import sys
import time
from importlib import import_module
from importlib.resources import files

import pytest

from xenp2m.cli import app
from xenp2m.cli import progress as module
from xenp2m.cli.jsonpieces import print_json
from xenp2m.cli.progress import Progress, progress, waiting
from xenp2m.logs.longlog import read_long
from xenp2m.sources.binary import Binary


class Screen(io.StringIO):
    def __init__(self, tty):
        super().__init__()
        self.tty = tty

    def isatty(self):
        return self.tty


@pytest.fixture
def bar(monkeypatch):
    """A bar, its screen and its clock."""

    def make(total=100, label="reading", *, tty=True, columns="80"):
        monkeypatch.setenv("COLUMNS", columns)
        screen, now = Screen(tty), [0.0]
        monkeypatch.setattr(sys, "stderr", screen)
        return Progress(label, total, clock=lambda: now[0]), screen, now

    return make


def test_nothing_in_the_first_second(bar):
    tell, screen, now = bar()
    now[0] = 0.9
    tell(50)
    assert screen.getvalue() == ""
    now[0] = 1.0
    tell(50)
    assert screen.getvalue() == f"\rreading [{'#' * 20}{'.' * 20}]  50%"


def test_nothing_where_nobody_watches(bar):
    tell, screen, now = bar(tty=False)
    now[0] = 60.0
    tell(50)
    tell.close()
    assert screen.getvalue() == ""


def test_ten_times_a_second_at_most(bar):
    tell, screen, now = bar()
    for step in range(200):
        now[0] = 1 + step / 100
        tell(step)
    assert 15 <= screen.getvalue().count("\r") <= 21


def test_the_line_is_wiped(bar):
    tell, screen, now = bar()
    with tell:
        now[0] = 2.0
        tell(10)
        shown = len(screen.getvalue()) - 1
    assert screen.getvalue().endswith("\r" + " " * shown + "\r")


def test_a_total_may_be_late_or_unknown_or_too_small(bar):
    tell, screen, now = bar(None)
    now[0] = 1.0
    tell(12345)
    assert screen.getvalue() == "\rreading 12,345"
    now[0] = 2.0
    tell(300, 200)
    assert screen.getvalue().endswith("] 100%")


@pytest.mark.parametrize("columns", ["40", "120"])
def test_a_line_never_wraps(bar, columns):
    tell, screen, now = bar(label="x" * 300, columns=columns)
    now[0] = 1.0
    tell(99)
    assert len(screen.getvalue()) - 1 < int(columns)


def test_the_helper_makes_one():
    with progress("reading", 3) as tell:
        tell(1)


def test_a_long_log_and_a_hash_tell_how_far_they_are(tmp_path):
    line = b"[    1.000000] usb 1-1: new high-speed USB device\n"
    text, told, hashed = b"(XEN) Xen version 4.17.7\n" + line * 50_000, [], []
    (tmp_path / "long.log").write_bytes(text)
    read_long(tmp_path / "long.log", plain=100, progress=told.append)
    assert told == sorted(told)
    assert told[-1] == len(text)
    with Binary(str(tmp_path / "long.log")) as file:
        file.sha256(lambda done, total: hashed.append((done, total)))
    assert hashed[-1] == (len(text), len(text))


@pytest.fixture
def at_once(monkeypatch):
    """Makes a terminal of standard error, on which bars come without delay."""

    def make(*, tty=True):
        monkeypatch.setattr(module, "_AFTER", 0.0)
        monkeypatch.setattr(sys, "stderr", Screen(tty))
        return sys.stderr

    return make


def until_shown(screen, text):
    """Wait for `text` on the screen."""
    deadline = time.monotonic() + 5
    while text not in screen.getvalue() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert text in screen.getvalue()


def test_seconds_are_counted_and_wiped(at_once):
    screen = at_once()
    with waiting("sorting"):
        until_shown(screen, "\rsorting, seconds: 0")
    before = screen.getvalue()
    assert re.fullmatch(r"(\rsorting, seconds: \d+)+\r +\r", before)
    time.sleep(0.3)
    assert screen.getvalue() == before


def test_nobody_counts_where_nobody_watches(at_once):
    screen = at_once(tty=False)
    with waiting("sorting"):
        time.sleep(0.3)
    assert screen.getvalue() == ""


@pytest.mark.parametrize(
    ("words", "work", "told"),
    [
        (["show", "MAP"], "map_findings", "counting"),
        (["check", "MAP"], "map_findings", "checking"),
        (["diff", "MAP", "MAP"], "compare", "comparing"),
        (["export", "MAP", "--to", "json", "-o", "OUT"], "map_findings", "counting"),
        (["report", "MAP", "-o", "OUT"], "map_findings", "checking"),
        (["lookup", "MAP", "mfn:7"], "Translator.answers", "looking up"),
        (["sweep", "--dom0-mem", "1G"], "read_fleet", "reading hosts"),
    ],
)
def test_verbs_say_what_they_are_busy_with(words, work, told, at_once, monkeypatch, tmp_path):
    listing = tmp_path / "p2m.txt"
    rows = "".join(f"  pfn={n:#x} ==> mfn={n + 5:#x} (type 0x0)\n" for n in range(9))
    listing.write_text(f" --- Dumping P2M for domid=1 ---\n Guest Width 8, PT Levels 4 P2M size: = 9\n{rows}")
    verb = import_module(f"xenp2m.cli.{words[0]}")
    *within, name = work.split(".")
    owner = getattr(verb, *within) if within else verb
    real = getattr(owner, name)
    screen = at_once()

    def slow(*arguments, **named):
        until_shown(screen, f"\r{told}, seconds: ")
        return real(*arguments, **named)

    monkeypatch.setattr(owner, name, slow)
    names = {"MAP": str(listing), "OUT": str(tmp_path / "out")}
    assert app.run([names.get(word, word) for word in words]) == 0


@pytest.mark.parametrize("terminal", [True, False])
def test_long_json_tells_how_far_it_is_unless_it_is_looked_at(terminal, at_once, monkeypatch):
    screen, out = at_once(), Screen(tty=terminal)
    monkeypatch.setattr(sys, "stdout", out)
    print_json({"rows": iter(range(50_000))})
    assert out.getvalue().startswith('{"rows": [0, 1, 2')
    assert bool(re.search(r"\rwriting, bytes [\d,]+", screen.getvalue())) is not terminal


def slowly_fed(words, pieces, *, terminal):
    """A command whose standard input comes in pieces: its output and what it says on standard error."""
    master, slave = pty.openpty() if terminal else os.pipe()
    environment = os.environ | {"COLUMNS": "80", "TERM": "xterm", "PYTHONIOENCODING": "utf-8"}
    with subprocess.Popen(
        [sys.executable, "-m", "xenp2m", *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=slave,
        env=environment,
    ) as run:
        os.close(slave)
        for piece in pieces:
            run.stdin.write(piece)
            run.stdin.flush()
            time.sleep(1.2)
        run.stdin.close()
        out, said = run.stdout.read(), b""
        with contextlib.suppress(OSError):  # the terminal's other end is gone
            while piece := os.read(master, 1 << 16):
                said += piece
    os.close(master)
    return run.returncode, out, said.decode()


@pytest.mark.parametrize("terminal", [True, False])
def test_a_bar_comes_after_a_second_and_goes_again(terminal):
    half = b"".join(b"  pfn=0x%x ==> mfn=0x%x (type 0x0)\n" % (n, n + 5) for n in range(60_000))
    rest = b"".join(b"  pfn=0x%x ==> mfn=0x%x (type 0x0)\n" % (n, n + 5) for n in range(60_000, 120_000))
    head = b" --- Dumping P2M for domid=1 ---\n Guest Width 8, PT Levels 4 P2M size: = 120000\n"
    status, out, said = slowly_fed(["show", "-"], [head + half, rest], terminal=terminal)
    assert status == 0
    assert b"120,000 frames" in out
    assert b"\r" not in out
    if not terminal:
        assert said == ""
        return
    line, wiped, rest = re.fullmatch(r"((?:\rreading standard input [\d,]+ *)+)(\r +\r)(.*)", said).groups()
    assert rest == ""
    assert len(wiped) - 2 >= len(line.split("\r")[-1])


@pytest.mark.parametrize("words", [["plan", "-"], ["diagnose", "-"], ["report", "-", "-o", "OUT"]])
def test_a_long_log_shows_a_bar_in_every_verb(words, tmp_path):
    head = lzma.decompress(files("xenp2m").joinpath("data", "host.log.xz").read_bytes())
    flood = b"[   99.000000] usb 1-1: new high-speed USB device\n" * 120_000
    words = [str(tmp_path / "page.html") if word == "OUT" else word for word in words]
    status, out, said = slowly_fed(words, [head + flood + flood, flood], terminal=True)
    assert status in (0, 1)
    assert b"\r" not in out
    assert re.search(r"(\rreading, bytes [\d,]+ *)+\r +\r", said)
