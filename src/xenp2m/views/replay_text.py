"""A replay as text: what each operation returned, the pages it cost, the map and the tree."""

from __future__ import annotations

from typing import TYPE_CHECKING

from xenp2m.extents import coalesce
from xenp2m.frames import Kind
from xenp2m.model.phys_to_machine import PhysToMachine
from xenp2m.model.pte import PAGE_IOMAP
from xenp2m.model.shape import runs, shape, word_runs
from xenp2m.model.tree import IDENTITY, MISSING
from xenp2m.replay import unasked_identity
from xenp2m.replay_input import OPERATIONS
from xenp2m.views.text import Paint, plain, plural, rows, wrapped
from xenp2m.views.tree_text import MOST_ROWS, map_lines, tree_lines

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from xenp2m.frames import Geometry
    from xenp2m.model.linear import LinearP2M
    from xenp2m.model.runtime import SaveView
    from xenp2m.replay import Operation, Outcome

__all__ = ["replay_lines"]

_CALLS = {
    "ri": "set_phys_range_identity",
    "es": "early_set_phys_to_machine",
    "__s": "__set_phys_to_machine",
    "s": "set_phys_to_machine",
    "g": "get_phys_to_machine",
    "rt": "the page allocator is up",
    "bu": "increase_reservation",
    "bd": "decrease_reservation",
    "fm": "set_foreign_p2m_mapping",
    "fu": "clear_foreign_p2m_mapping",
    "m2p": "mfn_to_pfn",
    "pte": "pte_pfn_to_mfn",
    "save": "tools save",
}
_SHARED = {MISSING: "p2m_missing", IDENTITY: "p2m_identity"}
_END = 12
"""Operations shown at either end of a long list."""


def replay_lines(
    p2m: PhysToMachine | LinearP2M,
    outcomes: list[Outcome],
    left: int,
    verified: bool,
    *,
    width: int = 80,
    verbose: bool = False,
    paint: Paint = plain,
) -> Iterator[str]:
    """Lines about one replay.

    Args:
        p2m: as the operations left it.
        outcomes: of each operation done.
        left: operations that were not reached.
        verified: whether the rules were compared with the very kernel that was asked for.
        width: columns of the terminal.
        verbose: every row of every table.
        paint: puts styles on text.
    """
    rules, geometry = p2m.rules, p2m.geometry
    title = f"{rules.name} · {geometry.bits}-bit words, {geometry.entries} entries a page"
    yield paint(wrapped(title, width, "", "  "), "head")
    yield wrapped(("" if verified else "not verified against a kernel's own code; ") + rules.source, width)
    yield ""
    yield from _operations(outcomes, left, geometry, width, verbose, paint)
    yield from map_lines([r for r in runs(p2m) if r.start < _end(p2m)], width, paint, verbose=verbose)
    yield from _unasked(p2m, outcomes, width, paint)
    yield ""
    for view in (outcome.view for outcome in outcomes if outcome.view is not None):
        yield from _saved(p2m, view, width, verbose, paint)
        yield ""
    yield from tree_lines(shape(p2m.tree), geometry, width, paint, verbose=verbose)
    yield ""
    yield from _costs(p2m, width, verbose, paint)


def _unasked(
    p2m: PhysToMachine | LinearP2M, outcomes: list[Outcome], width: int, paint: Paint
) -> Iterator[str]:
    """Where identity reached further than anybody wanted."""
    stretches = unasked_identity(p2m, outcomes)
    if not stretches:
        return
    start, end = stretches[0]
    said = f"identity that no operation asked for: {sum(e - s for s, e in stretches):,} frames, "
    said += f"{start:#x} - {end:#x}"
    if len(stretches) > 1:
        said += f" and {plural(len(stretches) - 1, 'more stretch').replace('stretchs', 'stretches')}"
    yield paint(wrapped(said, width), "warning")


def _saved(
    p2m: PhysToMachine | LinearP2M, view: SaveView, width: int, verbose: bool, paint: Paint
) -> Iterator[str]:
    """What tools read, and what of it they do not accept."""
    said = f"tools read {plural(len(view.words), 'entry').replace('entrys', 'entries')}: "
    said += f"{view.pages:,} hold a page, {len(view.races):,} look like a race"
    said += f", {len(view.bogus):,} are no MFN"
    yield wrapped(said, width)
    for name, pfns in (("race", view.races), ("no MFN", view.bogus)):
        if len(pfns):
            yield paint(wrapped(f"{name}: first at PFN {int(pfns[0]):#x}", width, "   "), "warning")
    if len(view.words):
        read = coalesce(word_runs(p2m.geometry, 0, view.words))
        yield from map_lines(read, width, paint, verbose=verbose)


def _end(p2m: PhysToMachine | LinearP2M) -> int:
    return p2m.geometry.max_p2m_pfn if isinstance(p2m, PhysToMachine) else p2m.size


def _operations(
    outcomes: Sequence[Outcome], left: int, geometry: Geometry, width: int, verbose: bool, paint: Paint
) -> Iterator[str]:
    if not outcomes:
        return
    table = [("#", "call", "returned")]
    hidden = 0 if verbose or len(outcomes) <= 2 * _END else len(outcomes) - 2 * _END
    for index, outcome in enumerate(outcomes):
        if not hidden or index < _END or index >= _END + hidden:
            table.append((str(index), _call(outcome.op, geometry), _returned(outcome, geometry)))
        elif index == _END:
            table.append(("…", f"{plural(hidden, 'more operation')} (--verbose)", ""))
    lines = iter(rows(table, frozenset({0}), width))
    yield paint(next(lines), "dim")
    yield from lines
    if outcomes[-1].bug:
        said = f"BUG: {outcomes[-1].bug}; {plural(left, 'operation')} not done"
        yield paint(wrapped(said, width), "error")
    yield ""


def _call(op: Operation, geometry: Geometry) -> str:
    if op.name == "rt":
        return _CALLS["rt"]
    if op.name == "save":
        return _CALLS["save"] + (f" up to {op.first:#x}" if op.first else "")
    numbers = [f"{op.first:#x}"]
    if op.name == "ri":
        numbers.append(f"{op.second:#x}")
    elif OPERATIONS[op.name] == 2:
        numbers.append(_word(geometry, op.first, op.second))
    return f"{_CALLS[op.name]}({', '.join(numbers)})"


def _word(geometry: Geometry, pfn: int, word: int) -> str:
    kind, number = geometry.classify(pfn, word)
    if kind is Kind.MISSING:
        return "INVALID"
    return f"{number:#x}" if kind is Kind.MFN else f"{kind.value} {number:#x}"


def _returned(outcome: Outcome, geometry: Geometry) -> str:
    if outcome.ret is None:
        return "BUG"
    if outcome.op.name == "g":
        return _word(geometry, outcome.op.first, outcome.ret)
    if outcome.op.name == "m2p":
        return "INVALID" if outcome.ret == geometry.invalid else f"PFN {outcome.ret:#x}"
    if outcome.op.name == "pte":
        return (
            f"{outcome.ret:#x}" + (" (I/O)" if outcome.ret & PAGE_IOMAP else "") if outcome.ret else "empty"
        )
    if outcome.op.name == "save":
        return f"{plural(outcome.ret, 'entry').replace('entrys', 'entries')} refused"
    if outcome.op.name == "ri":
        pages = outcome.op.second - outcome.op.first
        return f"{outcome.ret:,}" + ("" if outcome.ret == max(pages, 0) else f" of {pages:,}")
    return "" if outcome.op.name == "rt" else ("true" if outcome.ret else "false")


def _costs(p2m: PhysToMachine | LinearP2M, width: int, verbose: bool, paint: Paint) -> Iterator[str]:
    pages = p2m.pages
    parts = [f"pages from extend_brk {pages.brk}", f"from the allocator {pages.runtime}"]
    if isinstance(p2m, PhysToMachine):
        parts.append(f"p2m.c reserves {p2m.rules.reservation.pages(p2m.geometry)}")
    else:
        parts.append(f"generation {p2m.generation}")
    yield wrapped(" · ".join(parts), width)
    yield paint(wrapped("PFNs are frames of the guest, the end not included", width), "dim")
    if pages.over_budget:
        said = "more pages from extend_brk than p2m.c reserves: a BUG in the kernel"
        yield paint(wrapped(said, width), "warning")
    scribbled = p2m.tree.scribbled()
    shown = scribbled if verbose else scribbled[:MOST_ROWS]
    for page, index, value in shown:
        held = _SHARED.get(value, "another page") if page.startswith("mid") else f"{value:#x}"
        said = f"the shared page p2m_{page} was written: entry {index} holds {held}"
        yield paint(wrapped(said, width), "warning")
    if len(shown) < len(scribbled):
        yield f" … {plural(len(scribbled) - len(shown), 'more store')} into shared pages (--verbose)"
    told = set(p2m.tree.overwritten())
    for broken in (line for line in p2m.check() if line not in told):
        yield paint(wrapped(f"not sound: {broken}", width), "error")
