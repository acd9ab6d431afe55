"""A replay as text: what each operation returned, the pages it cost, the map and the tree."""

from __future__ import annotations

from typing import TYPE_CHECKING

from xenp2m.frames import Kind
from xenp2m.model.phys_to_machine import PhysToMachine
from xenp2m.model.shape import runs, shape
from xenp2m.views.text import Paint, plain, plural, rows, wrapped
from xenp2m.views.tree_text import map_lines, tree_lines

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from xenp2m.frames import Geometry
    from xenp2m.model.linear import LinearP2M
    from xenp2m.replay import Operation, Outcome

__all__ = ["replay_lines"]

_CALLS = {
    "ri": "set_phys_range_identity",
    "es": "early_set_phys_to_machine",
    "__s": "__set_phys_to_machine",
    "s": "set_phys_to_machine",
    "g": "get_phys_to_machine",
    "rt": "the page allocator is up",
}


def replay_lines(
    p2m: PhysToMachine | LinearP2M,
    outcomes: Sequence[Outcome],
    left: int,
    verified: bool,
    *,
    width: int = 80,
    paint: Paint = plain,
) -> Iterator[str]:
    """Lines about one replay.

    Args:
        p2m: as the operations left it.
        outcomes: of each operation done.
        left: operations that were not reached.
        verified: whether the rules were compared with the very kernel that was asked for.
        width: columns of the terminal.
        paint: puts styles on text.
    """
    rules, geometry = p2m.rules, p2m.geometry
    title = f"{rules.name} · {geometry.bits}-bit words, {geometry.entries} entries a page"
    yield paint(wrapped(title, width, "", "  "), "head")
    yield wrapped(("" if verified else "not verified against a kernel's own code; ") + rules.source, width)
    yield ""
    if outcomes:
        yield from _operations(outcomes, geometry, width, paint)
        if outcomes[-1].bug:
            said = f"BUG: {outcomes[-1].bug}; {plural(left, 'operation')} not done"
            yield paint(wrapped(said, width), "error")
        yield ""
    yield from map_lines([r for r in runs(p2m) if r.start < _end(p2m)], width, paint)
    yield ""
    yield from tree_lines(shape(p2m.tree), geometry, width, paint)
    yield ""
    yield from _costs(p2m, width, paint)


def _end(p2m: PhysToMachine | LinearP2M) -> int:
    return p2m.geometry.max_p2m_pfn if isinstance(p2m, PhysToMachine) else p2m.size


def _operations(outcomes: Sequence[Outcome], geometry: Geometry, width: int, paint: Paint) -> Iterator[str]:
    table = [("#", "call", "returned")]
    for index, outcome in enumerate(outcomes):
        table.append((str(index), _call(outcome.op, geometry), _returned(outcome, geometry)))
    lines = iter(rows(table, frozenset({0}), width))
    yield paint(next(lines), "dim")
    yield from lines


def _call(op: Operation, geometry: Geometry) -> str:
    if op.name == "rt":
        return _CALLS["rt"]
    numbers = [f"{op.first:#x}"]
    if op.name == "ri":
        numbers.append(f"{op.second:#x}")
    elif op.name != "g":
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
    if outcome.op.name == "ri":
        pages = outcome.op.second - outcome.op.first
        return f"{outcome.ret:,}" + ("" if outcome.ret == max(pages, 0) else f" of {pages:,}")
    return "" if outcome.op.name == "rt" else ("true" if outcome.ret else "false")


def _costs(p2m: PhysToMachine | LinearP2M, width: int, paint: Paint) -> Iterator[str]:
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
    for page, index, value in scribbled:
        said = f"the shared page p2m_{page} was written: entry {index} holds {value:#x}"
        yield paint(wrapped(said, width), "warning")
    for broken in p2m.check():
        yield paint(wrapped(f"not sound: {broken}", width), "error")
