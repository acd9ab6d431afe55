"""Placement and suggestions as text and as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from xenp2m.boot.placement import LOAD_STEP
from xenp2m.e820 import type_name
from xenp2m.findings import Severity
from xenp2m.views.text import Paint, plain, rows, wrapped

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from xenp2m.boot.placement import Conflict, Placement
    from xenp2m.suggest import Suggestion

__all__ = ["placement_lines", "placement_object", "suggestion_lines", "suggestion_object"]

_FATES = {
    "fits": "fits",
    "moves": "moves: Linux copies it to free memory",
    "swaps": "cannot move; the ACPI NVS under it changes places with RAM",
    "stops": "cannot move: dom0 stops",
    "unchecked": "this kernel does not look",
}


def _span(start: int, end: int) -> str:
    return f"{start:#x}-{end - 1:#x}"


def _loads(placement: Placement) -> str:
    return ", ".join(f"{low:#x}" if low == high else f"{low:#x}-{high:#x}" for low, high in placement.loads)


def placement_lines(placement: Placement, width: int, paint: Paint = plain) -> Iterator[str]:
    """Lines about where the builder's objects lie; none where the host names no object."""
    if not placement.objects:
        return
    yield ""
    table = [("objects of the builder", "address", "")]
    for held in placement.objects:
        name = held.name.replace("xen_start_info", "start info").replace("page table", "page tables")
        table.append((name, _span(*held.place), _told(held)))
    lines = iter(rows(table, frozenset(), width))
    yield paint(next(lines), "dim")
    yield from lines
    if placement.swap_need:
        need, spare = placement.swap_need >> 10, placement.spare >> 20
        text = f"the swap needs {need:,} KiB of RAM above the initial allocation, in one entry; there are"
        yield wrapped(f"{text} {spare:,} MiB in all", width, " ", "   ")
    if placement.loads and any(not held.fits for held in placement.objects):
        text = f"kernel, start info and page tables fit at {_loads(placement)}"
        yield wrapped(f"{text}, in steps of {LOAD_STEP >> 20} MiB", width, " ", "   ")


def _told(held: Conflict) -> str:
    meets = [f"{type_name(e.type)} {_span(e.start, e.end)}" for e in held.meets]
    meets += [f"no RAM at {_span(*gap)}" for gap in held.gaps]
    if held.fits:
        return _FATES["fits"]
    return f"meets {'; '.join(meets[:3]) or 'the border of two RAM entries'}: {_FATES[held.fate]}"


def suggestion_lines(found: Sequence[Suggestion], width: int, paint: Paint = plain) -> Iterator[str]:
    """Lines about what would help."""
    yield ""
    if not found:
        yield wrapped("suggestions: none: nothing worse than notes, or no change was found that helps", width)
        return
    yield paint(wrapped("suggestions, each of them planned:", width), "dim")
    table = []
    for item in found:
        worst = sorted({f.code for f in item.plan.findings if f.severity is not Severity.NOTE})
        ends = "boots, notes at most" if item.clean else f"boots, with {', '.join(worst)}"
        table.append((_value(item), ends))
    yield from rows(table, frozenset(), width)


def _value(item: Suggestion) -> str:
    if item.kind == "dom0_mem":
        return f"dom0_mem={item.value}"
    if item.kind == "kernel":
        return f"Linux {item.value}"
    if item.kind == "load_address":
        return f"a kernel loaded at {item.value:#x} (CONFIG_PHYSICAL_START)"
    return "no mem= on dom0's command line"


def placement_object(placement: Placement) -> dict[str, Any]:
    """The placement as a JSON object."""
    return {
        "objects": [
            {
                "name": held.name,
                "place": list(held.place),
                "meets": [list(entry) for entry in held.meets],
                "gaps": [list(gap) for gap in held.gaps],
                "fits": held.fits,
                "fate": held.fate,
            }
            for held in placement.objects
        ],
        "loads": [list(stretch) for stretch in placement.loads],
        "swap_need": placement.swap_need,
        "spare": placement.spare,
    }


def suggestion_object(item: Suggestion) -> dict[str, Any]:
    """One suggestion as a JSON object."""
    host = item.plan.host
    return {
        "kind": item.kind,
        "value": item.value,
        "nr_pages": host.nr_pages,
        "max_res": host.max_res,
        "kernel": str(host.release.version),
        "outcome": str(item.plan.outcome),
        "clean": item.clean,
        "findings": [finding.code for finding in item.plan.findings if finding.story.about == "host"],
    }
