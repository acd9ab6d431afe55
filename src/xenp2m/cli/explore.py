"""``xenp2m explore``: the shortest sequences of operations that break a rule set."""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING, Any

import click

from xenp2m.cli.terminal import columns, paint
from xenp2m.errors import InputError, shorten
from xenp2m.explore.eras import RULE_SETS, varied
from xenp2m.explore.exploration import default_bound, explore
from xenp2m.explore.operations import Scope
from xenp2m.frames import Geometry
from xenp2m.views.explore_answer import explore_answer
from xenp2m.views.explore_text import overview_lines, story_lines

if TYPE_CHECKING:
    from collections.abc import Callable

    from xenp2m.explore.exploration import Exploration

__all__ = ["command"]

_OVERVIEW_BOUND = 3
"""Operations under ``all`` where every rule set is explored."""


@click.command("explore")
@click.argument("names", nargs=-1, metavar="[RULES]...")
@click.option(
    "--ops",
    type=click.Choice(["boot", "all", "both"]),
    default="both",
    help="What a boot does, every operation in any order, or one after the other.",
)
@click.option("--entries", type=click.IntRange(2, 8), default=2, help="Entries a page. [default: 2]")
@click.option(
    "--bound",
    type=click.IntRange(1, 1000),
    help="Operations in the longest sequence. [default: until nothing new is reached on 2 "
    "entries; 2 on 3, 1 on more; 3 under all where no RULES are named]",
)
@click.option(
    "--runtime-pages",
    type=click.IntRange(0, 16),
    default=4,
    help="Pages that the page allocator has. [default: 4]",
)
@click.option(
    "--early-pages",
    type=click.IntRange(0, 64),
    help="Pages that extend_brk has beside the builder's tree. [default: what p2m.c reserves]",
)
@click.option(
    "--variant",
    "variants",
    multiple=True,
    metavar="NAME=VALUE",
    help="Change a rule, such as guard=off, edges=ignored or unaligned-identity-fill.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line instead of text.")
def command(names: tuple[str, ...], as_json: bool, **said: Any) -> int:  # noqa: ANN401
    """Find the shortest sequence of operations that breaks a rule set, on a toy tree.

    Every sequence is tried, breadth-first, against a flat map. RULES are names of rule sets, such as
    seed, 2.6.39, 3.18 or linear; without them all are explored and a table is shown. Example: xenp2m
    explore seed --ops boot
    """
    variants: tuple[str, ...] = said["variants"]
    done: list[Exploration] = []
    for scope in _scopes(names, **said):
        one = explore(scope, _progress(scope))
        done.append(one)
        if as_json:
            click.echo(json.dumps(explore_answer(one, variants)))
        elif names:
            if len(done) > 1:
                click.echo()
            for line in story_lines(one, columns(), paint):
                click.echo(line)
    if not as_json and not names:
        for line in overview_lines(done, columns(), paint):
            click.echo(line)
    return int(any(one.cases for one in done))


def _scopes(
    names: tuple[str, ...],
    ops: str,
    entries: int,
    bound: int | None,
    variants: tuple[str, ...],
    runtime_pages: int,
    early_pages: int | None,
) -> list[Scope]:
    """What is to be explored, rule set by rule set."""
    if variants and not names:
        raise InputError("explore --variant", "the RULES to change", "none")
    for name in names:
        if name not in RULE_SETS:
            raise InputError("explore", f"rules, one of {', '.join(RULE_SETS)}", shorten(name))
    geometry = Geometry(8, entries)
    scopes = []
    for name in names or RULE_SETS:
        rules = varied(RULE_SETS[name], variants)
        for which in ("boot", "all") if ops == "both" else (ops,):
            most = _bound(bound, entries, which, bool(names))
            scopes.append(Scope(rules, geometry, which, most, runtime_pages, early_pages))
    return scopes


def _bound(said: int | None, entries: int, ops: str, named: bool) -> int:
    usual = default_bound(entries)
    if said is not None:
        return said
    return min(usual, _OVERVIEW_BOUND) if ops == "all" and not named else usual


def _progress(scope: Scope) -> Callable[[int, int, int, int], None] | None:
    """A line about how far the search is, on a terminal; drawn five times a second, wiped at the end."""
    if not sys.stderr.isatty():
        return None
    drawn = 0.0

    def show(depth: int, index: int, count: int, transitions: int) -> None:
        nonlocal drawn
        now = time.monotonic()
        if now - drawn < 0.2:
            return
        drawn = now
        bar = "#" * (20 * index // max(count, 1))
        text = f"{scope.rules.name} {scope.ops}, operation {depth} [{bar:<20}] {transitions:,} transitions"
        click.echo(f"\r\x1b[K{text[: columns() - 1]}\r", nl=False, err=True)

    return show
