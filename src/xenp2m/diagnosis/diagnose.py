"""Puts a diagnosis together: recover the host, predict its boot, hold the log against it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from xenp2m.checks.stories import STORIES
from xenp2m.diagnosis.accounting import account, struct_page_kib
from xenp2m.diagnosis.alternatives import explained, newest_that_agrees
from xenp2m.diagnosis.causes import explain_faults, fault_findings, how_known
from xenp2m.diagnosis.identities import identities
from xenp2m.diagnosis.predicted import against_plan, ram_frames_of
from xenp2m.diagnosis.result import Diagnosis
from xenp2m.errors import InputError, UnsupportedError
from xenp2m.findings import Finding
from xenp2m.logs.oneboot import left_out
from xenp2m.plan import make_plan
from xenp2m.recover import host_of_log

if TYPE_CHECKING:
    from collections.abc import Iterator

    from xenp2m.diagnosis.result import Check
    from xenp2m.logs.consolefacts import Log
    from xenp2m.options import Options
    from xenp2m.plan import Plan

__all__ = ["diagnose"]


def diagnose(log: Log, options: Options, others: tuple[str, ...] = ()) -> Diagnosis:
    """Diagnose one boot.

    Args:
        log: its facts, merged from as many pastes as there are.
        options: what the user said; it wins over the log.
        others: a line on each of the other boots in the files.

    Returns:
        The diagnosis; without a plan, and with the reason, where the log does not tell enough.

    Raises:
        UnsupportedError: no PV guest, or an era that is not modelled.
        InputError: the log tells nothing at all.
    """
    log = _completed(log)
    plan, title, options, inferred, refused = _predicted(log, options)
    checks = list(identities(log))
    if plan is not None:
        checks += explained(log, options, plan, list(against_plan(log, plan)))
    faults = explain_faults(log, plan)
    rows = account(log, plan)
    if refused is not None and not checks and not faults and not rows and not log.printed.stops:
        raise refused if log.lines and not log.unread else _no_log(log)
    own = [f for f in plan.findings if f.story.about == "host"] if plan else []
    findings = [*own, *fault_findings(log, plan, faults), *_of_checks(checks), *_of_facts(log, plan)]
    why = (f"no prediction: expected {refused.expected}, got {refused.got}",) if refused else ()
    return Diagnosis(
        log=log,
        title=title,
        plan=plan,
        missing=(*why, *_absent(log, plan)),
        checks=tuple(checks),
        rows=tuple(rows),
        faults=faults,
        findings=tuple(sorted(findings, key=lambda f: -f.severity)),
        known=how_known(findings, own, log, faults),
        others=others,
        assumed=((*inferred, *plan.assumed) if plan else ()),
    )


def _no_log(log: Log) -> InputError:
    return InputError(log.name, "a log of Xen or of a PV kernel", (*log.unread, "nothing of either")[0])


def _completed(log: Log) -> Log:
    """What ``xl info`` repeats of the hypervisor's log, where that log is not there."""
    running = log.running
    return replace(
        log,
        xen_version=log.xen_version or running.xen_version,
        xen_cmdline=log.xen_cmdline if log.xen_cmdline is not None else running.xen_cmdline,
    )


class _Prediction(NamedTuple):
    """The plan and the line that names the host, the options that count, what was inferred; or why not."""

    plan: Plan | None
    title: str
    options: Options
    inferred: tuple[str, ...] = ()
    refused: InputError | None = None


def _predicted(log: Log, options: Options) -> _Prediction:
    try:
        host, title = host_of_log(log, options)
        plan = make_plan(host)
    except UnsupportedError:
        raise
    except InputError as error:
        return _Prediction(None, _title(log), options, refused=error)
    named = log.linux_version or log.linux_version_from_oops or options.version
    better = None if named else newest_that_agrees(log, options, plan)
    if better is None:
        return _Prediction(plan, title, options)
    options, line = better
    host, title = host_of_log(log, options)
    title = title.replace(f"Linux {host.release.version}", f"Linux {host.release.version} (inferred)", 1)
    return _Prediction(make_plan(host), title, options, (line,))


def _title(log: Log) -> str:
    """What is known of a host that cannot be recovered."""
    version = log.linux_version_full or log.linux_version or log.linux_version_from_oops
    parts = [f"Xen {log.xen_version}"] if log.xen_version else []
    parts += [f"Linux {version}"] if version else []
    parts += [f"{(log.guest_kind or 'PV').upper()} {log.dom}"] if log.dom else []
    return " · ".join(parts) or "a host that the log does not name"


def _absent(log: Log, plan: Plan | None) -> Iterator[str]:
    """What is not in the log, and what it would have shown."""
    yield from left_out(log)
    if not log.has_hypervisor:
        yield "the hypervisor's log (xl dmesg): host map, placement, command line"
    elif log.host_map_cut:
        yield "the rest of the hypervisor's map: the text ends inside it"
    if log.linux_map_open:
        yield "the rest of Linux' map: the text ends inside it"
    elif (
        not log.has_kernel
        and log.printed.dom0_end is None
        and not log.printed.stops
        and not log.printed.faults
    ):
        yield "the kernel's own log (dmesg): nothing to hold against the prediction"
    if plan is not None and log.dom0_alloc is None and plan.host.is_dom0 and log.has_hypervisor:
        yield '"Dom0 alloc.": how many pages dom0 was built with'
    if log.ends_at_allocation:
        yield 'what follows "Dom0 alloc.": the ramdisk, and where the builder put everything'


def _of_checks(checks: list[Check]) -> Iterator[Finding]:
    """One finding for each thing that differs."""
    told = set()
    for check in checks:
        if check.agrees or check.name in told:
            continue
        told.add(check.name)
        code = "log-disagrees" if check.source == "prediction" else "log-sum-broken"
        word = "predicted" if check.source == "prediction" else "elsewhere in the log"
        what = f"{check.name}: {check.printed} printed, {check.expected} {word} ({check.where})"
        yield Finding(STORIES[code], what, f"would be explained by {check.why}" if check.why else "")


def _of_facts(log: Log, plan: Plan | None) -> Iterator[Finding]:
    told = log.printed
    if told.messages_dropped:
        yield Finding(STORIES["messages-lost"], f"{told.messages_dropped:,} messages are not in the log")
    if log.iomem_zeroed:
        yield Finding(STORIES["iomem-zeroed"], "all addresses of /proc/iomem are zero")
    if told.balloon_underflow:
        yield Finding(STORIES["balloon-refused"], log.where("printed.balloon_underflow"))
    if plan is not None and plan.layout.e820 is not None:
        cost, start = struct_page_kib(ram_frames_of(plan)), plan.host.nr_pages << 2
        if cost * 8 >= start:
            what = f"about {cost >> 10:,} MiB of {start >> 10:,} MiB, {100 * cost // start} percent"
            yield Finding(STORIES["struct-page-cost"], what)
