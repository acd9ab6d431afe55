"""``python -m benchmarks``: every figure in one run, beside its peers; a missing one is said in a line.

``--document FILE`` writes it down, ``--quick`` takes small sizes (a minute, and figures that say less),
``--only NAME`` runs one group, ``--tib`` adds a guest of 1 TiB. Ends with status 1 if a limit is missed.
"""

import argparse
import resource
import sys
import time
from pathlib import Path

from benchmarks.boots import boots, start_up
from benchmarks.cores import cores, tebibyte
from benchmarks.explore import exploring
from benchmarks.lookups import lookups
from benchmarks.report import Report, machine
from benchmarks.reports import reports
from benchmarks.streams import streams
from benchmarks.sweep import sweeping

GROUPS = {
    "lookups": lookups,
    "boots": boots,
    "start": start_up,
    "cores": cores,
    "streams": streams,
    "reports": reports,
    "explore": exploring,
    "sweep": sweeping,
}


def main():
    """Run, print, write; the status says whether a limit was missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small sizes")
    parser.add_argument("--only", action="append", choices=GROUPS, help="one group")
    parser.add_argument("--document", type=Path, help="file to write")
    parser.add_argument(
        "--tib", action="store_true", help="a guest of 1 TiB as well, which takes 7 GB of disk"
    )
    said = parser.parse_args()
    report = Report(quick=said.quick)
    for name, value in machine():
        print(f"{name}: {value}")
    start = time.perf_counter()
    for name in said.only or GROUPS:
        GROUPS[name](report)
    if said.tib:
        tebibyte(report)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    print(f"\n{time.perf_counter() - start:,.0f} s, peak memory of this run {peak:,} MiB")
    if said.document:
        said.document.write_text(report.document(), encoding="utf-8")
    return f"missed: {', '.join(report.missed)}" if report.missed else 0


if __name__ == "__main__":
    sys.exit(main())
