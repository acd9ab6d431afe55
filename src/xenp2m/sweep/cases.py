"""The cases of a sweep and their answers: a case is a number, so that a chunk is two of them.

Cases count hosts slowest, then kernels, rules and ``dom0_mem=`` values: neighbours differ in one value.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from xenp2m.arrangement import list_frames
from xenp2m.boot.select import boot
from xenp2m.errors import InputError
from xenp2m.findings import Severity
from xenp2m.options import Options, pages_of_dom0_mem
from xenp2m.plan import make_plan

if TYPE_CHECKING:
    from collections.abc import Sequence

    from xenp2m.boot.layout import Layout
    from xenp2m.findings import Finding
    from xenp2m.host import Host
    from xenp2m.kernel import Version

__all__ = ["MOST_CASES", "Row", "Sweep", "Where"]

MOST_CASES = 5_000_000
"""Cases of one sweep; their answers are held in memory."""
_LIST_VADDR = 2 << 39


class Where(NamedTuple):
    """Place of a case on each axis, as indices."""

    host: int
    kernel: int
    rules: int
    value: int


class Row(NamedTuple):
    """The answer of one case, one line of the table.

    Attributes:
        host: name of the host.
        kernel: Linux version.
        rules: how the P2M was edited, empty for the kernel's own way.
        dom0_mem: the value, empty where the host's own sizes were taken.
        nr_pages: pages at the start.
        max_pages: maximum reservation, -1 where there is none.
        outcome: ``boots``, ``unsettled``, ``crashes``, ``halts``; ``refused`` where nothing was planned.
        worst: ``note``, ``warning``, ``error``, or empty.
        findings: codes about this host, errors first, with blanks between them.
        pfn: first PFN of the worst finding, -1 where it names none.
        remapped: pages moved.
        released: pages given back.
        extra: pages of extra memory.
        map_pages: pages the P2M itself takes.
        error: why nothing was planned, or empty.
    """

    host: str
    kernel: str
    rules: str = ""
    dom0_mem: str = ""
    nr_pages: int = 0
    max_pages: int = -1
    outcome: str = ""
    worst: str = ""
    findings: str = ""
    pfn: int = -1
    remapped: int = 0
    released: int = 0
    extra: int = 0
    map_pages: int = 0
    error: str = ""

    def fails(self, codes: frozenset[str]) -> bool:
        """Whether one of `codes` is among the findings; without codes, any of warning or worse."""
        if codes:
            return not codes.isdisjoint(self.findings.split())
        return self.worst in ("warning", "error") or self.outcome not in ("boots", "refused")


@dataclass
class Sweep:
    """Everything that a worker needs; small enough to be sent to each.

    Attributes:
        hosts: names and hosts.
        kernels: versions, or one None for each host's own.
        rules: rule sets, or one None.
        values: ``dom0_mem=`` values, or one None.
        options: what else the user said: hypervisor version, variants.
        findings: whether findings are worked out; without them a row has the kernel's own BUGs alone.
    """

    hosts: Sequence[tuple[str, Host]]
    kernels: Sequence[Version | None] = (None,)
    rules: Sequence[str | None] = (None,)
    values: Sequence[str | None] = (None,)
    options: Options = field(default_factory=Options)
    findings: bool = True
    _sizes: dict[tuple[int, str], tuple[int, int] | str] = field(default_factory=dict, repr=False)

    def __len__(self) -> int:
        return len(self.hosts) * len(self.kernels) * len(self.rules) * len(self.values)

    def fingerprint(self) -> str:
        """A digest of every case, to tell whether stored answers belong to this sweep."""
        from xenp2m import __version__

        told = [getattr(self, each.name) for each in fields(self) if each.name != "_sizes"]
        return hashlib.sha256(repr((__version__, told)).encode()).hexdigest()

    def where(self, number: int) -> Where:
        """The case behind a number."""
        number, value = divmod(number, len(self.values))
        number, rules = divmod(number, len(self.rules))
        host, kernel = divmod(number, len(self.kernels))
        return Where(host, kernel, rules, value)

    def number(self, where: Where) -> int:
        """The number of a case."""
        number = where.host * len(self.kernels) + where.kernel
        return (number * len(self.rules) + where.rules) * len(self.values) + where.value

    def chunk(self, start: int, stop: int) -> list[Row]:
        """Answers of the cases ``[start, stop)``."""
        rows = [self.row(self.where(number)) for number in range(start, stop)]
        self._sizes.clear()
        return rows

    def row(self, where: Where) -> Row:
        """The answer of one case; a case that cannot be is a row that says why."""
        name, host = self.hosts[where.host]
        version, rules, value = self.kernels[where.kernel], self.rules[where.rules], self.values[where.value]
        row = Row(name, str(version or host.release.version), rules or "", value or "", host.nr_pages)
        try:
            host = self._with_size(where.host, self._with_kernel(host, version, rules), value)
            row = row._replace(nr_pages=host.nr_pages, max_pages=-1 if host.max_res is None else host.max_res)
            if not self.findings:
                return _told(row, boot(host))
            plan = make_plan(host)
        except InputError as error:
            return row._replace(outcome="refused", error=" ".join(str(error).split()))
        own = [finding for finding in plan.findings if finding.story.about == "host"]
        return _judged(_told(row, plan.layout), own, str(plan.outcome))

    def _with_kernel(self, host: Host, version: Version | None, rules: str | None) -> Host:
        if version is not None:
            host = replace(host, release=self.options.varied(type(host.release).of(version)))
        return host if rules is None else replace(host, rules=rules)

    def _with_size(self, index: int, host: Host, value: str | None) -> Host:
        if value is None:
            return host
        if not host.is_dom0:
            raise InputError("--dom0-mem", "a dom0", "a domU")
        key = index, value
        if key not in self._sizes:
            try:
                self._sizes[key] = pages_of_dom0_mem(value, host.e820 or (), self.options.xen)[:2]
            except InputError as error:
                self._sizes[key] = str(error)
        sizes = self._sizes[key]
        if isinstance(sizes, str):
            raise InputError("--dom0-mem", "a value that fits the host", sizes)
        frames = host.p2m_frames
        if frames is not None and sizes[0] != host.nr_pages:
            frames = frames[0], list_frames(_LIST_VADDR, sizes[0])
        return replace(host, nr_pages=sizes[0], max_res=sizes[1], p2m_frames=frames)


def _told(row: Row, layout: Layout) -> Row:
    bug = layout.bug
    return row._replace(
        outcome="boots" if bug is None else "halts",
        findings="" if bug is None else f"bug:{bug.code}",
        pfn=-1 if bug is None or bug.pfn is None else bug.pfn,
        remapped=layout.remapped,
        released=layout.released,
        extra=sum(end - start for start, end in layout.extra or ()),
        map_pages=layout.map_pages,
    )


def _judged(row: Row, findings: Sequence[Finding], outcome: str) -> Row:
    worst: Any = findings[0] if findings else None
    bad = [finding for finding in findings if finding.severity > Severity.NOTE]
    first = next((finding.pfns[0][0] for finding in bad if finding.pfns), -1)
    codes = " ".join(dict.fromkeys(finding.code for finding in findings))
    return row._replace(
        outcome=outcome, worst="" if worst is None else str(worst.severity), findings=codes, pfn=first
    )
