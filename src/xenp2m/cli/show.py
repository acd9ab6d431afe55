"""``xenp2m show``: what a map that was read consists of."""

from __future__ import annotations

import click

from xenp2m.checks.map import map_findings
from xenp2m.cli.jsonpieces import print_json
from xenp2m.cli.opening import hashed, json_option, open_source, salvage_option
from xenp2m.cli.pictures import Drawing, plot_options
from xenp2m.cli.progress import waiting
from xenp2m.cli.terminal import columns, paint, speaks_unicode
from xenp2m.findings import Severity
from xenp2m.maps.account import account_of
from xenp2m.views.map_answer import map_object
from xenp2m.views.map_text import map_lines

__all__ = ["command"]


@click.command("show")
@click.argument("source", metavar="SOURCE")
@json_option
@click.option("--verbose", "-v", is_flag=True, help="Every row, run lengths, and what to do about notes.")
@click.option("--hash", "asked", is_flag=True, help="The file's SHA-256.")
@salvage_option
@plot_options
def command(
    source: str, as_json: bool, verbose: bool, asked: bool, salvage: bool, drawing: Drawing | None
) -> int:
    """Tell what a map consists of: frames by kind, extents, contiguity, the list's own pages.

    SOURCE is a core (xl dump-core), a saved domain (xl save), the output of xen-mfndump, a debugfs
    p2m file, an .npz of `xenp2m export` or an answer of plan or show (--json); "-" is standard input
    where the format can be read from a pipe. Inside dom0, live:self is dom0 itself and live:DOMID a
    running PV domain. Example: xenp2m show vm.core

    JSON carries the hash of files up to 256 MiB; --hash that of any file.
    """
    opened = hashed(open_source(source, salvage=salvage), source, asked=asked, as_json=as_json)
    with waiting("counting"):
        account, findings = account_of(opened), map_findings(opened)
    if as_json:
        print_json(map_object(opened, account, findings))
    else:
        for line in map_lines(
            opened,
            account,
            findings,
            width=columns(),
            verbose=verbose,
            unicode=speaks_unicode(),
            paint=paint,
        ):
            click.echo(line)
    if drawing is not None:
        from xenp2m.views.plots.sheet import map_figure

        drawing.write(map_figure(opened.p2m, drawing.picture))
    return int(any(finding.severity >= Severity.WARNING for finding in findings))
