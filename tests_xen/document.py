"""Write docs/ground-truth.md from a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests_xen.rows import Row

__all__ = ["document"]

_INTRODUCTION = """\
# What is verified against real boots, and how

Written by `make ground-truth` from the run that it makes; see [tests_xen](../tests_xen/README.md).

Every line below is a boot of a real Xen with a real PV dom0 in QEMU's software emulation. `xenp2m plan --json` gets
the console of that boot and nothing else; of the console it uses nothing that dom0 printed after its own
start. Its answer is then held against what happened:

| what | against |
|---|---|
| how the boot ends | the console: dom0 powers off by itself, Xen says that it halted or crashed, or the kernel panics |
| the guest's E820 | the map that dom0's kernel prints, entry by entry, type by type |
| released and remapped frames | the counts that the kernel prints |
| the kind of every PFN | dom0's own P2M list, read inside dom0 word by word, with the frame behind every page of it |
| size and end of the list, pages it takes | the kernel's own variables, and the pages that are there |

PFNs counts the entries up to the last page of the list that is not shared. What lies above is compared as well: it
is a few shared pages up to the list's end.
"""


def document(rows: Iterable[Row]) -> str:
    """The text of the document."""
    rows = list(rows)
    ordinary = [row for row in rows if not row.fault]
    faults = [row for row in rows if row.fault]
    total = sum(row.pfns for row in rows)
    wrong = sum(len(row.differences) for row in rows)
    parts = [_INTRODUCTION, f"{len(rows)} boots, {total:,} entries, {wrong} differences.\n"]
    parts += ["## Hosts that boot\n", _ordinary(ordinary)]
    parts += ["## Faults of the kernel, live\n", _faults(faults)] if faults else []
    if wrong:
        parts += ["## Differences\n", _differences(rows)]
    return "\n".join(parts)


def _ordinary(rows: list[Row]) -> str:
    head = "| host | what | Linux | Xen | ends | PFNs | differences | s |\n|---|---|---|---|---|---:|---:|---:|\n"
    return head + "".join(
        f"| {r.host} | {r.note} | {r.linux} | {r.xen} | {r.real} | {r.pfns:,} | {len(r.differences)} "
        f"| {r.seconds:.0f} |\n"
        for r in rows
    )


def _faults(rows: list[Row]) -> str:
    head = (
        "| host | fault | what | Linux | Xen | predicted | warned of | what happens | differences |\n"
        "|---|---|---|---|---|---|---|---|---:|\n"
    )
    return head + "".join(
        f"| {r.host} | {r.fault} | {r.note} | {r.linux} | {r.xen} | {r.predicted} | {', '.join(r.findings) or '-'} "
        f"| {r.real}{_said(r)} | {len(r.differences)} |\n"
        for r in rows
    )


def _said(row: Row) -> str:
    return f": `{row.said.replace('|', '/')}`" if row.said else f", {row.pfns:,} PFNs"


def _differences(rows: list[Row]) -> str:
    return "".join(
        f"* {row.host}, Linux {row.linux}, Xen {row.xen}: {difference}\n"
        for row in rows
        for difference in row.differences
    )
