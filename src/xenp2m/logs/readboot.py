"""What has been read of one boot so far: the value that the rules of lines fill."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from xenp2m.logs.e820text import FirmwareMemmap

if TYPE_CHECKING:
    from xenp2m.e820 import Entry

__all__ = ["Action", "Boot", "Rule"]

_MOST = 1000
"""What a list of facts other than a map keeps."""


class Boot:
    """What has been read of one boot so far; facts of `Printed` are named ``printed.*``."""

    def __init__(self) -> None:
        self.facts: dict[str, Any] = {}
        self.lines: dict[str, int] = {}
        self.maps: dict[str, list[Entry]] = {}
        self.memmap = FirmwareMemmap()
        self.open: str | None = None
        self.closed: set[str] = set()
        self.stray_form: str | None = None
        self.arrangement: str | None = None
        self.reason: tuple[str, int] | None = None
        self.banner = self.built = self.kernel = self.broken = False

    def put(self, fact: str, value: object, number: int) -> None:
        """Keep a fact, unless it is already there."""
        if fact not in self.facts:
            self.facts[fact] = value
            self.lines[fact] = number

    def drop(self, *facts: str) -> None:
        """Forget facts: what follows is to replace them."""
        for fact in facts:
            self.facts.pop(fact, None)
            self.lines.pop(fact, None)
            self.maps.pop(fact, None)

    def add(self, fact: str, value: object, number: int) -> None:
        """Append to a fact that is a list; a repetition, and what is beyond `_MOST`, is not kept."""
        kept = self.facts.setdefault(fact, [])
        self.lines.setdefault(fact, number)
        if len(kept) < _MOST and value not in kept[-64:]:
            kept.append(value)

    def count(self, fact: str, by: int, number: int) -> None:
        """Add to a fact that is a sum."""
        self.lines.setdefault(fact, number)
        self.facts[fact] = self.facts.get(fact, 0) + by


Action = Callable[[Boot, re.Match[str], int], None]
"""What a rule does with the boot, the match and the number of the line."""

Rule = tuple[str, re.Pattern[str], Action]
"""A word that the line must hold, the form of the line, and what to do with it."""
