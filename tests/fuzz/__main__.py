"""``python -m tests.fuzz --inputs N --seconds S``: attack every parser until one of both is reached.

Targets take turns of a quarter of a second or 2,000 inputs. Prints a line for each; what breaks one is written to a file, named with
its seed, and the status is 1. ``--json FILE`` adds the numbers to those of earlier runs, which `python -m tests.reliability` shows.
"""

import argparse
import json
import platform
import sys
import time
import traceback
from pathlib import Path

from tests.fuzz.harness import BrokenError, Fuzzer
from tests.fuzz.limits import MEMORY, SECONDS, limit_growth
from tests.fuzz.targets import TARGETS

SLICE, MOST = 0.25, 2000
"""Seconds and inputs of one target before it is the next one's turn."""


def arguments():
    """What the user said."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description="Attack every parser.")
    parser.add_argument("--inputs", type=int, default=20_000, help="inputs in all")
    parser.add_argument("--seconds", type=float, default=60, help="wall clock in all")
    parser.add_argument("--seed", type=int, default=0, help="the first seed")
    parser.add_argument("--target", action="append", choices=TARGETS, help="only this one")
    parser.add_argument("--json", type=Path, help="file for the numbers")
    parser.add_argument("--broken", type=Path, default=Path("fuzz-broken"), help="directory for what breaks")
    return parser.parse_args()


def campaign(fuzzers, said):
    """Attack in turn; return what broke and the seconds it took."""
    start, seed, broken = time.perf_counter(), said.seed, []
    while sum(fuzzer.told.inputs for fuzzer in fuzzers) < said.inputs:
        for fuzzer in fuzzers:
            try:
                _turn(fuzzer, seed)
            except BrokenError as error:
                broken.append(error)
                _keep(error, said.broken)
        seed += MOST
        if time.perf_counter() - start > said.seconds:
            break
    return broken, time.perf_counter() - start


def _turn(fuzzer, first):
    limit_growth()
    end = time.perf_counter() + SLICE
    for seed in range(first, first + MOST):
        fuzzer.attack(seed)
        if time.perf_counter() > end:
            break


def _keep(error, folder):
    folder.mkdir(exist_ok=True)
    path = folder / f"{error.target.replace(' ', '-')}.{error.seed}"
    path.write_bytes(error.data)
    cause = error.__cause__
    last = traceback.extract_tb(cause.__traceback__)[-1]
    print(
        f"{error}: {type(cause).__name__}: {cause} ({last.filename}:{last.lineno}) -> {path}",
        file=sys.stderr,
        flush=True,
    )


def _add(path, inputs, seconds, rows):
    """Add the numbers of this run to those that a file keeps of earlier ones."""
    kept = json.loads(path.read_text()) if path.exists() else {"inputs": 0, "seconds": 0, "targets": {}}
    for name, row in rows.items():
        old = kept["targets"].get(name, dict.fromkeys(row, 0))
        both = {key: max(row[key], old[key]) for key in row}
        both |= {key: row[key] + old[key] for key in ("inputs", "refused", "broken")}
        kept["targets"][name] = both
    kept |= {"inputs": kept["inputs"] + inputs, "seconds": kept["seconds"] + seconds}
    kept["with"] = f"Python {platform.python_version()}"
    path.write_text(json.dumps(kept, indent=1) + "\n", encoding="ascii")


def main():
    """Run, print, keep; the status says whether anything broke."""
    said = arguments()
    names = said.target or list(TARGETS)
    fuzzers = [Fuzzer(name, TARGETS[name]) for name in names]
    broken, seconds = campaign(fuzzers, said)
    print(f"{'target':18} {'inputs':>10} {'refused':>8} {'a second':>9} {'slowest':>9}  outcomes")
    rows = {}
    for fuzzer in fuzzers:
        told = fuzzer.told
        rows[fuzzer.name] = {
            "inputs": told.inputs,
            "refused": told.refused,
            "per_second": round(told.inputs / max(told.seconds, 1e-9)),
            "slowest_ms": round(told.slowest * 1e3, 1),
            "outcomes": told.kept,
            "broken": sum(error.target == fuzzer.name for error in broken),
        }
        share = 100 * told.refused / max(told.inputs, 1)
        print(
            f"{fuzzer.name:18} {told.inputs:>10,} {share:>7.0f}% {rows[fuzzer.name]['per_second']:>9,}"
            f" {told.slowest * 1e3:>6.0f} ms  {told.kept}"
        )
    total = sum(row["inputs"] for row in rows.values())
    print(
        f"{total:,} inputs in {seconds:,.0f} s, {len(broken)} broken; each within {SECONDS} s and {MEMORY >> 20} MiB"
    )
    if said.json:
        _add(said.json, total, round(seconds), rows)
    return int(bool(broken))


if __name__ == "__main__":
    sys.exit(main())
