"""Figures as they come: a line on the terminal each, and all of them as a document."""

import os
import platform
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

__all__ = ["Report", "machine"]


@dataclass
class Report:
    """Called with each figure as it is measured.

    Attributes:
        quick: whether sizes are to be small.
        missed: names of figures beyond their limit.
        absent: peers that are missing, and how to get them.
    """

    quick: bool = False
    say: Callable[[str], None] = print
    missed: list[str] = field(default_factory=list)
    absent: list[str] = field(default_factory=list)
    _text: list[str] = field(default_factory=list)
    _open: bool = False

    def section(self, title, text=""):
        """Begin a group of figures."""
        self.say(f"\n{title}")
        self._text += ["", f"## {title}", ""] + ([text, ""] if text else [])
        self._open = False

    def __call__(self, name, figure, unit, limit=None, *, at_least=False, why=""):
        """Tell one figure; `limit` is what it is held against, `why` what is behind it."""
        met = limit is None or (figure >= limit if at_least else figure <= limit)
        if not met:
            self.missed.append(name.strip())
        sign = ">=" if at_least else "<="
        held = "" if limit is None else f"({sign} {limit:,g})"
        shown = f"{figure:,.0f}" if abs(figure) >= 1000 else f"{figure:,.2f}"
        self.say(f"{name:62} {shown:>12} {unit:9} {held}{'' if met else '  MISSED'}")
        if not self._open:
            self._text += ["| what | figure | limit | |", "|---|--:|--:|---|"]
            self._open = True
        bound = "" if limit is None else f"{'≥' if at_least else '≤'} {limit:,g}"
        said = " ".join(part for part in ("" if met else "**missed**", why) if part)
        indent = "&emsp;" if name.startswith(" ") else ""
        self._text.append(f"| {indent}{name.strip()} | {shown} {unit} | {bound} | {said} |")

    def table(self, head, rows, text=""):
        """Tell a table: the first column says what, the others are numbers or words."""
        shown = [[_cell(value) for value in row] for row in rows]
        widths = [max(len(row[i]) for row in [list(head), *shown]) for i in range(len(head))]
        for row in [head, *shown]:
            cells = [
                f"{cell:<{width}}" if not i else f"{cell:>{width}}"
                for i, (cell, width) in enumerate(zip(row, widths, strict=True))
            ]
            self.say("  ".join(cells))
        if text:
            self.say(text)
        self._text += [""] if self._open else []
        self._text += [f"| {' | '.join(head)} |", "|---|" + "--:|" * (len(head) - 1)]
        self._text += [f"| {' | '.join(row)} |" for row in shown]
        self._text += ["", text, ""] if text else [""]
        self._open = False

    def missing(self, peer, how):
        """Tell that a peer is not there; the rest goes on."""
        self.absent.append(f"{peer}: {how}")
        self.say(f"  {peer} is missing: {how}")

    def document(self):
        """Everything told so far as Markdown."""
        head = [
            "# How fast it is, beside others, in one run",
            "",
            "Written by `make performance`; `make bench` prints the same without writing. Every figure",
            "stands beside a peer or a limit of the same run: what counts are the ratios.",
            "",
            *(f"* {name}: {value}" for name, value in machine()),
        ]
        if self.absent:
            head += [f"* not there: {line}" for line in self.absent]
        missed = ", ".join(self.missed)
        head += [
            "",
            f"Limits missed in this run: {missed}." if missed else "No limit was missed in this run.",
        ]
        return "\n".join([*head, *self._text]).rstrip() + "\n"


def _cell(value):
    if isinstance(value, float):
        return f"{value:,.0f}" if value >= 1000 else f"{value:,.2f}" if value < 100 else f"{value:,.1f}"
    return str(value) if value is not None else "–"


def machine():
    """What the figures were measured on, as (name, value)."""
    told = Path("/proc/cpuinfo").read_text().split("model name")[1:] if Path("/proc/cpuinfo").exists() else []
    model = told[0].split("\n")[0].strip(" \t:") if told else platform.machine()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 30
    load = os.getloadavg()[0]
    huge = Path("/sys/kernel/mm/transparent_hugepage/enabled")
    pages = huge.read_text().split("[")[1].split("]")[0] if huge.exists() else "unknown"
    return [
        ("processor", f"{model}, {os.cpu_count()} of them"),
        ("memory", f"{memory} GiB, transparent huge pages: {pages}"),
        ("system", f"Linux {platform.release()}" if sys.platform == "linux" else platform.platform()),
        ("software", f"Python {platform.python_version()}, numpy {np.__version__}"),
        (
            "load when it began to be written",
            f"{load:.1f} (other work on the machine makes times longer, ratios less so)",
        ),
    ]
