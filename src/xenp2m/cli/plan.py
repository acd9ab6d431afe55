"""``xenp2m plan``: what a host's boot will do with its memory."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from xenp2m.boot.placement import placement_of
from xenp2m.cli.pictures import Drawing, plot_options
from xenp2m.cli.planning import host_options, hosts_of, options_of
from xenp2m.cli.redaction import active, redact_option, redactor_for, say
from xenp2m.cli.terminal import columns, paint, speaks_unicode
from xenp2m.errors import InputError
from xenp2m.findings import Severity
from xenp2m.plan import Plan, make_plan
from xenp2m.suggest import suggestions
from xenp2m.views.answer import answer, refusal
from xenp2m.views.plan_text import plan_lines
from xenp2m.views.suggest_text import (
    placement_lines,
    placement_object,
    suggestion_lines,
    suggestion_object,
)

if TYPE_CHECKING:
    from xenp2m.intake import Item

__all__ = ["command"]


@click.command("plan")
@click.argument("inputs", nargs=-1, metavar="[LOG|MAP|JSON]...")
@host_options
@redact_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line instead of text.")
@click.option("--verbose", "-v", is_flag=True, help="Every row, and the guest's E820.")
@click.option("--suggest", is_flag=True, help="What would fit: another dom0_mem=, kernel or load address.")
@plot_options
def command(
    inputs: tuple[str, ...],
    as_json: bool,
    verbose: bool,
    suggest: bool,
    redact: bool,
    drawing: Drawing | None,
    **said: Any,  # noqa: ANN401
) -> int:
    """Tell what the boot of a PV host will do with its memory, and how it ends.

    INPUTS are pasted logs (xl dmesg and dom0's console, in one file or two), memory maps in any
    textual form, or JSON hosts; "-" is standard input; .gz, .bz2 and .xz are read as they are.
    Without any, the plan of a bundled real host is shown.
    Example: xenp2m plan xl-dmesg.txt --dom0-mem 2G,max:4G
    """
    redactor_for(redact, inputs)
    status = 0
    drawn: list[Plan] = []
    for index, item in enumerate(hosts_of(inputs, options_of(said))):
        plan, item = _planned(item)
        drawn += [plan] if plan is not None else []
        if as_json:
            _print_json(item, plan, suggest)
        else:
            if index and plan is not None:
                say()
            _print_text(item, plan, verbose, suggest)
        status = max(status, _status(plan))
    if drawing is not None:
        _draw(drawn, drawing)
    return status


def _draw(plans: list[Plan], drawing: Drawing) -> None:
    from xenp2m.views.plots.sheet import plan_figure

    if len(plans) != 1:
        raise InputError("--plot", "one host", f"{len(plans)} of them")
    drawing.write(plan_figure(plans[0], drawing.picture))


def _planned(item: Item) -> tuple[Plan | None, Item]:
    """The plan of an item's host; without one, the item says why."""
    if item.host is None:
        return None, item
    try:
        return make_plan(item.host), item
    except InputError as error:
        return None, item._replace(
            error=InputError(f"{item.where}, {error.where}", error.expected, error.got)
        )


def _status(plan: Plan | None) -> int:
    if plan is None:
        return 2
    return int(any(finding.severity >= Severity.WARNING for finding in plan.findings))


def _print_json(item: Item, plan: Plan | None, suggest: bool) -> None:
    if plan is not None:
        told = answer(plan, item.id)
        if suggest:
            told["placement"] = placement_object(placement_of(plan.host))
            told["suggestions"] = [suggestion_object(each) for each in suggestions(plan)]
        click.echo(json.dumps(active().value(told)))
        return
    click.echo(json.dumps(active().value(refusal(str(item.error), item.id))))
    if not item.is_row:
        say(f"xenp2m: {' '.join(str(item.error).split())}", err=True)


def _print_text(item: Item, plan: Plan | None, verbose: bool, suggest: bool) -> None:
    if plan is None:
        say(f"xenp2m: {' '.join(str(item.error).split())}", err=True)
        return
    lines = plan_lines(
        plan,
        active().text(item.title),
        width=columns(),
        verbose=verbose,
        unicode=speaks_unicode(),
        paint=paint,
    )
    for line in lines:
        say(line)
    if verbose or suggest:
        for line in placement_lines(placement_of(plan.host), columns(), paint):
            say(line)
    if suggest:
        for line in suggestion_lines(suggestions(plan), columns(), paint):
            say(line)
