"""``xenp2m explore``: the shortest sequences of operations that break a rule set."""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from xenp2m.cli.terminal import columns, paint
from xenp2m.errors import InputError, shorten
from xenp2m.explore.eras import RULE_SETS, varied
from xenp2m.explore.exploration import default_bound, explore
from xenp2m.explore.operations import Scope
from xenp2m.explore.ways_out import WAYS, compare
from xenp2m.frames import Geometry
from xenp2m.model.linear import LinearRules
from xenp2m.model.rules import RULES
from xenp2m.views.explore_answer import explore_answer
from xenp2m.views.explore_text import overview_lines, story_lines
from xenp2m.views.ways_text import ways_answer, ways_lines

if TYPE_CHECKING:
    from collections.abc import Callable

    from xenp2m.explore.exploration import Exploration

__all__ = ["command"]

_COMPARE_OPTIONS = {"maps": "--maps", "seed": "--seed"}
_SEARCH_OPTIONS = {
    "ops": "--ops",
    "entries": "--entries",
    "bound": "--bound",
    "runtime_pages": "--runtime-pages",
    "early_pages": "--early-pages",
    "variants": "--variant",
}

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
@click.option("--entries", type=click.IntRange(2, 4), default=2, help="Entries a page. [default: 2]")
@click.option(
    "--bound",
    type=click.IntRange(1, 1000),
    help="Operations in the longest sequence. [default: until nothing new is reached on 2 "
    "entries; 2 on 3, 1 for lists; 1 on 4; 3 under all where no RULES are named]",
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
@click.option("--compare", is_flag=True, help="Compare the thread's ways out over random machines instead.")
@click.option(
    "--maps",
    type=click.IntRange(1, 1_000_000),
    default=10_000,
    help="Machines to compare them on. [default: 10000]",
)
@click.option(
    "--seed", type=click.IntRange(0, 1 << 32), default=2011, help="Of the machines. [default: 2011]"
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line instead of text.")
def command(names: tuple[str, ...], as_json: bool, **said: Any) -> int:  # noqa: ANN401
    """Find the shortest sequence of operations that breaks a rule set, on a toy tree.

    Every sequence is tried, breadth-first, against a flat map. RULES are names of rule sets, such as
    seed, 2.6.39, 3.18 or linear; without them all are explored and a table is shown. Example: xenp2m
    explore seed --ops boot
    """
    names = tuple(dict.fromkeys(names))
    count, seed, comparing = said.pop("maps"), said.pop("seed"), said.pop("compare")
    _refuse_idle_options(_SEARCH_OPTIONS if comparing else _COMPARE_OPTIONS, comparing)
    if comparing:
        return _compare(names, count, seed, as_json)
    variants: tuple[str, ...] = said["variants"]
    done: list[Exploration] = []
    bar = _Bar()
    try:
        for scope in _scopes(names, **said):
            one = explore(scope, bar.operations(scope), real=as_json or bool(names))
            bar.wipe()
            done.append(one)
            if as_json:
                click.echo(json.dumps(explore_answer(one, variants)))
            elif names:
                click.echo("\n".join((*[""] * (len(done) > 1), *story_lines(one, columns(), paint))))
            if one.search.interrupted:
                raise click.Abort
    finally:
        bar.wipe()
        if done and not as_json and not names:
            click.echo("\n".join(overview_lines(done, columns(), paint)))
    return int(any(one.cases for one in done))


def _refuse_idle_options(idle: dict[str, str], comparing: bool) -> None:
    """An option that would not be looked at is an error."""
    context = click.get_current_context()
    for name, option in idle.items():
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            raise InputError(f"explore {option}", "no --compare" if comparing else "--compare as well")


def _compare(names: tuple[str, ...], count: int, seed: int, as_json: bool) -> int:
    """The ways out over random machines; a table is no finding."""
    for name in names:
        if name not in RULES:
            raise InputError("explore --compare", f"rules, one of {', '.join(RULES)}", shorten(name))
    bar = _Bar()
    tallies = compare(count, seed, bar.machines, names or WAYS)
    bar.wipe()
    if as_json:
        click.echo(json.dumps(ways_answer(tallies, seed)))
    else:
        for line in ways_lines(tallies, seed, columns(), paint):
            click.echo(line)
    return 0


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
            most = _bound(bound, entries, which, bool(names), isinstance(rules, LinearRules))
            scopes.append(Scope(rules, geometry, which, most, runtime_pages, early_pages))
    return scopes


def _bound(said: int | None, entries: int, ops: str, named: bool, is_linear: bool) -> int:
    usual = default_bound(entries, is_linear=is_linear)
    if said is not None:
        return said
    return min(usual, _OVERVIEW_BOUND) if ops == "all" and not named else usual


class _Bar:
    """How far it is, in one line on a terminal; drawn five times a second, wiped at the end."""

    def __init__(self) -> None:
        self._shown = sys.stderr.isatty()
        self._drawn = 0.0

    def _draw(self, what: str, index: int, count: int, behind: str) -> None:
        now = time.monotonic()
        if not self._shown or now - self._drawn < 0.2:
            return
        self._drawn = now
        bar = "#" * (20 * index // max(count, 1))
        text = f"{what} [{bar:<20}] {behind}"
        click.echo(f"\r\x1b[K{text[: columns() - 1]}", nl=False, err=True)

    def operations(self, scope: Scope) -> Callable[[int, int, int, int], None]:
        """What `explore` calls."""

        def show(depth: int, index: int, count: int, transitions: int) -> None:
            what = f"{scope.rules.name} {scope.ops}, operation {depth}"
            self._draw(what, index, count, f"{transitions:,} transitions")

        return show

    def machines(self, index: int, count: int) -> None:
        """What `compare` calls."""
        self._draw("machines", index, count, f"{index:,} of {count:,}")

    def wipe(self) -> None:
        """Leave an empty line."""
        if self._shown and self._drawn:
            click.echo("\r\x1b[K", nl=False, err=True)
