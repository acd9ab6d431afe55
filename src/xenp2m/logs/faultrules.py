"""Lines of a BUG, WARNING, oops or panic of Linux: one `Fault` for each, from its opening line on.

Sources: ``__report_bug``, ``__warn``, ``show_regs``, ``show_trace_log_lvl``, ``early_fixup_exception``, in
the forms of 2.6.39 to 7.3 (RIP with and without address; WARNING with the place before and, from 6.19
on, behind the word ``at``).
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from xenp2m.logs.consolefacts import Fault

if TYPE_CHECKING:
    from xenp2m.logs.readboot import Boot

__all__ = ["feed_fault"]

_MOST_FAULTS, _MOST_CALLS = 64, 48
_AT = r"(?P<file>\S{1,200}):(?P<line>\d{1,9})"
_OPENINGS = (
    ("kernel BUG at", "bug", re.compile(rf"kernel BUG at {_AT}!")),
    ("WARNING: ", "warning", re.compile(rf"WARNING: (?:CPU: \d{{1,6}} PID: \d{{1,10}} )?(?:at )?{_AT}")),
    ("BUG: ", "oops", re.compile(r"BUG: .{0,120}?(?:address:?|at) ?(?:0x)?(?P<address>[0-9a-f]{16})")),
    ("BUG: ", "oops", re.compile(r"BUG: \S")),
    ("general protection", "oops", re.compile(r"general protection fault")),
    ("early exception", "exception", re.compile(r"PANIC: early exception")),
    ("Kernel panic", "panic", re.compile(r"Kernel panic - not syncing")),
)  # fmt: skip
_KEYS = tuple({key: None for key, _, _ in _OPENINGS})
_SYMBOL = r"(?P<function>[A-Za-z_][\w.]{0,120})\+0x[0-9a-f]{1,8}/0x[0-9a-f]{1,8}"
_RIP = re.compile(
    rf"(?:RIP|EIP|IP):? (?:[0-9a-f]{{2,12}}:)?(?:\s{{0,3}}\[<\w{{8,16}}>\]){{0,2}}\s{{0,2}}{_SYMBOL}"
)
_CALL = re.compile(rf"(?:\[<\w{{8,16}}>\] )?\s?(?:\? )?{_SYMBOL}(?: \[\w+\])?$")
_REGISTER = re.compile(r"\b([RE][A-Z0-9]{1,2}): ?([0-9a-f]{8,16})\b")
_REASON = re.compile(r"Failed to |.{0,80}\b(?:pfn|mfn)\s?=\s?\w")


def feed_fault(boot: Boot, line: str, number: int) -> None:
    """Take one line of the kernel, without its prefixes: open a fault, or add to the last one."""
    if any(key in line for key in _KEYS):
        for key, kind, pattern in _OPENINGS:
            if key in line and (match := pattern.match(line)):
                _open(boot, kind, match, line, number)
                return
    faults: list[Fault] = boot.facts.get("printed.faults") or []
    if _REASON.match(line):
        boot.reason = (line[:200], number)
    if not faults or number - faults[-1].number > 200:
        return
    last = faults[-1]
    if "IP" in line and last.function is None and (match := _RIP.match(line)):
        faults[-1] = replace(last, function=_plain(match["function"]))
    elif line[:1] in "RE" and (found := _REGISTER.findall(line)):
        known = dict(last.registers)
        known |= {name: int(value, 16) for name, value in found if name not in known}
        faults[-1] = replace(last, registers=tuple(known.items())[:24])
    elif "+0x" in line and len(last.calls) < _MOST_CALLS and (match := _CALL.match(line)):
        faults[-1] = replace(last, calls=(*last.calls, _plain(match["function"])))


def _open(boot: Boot, kind: str, match: re.Match[str], line: str, number: int) -> None:
    faults: list[Fault] = boot.facts.setdefault("printed.faults", [])
    boot.lines.setdefault("printed.faults", number)
    of_a_bug = kind == "exception" and faults and faults[-1].kind == "bug" and number - faults[-1].number <= 3
    if of_a_bug or len(faults) >= _MOST_FAULTS:
        return
    at = match.groupdict()
    symbol = re.search(_SYMBOL, line) if kind == "warning" else None
    reason, where = boot.reason or ("", 0)
    said = reason if kind == "warning" and 0 < number - where <= 3 else None
    faults.append(
        Fault(
            kind=kind,
            text=line[:200],
            number=number,
            file=at.get("file"),
            line=int(at["line"]) if at.get("line") else None,
            function=_plain(symbol["function"]) if symbol else None,
            address=int(at["address"], 16) if at.get("address") else None,
            said=said,
        )
    )


def _plain(function: str) -> str:
    """A function without what compilers append to its name."""
    return re.split(r"\.(?:isra|constprop|part|cold|llvm)", function)[0]
