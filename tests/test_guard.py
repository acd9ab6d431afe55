"""Nothing that a file, a log or its name says steers the terminal."""

import io
import re
import subprocess
import sys

import pytest

from terminals import on_a_terminal
from xenp2m.cli.guard import guarded_output, harmless
from xenp2m.cli.terminal import paint
from xenp2m.views.palette import LOOKS

EVIL = "a\x1b[31mb\x1b]0;owned\x07c\x9b2Jd\u202ee\rf\x00g\u2066h"


def test_sequences_are_told_and_not_obeyed():
    told = harmless(EVIL + "\t\n")
    assert told.endswith("\t\n")
    assert all(letter.isprintable() for letter in told[:-2])
    assert r"\x1b[31m" in told
    assert r"\u202e" in told


def test_what_is_allowed_stays():
    assert harmless("\x1b[32mx\x1b[0m\x1b[31m", {"\x1b[32m", "\x1b[0m"}) == "\x1b[32mx\x1b[0m" + r"\x1b[31m"
    assert harmless("█ ─ · ◆ …") == "█ ─ · ◆ …"


class Terminal(io.StringIO):
    """A terminal with an encoding."""

    encoding = "utf-8"

    def isatty(self):
        return True


@pytest.mark.parametrize("term", ["xterm", "xterm-256color"])
def test_our_own_colours_pass(monkeypatch, term):
    for name in ("NO_COLOR", "COLORTERM"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", term)
    screen = Terminal()
    monkeypatch.setattr(sys, "stdout", screen)
    styles = (*LOOKS, "head", "dim", "error", "warning", "note")
    painted = [paint("x", style) for style in styles]
    assert all("\x1b[" in text for text in painted)
    with guarded_output():
        assert sys.stdout is not screen
        sys.stdout.write("".join(painted) + "\x1b[8m")
    assert sys.stdout is screen
    assert screen.getvalue() == "".join(painted) + r"\x1b[8m"


def test_an_encoding_without_our_characters_gets_others(monkeypatch):
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, "ascii", "strict", write_through=True))
    with guarded_output():
        sys.stdout.write("1 · 2 \udcff")
        sys.stdout.write("é…")
    assert raw.getvalue() == rb"1 - 2 \udcff?..."


def test_a_terminal_of_ascii_is_guarded_as_well(tmp_path):
    """Click writes past a stream whose encoding is ASCII."""
    name = "\x1b[8m\x1b]0;owned\x07é·.save"
    (tmp_path / name).write_bytes(b"no map")
    status, told = on_a_terminal("show", name, cwd=tmp_path, environment={"PYTHONIOENCODING": "ascii"})
    assert status == 2
    assert told.isascii()
    assert "\x1b" not in told
    assert r"\x1b]0;owned\x07" in told


@pytest.mark.parametrize("words", [
    ["plan"], ["plan", "--verbose"], ["diagnose"], ["explain", "0x40010"], ["show"], ["check"], ["lookup"], ["bars"],
])  # fmt: skip
def test_a_log_with_escape_sequences(tmp_path, words):
    log = subprocess.run([sys.executable, "-c", (
        "from importlib import resources; import lzma, sys;"
        "sys.stdout.buffer.write(lzma.decompress("
        "resources.files('xenp2m').joinpath('data', 'host.log.xz').read_bytes()))"
    )], capture_output=True, check=True).stdout  # fmt: skip
    evil = b"\x1b]0;owned\x07\x1b[2J\x9b\xc2\x9b31m\xe2\x80\xae"
    log = log.replace(b"dom0_mem=", evil + b" dom0_mem=").replace(b"192", b"192\x1b[8m")
    name = "\x1b[8m\x1b]0;owned\x07\u202e.log"
    (tmp_path / name).write_bytes(log)
    status, told = on_a_terminal(*words, name, cwd=tmp_path)
    assert status in (0, 1, 2)
    ours = re.sub(r"\x1b\[(?:0|[12]|3[1-7]|9[0-7]|38;5;[1-9]\d*)m", "", told).replace("\r\n", "\n")
    assert [letter for letter in ours if not letter.isprintable() and letter != "\n"] == []
    assert told.strip()
