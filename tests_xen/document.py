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
_GUESTS = """\
## Running domains and files of guests

Here the program runs inside dom0, with Debian's own Python and numpy. One guest is our own, of 8 MiB; the
other is Linux with `e820_host=1`. PFNs counts the entries of all maps that were compared:

* live: `live:self` against the kernel's memory, every word, and `live:DOMID` of both guests against
  `xen-mfndump`.
* artefacts: both guests as they were built, Linux ballooned, both restored. Of each, one map is told by
  `xl dump-core` (the list in its memory, and the table beside it), `xl save`, `xen-mfndump` and
  `live:DOMID`. Restored guests have the same PFNs, most of them on other frames. drgn finds the
  kernel's banner in images exported from a core and a stream.
"""
_NOT_POSSIBLE = """\
## What is not verified here, and why

* Kernels before 5.10 and Xen before 4.14 are in none of the suites. Boots of 2.6.39 and later are held
  against what the kernels' own code answered, in `tests/vectors/`.
* Guests of 32 bits: Linux has had none for PV since 5.9, and Debian builds Xen without `CONFIG_PV32`.
* Dom0's map by `xen-mfndump`: Xen maps a domain's own frames under `DOMID_SELF` only, and the tool asks
  for domain 0. The kernel's memory takes its place.
* A guest saved before it has given up what `xl mem-set` asks for: a domain that `xl restore` makes may
  own 1 MiB more than its target, and Xen refuses the rest. Linux 6.12 on Xen 4.20, told to keep 120 MiB,
  still owned 33,040 pages after some seconds: `Over-allocation for d4: 30977 > 30976`. The boots here
  wait for the guest.
* `xl save -c`, which leaves the guest running: under Xen 4.14 Linux 5.10 dies of it
  (`kernel BUG at drivers/xen/events/events_fifo.c:366!`), and 6.1 ends as crashed, too. The guests here are
  saved and restored instead.
* Debian 11's own Python, 3.9: the program needs 3.11, so that dom0 runs Debian 12's.
"""
_ORDINARY = ("host", "what", "Linux", "Xen", "ends", "PFNs", "differences", "seconds")
_FAULTS = ("host", "fault", "what", "Linux", "Xen", "predicted", "warned of", "what happens", "differences")


def document(rows: Iterable[Row]) -> str:
    """The text of the document."""
    rows = list(rows)
    guests = [row for row in rows if row.job != "list"]
    ordinary = [row for row in rows if row.job == "list" and not row.fault]
    faults = [row for row in rows if row.fault]
    total = sum(row.pfns for row in rows)
    wrong = sum(len(row.differences) for row in rows)
    parts = [_INTRODUCTION, f"{len(rows)} boots, {total:,} entries, {wrong} differences.\n"]
    if ordinary:
        parts += ["## Hosts that boot\n", _table(_ORDINARY, map(_ordinary_cells, ordinary))]
    if guests:
        parts += [_GUESTS, _table(_ORDINARY, map(_ordinary_cells, guests))]
    if faults:
        parts += ["## Faults of the kernel, live\n", _table(_FAULTS, map(_fault_cells, faults))]
    if wrong:
        parts += ["## Differences\n", _differences(rows)]
    return "\n".join([*parts, _NOT_POSSIBLE])


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
