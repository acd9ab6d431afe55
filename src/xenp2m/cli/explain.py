"""``xenp2m explain``: one frame of a plan, or the story of a finding's code."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import click

from xenp2m.checks.stories import STORIES
from xenp2m.cli.arguments import ADDRESS
from xenp2m.cli.planning import host_options, hosts_of, options_of
from xenp2m.cli.redaction import redact_option, redactor_for
from xenp2m.cli.terminal import columns, paint
from xenp2m.errors import InputError, shorten
from xenp2m.place import place_of
from xenp2m.plan import make_plan
from xenp2m.views.explain_text import catalogue_lines, place_lines, place_object, story_lines, story_object
from xenp2m.views.tree_text import branch, tree_lines

if TYPE_CHECKING:
    from xenp2m.plan import Plan

__all__ = ["command"]

_WHAT = re.compile(
    r"(?:(pfn|mfn|addr|address)[:=])?(0x[0-9a-f]{1,16}|\d{1,20}(?:[kmgt](?:i?b)?)?)", re.IGNORECASE
)
_EXPECTED = "a PFN (0x9f), mfn:0x1700ff, addr:0x9f000, an address as a size (2364M), or a finding's code"


@click.command("explain")
@click.argument("what", required=False)
@click.argument("inputs", nargs=-1, metavar="[LOG|MAP|JSON]...")
@host_options
@redact_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line instead of text.")
def command(
    what: str | None,
    inputs: tuple[str, ...],
    as_json: bool,
    redact: bool,
    **said: Any,  # noqa: ANN401
) -> int:
    """Tell what one PFN, MFN or address of a plan is, and why; or the story of a finding's code.

    WHAT is a PFN (0x9f), mfn:0x1700ff, addr:0x9f000, an address as a size (2364M), or a code such
    as image-conflict. Without it the codes are listed. INPUTS are as for plan.
    Example: xenp2m explain 0x9f xl-dmesg.txt
    """
    redactor_for(redact, inputs)
    if what is None and as_json:
        for story in STORIES.values():
            click.echo(json.dumps(story_object(story)))
        return 0
    if what is None:
        for line in catalogue_lines(STORIES.values(), columns()):
            click.echo(line)
        return 0
    if what in STORIES:
        _story(what, as_json)
        return 0
    space, number = _target(what)
    options = options_of(said)
    status = 0
    for item in hosts_of(inputs, options):
        if item.host is None:
            raise item.error or InputError(item.where, "a host")
        plan = make_plan(item.host)
        pfns = _pfns(plan, space, number, item.where)
        for index, pfn in enumerate(pfns):
            _place(plan, pfn, item.where, as_json, blank=index > 0)
    return status


def _story(code: str, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(story_object(STORIES[code])))
        return
    for line in story_lines(STORIES[code], columns(), paint):
        click.echo(line)


def _target(what: str) -> tuple[str, int]:
    """Space (``pfn`` or ``mfn``) and frame number."""
    match = _WHAT.fullmatch(what)
    if match is None:
        raise InputError("explain", _EXPECTED, shorten(what))
    space = (
        match[1] or ("addr" if match[2][-1:].lower() in "kmgtb" and "x" not in match[2].lower() else "pfn")
    ).lower()
    number: int = ADDRESS.convert(match[2], None, None)
    if space.startswith("addr"):
        return "pfn", number >> 12
    if number >= 1 << 52:
        raise InputError("explain", "a frame number below 2^52", shorten(what))
    return space, number


def _pfns(plan: Plan, space: str, number: int, where: str) -> list[int]:
    if space == "pfn":
        return [number]
    found = plan.p2m.find(number) if plan.p2m is not None else []
    kind, mfn = plan.p2m.lookup(number) if plan.p2m is not None else (None, -1)
    if kind == "identity" and mfn == number:
        found.append(number)
    if not found:
        raise InputError(where, "an MFN that the plan's P2M holds", f"{number:#x}, behind no PFN")
    return sorted(found)


def _place(plan: Plan, pfn: int, where: str, as_json: bool, *, blank: bool) -> None:
    place = place_of(plan, pfn)
    if place is None:
        raise InputError(where, "a boot that gets as far as a P2M", f"one that {plan.outcome} before")
    if as_json:
        click.echo(json.dumps(place_object(place)))
        return
    if blank:
        click.echo()
    for line in place_lines(place, columns(), paint):
        click.echo(line)
    way = branch(plan.layout.shape or [], plan.host.geometry, pfn)
    if way:
        click.echo()
    for line in tree_lines(way, plan.host.geometry, columns(), paint) if way else ():
        click.echo(line)
