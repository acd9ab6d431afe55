"""The command ``xenp2m``: one file for each verb.

This module is all that ``xenp2m --help`` loads; verbs and libraries are imported when they are used.
"""

from __future__ import annotations

import os
import sys

__all__ = ["VERBS", "main"]

VERBS = {
    "bars": "PCI passthrough: each BAR against the map of a PV guest",
    "dom0-mem": "what the hypervisor and then Linux make of a dom0_mem= value",
    "diagnose": "pasted logs: where the memory went, why dom0 died",
    "plan": "what a host's boot will do with its memory, and how it ends",
    "explain": "one PFN, MFN or address of a plan and why; a finding's story",
    "sweep": "hosts, dom0_mem= values and kernels; the smallest that fails",
    "show": "a map of a core or saved domain: frames by kind, extents, contiguity",
    "lookup": "PFNs, MFNs and addresses through a map; many from standard input",
    "check": "whether a map is sound, and what save and restore make of it",
    "diff": "two maps: before and after, or predicted and real",
    "export": "a map or the guest's memory as flat image, ELF, JSON, CSV, Parquet",
    "replay": "operations on the P2M of any era: what each returned, the tree drawn",
    "explore": "the shortest sequence of operations that breaks a rule set",
    "report": "one HTML file: findings, the map to zoom and search, pictures",
}

_HELP = """\
Usage: xenp2m VERB [ARGUMENT]...

The memory of a Xen PV host, worked out exactly.

Verbs:
{verbs}

Options:
  --version  show the version
  --help     show this text; `xenp2m VERB --help` shows a verb's

Exit status: 0 clean (notes allowed), 1 a finding of severity warning or worse,
2 input that cannot be used, or usage.
"""


def _fill_streams() -> None:
    """Streams that were closed when the process began: nothing to read, nobody to complain to, no output."""
    if sys.stdin is None:
        sys.stdin = os.fdopen(os.open(os.devnull, os.O_RDONLY))
    if sys.stderr is None:
        sys.stderr = os.fdopen(os.open(os.devnull, os.O_WRONLY), "w")
    if sys.stdout is None:
        sys.stderr.write("xenp2m: output: expected a place that can be written, got none\n")
        sys.exit(2)


def _say(text: str) -> int:
    """Print what needs no verb; the exit status. A reader that went away is no error."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(error, BrokenPipeError):
            sys.stderr.write(f"xenp2m: output: expected a place that can be written, got {error.strerror}\n")
            return 2
    return 0


def main(arguments: list[str] | None = None) -> None:
    """Run the command and exit with its status.

    Args:
        arguments: what follows the program's name; `sys.argv` without it.
    """
    given = sys.argv[1:] if arguments is None else arguments
    _fill_streams()
    if not os.environ.get("_XENP2M_COMPLETE"):
        if not given or given[0] in ("--help", "-h", "help"):
            width = max(map(len, VERBS))
            verbs = "\n".join(f"  {name:<{width}}  {text}" for name, text in VERBS.items())
            sys.exit(_say(_HELP.format(verbs=verbs)) or (0 if given else 2))
        if given[0] in ("--version", "-V"):
            from xenp2m import __version__

            sys.exit(_say(f"xenp2m {__version__}\n"))
    try:
        from xenp2m.cli.app import run

        status = run(given)
    except KeyboardInterrupt:
        # Click turns those of a running verb into an end of its own; this one came while modules loaded.
        sys.stderr.write("xenp2m: interrupted\n")
        status = 2
    sys.exit(status)
