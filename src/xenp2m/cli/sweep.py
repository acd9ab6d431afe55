"""``xenp2m sweep``: a grid of plans, on this machine or a Dask cluster."""

from __future__ import annotations

import os
from itertools import takewhile
from typing import TYPE_CHECKING, Any

import click

from xenp2m.checks.stories import STORIES
from xenp2m.cli.outfile import write_file
from xenp2m.cli.planning import options_of, other_host_options
from xenp2m.cli.progress import progress, waiting
from xenp2m.cli.redaction import active, emit_json, redact_option, redactor_for, say
from xenp2m.cli.terminal import columns, paint
from xenp2m.errors import InputError, shorten
from xenp2m.sweep.cases import MOST_CASES, Row, Sweep
from xenp2m.sweep.find import MOST_SCANNED, Found, bisected, scanned
from xenp2m.sweep.fleet import Fleet, read_fleet
from xenp2m.sweep.grid import dom0_mem_values, kernel_values, rules_values
from xenp2m.sweep.ledger import Ledger
from xenp2m.sweep.run import chunk_size, chunks_of, run_chunks
from xenp2m.views.sweep_table import csv_bytes, found_object, parquet_bytes, sweep_object
from xenp2m.views.sweep_text import found_lines, sweep_lines

if TYPE_CHECKING:
    from collections.abc import Iterable

    from xenp2m.logs.redact import Redactor

__all__ = ["command"]


@click.command("sweep")
@click.argument("inputs", nargs=-1, metavar="[LOG|MAP|JSON|DIRECTORY]...")
@click.option(
    "--dom0-mem",
    "sizes",
    multiple=True,
    metavar="GRID",
    help="Values: 512M..8G:64M, or 1G,max:1G..4G:64M, or a list 512M,1G. [default: the host's own]",
)
@click.option(
    "--kernel",
    "kernels",
    multiple=True,
    metavar="LIST",
    help="Linux versions, such as 6.1,6.12.92; edges: the first one behind every change.",
)
@click.option("--rules", multiple=True, metavar="LIST", help="Rules of the P2M tree (kernels to 3.18).")
@click.option("--find", is_flag=True, help="The smallest dom0_mem= value that fails, for each of the rest.")
@click.option(
    "--fail",
    "codes",
    multiple=True,
    metavar="CODE",
    help="With --find: what counts as failing. [default: any warning or error]",
)
@click.option("--scan", is_flag=True, help="With --find: look at each of more than 4,096 values, too.")
@click.option("--no-findings", is_flag=True, help="Only what the kernel's own code does: faster.")
@click.option("--jobs", type=click.IntRange(1, 512), help="Processes. [default: one for each processor]")
@click.option("--scheduler", metavar="ADDRESS", help="A Dask scheduler to give the work to, tcp://HOST:PORT.")
@click.option("--resume", metavar="FILE", help="Keep finished work in FILE, and go on from there.")
@click.option("--output", "-o", metavar="FILE", help="Write all rows: .csv, .parquet, or - for CSV.")
@click.option("--force", is_flag=True, help="Write over a file that exists.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of text.")
@click.option("--verbose", "-v", is_flag=True, help="Every line, and why files were skipped.")
@redact_option
@other_host_options
def command(inputs: tuple[str, ...], redact: bool, **said: Any) -> int:  # noqa: ANN401
    """Plan every combination of hosts, dom0_mem= values, kernels and rules.

    INPUTS are as for plan; a directory stands for the logs and JSON files in it, each log a host of its
    own. Neighbouring values with the same answer are one line. For example:

    \b
      xenp2m sweep xl-dmesg.log --dom0-mem 512M..8G:64M --kernel 6.1,6.12.92
      xenp2m sweep fleet.jsonl --kernel edges -o fleet.parquet
      xenp2m sweep host.json --kernel 2.6.39 --rules seed --extra contiguous \\
             --dom0-mem 1G,max:1G..4G:4M --find
    """  # noqa: D301 (click's \b keeps lines apart)
    run = {name: said.pop(name) for name in _OWN}
    _check(run)
    redactor = redactor_for(redact, inputs)
    options = options_of(said | {"dom0_mem": None, "kernel": None, "rules": None})
    with waiting("reading hosts"):
        fleet = read_fleet(inputs, options)
    fleet = _unnamed(fleet, redactor)
    sweep = Sweep(
        fleet.hosts,
        kernel_values(run["kernels"]) or (None,),
        rules_values(run["rules"]) or (None,),
        dom0_mem_values(run["sizes"]) or (None,),
        options,
        findings=not run["no_findings"],
    )
    if len(sweep) > MOST_CASES:
        raise InputError("sweep", f"at most {MOST_CASES:,} cases", f"{len(sweep):,}")
    _report_skipped(fleet, run["verbose"])
    return _find(sweep, fleet, run) if run["find"] else _all(sweep, fleet, run)


def _unnamed(fleet: Fleet, redactor: Redactor) -> Fleet:
    """The fleet, without names of files where that is asked for."""
    redactor.files(name for name, _ in (*fleet.hosts, *fleet.skipped))
    hosts = [(redactor.text(name), host) for name, host in fleet.hosts]
    return Fleet(hosts, [(redactor.text(where), redactor.text(why)) for where, why in fleet.skipped])


_OWN = (
    "sizes", "kernels", "rules", "find", "codes", "scan", "no_findings", "jobs", "scheduler", "resume",
    "output", "force", "as_json", "verbose",
)  # fmt: skip


def _check(run: dict[str, Any]) -> None:
    """Refuse what cannot go together before any file is read."""
    for code in run["codes"]:
        if code not in STORIES:
            raise InputError("--fail", "a finding's code (xenp2m explain lists them)", shorten(code))
    if run["find"] and not run["sizes"]:
        raise InputError("--find", "--dom0-mem with a range to look in", "none")
    if run["find"] and run["output"]:
        raise InputError("--find", "no --output beside it (--json tells all)", "--output")
    if (run["codes"] or run["scan"]) and not run["find"]:
        raise InputError("--fail and --scan", "--find", "none")
    if run["codes"] and run["no_findings"]:
        raise InputError("--fail", "no --no-findings beside it", "--no-findings")
    output = run["output"]
    if output is not None and output != "-" and not output.endswith((".csv", ".parquet")):
        raise InputError("--output", "a name that ends in .csv or .parquet, or -", shorten(output))
    if run["scheduler"] and run["jobs"]:
        raise InputError("--scheduler", "no --jobs beside it", f"--jobs {run['jobs']}")


def _report_skipped(fleet: Fleet, verbose: bool) -> None:
    skipped = fleet.skipped
    if skipped:
        say(f"xenp2m: {len(skipped)} skipped, no host in them; the first: {skipped[0][1]}", err=True)
        for where, reason in skipped[1:] if verbose else ():
            say(f"xenp2m: skipped {where}: {reason}", err=True)


def _find(sweep: Sweep, fleet: Fleet, run: dict[str, Any]) -> int:
    found, stopped = _found(sweep, run)
    if stopped and (run["as_json"] or not found):
        raise click.ClickException(stopped)
    if not stopped and all(each.is_refused for each in found):
        raise InputError("sweep", "a case that can be planned", found[0].example.error)
    if run["as_json"]:
        emit_json(found_object(len(fleet.hosts), fleet.skipped, found), active())
    else:
        for line in found_lines(found, columns(), paint):
            say(line)
    if stopped:
        raise click.ClickException(stopped)
    return int(any(each.row is not None for each in found))


def _found(sweep: Sweep, run: dict[str, Any]) -> tuple[list[Found], str]:
    """The answer for every line that could be finished, and how an interruption is told."""
    codes, count = frozenset(run["codes"]), len(sweep.values)
    if run["scan"] or count <= MOST_SCANNED:
        rows, stopped = _answers(sweep, run)
        return scanned(sweep, rows[: len(rows) // count * count], codes), stopped
    if run["resume"] or run["scheduler"] or run["jobs"]:
        over = f"--scan, for more than {MOST_SCANNED:,} values with --resume, --scheduler or --jobs"
        raise InputError("--find", over, f"{count:,} values")
    found: list[Found] = []
    starts = range(0, len(sweep), count)
    try:
        with progress("looking", len(sweep)) as tell:
            for start in starts:

                def behind(values: int, start: int = start) -> None:
                    tell(start + values)

                found.append(bisected(sweep, sweep.where(start), codes, behind))
                behind(count)
    except KeyboardInterrupt:
        return found, f"interrupted: {len(found):,} of {len(starts):,} lines done"
    return found, ""


def _all(sweep: Sweep, fleet: Fleet, run: dict[str, Any]) -> int:
    rows, stopped = _answers(sweep, run)
    if stopped and (run["output"] is not None or run["as_json"] or not rows):
        raise click.ClickException(stopped)
    if not stopped and all(row.outcome == "refused" for row in rows):
        raise InputError("sweep", "a case that can be planned", rows[0].error)
    if run["output"] is not None:
        data = parquet_bytes(rows) if run["output"].endswith(".parquet") else csv_bytes(rows)
        write_file(run["output"], data, force=run["force"])
    if run["as_json"]:
        emit_json(sweep_object(len(fleet.hosts), fleet.skipped, rows), active())
    elif run["output"] != "-":
        for line in sweep_lines(rows, len(fleet.hosts), columns(), verbose=run["verbose"], paint=paint):
            say(line)
    if stopped:
        raise click.ClickException(stopped)
    return int(any(row.fails(frozenset()) for row in rows))


def _answers(sweep: Sweep, run: dict[str, Any]) -> tuple[list[Row], str]:
    """Rows of the cases from the first on, all of them unless interrupted, and how that is told."""
    jobs = run["jobs"] or len(os.sched_getaffinity(0))
    size = chunk_size(len(sweep), jobs)
    ledger = None if run["resume"] is None else Ledger(run["resume"], sweep, size)
    done: dict[int, list[Row]] = {} if ledger is None else ledger.done
    chunks = chunks_of(len(sweep), size if ledger is None else ledger.size)
    left = [chunk for chunk in chunks if chunk[0] not in done]
    stopped = ""
    count = sum(map(len, done.values()))
    try:
        with progress("planning", len(sweep)) as tell:
            for number, rows in _finished(sweep, left, run["scheduler"], jobs):
                if ledger is not None:
                    ledger.add(number, rows)
                done[number] = rows
                count += len(rows)
                tell(count)
    except KeyboardInterrupt:
        kept = f"kept in {run['resume']}: the same command goes on" if ledger else "--resume FILE keeps them"
        stopped = f"interrupted: {count:,} of {len(sweep):,} cases done, {kept}"
    finally:
        if ledger is not None:
            ledger.close()
    whole = takewhile(lambda chunk: chunk[0] in done, chunks)
    return [row for number, _, _ in whole for row in done[number]], stopped


def _finished(
    sweep: Sweep, chunks: list[tuple[int, int, int]], address: str | None, jobs: int
) -> Iterable[tuple[int, list[Row]]]:
    """Chunks as they are finished; the cluster's code is not loaded without one."""
    if not chunks:
        return ()
    if address is None:
        return run_chunks(sweep, chunks, jobs)
    from xenp2m.sweep.cluster import on_cluster

    return on_cluster(sweep, chunks, address)
