"""Write docs/ground-truth.md from a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests_xen.rows import Row

__all__ = ["document"]

_INTRODUCTION = """\
# What is verified against real boots, and how

Written by `make ground-truth` from the boots that it makes; [tests_xen](../tests_xen/README.md) tells how.

Every line below is a boot of a real Xen with a real PV dom0 in QEMU's software emulation. `xenp2m plan`
gets the console of that boot and nothing else, and uses nothing of it that dom0 printed after its own start.
Its answer is then held against what happened:

| what | against |
|---|---|
| how the boot ends | the console: dom0 powers off by itself, halts, or panics |
| the guest's E820 | the map that dom0's kernel prints, entry by entry |
| released and remapped frames | the counts that the kernel prints |
| the kind of every PFN | dom0's own P2M list, read word by word, and the frame behind each of its pages |
| the list's size and end, the pages it takes | the kernel's own variables, and the pages that are there |

PFNs counts the entries up to the last page of the list that is not shared. Those above are compared as well:
they are a few shared pages, again and again, up to the end of the list.
"""
_ORDINARY = ("host", "what", "Linux", "Xen", "ends", "PFNs", "differences", "seconds")
_FAULTS = ("host", "fault", "what", "Linux", "Xen", "predicted", "warned of", "what happens", "differences")


def document(rows: Iterable[Row]) -> str:
    """The text of the document."""
    rows = list(rows)
    ordinary = [row for row in rows if not row.fault]
    faults = [row for row in rows if row.fault]
    total = sum(row.pfns for row in rows)
    wrong = sum(len(row.differences) for row in rows)
    parts = [_INTRODUCTION, f"{len(rows)} boots, {total:,} entries, {wrong} differences.\n"]
    if ordinary:
        parts += ["## Hosts that boot\n", _table(_ORDINARY, map(_ordinary_cells, ordinary))]
    if faults:
        parts += ["## Faults of the kernel, live\n", _table(_FAULTS, map(_fault_cells, faults))]
    if wrong:
        parts += ["## Differences\n", _differences(rows)]
    return "\n".join(parts)


def _table(head: tuple[str, ...], body: Iterable[list[str]]) -> str:
    lines = [list(head), ["---"] * len(head), *body]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def _ordinary_cells(row: Row) -> list[str]:
    wrong = str(len(row.differences))
    return [row.host, row.note, row.linux, row.xen, row.real, f"{row.pfns:,}", wrong, f"{row.seconds:.0f}"]


def _fault_cells(row: Row) -> list[str]:
    happens = f"{row.real}: `{row.said.replace('|', '/')}`" if row.said else f"{row.real}, {row.pfns:,} PFNs"
    warned = ", ".join(row.findings) or "-"
    cells = [row.host, row.fault, row.note, row.linux, row.xen, row.predicted, warned, happens]
    return [*cells, str(len(row.differences))]


def _differences(rows: list[Row]) -> str:
    return "".join(
        f"* {row.host}, Linux {row.linux}, Xen {row.xen}: {difference}\n"
        for row in rows
        for difference in row.differences
    )
