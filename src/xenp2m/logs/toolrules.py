"""Lines that tools print in a running system: ``xl``, xenstore, /proc/meminfo, ``free``.

These lines have no prefix of Xen or of the kernel. They tell where memory is now; nothing of them is
used to predict a boot, but for the hypervisor's version and command line where its own log is missing.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from xenp2m.logs.readboot import Boot

__all__ = ["TOOL_WORDS", "feed_tool"]

TOOL_WORDS = (
    "free_memory", "xen_version", "xen_commandline", "MemTotal", "Mem:", "/memory/",
)  # fmt: skip
"""Words one of which is in every line that is read here."""

_NUMBERS = (
    (re.compile(r"free_memory\s{0,30}: (\d{1,12})$"), "free_mib"),
    (re.compile(r"MemTotal:\s{1,20}(\d{1,15}) kB$"), "mem_total_kib"),
)
_TEXTS = (
    (re.compile(r"xen_version\s{0,30}: (\d\S{0,40})$"), "xen_version"),
    (re.compile(r"xen_commandline\s{0,30}:\s?(.{0,2000})$"), "xen_cmdline"),
)
_STORE = re.compile(r"/local/domain/(\d{1,5})/memory/(target|static-max) = \"(\d{1,15})\"$")
_FREE = re.compile(
    r"Mem:\s{1,20}(\d{1,15}(?:\.\d)?)([KMG]i?)?\s{1,20}\S{1,12}\s{1,20}(\d{1,15}(?:\.\d)?)([KMG]i?)?"
)
_FREE_UNITS = {"": 1, "K": 1, "M": 1 << 10, "G": 1 << 20}


def feed_tool(boot: Boot, line: str, number: int) -> None:
    """Read one line that neither Xen nor Linux printed; the first line that tells a fact counts."""
    if not any(word in line for word in TOOL_WORDS):
        return
    for pattern, fact in _NUMBERS:
        if match := pattern.match(line):
            boot.put(f"running.{fact}", int(match[1]), number)
            return
    for pattern, fact in _TEXTS:
        if match := pattern.match(line):
            boot.put(f"running.{fact}", match[1].strip(), number)
            return
    if match := _STORE.match(line):
        boot.add("running.domains", (int(match[1]), match[2], int(match[3])), number)
    elif (match := _FREE.match(line)) and (match[2] or float(match[1]) >= 1 << 15):
        # A number without a unit is in KiB, unless it is too small for that: then `free -m` gave MiB.
        scale = _FREE_UNITS[(match[2] or "")[:1]]
        boot.put("running.mem_total_kib", int(float(match[1]) * scale), number)
