"""Exploration: transitions a second in one process, beside the same done by whole guests, and the minute."""

import time

from xenp2m.explore.eras import RULE_SETS
from xenp2m.explore.exploration import default_bound, explore
from xenp2m.explore.operations import Config, Op, Scope
from xenp2m.explore.toy import Toy
from xenp2m.explore.ways_out import compare
from xenp2m.frames import Geometry


def exploring(report):
    """Every rule set at its default bound; `report` prints one figure with its limit."""
    report.section(
        "Exploration",
        "Every sequence of operations on a toy of a tree, by every rule set; times of the processor.",
    )
    slowest, longest = float("inf"), 0.0
    for rules in list(RULE_SETS.values())[: 2 if report.quick else None]:
        start = time.process_time()
        done = explore(Scope(rules, Geometry(8, 2), "all", default_bound(2)))
        seconds = time.process_time() - start
        slowest, longest = min(slowest, done.search.transitions / seconds), max(longest, seconds)
    report("explore, transitions of the slowest rule set", slowest, "1/s", 100_000, at_least=True)
    report("  the longest of them, every sequence however long", longest, "s", 60)
    report("  that rate beside whole guests", slowest / _whole_guests(), "times", 10, at_least=True)
    start = time.process_time()
    compare(2000, 2011)
    rate = 2000 * 6 / (time.process_time() - start)
    report("explore --compare, trees", rate, "trees/s", 2000, at_least=True)


def _whole_guests():
    """Operations a second where each is done on a guest of its own."""
    toy = Toy(Scope(RULE_SETS["3.12"], Geometry(8, 2), "all", 1))
    units = toy.units(toy.start(Config(3)))
    start, count = time.process_time(), 2000
    for index in range(count):
        p2m = toy.load(Config(3), True, dict(enumerate(units)))
        toy.apply(p2m, Op("s", index % 8, 0, "mfn"))
        toy.units(p2m)
        toy.reads(p2m)
    return count / (time.process_time() - start)
