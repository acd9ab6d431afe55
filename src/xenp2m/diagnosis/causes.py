"""Why dom0 died or complained: each fault of a log with the finding it belongs to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from xenp2m.checks.stories import STORIES
from xenp2m.diagnosis.assertions import place_of_fault
from xenp2m.diagnosis.numbers import numbers_of
from xenp2m.diagnosis.result import Explained
from xenp2m.findings import Finding, Outcome, Severity
from xenp2m.kernel import Version

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from xenp2m.logs.consolefacts import Fault, Log
    from xenp2m.plan import Plan

__all__ = ["explain_faults", "fault_findings", "how_known"]

_SHOWN = 12
_STOPS = (
    ("conflicts with E820", "image-conflict"),
    ("find new memory area", "no-free-area"),
    ("No suitable area", "nvs-no-room"),
)


def explain_faults(log: Log, plan: Plan | None) -> tuple[Explained, ...]:
    """The faults of a log, the first ones of many, each with what is known of it.

    A finding of the host's own prediction that leads to the same place is the cause. Where there is
    none, the most usual cause of the place is named as an inference.
    """
    version = plan.host.release.version if plan else _version(log)
    return tuple(_explained(fault, log, plan, version) for fault in log.printed.faults[:_SHOWN])


def _version(log: Log) -> Version | None:
    texts = (
        log.linux_version_full,
        log.linux_version,
        log.linux_version_from_oops_full,
        log.linux_version_from_oops,
    )
    return next((version for text in texts if (version := Version.parse(text or ""))), None)


def _explained(fault: Fault, log: Log, plan: Plan | None, version: Version | None) -> Explained:
    name = log.names.get("printed.faults", log.name)
    where, numbers = f"{name}:{fault.number}", numbers_of(fault, log, plan)
    place = place_of_fault(fault, version)
    predicted = _deadly(plan)
    if place is None:
        # Only a place that is known can be told to be the predicted one; a dying boot makes it likely.
        code = predicted[0] if predicted and fault.kind != "warning" else None
        return Explained(fault, where, code=code, numbers=numbers)
    known, seen = place
    shared = [code for code in known.codes if code in predicted]
    code = shared[0] if shared else _usual(known.codes, plan)
    return Explained(fault, where, known.asserts, seen, code, bool(shared), numbers)


def _deadly(plan: Plan | None) -> list[str]:
    """Codes of the findings by which a boot may end, and the faults that other findings lead to."""
    if plan is None:
        return []
    return [f.code for f in plan.findings if f.outcome is not Outcome.BOOTS or f.code == "p2m-too-short"]


def _usual(codes: tuple[str, ...], plan: Plan | None) -> str | None:
    """The most usual cause of a place: with a plan, one that the plan cannot rule out."""
    if plan is None:
        return codes[0]
    return next((code for code in codes if code.startswith("fault-")), None)


def fault_findings(log: Log, plan: Plan | None, faults: tuple[Explained, ...]) -> Iterator[Finding]:
    """Findings of faults, last words and a silent end; those that the plan already has are left out."""
    have = {finding.code for finding in plan.findings} if plan else set()
    told = set(have)
    for each in faults:
        if each.code is not None and each.code not in told:
            told.add(each.code)
            how = "" if each.sure else "inferred from the place where it stopped"
            yield Finding(STORIES[each.code], f"{_short(each.fault)} ({each.where})", how, _pfns(each))
    for stop in log.printed.stops:
        code = next((code for words, code in _STOPS if words in stop), None)
        if code is not None and code not in told:
            told.add(code)
            yield Finding(STORIES[code], f'dom0 stopped: "{stop}"', "the log says so", outcome=Outcome.HALTS)
    unknown = [each for each in faults if each.code is None]
    causes = any(STORIES[code].severity is Severity.ERROR for code in told)
    if unknown and not causes:
        first = unknown[0]
        yield Finding(STORIES["fault-elsewhere"], f"{_short(first.fault)} ({first.where})")
    if log.printed.died and not causes:
        last = log.printed.dom0_end or (log.printed.faults[-1].text if log.printed.faults else "")
        yield Finding(STORIES["dom0-died"], f'the last word is "{last[:90]}"')


def how_known(
    findings: Sequence[Finding], predicted: Sequence[Finding], log: Log, faults: tuple[Explained, ...]
) -> dict[str, str]:
    """How each finding's code is known: what the log shows is told apart from what follows from the host.

    Args:
        findings: all of them.
        predicted: those of the host's plan.
        log: the facts.
        faults: what the log's faults were explained by.

    Returns:
        ``printed`` (the log says so), ``predicted`` (the host leads there), ``predicted and printed``
        (the log shows a fault or a last word at that very place), or ``inferred`` (from the place alone).
    """
    planned = {finding.code for finding in predicted}
    shown = {each.code for each in faults if each.sure}
    shown |= {code for stop in log.printed.stops for words, code in _STOPS if words in stop}
    guessed = {each.code for each in faults if not each.sure} - shown
    known: dict[str, str] = {}
    for finding in findings:
        code = finding.code
        if code in planned:
            known[code] = "predicted and printed" if code in shown else "predicted"
        else:
            known[code] = "inferred" if code in guessed else "printed"
        if code == "struct-page-cost":
            known[code] = "predicted"
    return known


def _pfns(each: Explained) -> tuple[tuple[int, int], ...]:
    return tuple((n.value, n.value + 1) for n in each.numbers if n.name != "mfn")


def _short(fault: Fault) -> str:
    text = fault.said or fault.text
    return f"{text[:80]} in {fault.function}" if fault.function and fault.function not in text else text[:90]
