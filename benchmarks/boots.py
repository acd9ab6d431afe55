"""Plans: by size of the host, by entries of its map, many of them, and the start of the program."""

import json
import subprocess
import sys

from benchmarks.clock import PEAK, beside, processor
from benchmarks.hosts import GIB, big_host, holey_host, pc_hosts
from xenp2m.hostrow import host_of_row
from xenp2m.model.rules import RULES
from xenp2m.plan import make_plan
from xenp2m.replay import replay_row
from xenp2m.views.answer import answer

__all__ = ["boots", "start_up"]

_PEAK = (
    "import json, sys\n"
    "from xenp2m.hostrow import host_of_row\n"
    "from xenp2m.plan import make_plan\n"
    "from xenp2m.views.answer import answer\n"
    "json.dumps(answer(make_plan(host_of_row(json.load(sys.stdin), '-')), 1))\n" + PEAK
)


def _run(row):
    return lambda: json.dumps(answer(make_plan(host_of_row(row, "benchmark")), "big"))


def boots(report):
    """One host, growing; many hosts; operations one after another."""
    report.section(
        "Plans", "A plan costs what its map costs, not what its memory is. Times are of the processor."
    )
    rows = []
    for size in (4 * GIB, 64 * GIB, 1 << 40, 64 << 40):
        row = [f"{size >> 30:,} GiB"]
        for entries in (20, 200, 2000):
            row.append(processor(_run(big_host(size, entries)), 3 if report.quick else 7) * 1e3)
        rows.append(row)
    report.table(["host", *(f"ms at {n:,} entries" for n in (20, 200, 2000))], rows)
    big_row = big_host(64 << 40)
    report("plan, 64 TiB and 2,000 E820 entries", rows[-1][3], "ms", 40)
    report("  beside 64 GiB and as many", rows[-1][3] / rows[1][3], "times", 1.5)
    report("  a hole behind every entry", processor(_run(holey_host(64 << 40))) * 1e3, "ms", 40)
    peak = subprocess.run(
        [sys.executable, "-c", _PEAK], input=json.dumps(big_row), capture_output=True, text=True, check=True
    )
    report("  peak memory of that process", int(peak.stdout) / 1024, "MiB", 100)
    count = 500 if report.quick else 3000
    rate = plan_rate(list(pc_hosts(count)))
    report(
        f"JSON Lines, {count:,} PC-like hosts, the command's start included",
        rate,
        "hosts/s",
        1000,
        at_least=True,
    )
    for version in ("2.6.39", "3.6", "3.12", "3.18", "4.2"):
        older = [row | {"kernel": version} for row in pc_hosts(count // 2)]
        report(f"  of Linux {version}", plan_rate(older), "hosts/s", 500, at_least=True)
    _replay(report)


def plan_rate(rows):
    """Hosts a second of ``xenp2m plan --json -``."""
    text = "\n".join(json.dumps(row) for row in rows)
    command = [sys.executable, "-m", "xenp2m", "plan", "--json", "-"]

    def plan():
        run = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
        assert run.stdout.count("\n") == len(rows)
        assert '"error":' not in run.stdout

    return len(rows) / processor(plan, 1, children=True)


def _replay(report):
    import numpy as np

    count, chance = 5_000 if report.quick else 50_000, np.random.default_rng(2011)
    names = chance.choice(["g", "s", "__s"], count).tolist()
    ops = [["ri", 786_432, 1 << 20], ["rt"]]
    ops += [[name, int(pfn), 5] for name, pfn in zip(names, chance.integers(0, 1 << 20, count), strict=True)]
    row = {"kernel": "3.12", "bits": 64, "nr_pages": 1 << 19, "ops": ops}
    assert row["kernel"] in RULES
    rate = count / processor(lambda: replay_row(row), 3)
    report("replay of operations on a tree", rate, "ops/s", 20_000, at_least=True)


def start_up(report):
    """``xenp2m --help`` beside a bare interpreter, a plan beside it."""
    report.section("Start-up")
    runs = 5 if report.quick else 15

    def process(*arguments):
        command = [sys.executable, *arguments]
        return lambda: subprocess.run(command, check=True, capture_output=True)

    bare = process("-c", "pass")
    report(
        "xenp2m --help beside a bare interpreter",
        beside(process("-m", "xenp2m", "--help"), bare, runs),
        "times",
        4,
    )
    report(
        "xenp2m plan beside a bare interpreter",
        beside(process("-m", "xenp2m", "plan"), bare, runs),
        "times",
        40,
    )
    probe = (
        "import sys, xenp2m.cli\n"
        "try:\n    xenp2m.cli.main(['--help'])\n"
        "except SystemExit:\n    sys.exit('numpy' in sys.modules)\n"
    )
    loaded = subprocess.run([sys.executable, "-c", probe], capture_output=True, check=False).returncode
    report("  numpy modules that --help loads", loaded, "", 0)
