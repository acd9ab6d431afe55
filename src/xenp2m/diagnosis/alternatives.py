"""What would make a prediction agree with the log: the same host once more, one thing changed at a time.

The log's own counts are never put into a prediction. They only judge which change explains them, and
what comes of it is marked as inferred.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING

from xenp2m.diagnosis.predicted import against_plan
from xenp2m.errors import XenP2MError
from xenp2m.host import UNLIMITED
from xenp2m.kernel import OLDEST, Version
from xenp2m.plan import make_plan
from xenp2m.recover import host_of_log

if TYPE_CHECKING:
    from collections.abc import Iterator

    from xenp2m.diagnosis.result import Check
    from xenp2m.logs.consolefacts import Log
    from xenp2m.options import Options
    from xenp2m.plan import Plan

__all__ = ["TRIED", "explained", "newest_that_agrees"]

TRIED = (
    "7.3.4", "7.0", "6.19", "6.12.107", "6.11.1", "6.4", "5.14", "5.10", "4.20", "4.19.9", "4.14", "4.2",
    "3.18", "3.17", "3.15", "3.10", "3.4", "3.1", "2.6.39",
)  # fmt: skip
"""Versions of Linux that differ in what they print, newest first."""


def newest_that_agrees(log: Log, options: Options, plan: Plan) -> tuple[Options, str] | None:
    """For a log that does not name its kernel: the newest version with the fewest disagreements.

    Returns:
        The options with that version and what to say of it; None where the version that was taken
        agrees as well as any.
    """
    least = _count(log, plan)
    best: tuple[int, Version] | None = None
    for text in TRIED:
        version = Version.parse(text)
        if least == 0 or version is None or version < OLDEST or version >= plan.host.release.version:
            continue
        other = _planned(log, replace(options, kernel=version))
        if other is not None and (number := _count(log, other)) < least:
            least, best = number, (number, version)
    if best is None:
        return None
    return replace(
        options, kernel=best[1]
    ), f"Linux {best[1]}: the log names no version, its counts fit this one"


def explained(log: Log, options: Options, plan: Plan, checks: list[Check]) -> list[Check]:
    """`checks` with what would explain each that disagrees with the prediction."""
    wrong = {check.name for check in checks if not check.agrees and check.source == "prediction"}
    if not wrong:
        return checks
    reasons: dict[str, list[str]] = {}
    before = _count(log, plan)
    few = _FEW if len(plan.layout.table) > _LARGE else None
    for label, changed in islice(_changes(log, options, plan), few):
        other = _planned(log, changed)
        if other is None:
            continue
        still = {check.name for check in against_plan(log, other) if not check.agrees}
        if _count(log, other) < before:
            for name in wrong - still:
                reasons.setdefault(name, []).append(label)
    dropped = log.printed.messages_dropped
    lost = f"the console dropped {dropped:,} messages" if dropped else ""
    return [
        check._replace(why="; or ".join(reasons.get(check.name, [])[:3]) or lost or _other_reason(log, check))
        if not check.agrees and check.source == "prediction"
        else check
        for check in checks
    ]


def _other_reason(log: Log, check: Check) -> str:
    if log.boots > 1:
        return "the file holds several boots; lines of another may have come in between"
    if check.name == "end of the boot":
        return "a cause that has nothing to do with memory, or that is not modelled"
    return ""


def _count(log: Log, plan: Plan) -> int:
    return sum(not check.agrees for check in against_plan(log, plan))


def _planned(log: Log, options: Options) -> Plan | None:
    try:
        return make_plan(host_of_log(log, options)[0])
    except XenP2MError:
        return None


def _changes(log: Log, options: Options, plan: Plan) -> Iterator[tuple[str, Options]]:
    host, release = plan.host, plan.host.release
    if host.is_dom0:
        how = "without" if host.ibft else "with"
        label = f"a kernel {how} CONFIG_ISCSI_IBFT_FIND ({'--no-ibft' if host.ibft else '--ibft'})"
        yield label, replace(options, ibft=not host.ibft)
    for limit in (0, 512):
        if limit != host.p2m_limit_gb:
            label = (
                "a kernel without memory hotplug (--hotplug-limit 0)"
                if not limit
                else "memory hotplug to 512 GiB"
            )
            yield label, replace(options, hotplug_limit=limit)
    for name, values in _RULES:
        for value in values:
            if getattr(release, name) != value:
                rule = f"{name}={value}"
                yield f"the rule {rule} (--variant)", replace(options, variants=(*options.variants, rule))
    if host.is_dom0 and host.max_res != UNLIMITED:
        yield "a dom0_mem= without max", replace(options, max_pages=UNLIMITED)
    if host.is_dom0 and host.max_res == UNLIMITED:
        yield "a max in dom0_mem= equal to the start", replace(options, max_pages=host.nr_pages)
    for xen in ("4.17", "4.20.5", "4.14.6", "4.1"):
        if log.xen_version is None or not log.xen_version.startswith(xen[:4]):
            yield f"Xen {xen}", replace(options, xen=Version.parse(xen))
    for text in TRIED:
        version = Version.parse(text)
        if version is not None and version != release.version:
            yield f"Linux {text}", replace(options, kernel=version)


_LARGE, _FEW = 5000, 8
"""Ranges of a guest's map from which on a plan is dear, and how many changes are tried then."""
_RULES = (
    ("leftover", ("discard", "unusable")),
    ("nvs", ("conflict", "swap", "swap-offset-fault")),
    ("checks", ("early", "late")),
)
