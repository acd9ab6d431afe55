"""One line of the table: a host, its versions, and how prediction and reality compare."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["HEAD", "Row", "line", "summary"]

HEAD = f"{'host':14} {'Linux':9} {'Xen':8} {'dom0':17} {'predicted':9} {'PFNs':>9} {'differ':>6} {'s':>4}"


@dataclass(frozen=True)
class Row:
    """The outcome of one boot.

    Attributes:
        host: name of the host.
        job: what ran inside.
        note: what is to be seen on it.
        fault: the fault of the kernel that it meets, if any.
        linux: version of dom0's kernel.
        xen: version of the hypervisor.
        real: how the boot ended.
        predicted: how it was to end.
        findings: codes that the program warned with.
        pfns: entries of dom0's list compared one by one.
        differences: what the program got wrong.
        seconds: of the boot.
        said: the last words of a dom0 that died.
    """

    host: str
    job: str
    note: str
    fault: str
    linux: str
    xen: str
    real: str
    predicted: str
    findings: list[str]
    pfns: int
    differences: list[str]
    seconds: float
    said: str = ""


def line(row: Row) -> str:
    """A row of the printed table."""
    return (
        f"{row.host:14} {row.linux:9} {row.xen:8} {row.real:17} {row.predicted:9} "
        f"{row.pfns:>9,} {len(row.differences):>6} {row.seconds:>4.0f}"
    )


def summary(rows: Iterable[Row], skipped: int) -> str:
    """The closing line."""
    rows = list(rows)
    failed = sum(bool(row.differences) for row in rows)
    return f"{len(rows) - failed} passed, {failed} failed, {skipped} skipped"
