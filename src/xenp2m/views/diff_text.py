"""Two maps compared, as text and as JSON."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

from xenp2m.frames import Kind, counted
from xenp2m.views.answer import SCHEMA
from xenp2m.views.text import Paint, plain, rows, size, wrapped

if TYPE_CHECKING:
    from collections.abc import Iterator

    from xenp2m.extents import Run
    from xenp2m.maps.mapdiff import MapDiff

__all__ = ["answer_line", "change_word", "diff_lines", "diff_object", "side_text"]

_ROWS = 20
_WORDS = {(Kind.MISSING, Kind.MFN): "appeared", (Kind.MFN, Kind.MISSING): "vanished"}


def diff_lines(
    diff: MapDiff, names: tuple[str, str], *, width: int = 80, verbose: bool = False, paint: Paint = plain
) -> Iterator[str]:
    """Lines of text about what differs.

    Args:
        diff: what to show.
        names: of the two maps.
        width: columns of the terminal.
        verbose: every stretch, also of a guest that has moved as a whole.
        paint: puts styles on text.
    """
    yield paint(wrapped(f"from {names[0]} to {names[1]}", width, "", "  "), "head")
    yield ""
    yield wrapped(answer_line(diff), width, " ", "   ")
    if diff.unknown:
        yield wrapped(f"{counted(diff.unknown)} not compared: one of the inputs does not tell", width)
    if diff.same:
        return
    yield ""
    yield from _counts(diff, width, paint)
    yield from _table(diff, width, verbose, paint)


def answer_line(diff: MapDiff) -> str:
    """What differs, in a line."""
    if diff.same:
        what = "the same kinds" if not diff.numbers else "the same"
        return f"{what}: {counted(diff.end)}, {diff.kept:,} with a machine frame"
    if diff.elsewhere:
        which = "all" if not diff.kept else f"{diff.moved:,}"
        return (
            f"{which} of the {counted(diff.moved + diff.kept)} that both maps hold have another machine "
            "frame: the guest was restored or migrated in between"
        )
    told = "have a machine frame in both" if not diff.numbers else "kept their machine frame"
    parts = [f"{counted(diff.kept)} {told}"]
    if diff.moved:
        parts.append(f"{diff.moved:,} got another one")
    return " · ".join(parts)


def _counts(diff: MapDiff, width: int, paint: Paint) -> Iterator[str]:
    table = [("before", "after", "frames", "size", "")]
    for (before, after), pages in diff.kinds.items():
        word = change_word(before, after)
        table.append((before.value, after.value, f"{pages:,}", size(pages), word))
    lines = iter(rows(table, frozenset({2, 3}), width))
    yield paint(next(lines), "dim")
    yield from lines


def change_word(before: Kind, after: Kind) -> str:
    """A word for frames that were `before` and are `after`; "" where the kinds tell it."""
    return "moved" if before is after else _WORDS.get((before, after), "")


def _table(diff: MapDiff, width: int, verbose: bool, paint: Paint) -> Iterator[str]:
    pairs = diff.differences(moved=verbose or not diff.elsewhere)
    shown = list(pairs) if verbose else list(islice(pairs, _ROWS + 1))
    if not shown:
        return
    table = [("frames", "", "size", "before", "after")]
    for pair in shown[: None if verbose else _ROWS]:
        run = pair.before
        span = (f"{run.start:#x}", f"- {run.end:#x}", size(run.pages))
        table.append((*span, side_text(run), side_text(pair.after)))
    yield ""
    lines = iter(rows(table, frozenset({2}), width))
    yield paint(next(lines), "dim")
    yield from lines
    if len(shown) > _ROWS and not verbose:
        yield " … more rows (--verbose)"
    yield paint(wrapped("frames are PFNs, the end not included", width), "dim")


def side_text(run: Run) -> str:
    """Kind and number of one side."""
    if not run.step:
        return run.kind.value
    return f"{run.kind.value} {run.mfn:#x}" + (" descending" if run.step < 0 else "")


def diff_object(diff: MapDiff, names: tuple[str, str]) -> dict[str, Any]:
    """What differs as an object: ``differences`` is an iterator of pairs of runs over the same PFNs."""
    return {
        "schema": SCHEMA,
        "before": names[0],
        "after": names[1],
        "same": diff.same,
        "end": diff.end,
        "numbers": diff.numbers,
        "kept": diff.kept,
        "moved": diff.moved,
        "elsewhere": diff.elsewhere,
        "unknown": diff.unknown,
        "kinds": [[before.value, after.value, pages] for (before, after), pages in diff.kinds.items()],
        "differences": (
            [_listed(pair.before, diff.numbers), _listed(pair.after, diff.numbers)]
            for pair in diff.differences()
        ),
    }


def _listed(run: Run, numbers: bool) -> list[int | str]:
    """A run; without its number where numbers were not compared."""
    return run.listed() if numbers else run.listed()[:3]
