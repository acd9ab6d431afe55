"""Reads pasted logs: a serial console, ``xl dmesg``, a kernel's ``dmesg``, a memory map on its own.

The text goes by line by line, once. A line that Xen printed tells of the hypervisor, any other one
of the kernel; which of them a line without a prefix belongs to follows from whether a kernel has
begun to speak. Within a boot the first line that tells a fact counts: what a script prints later (a
second ``xl dmesg``, /proc/iomem) overrides nothing. `consolefacts` has the facts, `consolerules` the
lines that tell them.
"""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from xenp2m.errors import InputError
from xenp2m.logs.consolefacts import Log, Printed, Running, merge
from xenp2m.logs.consolerules import apply_kernel_rules, apply_xen_rules
from xenp2m.logs.e820text import MapLine, is_gap, parse_payload, unwrap
from xenp2m.logs.pasted import split_prefixes
from xenp2m.logs.readboot import Boot

if TYPE_CHECKING:
    from xenp2m.e820 import Entry

__all__ = ["Log", "Printed", "merge", "read_boots", "read_log"]

_MOST_ENTRIES = 10_000
_MOST_LINES = 2_000_000
_MOST_BOOTS = 1_000
_SHORTEST = 5
"""Characters of the shortest line that tells something; many lines are shorter in a file of noise."""

_HEADER = re.compile(r"(Initial )?(\S.{0,40}? )?RAM map:$", re.IGNORECASE)
_BROKEN = re.compile(r"\[[0-9a-f]{0,16}(?:$|,)|[0-9a-f]{1,16}(?:$| -)")
_IOMEM_LIKE = re.compile(r"\s{0,40}[0-9a-f]{8,16}-[0-9a-f]{8,16} : ")


def read_log(text: str, name: str = "log") -> Log:
    """Read the facts of a paste.

    Args:
        text: one or several logs of one machine, in any order.
        name: what to call it in messages.

    Returns:
        The facts of the last boot whose hypervisor part is there, or of the last boot. A text
        without any fact gives a log without any.

    Raises:
        InputError: a map of more than 10,000 entries, more than 1,000 boots, or more than
            2,000,000 lines.
    """
    logs, chosen = read_boots(text, name)
    return logs[chosen]


def read_boots(text: str, name: str = "log") -> tuple[list[Log], int]:
    """Read the facts of every boot in a paste.

    Args:
        text: as for `read_log`.
        name: as for `read_log`.

    Returns:
        At least one log, in the order of the text, and the place of the one that `read_log` takes.

    Raises:
        InputError: as for `read_log`.
    """
    reader = _Reader(name)
    for count, (number, line) in enumerate(unwrap(text)):
        if count > _MOST_LINES:
            raise InputError(f"{name}:{number}", f"a log of at most {_MOST_LINES:,} lines", "more")
        reader.feed(number, line)
    return _logs(reader.boots, name)


class _Reader:
    """Takes the lines of a paste; `boots` is what came out."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.boots = [Boot()]

    def feed(self, number: int, line: str) -> None:
        """Read one line."""
        if len(line) < _SHORTEST and not self.boots[-1].open:
            return
        payload, origin = split_prefixes(line)
        bare = payload.strip()
        if not bare or origin in ("guest", "program"):
            return
        boot = self._boot_of(bare, origin, number)
        boot.kernel |= origin == "kernel"
        xen = origin == "xen" or not boot.kernel
        entry = parse_payload(payload, map_bs=boot.facts.get("efi_map_bs", False))
        if entry is not None:
            self._map_line(boot, entry, xen, number)
            return
        if boot.open and _ends_map(boot.open, payload, xen):
            boot.broken |= boot.open == "host_map" and _BROKEN.match(bare) is not None
            boot.closed.add(boot.open)
            boot.open = None
        if xen and _header(boot, bare, origin, number):
            return
        if boot.memmap.feed(bare):
            boot.lines.setdefault("plain_map", number)
            return
        if xen:
            apply_xen_rules(boot, bare, number)
        if origin != "xen":
            apply_kernel_rules(boot, bare, number)

    def _boot_of(self, bare: str, origin: str | None, number: int) -> Boot:
        """The boot a line belongs to: a banner of Xen, or a second one of Linux, begins another."""
        boot = self.boots[-1]
        if bare.startswith("Xen version ") and (origin == "xen" or not boot.kernel):
            again = boot.banner or boot.built or boot.kernel or bool(boot.maps)
        elif bare.startswith("Linux version ") and origin != "xen":
            again = "linux_version" in boot.facts
        else:
            return boot
        if again:
            if len(self.boots) >= _MOST_BOOTS:
                raise InputError(f"{self.name}:{number}", f"a log of at most {_MOST_BOOTS:,} boots", "more")
            boot = Boot()
            self.boots.append(boot)
        boot.banner = True
        return boot

    def _map_line(self, boot: Boot, line: MapLine, xen: bool, number: int) -> None:
        """An entry: of the map that is open, of one that it opens, or of none."""
        target: str | None
        if line.label == "user" and "linux_map" in boot.maps:
            target = "user_map"
        elif line.label == "Xen" or (line.label or "").startswith("BIOS"):
            boot.kernel = True
            boot.put("words", "linux7" if line.form == "linux7" else "classic", number)
            boot.put("linux_map_label", line.label, number)
            target = "linux_map" if boot.facts["linux_map_label"] == line.label else None
        elif line.form == "iomem":
            target = "iomem"
        elif boot.open == "host_map" and line.form in ("xen", "xen-old") and xen:
            target = "host_map"
        elif boot.open == "efi_map" and line.form == "efi" and xen:
            target = "efi_map"
        elif xen or line.form not in ("xen", "xen-old", "efi"):
            form = line.label or line.form
            boot.stray_form = boot.stray_form or form
            target = "plain_map" if boot.stray_form == form else None
        else:
            target = None
        if target is None or target in boot.closed:
            return
        if target != "plain_map":
            boot.open = target
        self._keep(boot, target, line.entry, number)

    def _keep(self, boot: Boot, target: str, entry: Entry, number: int) -> None:
        entries = boot.maps.setdefault(target, [])
        if len(entries) >= _MOST_ENTRIES:
            raise InputError(f"{self.name}:{number}", f"a map of at most {_MOST_ENTRIES:,} entries", "more")
        boot.lines.setdefault(target, number)
        entries.append(entry)


def _ends_map(open_map: str, payload: str, xen: bool) -> bool:
    """Whether a line that is no entry ends the map that is being read."""
    if open_map in ("linux_map", "user_map"):
        return not xen and not is_gap(payload) and not payload.lstrip().startswith("[Firmware Bug]")
    if open_map == "iomem":
        return not _IOMEM_LIKE.match(payload)
    return xen


def _header(boot: Boot, bare: str, origin: str | None, number: int) -> bool:
    """A line above one of the hypervisor's maps; the last map before dom0 is built is the one."""
    if bare.startswith("EFI memory map:"):
        boot.put("efi_map_bs", "mapping BootServices" in bare, number)
        boot.open = None if "efi_map" in boot.closed else "efi_map"
        return True
    match = _HEADER.match(bare) if bare.endswith("map:") else None
    if match is None or (origin != "xen" and "physical" in bare):
        return False
    if not boot.built and not (match[1] and "host_map" in boot.maps):
        boot.drop("host_map", "host_map_source")
        boot.closed.discard("host_map")
        boot.broken = False
        boot.open = "host_map"
        boot.put("host_map_source", (match[2] or "").strip(), number)
    return True


_OF_XEN = ("xen_version", "xen_cmdline", "host_map_source", "dom0_alloc", "initrd")
_OF_LINUX = ("linux_version", "linux_cmdline")


def _logs(boots: list[Boot], name: str) -> tuple[list[Log], int]:
    """The facts of every boot, and which one counts."""
    kept: list[Boot] = []
    for boot in boots:
        if not _repeats(boot, kept) and (boot.facts or boot.maps or boot.memmap.entries()):
            kept.append(boot)
    if not kept:
        return [Log(name)], 0
    whole = [boot for boot in kept if boot.maps.get("host_map") and not _is_cut(boot)]
    chosen = (whole or [boot for boot in kept if _has_hypervisor(boot)] or kept)[-1]
    place = kept.index(chosen)
    logs = [_log(boot, name, len(kept)) for boot in kept]
    log = logs[place]
    if place and not log.has_kernel and not log.printed.dom0_end and not _has_hypervisor(kept[place - 1]):
        # The kernel's log was pasted first, the hypervisor's behind it.
        with suppress(InputError):
            merged = merge([log, _log(kept[place - 1], name, 0)])
            logs[place - 1 : place + 1] = [replace(merged, boots=len(kept) - 1, names={})]
            place -= 1
    return logs, place


def _is_cut(boot: Boot) -> bool:
    """Whether the text ends inside the host's map; a map alone, without a log around it, is whole."""
    return boot.broken or (
        boot.open == "host_map" and ("xen_version" in boot.facts or "xen_cmdline" in boot.facts)
    )


def _has_hypervisor(boot: Boot) -> bool:
    return bool(boot.maps.get("host_map")) or any(fact in boot.facts for fact in _OF_XEN)


def _repeats(boot: Boot, kept: list[Boot]) -> bool:
    """Whether a script printed the log of the boot it ran in once more."""
    if not kept or not _has_hypervisor(kept[-1]):
        return False
    linux = any(fact in boot.facts for fact in _OF_LINUX) or "linux_map" in boot.maps
    if linux and _has_hypervisor(boot):
        return False
    facts = _OF_LINUX if linux else _OF_XEN
    same = all(boot.facts[fact] == kept[-1].facts.get(fact) for fact in facts if fact in boot.facts)
    which = "linux_map" if linux else "host_map"
    entries = boot.maps.get(which, [])
    return same and entries == kept[-1].maps.get(which, [])[: len(entries)]


def _log(boot: Boot, name: str, boots: int) -> Log:
    """The facts of one boot as a value."""
    facts: dict[str, Any] = {
        fact: tuple(value) if isinstance(value, list) else value for fact, value in boot.facts.items()
    }
    printed = {fact[8:]: facts.pop(fact) for fact in list(facts) if fact.startswith("printed.")}
    running = {fact[8:]: facts.pop(fact) for fact in list(facts) if fact.startswith("running.")}
    maps = {fact: tuple(entries) for fact, entries in boot.maps.items()}
    plain, form = maps.pop("plain_map", ()) or boot.memmap.entries(), boot.stray_form or "memmap"
    headed = any(maps.get(fact) for fact in ("host_map", "efi_map", "linux_map"))
    if plain and not headed and not (facts and form == "plain"):
        facts |= {"plain_map": plain, "plain_form": form}
    if maps.get("iomem") and all(entry.end <= 1 for entry in maps["iomem"]):
        del maps["iomem"]
        facts["iomem_zeroed"] = True
    facts |= maps | {"host_map_cut": _is_cut(boot), "linux_map_open": boot.open == "linux_map"}
    lines = {
        fact: number
        for fact, number in boot.lines.items()
        if fact in facts or fact[8:] in printed or fact[8:] in running
    }
    facts |= {"printed": Printed(**printed), "running": Running(**running)}
    return Log(name=name, boots=boots, lines=lines, **facts)
