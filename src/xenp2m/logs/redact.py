"""Takes names of people, machines and networks out of text, and leaves every number of memory in it.

Redacted are: names of hosts (learned from the prefixes of loggers, ``xl info`` and banners), accounts in
mail addresses and home directories, UUIDs, MAC and IP addresses, serial numbers, and of command lines
the values of everything that is not known to be harmless. Addresses, PFNs, PCI addresses, versions and
sizes stay as they are.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from xenp2m.logs.consolefacts import Fault, Log

__all__ = ["Redactor", "learn_names", "redacted_log"]

_HARMLESS_WORDS = """
    dom0_mem mem memmap console com1 com2 loglvl guest_loglvl iommu no-real-mode earlyprintk loglevel swiotlb
    e820 dom0_max_vcpus dom0_vcpus_pin ucode sched smt spec-ctrl xpti pci pci_pt_e820_access
    xen_512gb_limit highmem maxcpus nr_cpus vga efi availmem crashkernel hap cpufreq dom0 pvh apic acpi
    no-dom0_mem max_gsi_irqs gnttab_max_frames xen-pciback.hide rd.qubes.hide_pci intel_iommu amd_iommu
"""
_HARMLESS = frozenset(_HARMLESS_WORDS.split())
_WORD = re.compile(r"(?P<name>[A-Za-z0-9_.-]+)=(?P<value>\"[^\"]*\"|'[^']*'|\S+)")
_PATTERNS = (
    (re.compile(r"(?<![\w:.-])(?:[0-9A-Fa-f]{2}[:-]){5}[0-9A-Fa-f]{2}(?![\w:-])"), "[mac]"),
    (re.compile(r"\b[0-9A-Fa-f]{8}-(?:[0-9A-Fa-f]{4}-){3}[0-9A-Fa-f]{12}\b"), "[uuid]"),
    (re.compile(r"[\w.+-]{1,64}@[\w-]{1,64}(?:\.[\w-]{1,64})*"), "[mail]"),
    (re.compile(r"/(home|Users)/[^\s/'\":,]{1,64}"), r"/\1/[user]"),
    (re.compile(r"(?i)\b(serial(?: number)?|s/n|asset tag)([:=]\s?)\S{1,64}"), r"\1\2[serial]"),
    (re.compile(r"(?i)\b(password|passwd|secret|token|api_?key)([=:]\s?)\S{1,200}"), r"\1\2[secret]"),
    (re.compile(r"(?<![\w:.])(?:[0-9a-fA-F]{1,4}:){3,7}:?[0-9a-fA-F]{1,4}(?:/\d{1,3})?(?![\w:.])"), "[ip]"),
    (re.compile(r"(?<![\w:.])(?:[0-9a-fA-F]{1,4}:){1,6}(?::[0-9a-fA-F]{1,4}){1,6}(?![\w:])"), "[ip]"),
)  # fmt: skip
_IPV4 = re.compile(
    r"(?<![\w.])(?<!version )(?<!Linux )(?<!Xen )((?:\d{1,3}\.){3}\d{1,3})(?:/\d{1,2})?(?!\.?\w)"
)
_OLD_KERNEL = re.compile(r"2\.[246]\.\d{1,2}\.\d{1,3}$")
_HOST_LINES = (
    re.compile(
        r"^(?:[A-Z][a-z]{2} [ \d]?\d (?:\d{4} )?\d\d:\d\d:\d\d(?:\.\d{1,9})?|\d{4}-\d\d-\d\dT\S{1,40})"
        r" ([\w.-]{1,64}) [\w.-]{1,64}(?:\[\d{1,10}\])?:",
        re.M,
    ),
    re.compile(r"^host\s{1,30}: ([\w.-]{1,64})$", re.M),
    re.compile(r"(?:Set hostname to|Hostname:?) <?([\w.-]{1,64})>?"),
    re.compile(r"^[\w-]{1,32}@([\w.-]{1,64})[:~ ]", re.M),
)  # fmt: skip
_ORDINARY_WORDS = """
    xen linux dom0 domu kernel localhost none host guest ram usable reserved map pfn mfn frame page pages
    memory log error note warning plan boot the of to in is a and no what why fix line
"""
_ORDINARY = frozenset(_ORDINARY_WORDS.split())
_DMI = re.compile(r"(DMI: |Hardware name: ).{1,200}")


def learn_names(text: str) -> frozenset[str]:
    """Names of machines that a log gives away. Linear in the text."""
    found = {name for pattern in _HOST_LINES for name in pattern.findall(text)}
    short = {name.split(".")[0] for name in found}
    return frozenset(name for name in found | short if len(name) > 2 and name.lower() not in _ORDINARY)


class Redactor:
    """Redacts text and everything in JSON values; does nothing where it is off.

    Attributes:
        on: whether anything is redacted.
    """

    def __init__(self, on: bool = True, names: Iterable[str] = ()) -> None:
        self.on = on
        self._names: dict[str, str] = {}
        self.learn(names)

    def learn(self, names: Iterable[str], word: str = "host") -> None:
        """Names to be replaced by ``[host1]`` and so on; the same name always by the same word."""
        for name in sorted(set(names) - self._names.keys()):
            self._names[name] = f"[{word}{len(self._names) + 1}]"

    def learn_from(self, text: str) -> None:
        """Learn the names of machines that a log gives away."""
        if self.on:
            self.learn(learn_names(text))

    def files(self, paths: Iterable[str]) -> None:
        """Names of files, directories included, since they name people and machines."""
        self.learn((path for path in paths if path != "-"), "file")

    def text(self, text: str) -> str:
        """`text` without what identifies anybody."""
        if not self.on:
            return text
        text = self._named(text, "[file")
        text = _DMI.sub(r"\1[hardware]", text)
        for pattern, word in _PATTERNS:
            text = pattern.sub(word, text)
        text = _IPV4.sub(lambda match: match[0] if _OLD_KERNEL.match(match[1]) else "[ip]", text)
        return _WORD.sub(_option, self._named(text, "[host"))

    def _named(self, text: str, kind: str) -> str:
        """`text` with the learned names of one kind replaced, longest first."""
        for name in sorted(self._names, key=len, reverse=True):
            if name in text and self._names[name].startswith(kind):
                text = re.sub(rf"(?<![\w.]){re.escape(name)}(?!\w)", self._names[name], text)
        return text

    def value(self, value: Any) -> Any:  # noqa: ANN401 (any JSON value)
        """A JSON value with every text in it redacted; numbers and keys stay."""
        if not self.on:
            return value
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {key: self.value(item) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [self.value(item) for item in value]
        return value


def redacted_log(log: Log, redactor: Redactor) -> Log:
    """A log whose texts name nobody; what the analysis reads of them is still there."""
    if not redactor.on:
        return log

    def clean(text: str | None) -> str | None:
        return None if text is None else redactor.text(text)

    def fault(each: Fault) -> Fault:
        return replace(each, text=redactor.text(each.text), said=clean(each.said), file=clean(each.file))

    told = log.printed
    printed = replace(
        told,
        bugs=tuple(bug._replace(file=clean(bug.file), text=redactor.text(bug.text)) for bug in told.bugs),
        stops=tuple(redactor.text(stop) for stop in told.stops),
        dom0_end=clean(told.dom0_end),
        faults=tuple(fault(each) for each in told.faults),
    )
    running = replace(log.running, xen_cmdline=clean(log.running.xen_cmdline))
    return replace(
        log,
        name=redactor.text(log.name),
        names={fact: redactor.text(name) for fact, name in log.names.items()},
        xen_cmdline=clean(log.xen_cmdline),
        linux_cmdline=clean(log.linux_cmdline),
        printed=printed,
        running=running,
    )


def _option(match: re.Match[str]) -> str:
    """``NAME=VALUE``: the value stays where it is a number or an option known to be harmless."""
    name, value = match["name"], match["value"]
    if name.lower() in _HARMLESS or name in _OWN_OPTIONS or _PLAIN_VALUE.fullmatch(value):
        return match[0]
    return f"{name}=[redacted]{';' if value.endswith(';') else ''}"


_PLAIN_VALUE = re.compile(
    r"(?:0x)?[0-9a-fA-F]{1,16}[KMGTkmgt]?[,.;)]?|(?:yes|no|on|off|[ynm])[,.;)]?|\[\w+\]"
)
_OWN_OPTIONS = frozenset({"--dom0-mem", "leftover", "nvs", "checks", "max", "pfn", "mfn", "e820_host", "y"})
"""What this program itself writes with an equals sign."""
