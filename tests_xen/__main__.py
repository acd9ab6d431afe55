"""Boot hosts and print the table: ``python -m tests_xen`` (``make test-xen``)."""

from __future__ import annotations

import argparse
import re
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tests_xen import artefacts, live
from tests_xen.apt import cache_dir, install_tools, only_run
from tests_xen.compare import compare
from tests_xen.document import document
from tests_xen.errors import LabError, UnavailableError
from tests_xen.initramfs import READ_P2M, dom0_files
from tests_xen.matrix import everything, quick, schedule
from tests_xen.packages import hypervisor, kernel
from tests_xen.qemu import boot
from tests_xen.rows import HEAD, Row, line, summary

if TYPE_CHECKING:
    from tests_xen.hosts import Host

JOBS = {"live": live, "artefacts": artefacts}
"""What runs inside dom0 beside the reader of its list: its files, its time, its judge."""
BOOT_SECONDS = 150.0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests_xen", description=__doc__.split(":")[0])
    parser.add_argument("names", nargs="*", metavar="HOST", help="these hosts, with all versions")
    parser.add_argument("--quick", action="store_true", help="the part that CI runs")
    parser.add_argument("--linux", metavar="SUITE", help="only kernels of this suite")
    parser.add_argument("--xen", metavar="SUITE", help="only hypervisors of this suite")
    parser.add_argument("--list", action="store_true", help="show what would be booted")
    parser.add_argument("--document", metavar="FILE", help="write the table of this run into a document")
    return parser.parse_args()


def _chosen(said: argparse.Namespace) -> list[Host]:
    hosts = quick() if said.quick else everything() if said.names else schedule()
    if said.names and not said.quick:
        unknown = set(said.names) - {host.name for host in hosts}
        if unknown:
            raise LabError(f"no host is named {', '.join(sorted(unknown))}; --list shows them")
    return [
        host
        for host in hosts
        if (not said.names or host.name in said.names)
        and said.linux in (None, host.linux)
        and said.xen in (None, host.xen)
    ]


def _judged(host: Host) -> Row:
    """Boot one host and compare; its console stays where the differences can be looked up."""
    xen, linux = hypervisor(host.xen), kernel(host.linux)
    job = JOBS.get(host.job)
    files = job.files(host, linux) if job else dom0_files(linux, READ_P2M)
    came = boot(host, xen, linux, files, job.SECONDS if job else BOOT_SECONDS)
    console = _console(host)
    console.parent.mkdir(parents=True, exist_ok=True)
    console.write_bytes(came.console)
    verdict = job.judged(came) if job else compare(came, console, linux)
    return Row(
        host=host.name,
        job=host.job,
        note=host.note,
        fault=host.fault,
        linux=linux.version,
        xen=re.split(r"[+~]", xen.version)[0],
        real=verdict.real,
        predicted=verdict.predicted,
        findings=verdict.findings,
        pfns=verdict.pfns,
        differences=verdict.differences,
        seconds=came.seconds,
        said=came.last_words,
    )


def _console(host: Host) -> Path:
    return cache_dir() / "consoles" / f"{host.name}-linux-{host.linux}-xen-{host.xen}.log"


def _run(hosts: list[Host]) -> tuple[list[Row], int]:
    rows: list[Row] = []
    missing: dict[str, int] = {}
    print(HEAD, flush=True)
    for host in hosts:
        try:
            row = _judged(host)
        except UnavailableError as error:
            if str(error) not in missing:
                print(f"skipped: {error}", flush=True)
            missing[str(error)] = missing.get(str(error), 0) + 1
            continue
        rows.append(row)
        print(line(row), flush=True)
        for difference in row.differences:
            print(f"    {difference}")
        if row.differences:
            print(f"    console: {_console(host)}", flush=True)
    return rows, sum(missing.values())


def main() -> int:
    """Run what was asked for.

    Returns:
        0 if all is as predicted, 1 if not, 2 if nothing could be compared.
    """
    said = _arguments()
    hosts = _chosen(said)
    if said.list:
        for host in hosts:
            print(f"{host.name:14} Linux of {host.linux:9} Xen of {host.xen:9} {host.note}")
        return 0
    install_tools()
    with only_run():
        rows, skipped = _run(hosts)
    print(summary(rows, skipped))
    if said.document:
        Path(said.document).write_text(document(rows))
    if not rows:
        return 2
    return int(any(row.differences for row in rows))


if __name__ == "__main__":
    # Being ended from outside unwinds like any error, so QEMU and scratch files go with it.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda got, _: sys.exit(128 + got))
    try:
        sys.exit(main())
    except (LabError, OSError) as error:
        print(f"tests_xen: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
