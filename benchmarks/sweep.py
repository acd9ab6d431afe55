"""Speed of sweeps: plans a second and core with and without findings, and what a second core adds.

``python -m benchmarks.sweep``. Rates are of processor time. The gain of two processes is held against
what two bare loops gain over one in the same run, which is 2 on an idle machine of two cores and less
on a busy one; 1.6 of 2 is 0.8.
"""

import sys
import time
from multiprocessing import get_context

from benchmarks.hosts import pc_hosts
from xenp2m.hostrow import host_of_row
from xenp2m.kernel import Version
from xenp2m.sweep.cases import Sweep
from xenp2m.sweep.run import chunks_of, run_chunks

CASES = 24_000
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


def main():
    """Print the figures; the status says whether a limit is missed."""
    rate(fleet(600))
    fast, whole = rate(fleet(6000, findings=False)), rate(fleet(6000))
    print(f"{'plans a second and core, without findings':58} {fast:>8,.0f}  (>= 3,000)")
    print(f"{'plans a second and core, with findings':58} {whole:>8,.0f}  (>= 1,000)")
    sweep = fleet(CASES)
    gains, bare = [], []
    for _ in range(ROUNDS):
        gains.append(speed(sweep, 2) / speed(sweep, 1))
        bare.append(bare_gain())
    gain, ideal = sorted(gains)[ROUNDS // 2], sorted(bare)[ROUNDS // 2]
    share = gain / ideal
    print(f"{f'two processes beside one, {CASES:,} cases':58} {gain:>8.2f}")
    print(f"{'  two bare loops beside one, in the same run':58} {ideal:>8.2f}")
    print(f"{'  share of it (1.6 of 2)':58} {share:>8.2f}  (>= 0.8)")
    return int(fast < 3000 or whole < 1000 or share < 0.8)


if __name__ == "__main__":
    sys.exit(main())
