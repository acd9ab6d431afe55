"""The ways out, compared, as a table and as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from xenp2m.views.text import Paint, plain, rows, size, wrapped

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from xenp2m.explore.ways_out import Tally

__all__ = ["ways_answer", "ways_lines"]


def ways_lines(tallies: Sequence[Tally], seed: int, width: int = 80, paint: Paint = plain) -> Iterator[str]:
    """One line for each rule set.

    Args:
        tallies: what each made of the same machines.
        seed: of the machines.
        width: columns of the terminal.
        paint: puts styles on text.
    """
    count = len(tallies[0].pages)
    table = [("rules", "broken", "too much", "lost", "pages", "at most", "short")]
    for one in tallies:
        pages = sorted(one.pages)
        table.append(
            (
                one.rules,
                f"{one.broken:,}",
                size(one.over // count) if one.over else "none",
                size(one.lost // count) if one.lost else "none",
                f"{pages[count // 2]:,}",
                f"{pages[-1]:,}",
                f"{one.unreserved:,}",
            )
        )
    lines = iter(rows(table, frozenset({1, 2, 3, 4, 5}), width))
    yield paint(next(lines), "dim")
    yield from lines
    yield wrapped(
        f"{count:,} random machines (seed {seed}). broken: the balloon comes to a frame that is identity "
        "without being asked. Too much, lost: identity where nobody asked for it, or none where somebody "
        "did, mean of all machines. Pages: early ones that identity takes, median and most. Short: "
        "machines that need more of them than p2m.c sets aside.",
        width,
    )


def ways_answer(tallies: Sequence[Tally], seed: int) -> dict[str, Any]:
    """The same as JSON; frames and pages are sums over all machines."""
    return {
        "schema": 1,
        "machines": len(tallies[0].pages),
        "seed": seed,
        "ways": [
            {
                "rules": one.rules,
                "broken": one.broken,
                "identity_too_much": one.over,
                "identity_lost": one.lost,
                "pages": sum(one.pages),
                "pages_median": sorted(one.pages)[len(one.pages) // 2],
                "pages_most": max(one.pages),
                "beyond_reserve": one.unreserved,
            }
            for one in tallies
        ],
    }
