"""What the terminal can do: its width, colour and characters."""

from __future__ import annotations

import os
import re
import shutil
import sys

import click

from xenp2m.views.palette import LOOKS

__all__ = ["colours", "columns", "paint", "sequences", "speaks_unicode"]

_STYLES: dict[str, dict[str, object]] = {
    "head": {"bold": True},
    "dim": {"dim": True},
    "error": {"fg": "red", "bold": True},
    "warning": {"fg": "yellow"},
    "note": {"fg": "cyan"},
}


def columns() -> int:
    """Columns to write: the terminal's from 40 up to 120, 80 where it is none."""
    return max(40, min(120, shutil.get_terminal_size((80, 24)).columns))


def colours() -> int:
    """Colours to use: 0 (no terminal, NO_COLOR, a dumb one), 16, 256, or 2^24."""
    terminal = os.environ.get("TERM", "")
    if os.environ.get("NO_COLOR") or terminal == "dumb" or not sys.stdout.isatty():
        return 0
    if os.environ.get("COLORTERM", "").lower() in ("truecolor", "24bit"):
        return 1 << 24
    return 256 if "256" in terminal else 16


def paint(text: str, style: str) -> str:
    """`text` in a style or in the colour of a look, where there are colours."""
    number = colours()
    if not number:
        return text
    if style in LOOKS:
        return click.style(text, fg=_foreground(style, number))
    return click.style(text, **_STYLES[style])  # type: ignore[arg-type]


def sequences() -> frozenset[str]:
    """Every escape sequence that `paint` writes on this terminal."""
    painted = "".join(paint("x", style) for style in (*_STYLES, *LOOKS))
    return frozenset(re.findall("\x1b\\[[0-9;]*m", painted))


def _foreground(name: str, number: int) -> int | str | tuple[int, int, int]:
    look = LOOKS[name]
    if number == 16:
        return look.basic
    if number == 256:
        return look.xterm
    red, green, blue = bytes.fromhex(look.dark[1:])
    return red, green, blue


def speaks_unicode() -> bool:
    """Whether block characters can be printed."""
    try:
        "█▒─·◆…".encode(getattr(sys.stdout, "spoken", None) or sys.stdout.encoding or "ascii")
    except (AttributeError, UnicodeEncodeError, LookupError):
        return False
    return True
