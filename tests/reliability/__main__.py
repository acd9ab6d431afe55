"""``python -m tests.reliability``: truncation, kills and a short attack on every parser, as tables.

``--document FILE`` writes them down, with the long attack that ``docs/fuzz.json`` keeps. All of it takes a quarter of an hour.
"""

import argparse
import json
import sys
import time
from pathlib import Path

from tests.fuzz.harness import Fuzzer
from tests.fuzz.limits import MEMORY, SECONDS, traced
from tests.fuzz.targets import TARGETS
from tests.reliability.kills import COMMANDS, killed
from tests.reliability.truncation import CASES, STRIDE, truncated

LONG = Path(__file__).parent.parent.parent / "docs" / "fuzz.json"
KILLS, TRACED = 6, 25


def table(head, rows):
    """A table of Markdown; the first column says what, the others are numbers."""
    shown = [[cell if isinstance(cell, str) else f"{cell:,}" for cell in row] for row in rows]
    lines = [head, ["---", *["--:"] * (len(head) - 1)], *shown]
    return [f"| {' | '.join(line)} |" for line in lines]


def truncation():
    """Files cut off."""
    rows = []
    for name in CASES:
        cuts = truncated(name)
        print(f"{name:40} {cuts.cuts:>9,} cuts, {cuts.refused:,} refused  {cuts.seconds:.0f} s", flush=True)
        rows.append([name, cuts.size, cuts.cuts, cuts.refused, cuts.salvaged, cuts.read])
    head = ["file", "bytes", "cuts", "refused in one line", "of those, read with --salvage", "read as it is"]
    return [
        "## Files that end too early",
        "",
        "Each file is cut off at every byte; inside the contents of pages at every byte of the first and the last page",
        f"of a section or record, and at every {STRIDE:,}th between. A log that ends early is a shorter log. Nothing else",
        "came out of any of them.",
        "",
        *table(head, rows),
    ]


def kills():
    """Commands killed."""
    rows = []
    for name in COMMANDS:
        told = killed(name, KILLS)
        print(f"{name:40} {told.kills} kills, {told.half} half files, {told.litter} beside", flush=True)
        rows.append([f"`{name}`", told.kills, told.before, told.after, told.half, told.litter])
    head = ["command", "kills", "as it was before", "new file, whole", "half a file", "left beside"]
    return [
        "## Commands that are killed",
        "",
        "Killed at random moments, and by the kernel when a file reaches a random length. On Linux a file gets its name",
        "when it is whole; where the file system knows no files without a name, `.NAME.` and a random word may be left",
        "beside NAME. The file of `--resume` grows line by line; the next run drops a last line that was cut.",
        "",
        *table(head, rows),
    ]


def attacks():
    """Every parser under a few damaged inputs with every allocation measured, and the long run's numbers."""
    long = json.loads(LONG.read_text()) if LONG.exists() else None
    rows = []
    for name, target in TARGETS.items():
        fuzzer = Fuzzer(name, target, traced)
        for seed in range(TRACED):
            fuzzer.attack(seed)
        told = long["targets"].get(name) if long else None
        counts = (
            [told[key] for key in ("inputs", "per_second", "slowest_ms", "broken")] if told else ["–"] * 4
        )
        rows.append([name, TRACED, *counts])
    print(f"{len(TARGETS)} parsers, {TRACED} damaged inputs each, every allocation measured", flush=True)
    head = ["parser", "measured now", "inputs of the long runs", "a second", "slowest, ms", "broken"]
    text = [
        "## Damaged inputs",
        "",
        f"Only `XenP2MError` may come out, in one line, within {SECONDS:g} s of processor time and {MEMORY >> 20} MiB.",
        "`python -m tests.fuzz` damages sound inputs as bytes, lines or JSON values; what behaves in a new way is",
        "damaged further.",
    ]
    if long:
        broken = sum(row["broken"] for row in long["targets"].values())
        text += [
            "",
            f"The long runs ({long['with']}, one process at the lowest priority): {long['inputs']:,} inputs in"
            f" {long['seconds']:,} s. {broken} of them broke something, which was mended and became a test;"
            " the slowest are on a busy machine's clock.",
        ]
    return [*text, "", *table(head, rows)]


def main():
    """Measure, print, write."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.reliability", description="Truncation, kills, damage."
    )
    parser.add_argument("--document", type=Path, help="file to write")
    said = parser.parse_args()
    start = time.perf_counter()
    parts = [truncation(), kills(), attacks()]
    print(f"{time.perf_counter() - start:,.0f} s")
    if said.document:
        head = ["# What it does with what is broken", "", "Written by `make reliability`."]
        lines = [*head, *(line for part in parts for line in ("", *part))]
        said.document.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
