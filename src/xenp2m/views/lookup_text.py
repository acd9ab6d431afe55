"""Lookups as text, as lines for other programs, and as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from xenp2m.frames import PAGE_SHIFT, Kind
from xenp2m.views.answer import SCHEMA
from xenp2m.views.text import Paint, plain, rows, wrapped

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from xenp2m.maps.translate import Answer

__all__ = ["answer_line", "answer_object", "answers_lines", "refused_object"]


def answers_lines(answers: Sequence[Answer], width: int, paint: Paint = plain) -> Iterator[str]:
    """A table of answers; the walk of a virtual address stands below it."""
    addresses = any(answer.offset is not None for answer in answers)
    head = ("item", "pfn", "kind", "mfn", *(("pseudo-physical", "machine") if addresses else ()), "")
    table = [head]
    for answer in answers:
        cells = [answer.item.text, _hex(answer.pfn), _kind(answer), _hex(answer.mfn)]
        if addresses:
            cells += [_hex(_address(answer.pfn, answer)), _hex(_address(answer.mfn, answer))]
        table.append((*cells, _note(answer)))
    lines = iter(rows(table, frozenset(), width))
    yield paint(next(lines), "dim")
    yield from lines
    for answer in answers:
        if answer.walk is not None:
            yield ""
            yield paint(f" {answer.item.text}", "head")
            yield from _steps(answer)
            if answer.walk.stopped:
                yield wrapped(answer.walk.stopped, width, "   ", "   ")


def _steps(answer: Answer) -> Iterator[str]:
    assert answer.walk is not None
    for step in answer.walk.steps:
        yield f"   level {step.level}  PFN {step.table:#x}  entry {step.slot:>3}  {step.entry:#018x}"


def _note(answer: Answer) -> str:
    if answer.more:
        shown = ", ".join(f"{pfn:#x}" for pfn in answer.more[:4])
        return f"also PFN {shown}{' and more' if len(answer.more) > 4 else ''}"
    if answer.walk is not None and answer.walk.stopped:
        return "not mapped"
    return "behind no PFN" if answer.pfn is None else ""


def _kind(answer: Answer) -> str:
    return "-" if answer.kind is Kind.UNKNOWN and answer.pfn is None else answer.kind.value


def _hex(number: int | None) -> str:
    return "-" if number is None else f"{number:#x}"


def _address(frame: int | None, answer: Answer) -> int | None:
    if frame is None or answer.offset is None:
        return None
    return (frame << PAGE_SHIFT) + answer.offset


def answer_line(answer: Answer) -> str:
    """One answer with tabs between item, PFN, kind and MFN; "-" where there is none."""
    return f"{answer.item.text}\t{_hex(answer.pfn)}\t{_kind(answer)}\t{_hex(answer.mfn)}"


def answer_object(answer: Answer) -> dict[str, Any]:
    """One answer as an object."""
    found: dict[str, Any] = {
        "schema": SCHEMA,
        "item": answer.item.text,
        "pfn": answer.pfn,
        "kind": answer.kind.value,
        "mfn": answer.mfn,
    }
    if answer.offset is not None:
        found["paddr"], found["maddr"] = _address(answer.pfn, answer), _address(answer.mfn, answer)
    if answer.more:
        found["more"] = list(answer.more)
    if answer.walk is not None:
        found["walk"] = [list(step) for step in answer.walk.steps]
        found["stopped"] = answer.walk.stopped or None
    return found


def refused_object(text: str, reason: str) -> dict[str, Any]:
    """The object for an item that cannot be looked up."""
    return {"schema": SCHEMA, "item": text, "error": reason}
