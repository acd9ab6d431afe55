"""``xenp2m report``: one HTML file about a plan or a map, for people and for the record."""

from __future__ import annotations

import hashlib
import shlex
from dataclasses import replace
from functools import partial
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from xenp2m import __version__
from xenp2m.checks.map import map_findings
from xenp2m.cli.opening import HashingInput, hashed, hashed_input, open_source, salvage_option
from xenp2m.cli.outfile import check_target, write_file
from xenp2m.cli.planning import host_options, hosts_of, options_of
from xenp2m.cli.progress import progress, waiting
from xenp2m.cli.redaction import redact_option, redactor_for
from xenp2m.errors import InputError
from xenp2m.findings import Severity
from xenp2m.intake import BUNDLED
from xenp2m.maps.account import account_of
from xenp2m.maps.mapdiff import compare
from xenp2m.plan import make_plan
from xenp2m.sources.binary import Binary
from xenp2m.sources.detect import FORMATS
from xenp2m.sources.feed import open_feed
from xenp2m.sources.live import PREFIX
from xenp2m.sources.source import Origin
from xenp2m.views.page.comparison import comparison_of
from xenp2m.views.page.content import report_of_plan, report_of_source
from xenp2m.views.page.html import page
from xenp2m.views.page.picture import inline_svg
from xenp2m.views.plots.canvas import render
from xenp2m.views.plots.sheet import map_figure, plan_figure

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from matplotlib.figure import Figure

    from xenp2m.findings import Finding
    from xenp2m.logs.redact import Redactor
    from xenp2m.p2m import P2M
    from xenp2m.views.page.content import Report

__all__ = ["command"]

_HEAD = 1 << 12


class _Subject(NamedTuple):
    """What a report is about: content, findings, how to draw each picture; its map, read or predicted."""

    report: Report
    findings: Sequence[Finding]
    figures: Sequence[tuple[str, Callable[[], Figure]]]
    p2m: P2M | None
    predicted: bool


_CAPTIONS = {
    "e820": "The maps of the host and of the guest, and the P2M that the kernel makes of them.",
    "maps": "The maps of the host and of the guest: the boot ends before there is a P2M.",
    "kinds": "What the map consists of.",
    "frames": "Where in the machine each part of the guest's memory lies.",
    "extents": "How contiguous the machine frames are.",
    "balloon": "The memory as the builder gave it, after boot, and with the balloon at its maximum.",
}


@click.command("report")
@click.argument("inputs", nargs=-1, metavar="[LOG|MAP|JSON|SOURCE]...")
@click.option("-o", "--output", required=True, metavar="FILE", help='File to write, or "-".')
@click.option("--force", is_flag=True, help="Replace a file that exists.")
@click.option("--against", metavar="INPUT", help="Compare with this map or log: after, or real.")
@salvage_option
@redact_option
@host_options
def command(
    inputs: tuple[str, ...],
    output: str,
    force: bool,
    against: str | None,
    salvage: bool,
    redact: bool,
    **said: Any,  # noqa: ANN401
) -> int:
    """Write a report: one HTML file that works offline, with everything in it.

    INPUTS are as for plan, or one map as for show: a core (xl dump-core), a saved domain (xl save).
    Options that describe a host are for plans.

    --against takes one input more, of either sort, and shows what differs: before and after a
    balloon, or a prediction and what a core or live:self really holds. A prediction is compared by kinds.

    Example: xenp2m report xen.txt dmesg.txt -o host.html
    """
    redactor = redactor_for(redact, (*inputs, *([against] if against else ())))
    check_target(output, force=force)
    words = _words(said)
    maps = [name for name in inputs if _is_map(name)]
    planned = against is not None and not _is_map(against)
    if maps and (len(inputs) > 1 or (words and not planned)):
        raise InputError(f"report {maps[0]}", "the one map alone", words or f"{len(inputs)} inputs")
    if against == "-" and "-" in inputs:
        raise click.UsageError("expected standard input once, got it twice")
    subject = _map(maps[0], salvage) if maps else _plan(inputs, said, words)
    if against is not None:
        other = _plan((against,), said, words) if planned else _map(against, salvage)
        subject = _compared(subject, other, words)
    subject = subject._replace(report=_unnamed(subject.report, redactor))
    write_file(output, _written(subject), force=force)
    return int(any(finding.severity >= Severity.WARNING for finding in subject.findings))


def _unnamed(report: Report, redactor: Redactor) -> Report:
    """The report, without what names anybody where that is asked for."""
    if not redactor.on:
        return report
    clean = redactor.text
    return replace(
        report,
        title=clean(report.title),
        facts=[each._replace(value=clean(each.value)) for each in report.facts],
        findings=[replace(each, what=clean(each.what), why=clean(each.why)) for each in report.findings],
        remarks=[(name, clean(text)) for name, text in report.remarks],
        origins=[replace(each, name=clean(each.name)) for each in report.origins],
        words=clean(report.words),
    )


def _is_map(name: str) -> bool:
    """Whether a reader of maps knows the file; anything else is taken for a log or JSON."""
    if name.startswith(PREFIX):
        return True
    if name == "-" or not Path(name).is_file():
        return False
    with open_feed(name) as feed:
        head = feed.peek(_HEAD).tobytes()
    return any(each.reader.sniff(head) for each in FORMATS.values())


def _map(name: str, salvage: bool) -> _Subject:
    source = hashed(open_source(name, salvage=salvage), name, asked=True, as_json=False)
    if source.m2p is not None:
        raise InputError(name, "a guest's map", source.origin.format)
    with waiting("checking"):
        findings = map_findings(source)
    names = ("kinds", "frames", "extents") if len(source.p2m) else ()
    report = report_of_source(source, account_of(source), findings)
    figures = [(each, partial(map_figure, source.p2m, each)) for each in names]
    return _Subject(report, findings, figures, source.p2m, predicted=False)


def _words(said: dict[str, Any]) -> str:
    """The options that were given, as one would type them."""
    context = click.get_current_context()
    given = []
    for parameter in context.command.params:
        source = context.get_parameter_source(parameter.name or "")
        told = source is not None and source.name == "COMMANDLINE"
        if isinstance(parameter, click.Option) and parameter.name in said and told:
            given.append(f"{parameter.opts[0]}={shlex.quote(str(said[parameter.name]))}")
    return " ".join(given)


def _plan(inputs: tuple[str, ...], said: dict[str, Any], words: str) -> _Subject:
    options = options_of(dict(said))
    with hashed_input() as piped:
        items = list(hosts_of(inputs, options))
    if len(items) != 1:
        raise InputError("report", "one host", f"{len(items)} of them")
    (item,) = items
    if item.host is None:
        raise item.error or InputError(item.where, "a host")
    plan = make_plan(item.host)
    names = ("e820", "frames", "extents", "balloon") if plan.p2m is not None else ("maps",)
    report = report_of_plan(plan, item.title.partition("   from ")[0], list(_origins(inputs, piped)), words)
    figures = [(name, partial(plan_figure, plan, name)) for name in names]
    return _Subject(report, plan.findings, figures, plan.p2m, predicted=True)


def _compared(subject: _Subject, other: _Subject, words: str) -> _Subject:
    """The report of `subject` with what differs from `other`, and the origins of both."""
    for each in (subject, other):
        if each.p2m is None:
            raise InputError(each.report.title, "a boot that gets as far as a P2M", each.report.answer)
    assert subject.p2m is not None
    assert other.p2m is not None
    maps = subject.p2m, other.p2m
    diff = compare(*maps, numbers=not (subject.predicted or other.predicted))
    names = _name(subject), _name(other)
    report = replace(
        subject.report,
        title=f"{subject.report.title} against {names[1]}",
        comparison=comparison_of(maps, diff, names),
        origins=[*subject.report.origins, *other.report.origins],
        words=words,
    )
    return subject._replace(report=report)


def _name(subject: _Subject) -> str:
    origins = ", ".join(Path(origin.name).name for origin in subject.report.origins)
    return f"the plan of {origins}" if subject.predicted else origins


def _origins(inputs: Sequence[str], piped: HashingInput) -> Iterator[Origin]:
    """The inputs of a plan with their hashes."""
    for name in inputs:
        if name == "-":
            yield piped.origin()
        else:
            with Binary(name) as file:
                yield Origin(name, "text", file.size, file.sha256())
    if not inputs:
        data = resources.files("xenp2m").joinpath("data", BUNDLED).read_bytes()
        yield Origin("the bundled host", "console log", len(data), hashlib.sha256(data).hexdigest())


def _written(subject: _Subject) -> bytes:
    """The page; without matplotlib it says what is missing."""
    pictures: list[tuple[str, str]] = []
    note = ""
    with progress("drawing", len(subject.figures)) as tell:
        try:
            for index, (name, figure) in enumerate(subject.figures):
                tell(index)
                svg = render(figure(), "svg")
                pictures.append((_CAPTIONS[name], inline_svg(svg, f"{name}-", _CAPTIONS[name])))
        except InputError as error:
            note = f"No pictures: {error}."
    return page(subject.report, __version__, pictures, note)
