"""PCI passthrough to a PV guest: each BAR against the map that the guest was given, and the one it has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from xenp2m.checks.stories import STORIES
from xenp2m.e820 import RAM, UNUSABLE, Entry, sanitize, type_name
from xenp2m.errors import InputError
from xenp2m.findings import Finding
from xenp2m.libxl_e820 import host_e820
from xenp2m.options import Options
from xenp2m.recover import host_of_log

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from xenp2m.logs.consolefacts import Log
    from xenp2m.logs.pcibars import Bar

__all__ = ["BarCheck", "Passthrough", "check_bars", "guest_sizes"]


class BarCheck(NamedTuple):
    """One BAR.

    Attributes:
        bar: the BAR.
        verdict: ``hole``, ``reserved``, ``ram`` or ``unusable``, by the guest's map; the worst of its parts.
        guest: what the guest's map has there.
        host: what the machine's map has there.
        seen: whether the verdict is of a map that the guest or the toolstack printed, not of the
            predicted one.
    """

    bar: Bar
    verdict: str
    guest: str
    host: str
    seen: bool


@dataclass(frozen=True, slots=True)
class Passthrough:
    """The answer for one guest.

    Attributes:
        predicted: the map that the toolstack gives, sorted.
        e820_host: whether ``e820_host=1`` was taken for set.
        bars: each BAR with its verdict.
        findings: what was noticed.
        assumed: what was not told.
    """

    predicted: tuple[Entry, ...]
    e820_host: bool
    bars: tuple[BarCheck, ...]
    findings: tuple[Finding, ...]
    assumed: tuple[str, ...]


def guest_sizes(guest: Log) -> tuple[int | None, int | None]:
    """``memory`` and ``maxmem`` of a guest in KiB, as xenstore keys in its paste tell them."""
    told = {key: value for domid, key, value in guest.running.domains if domid}
    return told.get("target"), told.get("static-max")


def check_bars(
    host: Log,
    guest: Log,
    bars: Sequence[Bar],
    *,
    memory: int | None,
    maxmem: int | None,
    e820_host: bool | None,
) -> Passthrough:
    """Check every BAR of a guest.

    Args:
        host: the hypervisor's log, with the machine's map.
        guest: the guest's own log; its map, /proc/iomem and xenstore keys are used where they are there.
        bars: the BARs of the devices passed through.
        memory: what the guest starts with, KiB; None for what its log tells.
        maxmem: what it may have at most, KiB; None for the same as `memory`.
        e820_host: whether its configuration has it; None to take it from the map it printed.

    Raises:
        InputError: no map of the machine, no size of the guest, no BAR.
    """
    if not bars:
        raise InputError(guest.name, "memory BARs: lspci -v, or pci lines of a kernel's log", "none")
    assumed: list[str] = []
    machine = host_of_log(host, Options())[0].e820 or ()
    stored = guest_sizes(guest)
    memory = memory or stored[0] or _printed_size(guest, assumed)
    maxmem = max(maxmem or stored[1] or memory, memory)
    seen = guest.linux_map if guest.linux_map_label == "Xen" else ()
    seen = guest.plain_map if not seen and guest.plain_form == "libxl" else seen
    if e820_host is None:
        e820_host = any(e.start > 0x100000 and e.type != RAM for e in seen) if seen else True
        assumed.append(f"e820_host={int(e820_host)}, {'as its map shows' if seen else 'not told'}")
    made = host_e820(machine, memory, maxmem) if e820_host else [Entry(0, maxmem << 10, RAM)]
    added = [e for e in guest.iomem if e.type == RAM and not _covered(e, seen)] if seen else []
    known = (*seen, *added) if seen else ()
    checked = tuple(_checked(bar, known or tuple(made), machine, bool(known)) for bar in bars)
    found = [finding for check in checked for finding in _findings(check, added, e820_host)]
    return Passthrough(tuple(sanitize(made)), e820_host, checked, tuple(found), tuple(assumed))


def _printed_size(guest: Log, assumed: list[str]) -> int:
    """KiB of RAM in the map that the guest printed."""
    ram = sum(e.size for e in guest.linux_map if e.type == RAM) >> 10
    if not ram:
        raise InputError(
            guest.name, "the guest's memory: --memory, its xenstore keys or its map", "none of them"
        )
    assumed.append(f"memory={ram >> 10}: all RAM of the map that the guest printed")
    return ram


def _covered(entry: Entry, entries: Sequence[Entry]) -> bool:
    return any(e.type == RAM and e.start <= entry.start < e.end for e in entries)


def _checked(bar: Bar, guest: Sequence[Entry], machine: Sequence[Entry], seen: bool) -> BarCheck:
    inside = [e for e in guest if e.start < bar.end and e.end > bar.start]
    types = {e.type for e in inside}
    verdict = "ram" if RAM in types else "unusable" if UNUSABLE in types else "reserved" if types else "hole"
    return BarCheck(
        bar,
        verdict,
        _told(inside),
        _told([e for e in machine if e.start < bar.end and e.end > bar.start]),
        seen,
    )


def _told(entries: Sequence[Entry]) -> str:
    return "; ".join(f"{type_name(e.type)} {e.start:#x}-{e.end - 1:#x}" for e in entries[:3]) or "hole"


def _findings(check: BarCheck, added: Sequence[Entry], e820_host: bool) -> Iterator[Finding]:
    bar = check.bar
    pfns = ((bar.start >> 12, (bar.end + 0xFFF) >> 12),)
    what = f"{bar.device} {bar.name} {bar.start:#x}-{bar.end - 1:#x} lies in {check.guest} of the guest"
    if check.verdict == "ram" and any(e.start < bar.end and e.end > bar.start for e in added):
        yield Finding(STORIES["bar-under-hotplug"], what, pfns=pfns)
    elif check.verdict == "ram" and not e820_host:
        yield Finding(STORIES["bar-without-e820-host"], what, pfns=pfns)
    elif check.verdict == "ram":
        yield Finding(STORIES["bar-in-ram"], what, pfns=pfns)
    elif check.verdict == "unusable":
        yield Finding(STORIES["bar-in-unusable"], what, pfns=pfns)
    if check.host.startswith("usable"):
        told = f"{bar.device} {bar.name} {bar.start:#x}-{bar.end - 1:#x} lies in {check.host} of the host"
        yield Finding(STORIES["bar-in-host-ram"], told, pfns=pfns)
