"""Findings: what the program noticed, each with a stable code.

A `Finding` is about one host; the `Story` of its code is about the code. Severity is ``note`` for
facts and normal events, ``warning`` for memory or a device at risk, ``error`` for a boot that ends.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

from xenp2m.display import Displayed

if TYPE_CHECKING:
    from xenp2m.extents import Range

__all__ = ["Finding", "Outcome", "Severity", "Story"]


class Severity(IntEnum):
    """How much a finding matters; comparable."""

    NOTE = 0
    WARNING = 1
    ERROR = 2

    def __str__(self) -> str:
        return self.name.lower()


class Outcome(IntEnum):
    """How a boot ends; the larger is the worse."""

    BOOTS = 0
    UNSETTLED = 1
    CRASHES = 2
    HALTS = 3

    def __str__(self) -> str:
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class Story:
    """What a code means, on any host.

    Attributes:
        code: the stable name.
        severity: of every finding with this code.
        title: one line.
        story: what happens and why.
        fix: what a user can do, one or two sentences.
        source: kernel function, version, commit the rule follows.
        trigger: which inputs have it: what the program tests.
        fixed: version and commit that mended it, ``not fixed``, or nothing where there is nothing to mend.
        about: ``host``, or ``kernel`` for a fault of the version's code that no map decides.
    """

    code: str
    severity: Severity
    title: str
    story: str
    fix: str
    source: str
    trigger: str = ""
    fixed: str = ""
    about: str = "host"


@dataclass(frozen=True, slots=True)
class Finding(Displayed):
    """One thing noticed about one host.

    Attributes:
        story: the code's entry in the catalogue.
        what: the fact, in one line with its numbers.
        why: what follows from it here.
        pfns: frames concerned, half-open PFN ranges.
        outcome: how the boot ends because of it.
    """

    story: Story
    what: str
    why: str = ""
    pfns: tuple[Range, ...] = ()
    outcome: Outcome = Outcome.BOOTS

    @property
    def code(self) -> str:
        """Stable code."""
        return self.story.code

    @property
    def severity(self) -> Severity:
        """Severity of the code."""
        return self.story.severity
