"""``xenp2m diff``: two maps compared, before and after, or predicted and real."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from xenp2m.cli.jsonpieces import print_json
from xenp2m.cli.opening import open_source, salvage_option
from xenp2m.cli.pictures import Drawing, plot_options
from xenp2m.cli.planning import host_options, hosts_of, options_of
from xenp2m.cli.progress import waiting
from xenp2m.cli.terminal import columns, paint, speaks_unicode
from xenp2m.errors import InputError
from xenp2m.maps.mapdiff import compare
from xenp2m.plan import make_plan
from xenp2m.views.compare import pair_lines
from xenp2m.views.diff_text import diff_lines, diff_object

if TYPE_CHECKING:
    from xenp2m.maps.mapdiff import MapDiff
    from xenp2m.options import Options
    from xenp2m.p2m import P2M

__all__ = ["command"]

_PLAN = "plan:"


@click.command("diff")
@click.argument("before", metavar="BEFORE")
@click.argument("after", metavar="AFTER")
@click.option("--kinds", is_flag=True, help="Compare kinds only, whatever the machine frames are.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of text.")
@click.option("--verbose", "-v", is_flag=True, help="Every stretch, also of a guest that moved as a whole.")
@salvage_option
@plot_options
@host_options
def command(
    before: str,
    after: str,
    kinds: bool,
    as_json: bool,
    verbose: bool,
    salvage: bool,
    drawing: Drawing | None,
    **said: Any,  # noqa: ANN401
) -> int:
    """Compare two maps: before and after a migration or a balloon, or predicted and real.

    BEFORE and AFTER are as for show; plan:LOG is the map that a plan of LOG predicts (plan: alone that of
    the bundled host), with the options of plan. A prediction is compared by kinds.

    Exit status: 0 where nothing differs, 1 where something does.

    Example: xenp2m diff before.core after.core
    """
    if before == after == "-":
        raise click.UsageError("expected standard input once, got it twice")
    options = options_of(said)
    maps = _map(before, options, salvage), _map(after, options, salvage)
    predicted = before.startswith(_PLAN) or after.startswith(_PLAN)
    diff = _compared(maps, numbers=not (kinds or predicted))
    if as_json:
        print_json(diff_object(diff, (before, after)))
    else:
        for line in diff_lines(diff, (before, after), width=columns(), verbose=verbose, paint=paint):
            click.echo(line)
        if not diff.same and not diff.elsewhere:
            strips = pair_lines(
                maps, diff, ("before", "after"), width=columns(), unicode=speaks_unicode(), paint=paint
            )
            click.echo("\n".join(["", *strips]))
    if drawing is not None:
        from xenp2m.views.plots.pair import pair_figure

        drawing.write(pair_figure(maps, diff, (Path(before).name, Path(after).name), drawing.picture))
    return int(not diff.same)


def _compared(maps: tuple[P2M, P2M], *, numbers: bool) -> MapDiff:
    with waiting("comparing"):
        return compare(*maps, numbers=numbers)


def _map(name: str, options: Options, salvage: bool) -> P2M:
    if not name.startswith(_PLAN):
        source = open_source(name, salvage=salvage)
        if source.m2p is not None:
            raise InputError(name, "a guest's map", source.origin.format)
        return source.p2m
    log = name.removeprefix(_PLAN)
    items = list(hosts_of((log,) if log else (), options))
    if len(items) != 1 or items[0].host is None:
        raise (items[0].error if len(items) == 1 else None) or InputError(
            name, "one host", f"{len(items)} hosts"
        )
    plan = make_plan(items[0].host)
    if plan.p2m is None:
        raise InputError(name, "a boot that gets as far as a P2M", f"one that {plan.outcome} before")
    return plan.p2m
