"""What the terminal can do: its width, colour and characters."""

from __future__ import annotations

import os
import shutil
import sys

import click

__all__ = ["columns", "paint", "speaks_unicode"]

_STYLES: dict[str, dict[str, object]] = {
    "head": {"bold": True},
    "dim": {"dim": True},
    "error": {"fg": "red", "bold": True},
    "warning": {"fg": "yellow"},
    "note": {"fg": "cyan"},
}


def columns() -> int:
    """Columns to write: the terminal's up to 120, 80 where it is none."""
    return max(40, min(120, shutil.get_terminal_size((80, 24)).columns))


def paint(text: str, style: str) -> str:
    """`text` in a style, where the output is a terminal and NO_COLOR is not set."""
    if os.environ.get("NO_COLOR") or not sys.stdout.isatty():
        return text
    return click.style(text, **_STYLES[style])  # type: ignore[arg-type]


def speaks_unicode() -> bool:
    """Whether block characters can be printed."""
    try:
        "█▒─·…".encode(sys.stdout.encoding or "ascii")
    except (AttributeError, UnicodeEncodeError, LookupError):
        return False
    return True
