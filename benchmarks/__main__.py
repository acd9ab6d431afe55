"""``python -m benchmarks``: run everything, print one line a figure with its limit.

Ends with status 1 if a figure misses its limit. Times are medians; ratios are of the same run.
"""

import json
import resource
import statistics
import subprocess
import sys
import time

import numpy as np

from benchmarks.cores import cores
from benchmarks.explore import exploring
from benchmarks.hosts import big_host, holey_host, pc_hosts
from benchmarks.reports import reports
from benchmarks.streams import streams
from xenp2m.frames import GEOMETRY_32, GEOMETRY_64
from xenp2m.hostrow import host_of_row
from xenp2m.model.phys_to_machine import PhysToMachine
from xenp2m.model.rules import RULES
from xenp2m.p2m import P2M
from xenp2m.plan import make_plan
from xenp2m.replay import replay_row
from xenp2m.views.answer import answer

MISSED = []


def report(name, figure, unit, limit, *, at_least=False):
    """Print one line and remember a miss."""
    met = figure >= limit if at_least else figure <= limit
    if not met:
        MISSED.append(name)
    sign = ">=" if at_least else "<="
    print(f"{name:62} {figure:>10,.2f} {unit:8} ({sign} {limit:,g}){'' if met else '  MISSED'}")


def timed(function, runs=7):
    """Median seconds of `runs` calls after one that is not counted."""
    function()
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def big_plan():
    """A 64 TiB host with 2,000 entries, and the same map a thousandth of the size."""
    small_row, big_row = big_host(64 << 30), big_host(64 << 40)

    def run(row):
        return lambda: json.dumps(answer(make_plan(host_of_row(row, "benchmark")), "big"))

    small, big = timed(run(small_row)), timed(run(big_row))
    report("plan, 64 TiB and 2,000 E820 entries", big * 1e3, "ms", 40)
    report("plan, 64 TiB, a hole behind every entry", timed(run(holey_host(64 << 40))) * 1e3, "ms", 40)
    report("  the first beside 64 GiB and 2,000 entries", big / small, "times", 1.5)
    script = (
        "import json, resource, sys\n"
        "from xenp2m.hostrow import host_of_row\n"
        "from xenp2m.plan import make_plan\n"
        "from xenp2m.views.answer import answer\n"
        "json.dumps(answer(make_plan(host_of_row(json.load(sys.stdin), '-')), 1))\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)\n"
    )
    run_script = subprocess.run(
        [sys.executable, "-c", script], input=json.dumps(big_row), capture_output=True, text=True, check=True
    )
    report("  peak memory of that process", int(run_script.stdout) / 1024, "MiB", 100)


def json_lines():
    """Hosts a second through the command, start-up included."""
    rate = plan_rate(list(pc_hosts(5000)))
    report("JSON Lines, 5,000 PC-like hosts", rate, "hosts/s", 1000, at_least=True)


def plan_rate(rows):
    """Hosts a second of ``xenp2m plan --json -``."""
    text = "\n".join(json.dumps(row) for row in rows)
    start = time.perf_counter()
    run = subprocess.run(
        [sys.executable, "-m", "xenp2m", "plan", "--json", "-"],
        input=text,
        capture_output=True,
        text=True,
        check=False,
    )
    seconds = time.perf_counter() - start
    assert run.stdout.count("\n") == len(rows)
    assert '"error":' not in run.stdout
    return len(rows) / seconds


def bulk():
    """16M random PFNs in an array of 16M words, beside `numpy.take` on the same array."""
    size = 1 << 24
    random = np.random.default_rng(2011)
    words = random.permutation(size).astype(np.uint64)
    pfns = random.integers(0, size, size).astype(np.uint64)
    p2m, index = P2M(words), pfns.view(np.int64)
    assert (p2m.translate(pfns) == np.take(words, index)).all()
    ratios = []
    for _ in range(7):
        start = time.perf_counter()
        np.take(words, index)
        middle = time.perf_counter()
        p2m.translate(pfns)
        ratios.append((time.perf_counter() - middle) / (middle - start))
    report("bulk translation of 16M PFNs beside numpy.take", statistics.median(ratios), "times", 1.2)


def older_hosts():
    """Hosts a second of each older era through the command, start-up included."""
    for version in ("2.6.39", "3.6", "3.12", "3.18", "4.2"):
        rows = [row | {"kernel": version} for row in pc_hosts(3000)]
        report(f"JSON Lines of Linux {version}", plan_rate(rows), "hosts/s", 500, at_least=True)


def trees():
    """16M random PFNs in a tree, beside `numpy.take` on the same map as one array; replay."""
    # 14 of 16 parts have pages, in leaves of their own; one part is identity, one missing
    size, part = 1 << 24, 1 << 20
    nr_pages = 14 * part
    random = np.random.default_rng(2011)
    pfns = random.integers(0, size, size)
    for geometry in (GEOMETRY_64, GEOMETRY_32):
        p2m = PhysToMachine(RULES["3.12"], geometry, random.permutation(nr_pages))
        p2m.set_range_identity(nr_pages, nr_pages + part - 100)
        flat = p2m.gather(np.arange(size))
        ratios = []
        for _ in range(7):
            start = time.perf_counter()
            np.take(flat, pfns)
            middle = time.perf_counter()
            p2m.gather(pfns)
            ratios.append((time.perf_counter() - middle) / (middle - start))
        name = f"tree of {geometry.entries} a page, 16M PFNs beside numpy.take"
        report(name, statistics.median(ratios), "times", 2.5)
    count = 50_000
    names = random.choice(["g", "s", "__s"], count).tolist()
    ops = [["ri", 786_432, 1 << 20], ["rt"]]
    ops += [[name, int(pfn), 5] for name, pfn in zip(names, random.integers(0, 1 << 20, count), strict=True)]
    start = time.perf_counter()
    out = replay_row({"kernel": "3.12", "bits": 64, "nr_pages": 1 << 19, "ops": ops})["out"]
    rate = len(out["ret"]) / (time.perf_counter() - start)
    report("replay of operations on a tree", rate, "ops/s", 20_000, at_least=True)


def start_up():
    """``xenp2m --help`` beside a bare interpreter."""
    bare = timed(lambda: subprocess.run([sys.executable, "-c", "pass"], check=True), 15)
    command = [sys.executable, "-m", "xenp2m", "--help"]
    helped = timed(lambda: subprocess.run(command, capture_output=True, check=True), 15)
    report("xenp2m --help beside a bare interpreter", helped / bare, "times", 4)
    probe = (
        "import sys, xenp2m.cli\n"
        "try:\n    xenp2m.cli.main(['--help'])\n"
        "except SystemExit:\n    sys.exit('numpy' in sys.modules)\n"
    )
    loaded = subprocess.run([sys.executable, "-c", probe], capture_output=True, check=False).returncode
    report("  numpy modules it loads", loaded, "", 0)


if __name__ == "__main__":
    print(f"Python {sys.version.split()[0]}, numpy {np.__version__}")
    big_plan()
    json_lines()
    bulk()
    older_hosts()
    trees()
    exploring(report)
    start_up()
    cores(report)
    reports(report)
    streams(report)
    print(f"peak memory of this run: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10} MiB")
    sys.exit(f"missed: {', '.join(MISSED)}" if MISSED else 0)
