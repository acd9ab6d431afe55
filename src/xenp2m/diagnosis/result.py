"""Diagnosis: what one log says, held against what its host should have done."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from xenp2m.findings import Finding
    from xenp2m.logs.consolefacts import Fault, Log
    from xenp2m.plan import Plan

__all__ = ["Check", "Diagnosis", "Explained", "Number", "Row"]


class Check(NamedTuple):
    """One thing that the log and something else tell of.

    Attributes:
        name: what is compared, stable: a phrase of lower-case words.
        printed: what the log says, as text.
        expected: what it should say, as text.
        agrees: whether both are the same.
        where: file and line of the log.
        source: what expects it: ``prediction``, or ``log`` for a sum of other lines of the log.
        why: what would explain a difference; empty where nothing is known.
    """

    name: str
    printed: str
    expected: str
    agrees: bool
    where: str
    source: str = "prediction"
    why: str = ""


class Row(NamedTuple):
    """One step on the way from installed RAM to what ``free`` shows.

    Attributes:
        name: what it is.
        kib: KiB, negative where it is taken off.
        how: ``printed`` in the log, ``predicted``, ``worked out`` of other rows, or ``inferred``.
        where: file and line where it was printed, or what it was inferred from.
        total: whether it is the sum so far, and not a step.
    """

    name: str
    kib: int
    how: str
    where: str = ""
    total: bool = False


class Number(NamedTuple):
    """A frame number that a fault names.

    Attributes:
        name: ``pfn``, ``mfn``, a register, or ``address`` of a page fault.
        value: the frame.
        said: as it was printed.
        means: what that frame is.
        inferred: whether it was taken for a frame number without the log saying so.
    """

    name: str
    value: int
    said: str
    means: str
    inferred: bool


@dataclass(frozen=True, slots=True)
class Explained:
    """One fault of the log and what is known of it.

    Attributes:
        fault: as it was printed.
        where: file and line.
        asserts: what the kernel checks or does at that place; empty where it is not known.
        verified: whether a boot of that very place was seen for this project.
        code: finding that it belongs to, or None.
        sure: whether that follows from the host's own prediction; else it is inferred from the place.
        numbers: frames that it names.
    """

    fault: Fault
    where: str
    asserts: str = ""
    verified: bool = False
    code: str | None = None
    sure: bool = False
    numbers: tuple[Number, ...] = ()


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What became of one boot.

    Attributes:
        log: the facts.
        title: one line that names the host.
        plan: the prediction; None where the log does not tell enough.
        missing: why there is none, and what else is missing, one line each.
        checks: the log against prediction and against itself.
        rows: from installed RAM to ``free``; empty where not enough is told.
        faults: BUGs, warnings, panics.
        findings: what was noticed, errors first.
        known: how the finding of each code is known (`causes.how_known`).
        others: one line on each of the other boots of the file.
        assumed: what the prediction takes for granted, and what was inferred.
    """

    log: Log
    title: str
    plan: Plan | None = None
    missing: tuple[str, ...] = ()
    checks: tuple[Check, ...] = ()
    rows: tuple[Row, ...] = ()
    faults: tuple[Explained, ...] = ()
    findings: tuple[Finding, ...] = ()
    known: Mapping[str, str] = field(default_factory=dict)
    others: tuple[str, ...] = ()
    assumed: tuple[str, ...] = field(default=())

    @property
    def disagreements(self) -> tuple[Check, ...]:
        """Checks that fail."""
        return tuple(check for check in self.checks if not check.agrees)
