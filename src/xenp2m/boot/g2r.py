"""Linux 3.18: frames under holes are moved at once to RAM behind the allocation.

Source: ``xen_set_identity_and_remap``, ``xen_set_identity_and_remap_chunk``,
``xen_do_set_identity_and_remap_chunk``, ``xen_find_pfn_range`` in ``arch/x86/xen/setup.c``, 3.18
(4fbb67e3c87b).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from xenp2m.boot.layout import BugError, Move
from xenp2m.boot.older import begin, finish, grafted, release, rules_for
from xenp2m.boot.run_tree import Frames
from xenp2m.e820 import ADDRESS_LIMIT, RAM
from xenp2m.frames import Kind, pfn_down, pfn_up

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from xenp2m.boot.layout import Layout
    from xenp2m.boot.run_tree import RunTree
    from xenp2m.e820 import Entry
    from xenp2m.extents import Range
    from xenp2m.host import Host

__all__ = ["boot", "find_room"]


def boot(host: Host) -> Layout:
    """Replay one boot of 3.18. Cost grows with entries of the map, not with pages."""
    layout = begin(host, ignore_unusable=True)
    last = layout.ini_pages
    tree = grafted(host, rules_for(host), last)
    try:
        for hole in layout.holes:
            last = _empty_hole(layout, tree, hole, last)
    except BugError as stop:
        layout.bug = stop.bug
        return layout
    mem_end = max(layout.ini_pages, min(layout.limit, last))
    return finish(host, layout, tree, mem_end, behind=True)


def _empty_hole(layout: Layout, tree: RunTree, hole: Range, target: int) -> int:
    """Move the frames of one hole to `target` and after it; the rest of the hole is identity.

    Returns:
        Where the next hole's frames go.
    """
    start, end = hole
    base = layout.ini_pages
    while start < end:
        if start >= base:
            tree.set_identity(start, end)
            break
        target, room = find_room(layout.host_map, target)
        if not room:
            release(layout, tree, start, min(end, base))
            tree.set_identity(start, end)
            break
        move = Move(start, target, min(end, base, start + room) - start)
        _move(tree, move)
        layout.moves.append(move)
        start += move.size
        target += move.size
    return target


def find_room(entries: Sequence[Entry], target: int) -> tuple[int, int]:
    """First RAM frame from `target` on, and how many follow in its entry.

    An entry that ends exactly at `target` is taken, with no room in it (mended later, 3.19).
    """
    for entry in entries:
        if entry.type != RAM or pfn_down(entry.end) < target:
            continue
        target = max(target, pfn_up(entry.start))
        return target, (pfn_down(entry.end) - target) % ADDRESS_LIMIT
    return target, 0


def _move(tree: RunTree, move: Move) -> None:
    """Move frames in whole leaves first, so that pages come free, then what is left at both ends."""
    entries = tree.geometry.entries
    source, target, end = move.source, move.target, move.source + move.size
    low, high = -(-source // entries) * entries, -(-target // entries) * entries
    whole = max(0, min((end - low) // entries, (target + move.size - high) // entries)) * entries
    if whole:
        _move_whole(tree, low, high, whole)
    for first, to, size in list(_boundaries(move, low, high, whole)):
        _copy(tree, first, to, size)
    if low >= end // entries * entries:
        tree.set_identity(source, end)
        return
    if source < low:
        tree.set_identity(source, low)
    if low + whole < end:
        tree.set_identity(low + whole, end)


def _move_whole(tree: RunTree, source: int, target: int, size: int) -> None:
    """Whole leaves: identity first, so that the targets can take their pages.

    The kernel goes leaf by leaf. Each step frees one page and takes the first free one, so doing all
    steps of a kind at once takes the same pages.
    """
    held = list(tree.words.items(source, source + size))
    tree.set_identity(source, source + size)
    for first, end, frames in held:
        _store(tree, first, end, frames, target - source)


def _boundaries(move: Move, low: int, high: int, whole: int) -> Iterator[Move]:
    """What whole leaves leave over: sources and targets, each ascending, paired off."""
    source, target, left = move.source, move.target, move.size - whole
    while left:
        if source == low:
            source += whole
        if target == high:
            target += whole
        size = left
        if source < low:
            size = min(size, low - source)
        if target < high:
            size = min(size, high - target)
        yield Move(source, target, size)
        source, target, left = source + size, target + size, left - size


def _copy(tree: RunTree, source: int, target: int, size: int) -> None:
    for first, end, frames in list(tree.words.items(source, source + size)):
        _store(tree, first, end, frames, target - source)


def _store(tree: RunTree, first: int, end: int, frames: Frames, by: int) -> None:
    """Store what was read at ``[first, end)`` `by` frames higher; identity reads as the plain number."""
    if frames.kind is Kind.IDENTITY:
        frames = Frames(Kind.MFN, 0, 1)
    tree.fill(first + by, end + by, frames.moved(by))
