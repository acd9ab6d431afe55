"""One JSON object as text in pieces, so that lists of millions of rows are never whole in memory."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from itertools import chain, islice
from typing import Any

import click

from xenp2m.cli.progress import progress

__all__ = ["json_pieces", "print_json"]

_ROWS = 1 << 14


def json_pieces(answer: dict[str, Any]) -> Iterator[str]:
    """The text that `json.dumps` makes of `answer`, with a list where a value is an iterator.

    Args:
        answer: values as for `json.dumps`; iterators among them, not those deeper down, are used up.

    Yields:
        Pieces of text without an end of line; memory is that of `_ROWS` rows.
    """
    before = "{"
    for key, value in answer.items():
        yield f"{before}{json.dumps(key)}: "
        before = ", "
        if isinstance(value, Iterator):
            yield from _listed(value)
        else:
            yield json.dumps(value)
    yield "}" if answer else "{}"


def _listed(rows: Iterator[Any]) -> Iterator[str]:
    before = "["
    for row in rows:
        yield before + json.dumps(list(chain([row], islice(rows, _ROWS - 1))))[1:-1]
        before = ", "
    yield "]" if before == ", " else "[]"


def print_json(answer: dict[str, Any]) -> None:
    """Print `answer` as a line of JSON, with a bar where it takes long and goes elsewhere."""
    with progress("writing, bytes") as tell:
        done = 0
        for piece in json_pieces(answer):
            click.echo(piece, nl=False)
            done += len(piece)
            if not sys.stdout.isatty():
                tell(done)
    click.echo()
