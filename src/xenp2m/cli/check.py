"""``xenp2m check``: whether a map that was read is sound, and what the toolstack makes of it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from xenp2m.checks.map import RULES, m2p_findings, map_findings
from xenp2m.checks.mape820 import e820_findings
from xenp2m.cli.opening import hashed, json_option, open_source, salvage_option
from xenp2m.cli.planning import host_options, hosts_of, options_of
from xenp2m.cli.progress import waiting
from xenp2m.cli.terminal import columns, paint
from xenp2m.errors import InputError
from xenp2m.findings import Finding, Severity
from xenp2m.plan import make_plan
from xenp2m.views.findings_text import findings_lines
from xenp2m.views.map_answer import check_object
from xenp2m.views.map_text import title_of
from xenp2m.views.text import wrapped

if TYPE_CHECKING:
    from xenp2m.sources.source import Source

__all__ = ["command"]


@click.command("check")
@click.argument("source", metavar="SOURCE")
@click.option(
    "--only",
    type=click.Choice(list(RULES)),
    multiple=True,
    help="Only the rules of a sound map, or of save and restore. [default: all]",
)
@click.option("--m2p", metavar="FILE", help="The machine's M2P, from xen-mfndump dump-m2p.")
@click.option(
    "--host",
    "logs",
    metavar="LOG",
    multiple=True,
    help="Hold the map against the E820 in this log; options of plan apply.",
)
@json_option
@click.option("--verbose", "-v", is_flag=True, help="What to do about notes, too.")
@click.option("--hash", "asked", is_flag=True, help="The file's SHA-256.")
@salvage_option
@host_options
def command(source: str, logs: tuple[str, ...], as_json: bool, verbose: bool, **said: Any) -> int:  # noqa: ANN401
    """Check whether a map is sound: duplicates, damaged entries, a list that was read half-way.

    SOURCE is as for show. A stream's structure is checked more strictly than the restore side does it.

    Example: xenp2m check vm.core --m2p m2p.txt
    """
    m2p, asked, salvage = said.pop("m2p"), said.pop("asked"), said.pop("salvage")
    rules = said.pop("only") or tuple(RULES)
    opened = hashed(open_source(source, salvage=salvage), source, asked=asked, as_json=as_json)
    with waiting("checking"):
        findings = map_findings(opened, rules)
    if m2p is not None:
        machine = _m2p_of(open_source(m2p))
        with waiting("checking against the M2P"):
            findings += m2p_findings(opened.p2m, machine)
    if logs:
        findings += _against(opened, logs, said)
    findings.sort(key=lambda finding: -finding.severity)
    if as_json:
        click.echo(json.dumps(check_object(opened, rules, findings)))
    else:
        _print(opened, findings, verbose)
    return int(any(finding.severity >= Severity.WARNING for finding in findings))


def _print(source: Source, findings: list[Finding], verbose: bool) -> None:
    click.echo(paint(wrapped(title_of(source), columns(), "", "  "), "head"))
    for line in findings_lines(findings, columns(), verbose=verbose, paint=paint):
        click.echo(line)


def _m2p_of(source: Source) -> Any:  # noqa: ANN401 (an array of numpy)
    if source.m2p is None:
        raise InputError(source.origin.name, "a machine's M2P", source.origin.format)
    return source.m2p


def _against(source: Source, logs: tuple[str, ...], said: dict[str, Any]) -> list[Finding]:
    """Findings against the map of the host, or hosts, that the logs tell of."""
    found = []
    for item in hosts_of(logs, options_of(said)):
        if item.host is None:
            raise item.error or InputError(item.where, "a host")
        e820 = make_plan(item.host).layout.e820
        if e820 is None:
            raise InputError(item.where, "a boot that gets as far as the guest's E820")
        found += e820_findings(source.p2m, e820, dom0=item.host.is_dom0)
    return found
