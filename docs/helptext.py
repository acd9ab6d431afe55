"""``docs/commands.md`` from the command's own help: the page of the site and the man page are this text."""

from __future__ import annotations

import inspect
import re
from typing import TYPE_CHECKING

import click

from xenp2m import __version__
from xenp2m.cli import VERBS
from xenp2m.cli.app import verbs

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["commands_page"]

_HEAD = f"""\
# The command

Written by `make docs` from the help of version {__version__}; `xenp2m VERB --help` shows the same.

## Synopsis

**xenp2m** VERB [ARGUMENT]...

PFNs and addresses are decimal or begin with `0x`, sizes end in `K`, `M`, `G` or `T`; `-` is standard input.
`--json` prints one object a line. Files that exist are replaced with `--force` only.

## Exit status

`0`
: clean; notes are allowed

`1`
: a finding of severity warning or worse

`2`
: input that cannot be used, wrong usage, or a library that is not installed: one line on standard error

## Environment

`NO_COLOR`
: no colours; there are none in a pipe, either

`COLUMNS`
: width of the answer, where the terminal does not tell it

`_XENP2M_COMPLETE`
: see *Completion*

## Completion

`eval "$(_XENP2M_COMPLETE=bash_source xenp2m)"` in `~/.bashrc` completes verbs, options and files, from
bash 4.4 on; `zsh_source` and `fish_source` are for the other two shells. To spare every new shell the call,
write what it prints to a file once and source that.
"""


def commands_page() -> str:
    """The whole page, in Markdown with definition lists."""
    return _HEAD + "".join(_verb(name) for name in VERBS)


def _verb(name: str) -> str:
    group = verbs()
    command = group.get_command(click.Context(group), name)
    assert command is not None
    context = click.Context(command, info_name=name, parent=click.Context(group, info_name="xenp2m"))
    usage = " ".join(command.collect_usage_pieces(context))
    parts = [
        f"\n## xenp2m {name}\n",
        f"{VERBS[name][0].upper()}{VERBS[name][1:]}.\n",
        f"**xenp2m {name}** {_escaped(usage)}\n",
    ]
    for text in (command.help, command.epilog):
        parts += [f"{each}\n" for each in _paragraphs(text or "")]
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if record is not None and record[1] and "--help" not in record[0]:
            parts.append(f"`{record[0]}`\n: {_escaped(record[1])}\n")
    return "\n".join(parts)


def _paragraphs(text: str) -> Iterator[str]:
    """Paragraphs as Markdown; what click prints as it is (behind a backspace sign) becomes a box."""
    for paragraph in filter(None, re.split(r"\n\s*\n", inspect.cleandoc(text))):
        if paragraph.startswith("\b\n"):
            lines = paragraph[2:].split("\n")
            margin = min(len(line) - len(line.lstrip()) for line in lines)
            yield "```\n" + "\n".join(line[margin:].rstrip() for line in lines) + "\n```"
        else:
            yield _escaped(re.sub(r"(?<=Example: )(xenp2m .+)", r"`\1`", " ".join(paragraph.split())))


def _escaped(text: str) -> str:
    """Text in which Markdown finds nothing; words in `backticks` stay what they are."""
    pieces = re.split(r"(`[^`]+`)", text)
    return "".join(
        piece if piece.startswith("`") else re.sub(r"([*<\[\\])", r"\\\1", piece) for piece in pieces
    )
