"""Medians and ratios of times; processor time, which other work on the machine does not lengthen much."""

import resource
import statistics
import time

__all__ = ["PEAK", "beside", "best", "median", "processor", "times_of"]

PEAK = "print(open('/proc/self/status').read().split('VmHWM:')[1].split()[0])\n"
"""A line for a script: prints the KiB that it has had at most. `ru_maxrss` begins with its parent's."""


def times_of(function, runs):
    """Wall clock of some calls, in seconds."""
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return times


def median(function, runs=7):
    """Median seconds of `runs` calls after one that is not counted."""
    function()
    return statistics.median(times_of(function, runs))


def best(function, runs=5):
    """Least seconds of some calls."""
    return min(times_of(function, runs))


def beside(function, peer, runs=7):
    """How often as long as `peer` it takes: the median of the ratios of neighbouring calls."""
    function()
    peer()
    pairs = [(times_of(function, 1)[0], times_of(peer, 1)[0]) for _ in range(runs)]
    return statistics.median(ours / theirs for ours, theirs in pairs)


def processor(function, runs=7, *, children=False):
    """Median seconds of processor time of `runs` calls after one that is not counted.

    Args:
        function: what to call.
        runs: how often.
        children: whether it is done by processes that it waits for.
    """
    if runs > 1:
        function()
    who = resource.RUSAGE_CHILDREN if children else resource.RUSAGE_SELF
    times = []
    for _ in range(runs):
        before = resource.getrusage(who)
        function()
        after = resource.getrusage(who)
        times.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return statistics.median(times)
