"""``xenp2m bars``: PCI passthrough to a PV guest, each BAR against the guest's map."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from xenp2m.cli.arguments import ADDRESS
from xenp2m.cli.progress import progress
from xenp2m.cli.redaction import emit_json, emit_lines, redact_option, redactor_for
from xenp2m.cli.terminal import columns, paint
from xenp2m.errors import InputError, shorten
from xenp2m.findings import Severity
from xenp2m.logs.oneboot import read_one_boot
from xenp2m.logs.pcibars import parse_bars
from xenp2m.logs.redact import redacted_log
from xenp2m.passthrough import check_bars
from xenp2m.views.bars_view import bars_lines, bars_object

if TYPE_CHECKING:
    from xenp2m.logs.consolefacts import Log
    from xenp2m.logs.pcibars import Bar
    from xenp2m.logs.redact import Redactor

__all__ = ["command"]


@click.command("bars")
@click.option(
    "--host", "hosts", multiple=True, required=True, metavar="LOG", help="xl dmesg; lspci -v or dom0's dmesg."
)
@click.option(
    "--guest",
    "guests",
    multiple=True,
    required=True,
    metavar="LOG",
    help="The guest's dmesg; its /proc/iomem.",
)
@click.option(
    "--device", "devices", multiple=True, metavar="ADDRESS", help="Only this device, such as 03:00.0."
)
@click.option("--memory", type=ADDRESS, help="memory= of the guest, such as 1024M. [default: from its log]")
@click.option("--maxmem", type=ADDRESS, help="maxmem= of the guest. [default: from its log, else memory=]")
@click.option(
    "--e820-host/--no-e820-host", default=None, help="Whether e820_host=1 is set. [default: from its map]"
)
@redact_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of text.")
def command(
    hosts: tuple[str, ...], guests: tuple[str, ...], devices: tuple[str, ...], memory: int | None,
    maxmem: int | None, e820_host: bool | None, redact: bool, as_json: bool,
) -> int:  # fmt: skip
    """Tell whether the BARs of passed-through devices lie in holes of a PV guest's map.

    The guest's map is predicted from the host's E820 as libxl makes it with e820_host=1. BARs are taken
    from the guest's log (pci lines, lspci -v), or from the host's where the guest's has none. Where the
    guest printed its map, or /proc/iomem, those decide.

    Example: xenp2m bars --host xl-dmesg.txt --host lspci.txt --guest domu-dmesg.txt
    """
    redactor = redactor_for(redact, (*hosts, *guests))
    host, host_bars = _read(hosts, redactor)
    guest, guest_bars = _read(guests, redactor)
    bars = _of(devices, guest_bars or host_bars)
    result = check_bars(host, guest, bars, memory=_kib(memory), maxmem=_kib(maxmem), e820_host=e820_host)
    if as_json:
        emit_json(bars_object(result), redactor)
    else:
        emit_lines(bars_lines(result, columns(), paint), redactor)
    return int(any(finding.severity >= Severity.WARNING for finding in result.findings))


def _of(devices: tuple[str, ...], bars: list[Bar]) -> list[Bar]:
    """The BARs of the devices that were named, with or without their domain; all where none was."""
    wanted = {device if device.count(":") == 2 else f"0000:{device}" for device in map(str.lower, devices)}
    there = {bar.device: None for bar in bars}
    for device in wanted:
        if bars and device not in there:
            raise InputError("--device", f"one of {', '.join(list(there)[:8])}", shorten(device))
    return [bar for bar in bars if not wanted or bar.device in wanted]


def _kib(size: int | None) -> int | None:
    return None if size is None else size >> 10


def _read(paths: tuple[str, ...], redactor: Redactor) -> tuple[Log, list[Bar]]:
    """The facts of some files, and the BARs in them."""
    bars: list[Bar] = []

    def look(text: str) -> None:
        redactor.learn_from(text)
        bars.extend(parse_bars(text))

    with progress("reading, bytes") as tell:
        log, _ = read_one_boot(paths, look=look, progress=tell)
    return redacted_log(log, redactor), bars
