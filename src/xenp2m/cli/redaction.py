"""``--redact``: one option for every verb that prints what a log says.

show, lookup, check, diff and export have none: they print numbers, and the names of files that they
were given.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from xenp2m.logs.redact import Redactor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["active", "emit_json", "emit_lines", "forget", "redact_option", "redactor_for", "say"]

_NONE = Redactor(on=False)
_active = [_NONE]


def redact_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--redact`` to a click command."""
    text = "Leave out names of hosts and people, UUIDs, MAC and IP addresses, serial numbers, secrets."
    return click.option("--redact", is_flag=True, help=text)(command)


def redactor_for(redact: bool, paths: Iterable[str], names: Iterable[str] = ()) -> Redactor:
    """A redactor that knows the names of the given files and those that their logs gave away.

    It becomes the one that errors go through, since they quote what they refuse.
    """
    redactor = Redactor(redact, names)
    redactor.files(paths)
    _active[0] = redactor
    return redactor


def active() -> Redactor:
    """The redactor of the verb that runs; one that does nothing before it was asked for."""
    return _active[0]


def forget() -> None:
    """Begin without one."""
    _active[0] = _NONE


def say(text: str = "", *, err: bool = False) -> None:
    """Print a line as the verb's ``--redact`` wants it."""
    click.echo(active().text(text), err=err)


def emit_lines(lines: Iterable[str], redactor: Redactor) -> None:
    """Print lines, redacted."""
    for line in lines:
        click.echo(redactor.text(line))


def emit_json(value: Any, redactor: Redactor) -> None:  # noqa: ANN401 (any JSON value)
    """Print a JSON value in one line, redacted."""
    click.echo(json.dumps(redactor.value(value)))
