"""A counterexample of the toy on a real machine: an E820, a ``dom0_mem=``, and operations to replay.

Every digit of a toy's PFN is stretched by itself: top entries stay top entries, its leaf pages become
stretches of real leaf pages, its frames stretches of real frames. So what shares a page on the toy
shares one on the machine, and what does not does not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from xenp2m.e820 import RAM, RESERVED, Entry
from xenp2m.explore.eras import RULE_SETS, kernel_of
from xenp2m.explore.operations import IDENTITY, INVALID
from xenp2m.extents import subtract, union
from xenp2m.frames import GEOMETRY_64, PAGE_SHIFT, Kind
from xenp2m.host import Host
from xenp2m.kernel import Release
from xenp2m.model.linear import LinearRules
from xenp2m.model.rules import Rules
from xenp2m.options import Options
from xenp2m.plan import make_plan
from xenp2m.replay import replay_row

if TYPE_CHECKING:
    from xenp2m.explore.operations import Op
    from xenp2m.explore.trace import Counterexample
    from xenp2m.kernel import Version

__all__ = ["RealCase", "dom0_mem_of", "real_case", "stretched"]

_N = GEOMETRY_64.entries
_FRESH = 1 << 21
_KINDS = {"#": Kind.MFN, "=": Kind.IDENTITY, ".": Kind.MISSING}


def stretched(pfn: int, entries: int) -> int:
    """The real PFN of a toy's."""
    step = _N // entries
    leaf, index = divmod(pfn, entries)
    top, mid = divmod(leaf, entries)
    return (top * _N + mid * step) * _N + index * step


@dataclass(frozen=True)
class RealCase:
    """The same case on the real geometry.

    Attributes:
        kernel: Linux version whose boot leads to it.
        rules: name of the rule set.
        e820: the machine's map, byte ranges.
        nr_pages: initial pages of dom0.
        max_pages: its maximum reservation.
        by_plan: whether a plan of this host shows it: the balloon's BUG, or else the map that the
            operations start from.
        extra: where extra memory lies: ``contiguous`` or ``behind`` (see `Host`).
        row: operations for `xenp2m replay`; the last one reads a frame that is wrong.
        pfn: that frame.
        wanted: what it should read as.
        by_replay: whether the replay reads something else there.
    """

    kernel: Version
    rules: str
    e820: tuple[Entry, ...]
    nr_pages: int
    max_pages: int
    extra: str
    pfn: int
    wanted: Kind
    by_plan: bool
    by_replay: bool
    row: dict[str, object]

    @property
    def dom0_mem(self) -> str:
        """The value of ``dom0_mem=``."""
        return dom0_mem_of(self.nr_pages, self.max_pages)


def dom0_mem_of(nr_pages: int, max_pages: int) -> str:
    """``dom0_mem=`` for that many pages, now and at most."""
    now, most = (f"{n >> 8}M" if n % 256 == 0 else f"{n << 2}K" for n in (nr_pages, max_pages))
    return f"{now},max:{most}"


def real_case(one: Counterexample) -> RealCase | None:
    """The case on the real geometry; None where there is nothing wrong in the map, or rules were changed."""
    scope = one.scope
    if not one.wrong or RULE_SETS.get(scope.rules.name) != scope.rules:
        return None
    balloons = one.shots[-1].ret is None
    wrong = next(op.pfn for op in reversed(one.ops) if op.name == "bu") if balloons else one.wrong[0]
    pfn, wanted = stretched(wrong, scope.geometry.entries), _KINDS[one.shots[one.broke].wanted[wrong]]
    if isinstance(scope.rules, LinearRules) and one.config.extra_end:
        return None  # an extra region of its own has no form as operations, and no map leads to it
    row = _row(one, pfn)
    e820, nr_pages, max_pages = _machine(one, balloons)
    extra = "contiguous" if balloons else "behind"
    said = Options(
        dom0_mem=dom0_mem_of(nr_pages, max_pages),
        rules=scope.rules.name if isinstance(scope.rules, Rules) else None,
        extra=extra,
    )
    host = said.applied(Host(Release.of(kernel_of(scope.rules)), nr_pages, e820))
    return RealCase(
        kernel_of(scope.rules),
        scope.rules.name,
        e820,
        nr_pages,
        max_pages,
        extra,
        pfn,
        wanted,
        (host.nr_pages, host.max_res) == (nr_pages, max_pages) and _plan_shows(host, one, balloons),
        _replay_shows(row, pfn, wanted),
        row,
    )


def _machine(one: Counterexample, balloons: bool) -> tuple[tuple[Entry, ...], int, int]:
    """Map, initial pages and maximum: holes where identity is, RAM elsewhere.

    With the balloon in it the maximum ends at the hole: the thread's own case. Else dom0 has no room to
    grow. RAM reaches over every GiB that an operation touches, and one more for the hypervisor.
    """
    entries = one.scope.geometry.entries
    holes = [(stretched(op.pfn, entries), stretched(op.end, entries)) for op in one.ops if op.name == "ri"]
    holes = [hole for hole in holes if hole[0] < hole[1]]
    nr_pages = stretched(one.config.nr_pages, entries)
    touched = max([nr_pages, *(stretched(op.pfn, entries) + 1 for op in one.ops), *(e for _, e in holes)])
    end = (-(-touched // _N**2) + 1) * _N**2
    max_pages = min(low for low, _ in holes) if balloons else nr_pages
    pieces = [Entry(low << PAGE_SHIFT, high << PAGE_SHIFT, RAM) for low, high in subtract([(0, end)], holes)]
    pieces += [Entry(low << PAGE_SHIFT, high << PAGE_SHIFT, RESERVED) for low, high in union(holes)]
    return tuple(sorted(pieces)), nr_pages, max_pages


def _row(one: Counterexample, pfn: int) -> dict[str, object]:
    """The operations as a row of `xenp2m.replay`, and a read of the wrong frame behind them."""
    entries = one.scope.geometry.entries
    ops = [_op(op, entries, one.scope.rules.by_value) for op in one.ops if op.name != "bu"]
    return {
        "rules": one.scope.rules.name,
        "bits": 64,
        "in": {"nr_pages": stretched(one.config.nr_pages, entries), "ops": [*ops, ["g", pfn]]},
    }


def _op(op: Op, entries: int, by_value: bool) -> list[object]:
    first = stretched(op.pfn, entries)
    if op.name == "rt":
        return ["rt"]
    if op.name == "ri":
        return ["ri", first, stretched(op.end, entries)]
    if op.value == INVALID:
        return [op.name, first, GEOMETRY_64.invalid]
    word = first if by_value else first | GEOMETRY_64.identity_bit
    return [op.name, first, word if op.value == IDENTITY else _FRESH + first]


def _replay_shows(row: dict[str, object], pfn: int, wanted: Kind) -> bool:
    """Whether the frame reads as something else than it should after the replay."""
    answer = replay_row(row)
    out = answer.get("out")
    if not isinstance(out, dict) or "bug" in out:
        return False
    found = next(run for run in out["p2m"] if run[0] <= pfn < run[1])
    return bool(Kind(found[2]) is not wanted)


def _plan_shows(host: Host, one: Counterexample, balloons: bool) -> bool:
    """Whether a boot of the host ends as the trace does, or has the map that its ranges leave."""
    plan = make_plan(host)
    if balloons:
        return any(finding.code == "identity-over-extra" for finding in plan.findings)
    ranges = [shot for shot in one.shots if shot.op.name == "ri"]
    if plan.p2m is None or any(s.op.name != "ri" for s in one.shots[: len(ranges)]):
        return False
    entries = one.scope.geometry.entries
    symbols = ranges[-1].reads if ranges else None
    for toy_pfn in range(one.scope.geometry.max_p2m_pfn):
        pfn = stretched(toy_pfn, entries)
        if symbols is None:
            wanted = Kind.MFN if toy_pfn < one.config.nr_pages else Kind.MISSING
        else:
            wanted = _KINDS[symbols[toy_pfn]]
        if plan.p2m.lookup(pfn)[0] is not wanted:
            return False
    return True
