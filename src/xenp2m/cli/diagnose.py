"""``xenp2m diagnose``: pasted logs held against what their host should have done."""

from __future__ import annotations

from typing import Any

import click

from xenp2m.cli.planning import host_options, options_of
from xenp2m.cli.progress import progress
from xenp2m.cli.redaction import emit_json, emit_lines, redact_option, redactor_for
from xenp2m.cli.terminal import columns, paint
from xenp2m.diagnosis.diagnose import diagnose
from xenp2m.findings import Severity
from xenp2m.logs.oneboot import read_one_boot
from xenp2m.logs.redact import redacted_log
from xenp2m.views.diagnosis_answer import diagnosis_object
from xenp2m.views.diagnosis_text import diagnosis_lines

__all__ = ["command"]


@click.command("diagnose")
@click.argument("inputs", nargs=-1, required=True, metavar="LOG...")
@click.option(
    "--boot", "number", type=click.IntRange(1), metavar="N", help="Of several boots in a file, this one."
)
@host_options
@redact_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of text.")
@click.option("--verbose", "-v", is_flag=True, help="Every comparison in a line of its own.")
def command(
    inputs: tuple[str, ...],
    number: int | None,
    redact: bool,
    as_json: bool,
    verbose: bool,
    **said: Any,  # noqa: ANN401
) -> int:
    """Explain pasted logs: where the memory went, why dom0 died, whether all is as predicted.

    LOGs are of one boot, in any number of files and any order: xl dmesg, dmesg, a serial console, a
    journal, xl info, /proc/meminfo; "-" is standard input. The host is recovered from what was printed
    before dom0 booted, its boot is predicted, and every line that dom0 then printed is held against it.
    Of several boots in a file the last one counts, or --boot N. Files may be of any length.

    Example: xenp2m diagnose xl-dmesg.txt dmesg.txt
    """
    redactor = redactor_for(redact, inputs)
    with progress("reading, bytes") as tell:
        log, others = read_one_boot(inputs, number, look=redactor.learn_from, progress=tell)
    diagnosis = diagnose(redacted_log(log, redactor), options_of(said), others)
    where = redactor.text(", ".join("standard input" if path == "-" else path for path in inputs))
    if as_json:
        emit_json(diagnosis_object(diagnosis, where), redactor)
    else:
        emit_lines(diagnosis_lines(diagnosis, where, width=columns(), verbose=verbose, paint=paint), redactor)
    return int(any(finding.severity >= Severity.WARNING for finding in diagnosis.findings))
