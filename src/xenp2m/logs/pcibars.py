"""BARs of PCI devices in pasted text: ``lspci -v``, and what Linux prints when it finds devices.

Memory BARs only: I/O ports have nothing to do with a memory map. Source of the forms: pciutils
``show_bases``; Linux ``__pci_read_base`` and ``pci_bus_assign_resources``, which print ``reg 0x10:`` up
to 6.7, and ``BAR 0`` since.
"""

from __future__ import annotations

import re
from typing import NamedTuple

__all__ = ["Bar", "parse_bars"]

_MOST = 4096


class Bar(NamedTuple):
    """One memory BAR.

    Attributes:
        device: PCI address, with its domain.
        name: ``BAR 0`` to ``BAR 5``, ``ROM``, or ``Region`` where lspci gives no number.
        start: first byte.
        end: one past the last byte.
        line: line of the text.
    """

    device: str
    name: str
    start: int
    end: int
    line: int


_DEVICE = r"(?P<device>(?:[0-9a-f]{4}:)?[0-9a-f]{2}:[0-9a-f]{2}\.[0-7])"
_HEAD = re.compile(rf"\s{{0,8}}{_DEVICE} \S")
_LSPCI = re.compile(
    r"\s{1,8}(?:Region (?P<n>[0-5]): |Expansion (?P<rom>ROM) at (?P<r>[0-9a-f]{4,16})|)"
    r"(?:Memory at (?P<a>[0-9a-f]{4,16}))?.{0,80}?\[size=(?P<size>\d{1,6})(?P<unit>[KMGT]?)\]"
)
_KERNEL = re.compile(
    rf"pci {_DEVICE}: (?P<what>BAR \d{{1,2}}|ROM|reg 0x[0-9a-f]{{1,3}}|VF BAR \d).{{0,24}}?"
    r"\[mem 0x(?P<a>[0-9a-f]{1,16})-0x(?P<b>[0-9a-f]{1,16})(?P<flags>[^\]]{0,40})\]"
)
_UNITS = {"": 0, "K": 10, "M": 20, "G": 30, "T": 40}


def parse_bars(text: str) -> tuple[Bar, ...]:
    """Every memory BAR of a text, the last place of each, in the order of devices first named.

    Ranges of size zero and BARs that are only a size (``size 0x...``) are left out. Linear in the text.
    """
    found: dict[tuple[str, str], Bar] = {}
    device, count = "", 0
    for number, line in enumerate(text.splitlines(), 1):
        line = line[:400]
        if "pci " in line and "[mem " in line:
            match = _KERNEL.search(line)
            if match and "size" not in match["flags"]:
                span = int(match["a"], 16), int(match["b"], 16) + 1
                _keep(found, _full(match["device"]), _name(match["what"]), *span, number)
            continue
        if (head := _HEAD.match(line)) is not None:
            device, count = _full(head["device"]), 0
        elif device and "[size=" in line and (match := _LSPCI.match(line)):
            address = match["a"] or match["r"]
            if address is None:
                continue
            name = "ROM" if match["rom"] else f"BAR {match['n']}" if match["n"] else f"Region {count}"
            count += 1
            size = int(match["size"]) << _UNITS[match["unit"]]
            _keep(found, device, name, int(address, 16), int(address, 16) + size, number)
    return tuple(found.values())


def _keep(found: dict[tuple[str, str], Bar], device: str, name: str, start: int, end: int, line: int) -> None:
    if start and start < end <= 1 << 60 and (len(found) < _MOST or (device, name) in found):
        found[device, name] = Bar(device, name, start, end, line)


def _full(device: str) -> str:
    return device if device.count(":") == 2 else f"0000:{device}"


def _name(what: str) -> str:
    """``reg 0x10`` is BAR 0, and so on in steps of four; 0x30 is the ROM."""
    if not what.startswith("reg"):
        return what
    register = int(what.removeprefix("reg "), 16)
    return (
        "ROM" if register == 0x30 else f"BAR {(register - 0x10) // 4}" if 0x10 <= register <= 0x24 else what
    )
