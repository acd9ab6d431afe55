"""The thread's ways out, compared over random machines: what breaks, what it costs, what is lost.

Every machine is a PC of its time: RAM from 0 on with firmware ranges in it, a hole below 4 GiB that
begins anywhere, RAM behind it. dom0 starts with less than it may have, and the balloon fills the frames
right behind, up to the maximum or the hole: the premise of the thread. The tree is edited on runs
(`xenp2m.boot.run_tree`), so a machine costs as much as it has holes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, NamedTuple

from xenp2m.boot.run_tree import Frames, RunTree
from xenp2m.extents import intersect, subtract
from xenp2m.frames import GEOMETRY_64, Kind
from xenp2m.model.rules import RULES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from xenp2m.extents import Range

__all__ = ["WAYS", "Machine", "Tally", "compare", "machines"]

WAYS = ("seed", "seed-bit", "seed-builder", "seed-early", "seed-hoisted", "2.6.39")
"""The patch as proposed, with its bit, the three ways out, and what landed."""

_MIB = 1 << 8
_GIB = 1 << 18
_FIRST_MFN = 1 << 24


class Machine(NamedTuple):
    """One machine, in PFNs.

    Attributes:
        holes: ascending ranges that are no RAM.
        nr_pages: pages that dom0 starts with.
        max_pages: pages that it may have.
        extra: what the balloon fills: behind the start, up to the maximum or the next hole.
    """

    holes: list[Range]
    nr_pages: int
    max_pages: int
    extra: Range


@dataclass
class Tally:
    """What one rule set made of all machines.

    Attributes:
        rules: its name.
        broken: machines on which the balloon comes to a frame that is identity without being asked.
        over: frames that are identity without being asked.
        lost: frames that should be identity and are not.
        pages: early pages beyond the builder's tree, machine by machine.
        unreserved: machines that need more early pages than p2m.c reserves.
    """

    rules: str
    broken: int = 0
    over: int = 0
    lost: int = 0
    pages: list[int] = field(default_factory=list)
    unreserved: int = 0


def machines(count: int, seed: int) -> Iterator[Machine]:
    """Random machines; the same ones for the same seed."""
    chance = Random(seed)
    for _ in range(count):
        low = chance.randrange(_GIB, 7 * _GIB // 2)
        if chance.random() < 0.5:
            low -= low % _MIB
        holes = [(0x9F, 0x100)]
        start = chance.randrange(1, 16) * _MIB
        for _ in range(chance.randrange(4)):
            start += chance.randrange(_MIB, low // 2)
            end = start + chance.randrange(1, 16 * _MIB)
            if end >= low - _MIB:
                break
            holes.append((start, end))
            start = end
        holes.append((low, 4 * _GIB))
        nr_pages = chance.randrange(1, max(2, low // (64 * _MIB))) * 64 * _MIB
        max_pages = chance.randrange(nr_pages, low + 1)
        yield Machine(holes, nr_pages, max_pages, _extra(holes, nr_pages, max_pages))


def _extra(holes: list[Range], start: int, end: int) -> Range:
    """Frames ``[start, end)`` as far as no hole comes; a start inside a hole moves behind it."""
    for low, high in holes:
        if low <= start < high:
            start = high
        elif start < low < end:
            end = low
    return start, max(start, end)


def compare(
    count: int, seed: int, progress: Callable[[int, int], None] | None = None, ways: tuple[str, ...] = WAYS
) -> list[Tally]:
    """Boot every machine by every rule set.

    Args:
        count: machines.
        seed: of the machines.
        progress: is told how many machines are done, and how many there are.
        ways: rule sets of trees.
    """
    tallies = [Tally(name) for name in ways]
    for index, machine in enumerate(machines(count, seed)):
        if progress is not None and index % 64 == 0:
            progress(index, count)
        for tally in tallies:
            _boot(machine, tally)
    return tallies


def _boot(machine: Machine, tally: Tally) -> None:
    """Edit the tree as memory setup does, and count."""
    rules = RULES[tally.rules]
    tree = RunTree(rules, GEOMETRY_64)
    tree.graft(machine.nr_pages, Frames(Kind.MFN, _FIRST_MFN, 1))
    built = tree.brk
    for start, end in machine.holes:
        tree.set_identity(start, end)
    identity = tree.reads(0, GEOMETRY_64.max_p2m_pfn, Kind.IDENTITY)
    unasked = subtract(identity, machine.holes)
    tally.broken += bool(intersect(unasked, [machine.extra]))
    tally.over += sum(end - start for start, end in unasked)
    tally.lost += sum(end - start for start, end in subtract(machine.holes, identity))
    tally.pages.append(tree.brk - built)
    tally.unreserved += tree.brk > rules.reservation.pages(GEOMETRY_64)
