"""The terminal's views are what ``snapshots/`` says; `make snapshots` writes it anew."""

import re

import pytest

from snapshots import COMMANDS, FOLDER, shown


@pytest.mark.parametrize("name", COMMANDS)
def test_the_terminal_shows(name):
    held = (FOLDER / f"{name}.txt").read_text(encoding="utf-8")
    assert shown(name) == held, "if this is meant: make snapshots, and look at git diff tests/snapshots"
    room = int(COMMANDS[name][1].get("COLUMNS", 80))
    seen = re.sub(r"\^\[\[[0-9;]*m", "", held)
    pasted = re.compile(r" +[0-9a-f]{16} - [0-9a-f]{16} \(")
    lines = seen.splitlines()[1:]
    assert not [line for line in lines if len(line) > room and not pasted.match(line)]


def test_every_snapshot_has_its_command():
    assert {path.stem for path in FOLDER.glob("*")} == COMMANDS.keys()
