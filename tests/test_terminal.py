"""What the program makes of a terminal."""

import re

import pytest

from xenp2m.cli import terminal
from xenp2m.cli.terminal import colours, columns, paint, speaks_unicode
from xenp2m.views.palette import LOOKS


@pytest.fixture
def screen(monkeypatch):
    """A terminal with these variables."""

    def set_up(*, tty=True, encoding="utf-8", **variables):
        stream = type("Stream", (), {"isatty": lambda self: tty, "encoding": encoding})()
        monkeypatch.setattr(terminal.sys, "stdout", stream)
        for name in ("NO_COLOR", "COLORTERM", "TERM", "COLUMNS"):
            monkeypatch.delenv(name, raising=False)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

    return set_up


@pytest.mark.parametrize(
    ("variables", "number"),
    [
        ({"TERM": "xterm"}, 16),
        ({"TERM": "xterm-256color"}, 256),
        ({"TERM": "xterm-256color", "COLORTERM": "truecolor"}, 1 << 24),
        ({"TERM": "xterm-256color", "NO_COLOR": "1"}, 0),
        ({"TERM": "xterm-256color", "NO_COLOR": ""}, 256),
        ({"TERM": "dumb", "COLORTERM": "truecolor"}, 0),
        ({"TERM": "xterm-256color", "tty": False}, 0),
    ],
)
def test_colours(screen, variables, number):
    screen(**variables)
    assert colours() == number
    assert (paint("x", "mfn") == "x") == (number == 0)


@pytest.mark.parametrize(("variables", "form"), [
    ({"TERM": "xterm"}, r"\x1b\[\d\dm"),
    ({"TERM": "xterm-256color"}, r"\x1b\[38;5;\d+m"),
    ({"TERM": "x", "COLORTERM": "24bit"}, r"\x1b\[38;2;\d+;\d+;\d+m"),
])  # fmt: skip
def test_every_look_has_its_colour(screen, variables, form):
    screen(**variables)
    seen = {paint("x", name) for name in LOOKS}
    assert len(seen) == len(LOOKS)
    assert all(re.fullmatch(form + r"x\x1b\[0m", text) for text in seen)
    assert paint("x", "error") != paint("x", "warning")


def test_columns(screen):
    for given, used in (("20", 40), ("64", 64), ("500", 120)):
        screen(COLUMNS=given)
        assert columns() == used


def test_characters(screen):
    screen()
    assert speaks_unicode()
    for encoding in ("ascii", "latin-1", None, "nonsense"):
        screen(encoding=encoding)
        assert not speaks_unicode()
