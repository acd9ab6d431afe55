"""Speed of sweeps: plans a second and core with and without findings, and what a second core adds.

The gain of two processes is held against what two bare loops gain over one in the same run, which is 2 on
an idle machine of two cores and less on a busy one, or where two cores share one's hardware; 1.6 of 2 is 0.8.
Beside it stands what no other work disturbs: the processor time of a whole sweep, start of the processes
included, by two and by one, again over what bare loops take. 1.6 times as many plans are at most 1.25 of it.
"""

import resource
import time
from multiprocessing import get_context

from benchmarks.hosts import pc_hosts
from xenp2m.hostrow import host_of_row
from xenp2m.kernel import Version
from xenp2m.sweep.cases import Sweep
from xenp2m.sweep.run import chunks_of, run_chunks

CASES = 16_000
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


def work(sweep, jobs):
    """Chunks a second of wall-clock time once every worker is at work; processor time of the whole."""
    before = used()
    done = run_chunks(sweep, chunks_of(len(sweep), 250), jobs)
    for _ in range(3 * jobs):
        next(done)
    start = time.perf_counter()
    left = sum(1 for _ in done)
    return left / (time.perf_counter() - start), used() - before


def used():
    """Seconds of processor time of this process and of workers that have ended."""
    who = resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN
    return sum(sum(resource.getrusage(each)[:2]) for each in who)


def spin(seconds):
    """Rounds of a bare loop in some seconds, and the processor time of a round."""
    rounds, end, before = 0, time.perf_counter() + seconds, time.process_time()
    while time.perf_counter() < end:
        sum(range(2000))
        rounds += 1
    return rounds, (time.process_time() - before) / rounds


def bare_loops():
    """What two bare loops do beside one, now, and the processor time of a round of theirs beside one's."""
    with get_context("spawn").Pool(2) as pool:
        pool.map(spin, [0.1, 0.1], 1)
        alone, cost_alone = pool.map(spin, [1.5], 1)[0]
        rounds, costs = zip(*pool.map(spin, [1.5, 1.5], 1), strict=True)
        return sum(rounds) / alone, sum(costs) / len(costs) / cost_alone


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
    gains, bare, costs = [], [], []
    for _ in range(ROUNDS):
        (two, cost_of_two), (one, cost_of_one) = work(sweep, 2), work(sweep, 1)
        gains.append(two / one)
        bare_gain, bare_cost = bare_loops()
        bare.append(bare_gain)
        costs.append(cost_of_two / cost_of_one / bare_cost)
    gain, ideal = sorted(gains)[ROUNDS // 2], sorted(bare)[ROUNDS // 2]
    report(f"two processes beside one, {CASES:,} cases", gain, "times")
    report("  two bare loops beside one", ideal, "times")
    report("  share of it (1.6 of 2)", gain / ideal, "", 0.8, at_least=True)
    report(
        "  processor time of two beside one, over that of bare loops",
        sorted(costs)[ROUNDS // 2],
        "times",
        1.25,
    )
