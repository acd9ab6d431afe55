"""``xenp2m dom0-mem``: what the hypervisor and then Linux make of a ``dom0_mem=`` value."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from xenp2m.cli.arguments import ADDRESS, VERSION
from xenp2m.cli.terminal import columns, paint
from xenp2m.findings import Severity
from xenp2m.kernel import NEWEST
from xenp2m.sizing import size_dom0
from xenp2m.views.sizing_view import sizing_lines, sizing_object

if TYPE_CHECKING:
    from xenp2m.kernel import Version

__all__ = ["command"]


@click.command("dom0-mem")
@click.argument("text", metavar="STRING")
@click.option("--ram", type=ADDRESS, required=True, help="RAM of the host, such as 64G.")
@click.option("--xen", type=VERSION, help="Hypervisor version. [default: the newest known]")
@click.option("--kernel", type=VERSION, help="Linux version. [default: the newest known]")
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of text.")
def command(text: str, ram: int, xen: Version | None, kernel: Version | None, as_json: bool) -> int:
    """Tell what dom0_mem=STRING gives on a host of a size.

    STRING is a value (2G,max:2G), an option (dom0_mem=...), or several of them as on Xen's command line.
    What is worked out from the host's own log, with its map, is `xenp2m plan LOG --dom0-mem STRING`.

    Example: xenp2m dom0-mem 2G,max:16G --ram 64G
    """
    sizing = size_dom0(text, ram, xen, kernel or NEWEST)
    if as_json:
        click.echo(json.dumps(sizing_object(sizing)))
    else:
        hypervisor = f"Xen {xen}" if xen else "Xen, newest rules"
        said = text if "dom0_mem" in text else f"dom0_mem={text}"
        title = f"{said} · {ram / (1 << 30):g} GiB of RAM · {hypervisor} · Linux {kernel or NEWEST}"
        for line in sizing_lines(sizing, title, columns(), paint):
            click.echo(line)
    return int(any(finding.severity >= Severity.WARNING for finding in sizing.findings))
