"""Speed of sweeps: plans a second and core with and without findings, and what a second core adds.

The gain of two processes is held against what two bare loops gain over one in the same run, which is 2 on
an idle machine of two cores and less on a busy one; 1.6 of 2 is 0.8.
"""

import time
from multiprocessing import get_context

from benchmarks.hosts import pc_hosts
from xenp2m.hostrow import host_of_row
from xenp2m.kernel import Version
from xenp2m.sweep.cases import Sweep
from xenp2m.sweep.run import chunks_of, run_chunks

CASES = 12_000
ROUNDS = 3


def fleet(count, *, findings=True):
    """`count` cases: hosts like those of personal computers, two sizes, three kernels."""
    hosts = [(str(row["id"]), host_of_row(row, "row")) for row in pc_hosts(count // 6)]
    kernels = (Version(5, 10), Version(6, 1), Version(6, 12, 107))
    return Sweep(hosts, kernels, values=("1G", "2G,max:3G"), findings=findings)


def rate(sweep):
    """Cases a second of processor time in this process."""
    start = time.process_time()
    sweep.chunk(0, len(sweep))
    return len(sweep) / (time.process_time() - start)


def speed(sweep, jobs):
    """Chunks a second of wall-clock time, once every worker is at work."""
    done = run_chunks(sweep, chunks_of(len(sweep), 250), jobs)
    for _ in range(3 * jobs):
        next(done)
    start = time.perf_counter()
    left = sum(1 for _ in done)
    return left / (time.perf_counter() - start)


def spin(seconds):
    """Rounds of a bare loop in some seconds."""
    rounds, end = 0, time.perf_counter() + seconds
    while time.perf_counter() < end:
        sum(range(2000))
        rounds += 1
    return rounds


def bare_gain():
    """What two bare loops do beside one, now."""
    with get_context("spawn").Pool(2) as pool:
        pool.map(spin, [0.1, 0.1], 1)
        alone = pool.map(spin, [1.5], 1)[0]
        return sum(pool.map(spin, [1.5, 1.5], 1)) / alone


def sweeping(report):
    """Tell the figures."""
    report.section("Sweeps", "Rates are of processor time; two processes are held against two bare loops.")
    rate(fleet(600))
    count = 1200 if report.quick else 6000
    report(
        "plans a second and core, without findings",
        rate(fleet(count, findings=False)),
        "1/s",
        3000,
        at_least=True,
    )
    report("plans a second and core, with findings", rate(fleet(count)), "1/s", 1000, at_least=True)
    if report.quick:
        return
    sweep = fleet(CASES)
    gains, bare = [], []
    for _ in range(ROUNDS):
        gains.append(speed(sweep, 2) / speed(sweep, 1))
        bare.append(bare_gain())
    gain, ideal = sorted(gains)[ROUNDS // 2], sorted(bare)[ROUNDS // 2]
    report(f"two processes beside one, {CASES:,} cases", gain, "times")
    report("  two bare loops beside one", ideal, "times")
    report("  share of it (1.6 of 2)", gain / ideal, "", 0.8, at_least=True)
