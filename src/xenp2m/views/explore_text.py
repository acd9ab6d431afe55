"""An exploration as text: what was covered, and each shortest counterexample as a story."""

from __future__ import annotations

from typing import TYPE_CHECKING

from xenp2m.checks.stories import STORIES
from xenp2m.e820 import RAM
from xenp2m.explore.operations import IDENTITY, INVALID, VIA
from xenp2m.explore.toy import Toy
from xenp2m.views.text import Paint, plain, plural, rows, wrapped
from xenp2m.views.tree_text import tree_lines

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from xenp2m.explore.exploration import Case, Exploration
    from xenp2m.explore.operations import Op, Scope
    from xenp2m.explore.real import RealCase
    from xenp2m.explore.trace import Counterexample, Shot

__all__ = ["overview_lines", "story_lines"]

_CALLS = {
    "ri": "set_phys_range_identity",
    "es": "early_set_phys_to_machine",
    "s": "set_phys_to_machine",
    "__s": "__set_phys_to_machine",
    "rt": "the page allocator is up",
    "bu": "the balloon fills frame",
    "bd": "the balloon empties frame",
}
_LEGEND = "# machine frame   = identity   . missing   ? another number   ^ wrong"


def overview_lines(done: Sequence[Exploration], width: int = 80, paint: Paint = plain) -> Iterator[str]:
    """One line for each exploration: counts, and what the shortest counterexamples are.

    Args:
        done: one for each rule set and set of operations.
        width: columns of the terminal.
        paint: puts styles on text.
    """
    table = [("rules", "ops", "states", "transitions", "shortest counterexamples (operations)")]
    for one in done:
        scope = one.search.scope
        found: dict[str, int] = {}
        for case in one.cases:
            found.setdefault(case.toy.code, len(case.toy.shots))
        told = ", ".join(f"{code} ({length})" for code, length in found.items()) or "none"
        counts = f"{one.search.states:,}", f"{one.search.transitions:,}"
        table.append((scope.rules.name, scope.ops, *counts, told))
    lines = iter(rows(table, frozenset({2, 3}), width))
    yield paint(next(lines), "dim")
    yield from lines
    yield ""
    for scope in {one.search.scope.ops: one.search.scope for one in reversed(done)}.values():
        of_these = [one for one in done if one.search.scope.ops == scope.ops]
        complete = all(one.search.complete for one in of_these)
        depth = min(one.search.depth for one in of_these if complete or not one.search.complete)
        yield wrapped(f"{scope.ops}: {_covered(scope, complete, depth)}", width, hang="   ")
    yield wrapped("xenp2m explore RULES tells the stories of one rule set", width)


def story_lines(done: Exploration, width: int = 80, paint: Paint = plain) -> Iterator[str]:
    """Everything about one exploration.

    Args:
        done: the exploration.
        width: columns of the terminal.
        paint: puts styles on text.
    """
    search, scope = done.search, done.search.scope
    geometry = scope.geometry
    head = f"{scope.rules.name} · {scope.ops} · {geometry.entries} entries a page, "
    yield paint(wrapped(head + f"{geometry.max_p2m_pfn} frames", width, "", "  "), "head")
    unverified = "" if scope.rules.verified else "not verified against a kernel's own code; "
    yield wrapped(unverified + scope.rules.source, width)
    yield wrapped(f"covered: {_covered(scope, search.complete, search.depth)}", width, hang="   ")
    if not search.complete and search.depth < scope.bound:
        text = f"stopped at {search.states:,} states; sequences of {search.depth + 1} were tried in part"
        yield wrapped(text, width, hang="   ")
    found = plural(len(done.cases), "counterexample") if done.cases else "no counterexample"
    counts = f"{plural(search.states, 'state')}, {plural(search.transitions, 'transition')}"
    yield wrapped(f"{counts}: {found}", width)
    for number, case in enumerate(done.cases, 1):
        yield ""
        yield from _case(number, case, width, paint)
    if done.notes:
        yield ""
    for case in done.notes:
        story = STORIES[case.toy.code]
        calls = "; ".join(_call(shot.op) for shot in case.toy.shots)
        answer = case.toy.shots[-1].ret
        text = f"note {story.code}: {story.title.lower()}. {calls} answers {answer}; the map is sound."
        yield wrapped(text, width, hang="   ")


def _covered(scope: Scope, complete: bool, depth: int) -> str:
    """The bound in words."""
    if complete:
        what = "every sequence, however long"
    else:
        what = f"every sequence of up to {plural(depth, 'operation')}"
    starts = f"a builder's list of 1 to {scope.geometry.max_p2m_pfn} pages"
    has_early_set = Toy(scope).has_early_set
    if scope.is_linear:
        starts += " and an extra region " + ("behind it" if scope.ops == "boot" else "at its end")
    if scope.ops == "boot":
        early = ", early sets of machine frames where the entry is missing" * has_early_set
        how = f"identity over ascending, disjoint ranges{early}, then the balloon, up and down"
    else:
        early = "early and run-time sets" if has_early_set else "sets"
        how = f"identity ranges, {early} of machine frames, identity and INVALID, in any order"
    early_pages = "as many as p2m.c reserves" if scope.early_pages is None else str(scope.early_pages)
    pages = f"{plural(scope.runtime_pages, 'page')} from the allocator"
    if not scope.is_linear:
        pages += f", early ones {early_pages}"
    return f"{what}: {starts}; {how}; {pages}"


def _case(number: int, case: Case, width: int, paint: Paint) -> Iterator[str]:
    toy = case.toy
    story = STORIES[toy.code]
    yield paint(wrapped(f"{number} {story.code}: {story.title}", width, hang="   "), str(story.severity))
    config = toy.config
    by = f"the last is {VIA[toy.ops[-1].name]}"
    extra = f"; extra memory {config.extra_start} - {config.extra_end}" if config.extra_end else ""
    start = f"the builder's list holds {plural(config.nr_pages, 'page')}{extra}"
    yield wrapped(f"{plural(len(toy.shots), 'operation')}, {by}; {start}", width, "   ")
    yield from ("  " + line for line in _shots(toy, width - 2, paint))
    for title, shape in zip(("before", "after"), toy.shapes, strict=True):
        yield paint(f"   page tables {title} operation {toy.broke}", "dim")
        yield from ("  " + line for line in tree_lines(shape, toy.scope.geometry, width - 2, paint))
    for page, index in toy.shared:
        yield wrapped(f"entry {index} of the shared page p2m_{page} was written", width, "   ")
    if case.real is not None:
        yield from _real(case.real, width, paint)


def _shots(toy: Counterexample, width: int, paint: Paint) -> Iterator[str]:
    table = [("#", "operation", "returned", "wanted", "reads")]
    for index, shot in enumerate(toy.shots):
        marks = "".join("^" if a != b else " " for a, b in zip(shot.wanted, shot.reads, strict=True))
        table.append((str(index), _call(shot.op), _returned(shot), shot.wanted, shot.reads))
        if "^" in marks:
            table.append(("", "", "", "", marks.replace(" ", "\N{NO-BREAK SPACE}")))
    lines = iter(rows(table, frozenset({0}), width))
    yield paint(next(lines), "dim")
    yield from (line.replace("\N{NO-BREAK SPACE}", " ") for line in lines)
    yield paint(wrapped(_LEGEND, width), "dim")


def _call(op: Op) -> str:
    if op.name == "rt":
        return _CALLS["rt"]
    if op.name in ("bu", "bd"):
        return f"{_CALLS[op.name]} {op.pfn}"
    if op.name == "ri":
        return f"{_CALLS['ri']}({op.pfn}, {op.end})"
    value = {IDENTITY: "identity", INVALID: "INVALID"}.get(op.value, "an MFN")
    return f"{_CALLS[op.name]}({op.pfn}, {value})"


def _returned(shot: Shot) -> str:
    if shot.ret is None:
        return "BUG"
    if shot.op.name in ("rt", "bu", "bd"):
        return "" if shot.op.name == "rt" else ("done" if shot.ret else "failed")
    return str(shot.ret) if shot.op.name == "ri" else ("true" if shot.ret else "false")


def _real(real: RealCase, width: int, paint: Paint) -> Iterator[str]:
    head = f"on a machine: Linux {real.kernel}, dom0_mem={real.dom0_mem}, this map in map.txt"
    yield paint(wrapped(head, width, "   "), "dim")
    for entry in real.e820:
        kind = "usable" if entry.type == RAM else "reserved"
        yield f"     {entry.start:016x} - {entry.end:016x} ({kind})"
    if real.by_plan:
        rules = f" --rules {real.rules}" * real.rules.startswith("seed")
        extra = " --extra contiguous" * (real.extra == "contiguous")
        command = f"xenp2m plan map.txt --kernel {real.kernel}{rules}{extra} --dom0-mem {real.dom0_mem}"
        yield wrapped(command, width, "     ", "       ")
    if real.by_replay:
        inner = real.row["in"]
        assert isinstance(inner, dict)
        words = " ".join(_word(op) for op in inner["ops"])
        command = f"xenp2m replay --rules {real.rules} --nr-pages {real.nr_pages >> 8}M {words}"
        yield wrapped(command, width, "     ", "       ")
        yield wrapped(f"PFN {real.pfn:#x} should be {real.wanted.value}, and is not", width, "     ")


def _word(op: Sequence[object]) -> str:
    numbers = [number for number in op[1:] if isinstance(number, int)]
    if op[0] == "rt":
        return "rt"
    if op[0] == "ri":
        return f"ri:{numbers[0]:#x}-{numbers[1]:#x}"
    if op[0] == "g":
        return f"g:{numbers[0]:#x}"
    return f"{op[0]}:{numbers[0]:#x}={_value(numbers[0], numbers[1])}"


def _value(pfn: int, word: int) -> str:
    if word in (pfn, pfn | 1 << 62):
        return "identity"
    return "INVALID" if word == (1 << 64) - 1 else f"{word:#x}"
