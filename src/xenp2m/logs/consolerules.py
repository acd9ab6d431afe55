"""What a single line of a log tells: one rule for each line worth reading.

A rule is a word that the line must hold (which is quick to look for), the form of the line, and what
to do with it. Rules of the hypervisor and of the kernel are apart: who printed a line decides what
it means (both print ``Command line:``, both print their I/O APICs).

What Linux says of its memory beside that is in `memoryrules`, its faults in `faultrules`, what tools print
in `toolrules`.

Sources: Xen ``dom0_construct_pv``, ``__start_xen``, ``hwdom_shutdown``; Linux arch/x86/xen/setup.c
and p2m.c, arch/x86/kernel/e820.c, from 2.6.37 to 7.3.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from xenp2m.logs.consolefacts import Bug, Moved, Pages, Span
from xenp2m.logs.faultrules import feed_fault
from xenp2m.logs.memoryrules import MEMORY
from xenp2m.logs.toolrules import feed_tool

if TYPE_CHECKING:
    from xenp2m.logs.readboot import Action, Boot, Rule

__all__ = ["apply_kernel_rules", "apply_xen_rules", "rule_words"]


def apply_xen_rules(boot: Boot, line: str, number: int) -> None:
    """Read one line that the hypervisor printed, without its prefixes."""
    _apply(_XEN, boot, line, number)


def apply_kernel_rules(boot: Boot, line: str, number: int) -> None:
    """Read one line that a kernel, or somebody else, printed, without its prefixes."""
    _apply(_KERNEL, boot, line, number)
    _apply(MEMORY, boot, line, number)
    feed_fault(boot, line, number)
    feed_tool(boot, line, number)


def rule_words() -> frozenset[str]:
    """Words one of which is in every line that a rule reads, maps and faults apart."""
    return frozenset(key for rules in (_XEN, _KERNEL, MEMORY) for key, _, _ in rules)


def _apply(rules: tuple[Rule, ...], boot: Boot, line: str, number: int) -> None:
    for key, pattern, action in rules:
        if key in line and (match := pattern.match(line)):
            action(boot, match, number)


def _text(fact: str) -> Action:
    return lambda boot, match, number: boot.put(fact, match[1].strip(), number)


def _number(fact: str, base: int = 10) -> Action:
    return lambda boot, match, number: boot.put(fact, int(match[1], base), number)


def _is(fact: str, value: object) -> Action:
    return lambda boot, match, number: boot.put(fact, value, number)


def _listed(fact: str) -> Action:
    """An address, appended; the last group of the pattern."""
    return lambda boot, match, number: boot.add(fact, int(match[match.re.groups], 16), number)


def _whole_line(fact: str) -> Action:
    return lambda boot, match, number: boot.add(fact, match[0], number)


def _xen_banner(boot: Boot, match: re.Match[str], number: int) -> None:
    boot.put("xen_version", match[1], number)
    if "aarch64" in match[2]:
        boot.put("arch", "arm64", number)


def _building(boot: Boot, match: re.Match[str], number: int) -> None:
    boot.built = True
    boot.put("dom", "dom0", number)
    if match.re.groups:
        boot.put("guest_kind", match[1].lower(), number)


def _arrangement(boot: Boot, match: re.Match[str], number: int) -> None:
    """Only the builder of a PV dom0 prints these two headers."""
    boot.arrangement = match[1].lower()
    boot.built = True
    boot.put("dom", "dom0", number)
    boot.put("guest_kind", "pv", number)


_VIRTUAL = {
    "Loaded kernel": "loaded_kernel",
    "Phys-Mach map": "phys_mach_map",
    "Start info": "start_info",
    "Page tables": "page_tables",
    "TOTAL": "total",
}


def _placement(boot: Boot, match: re.Match[str], number: int) -> None:
    """One line of the two arrangements; where the initrd lies depends on which of them it is."""
    name, span = match[1], Span(int(match[2], 16), int(match[3], 16))
    if name == "Dom0 alloc.":
        if match[4]:
            boot.put("dom0_alloc_pages", int(match[4]), number)
        elif match.end() < len(match.string):
            return  # what follows is cut off from the number of pages to come
        boot.put("dom0_alloc", span, number)
    elif name == "Init. ramdisk":
        virtual = boot.arrangement == "virtual" or (boot.arrangement is None and span.start >> 63)
        if span.start or span.end:
            boot.put("init_ramdisk_virt" if virtual else "initrd", span, number)
    else:
        boot.put(_VIRTUAL[name], span, number)


def _dom0_kernel(boot: Boot, match: re.Match[str], number: int) -> None:
    boot.put("dom0_kernel_bits", int(match[1]), number)
    boot.put("arch", "i386" if match[1] == "32" else "x86_64", number)
    if match[2]:
        boot.put("dom0_kernel_paddr", Span(int(match[2], 16), int(match[3], 16)), number)


def _vendor(boot: Boot, match: re.Match[str], number: int) -> None:
    boot.put("cpu_vendor", match[1], number)
    boot.put("cpu_family", int(match[2]), number)


def _machine_check(boot: Boot, match: re.Match[str], number: int) -> None:
    """What Xen says of the processor before it printed its vendor: K8, Fam10h, or Intel."""
    boot.put("cpu_vendor", match[1], number)
    if match[2]:
        boot.put("cpu_family", 15 if match[2] == "K8" else int(match[2][3:-1], 16), number)


def _rules(*rules: tuple[str, str, Action]) -> tuple[Rule, ...]:
    return tuple((key, re.compile(pattern), action) for key, pattern, action in rules)


_HEX = "([0-9a-f]{1,16})"
_XEN = _rules(
    ("Xen version", r"Xen version (\d{1,3}\.\d{1,3}[^\s(]{0,40})(.*)", _xen_banner),
    ("Command line:", r"Command line:(.*)", _text("xen_cmdline")),
    ("Building a PV", r"\*\*\*? Building a (PVH?) Dom", _building),
    ("LOADING DOMAIN 0", r"\*\*\* LOADING DOMAIN 0", _building),
    ("MEMORY ARRANGEMENT", r"(PHYSICAL|VIRTUAL) MEMORY ARRANGEMENT", _arrangement),
    (
        "->",
        r"(Dom0 alloc\.|Init\. ramdisk|Loaded kernel|Phys-Mach map|Start info|Page tables|TOTAL):"
        rf"\s{{0,16}}{_HEX}\s?->\s?{_HEX}(?:\s{{1,4}}\((\d{{1,18}}) pages)?",
        _placement,
    ),
    (
        "Dom0 kernel:",
        rf"Dom0 kernel: (32|64)-bit(?:[\w, ]{{0,40}}paddr 0x{_HEX} -> 0x{_HEX})?",
        _dom0_kernel,
    ),
    ("Dom0 has maximum", r"Dom0 has maximum (\d{1,9}) VCPUs", _number("max_vcpus")),
    ("System RAM:", r"System RAM: \d{1,18}MB \((\d{1,18})kB\)", _number("system_ram_kib")),
    ("IOAPIC", rf"IOAPIC\[\d{{1,4}}\]: apic_id .{{1,40}}, address 0x{_HEX}", _listed("ioapics")),
    ("IOAPIC", rf"ACPI: IOAPIC \(id\[0x\w{{1,4}}\] address\[0x{_HEX}\]", _listed("ioapics")),
    ("Local APIC address", rf"ACPI: Local APIC address 0x{_HEX}", _number("lapic", 16)),
    ("CPU Vendor:", r"CPU Vendor: (\w{1,20}), Family (\d{1,9}) ", _vendor),
    (
        "machine check",
        r"(?:CPU\d{1,6}: )?(AMD|Intel|Hygon) ?(K8|Fam[0-9a-f]{1,3}h)? ?machine check reporting enabled",
        _machine_check,
    ),
    ("->address", rf"(?:\[VT-D\])?\s{{0,4}}(?:drhd|dmaru)->address = {_HEX}", _listed("iommu_addresses")),
    ("I/O virtualisation enabled", "I/O virtualisation", _is("iommu_enabled", True)),
    ("I/O virtualisation disabled", "I/O virtualisation", _is("iommu_enabled", False)),
    ("ARM Limited", r"Processor: ", _is("arch", "arm64")),
    ("halted", r"((?:Hardware )?Dom(?:0|ain 0) halted.{0,80})", _text("printed.dom0_end")),
    ("shutdown", r"((?:Hardware )?Dom(?:0|ain 0) shutdown.{0,80})", _text("printed.dom0_end")),
    (
        "crashed",
        r"((?:Hardware )?Dom(?:0|ain 0) (?:\(vcpu#\d{1,5}\) )?crashed.{0,80})",
        _text("printed.dom0_end"),
    ),
)

_DEBIAN = re.compile(r"#\d.{0,200}?\bDebian (\d{1,3}\.\d{1,4}(?:\.\d{1,5})?)")
_UBUNTU = re.compile(r"\(Ubuntu [^\s()]{1,80} (\d{1,3}\.\d{1,4}(?:\.\d{1,5})?)\)")
_ARCHES = (
    ("aarch64", "arm64"),
    ("x86_64", "x86_64"),
    ("amd64", "x86_64"),
    ("i686", "i386"),
    ("-686", "i386"),
)


def _full(version: str, rest: str) -> str:
    """The upstream version, where a distribution tells it behind its own number."""
    match = _DEBIAN.search(rest) or _UBUNTU.search(rest)
    return match[1] if match else version


def _linux_banner(boot: Boot, match: re.Match[str], number: int) -> None:
    boot.kernel = True
    boot.put("linux_version", match[1], number)
    boot.put("linux_version_full", _full(match[1], match[2]), number)
    for word, arch in _ARCHES:
        if word in match[1] or word in match[2]:
            boot.put("arch", arch, number)
            break


def _linux_cmdline(boot: Boot, match: re.Match[str], number: int) -> None:
    """Xen begins the line in the same way; before a kernel speaks it is Xen's."""
    if boot.kernel:
        boot.put("linux_cmdline", match[1].strip(), number)


def _oops(boot: Boot, match: re.Match[str], number: int) -> None:
    boot.put("linux_version_from_oops", match[1], number)
    boot.put("linux_version_from_oops_full", _full(match[1], match[2]), number)


def _kind(boot: Boot, match: re.Match[str], number: int) -> None:
    """PVH is told late, and by a kernel that took itself for HVM before."""
    kind = (match[1] or " pv").strip().lower()
    if kind == "pvh" and boot.facts.get("guest_kind") == "hvm":
        boot.drop("guest_kind")
    boot.kernel = True
    boot.put("guest_kind", kind, number)


def _firmware_tables(boot: Boot, match: re.Match[str], number: int) -> None:
    """A PV guest that reads ACPI tables is dom0."""
    if boot.facts.get("guest_kind") == "pv":
        boot.put("dom", "dom0", number)


def _nonram(boot: Boot, match: re.Match[str], number: int) -> None:
    boot.put("nonram_line", True, number)
    boot.put("printed.remapped_nonram", int(match[1]), number)


def _pages(fact: str) -> Action:
    return lambda boot, match, number: boot.add(
        fact, Pages(int(match[1], 16), int(match[2], 16), int(match[3])), number
    )


def _moved(boot: Boot, match: re.Match[str], number: int) -> None:
    """Linux prints the ends of these two ranges exclusive, whatever its brackets say."""
    a, b, c, d = (int(group, 16) for group in match.groups())
    boot.put("printed.initrd_moved", Moved(Span(a, b), Span(c, d)), number)


def _memory(boot: Boot, match: re.Match[str], number: int) -> None:
    boot.put("printed.memory_available", (int(match[1]), int(match[2])), number)


def _table_full(words: str) -> Action:
    def action(boot: Boot, match: re.Match[str], number: int) -> None:
        boot.kernel = True
        boot.put("words", words, number)
        boot.count("printed.too_many_entries", 1, number)

    return action


def _dropped(boot: Boot, match: re.Match[str], number: int) -> None:
    boot.count("printed.messages_dropped", int(match[1]), number)


def _bug(boot: Boot, match: re.Match[str], number: int) -> None:
    at = match.groupdict()
    line = int(at["line"]) if at.get("line") else None
    boot.add("printed.bugs", Bug(at.get("file"), line, match[0]), number)


_N = r"(\d{1,18})"
_MEM = r"\[mem 0x([0-9a-f]{1,16})-0x([0-9a-f]{1,16})\]"
_PFNS = r"\s{1,4}([0-9a-f]{1,13})-([0-9a-f]{1,13}) pfn range: (\d{1,18}) pages"
_KERNEL = _rules(
    ("Linux version", r"Linux version (\d\S{0,80})(.*)", _linux_banner),
    ("ommand line:", r"(?:Kernel c|C)ommand line:(.*)", _linux_cmdline),
    ("paravirtualized kernel", r"Booting paravirtualized kernel on Xen( PVH?| HVM)?$", _kind),
    ("Booting kernel on Xen", r"Booting kernel on Xen( PVH?| HVM)?$", _kind),
    ("Hypervisor detected", r"Hypervisor detected: Xen( PVH?| HVM)$", _kind),
    ("Booting Linux on physical", r"Booting Linux on physical CPU", _is("arch", "arm64")),
    ("unprivileged domain", r"ACPI in unprivileged domain", _is("dom", "domU")),
    ("ACPI: RSDP", r"ACPI: RSDP 0x", _firmware_tables),
    ("eleased", rf"(?:xen: )?[Rr]eleased {_N} page", _number("printed.released")),
    ("Remapped", rf"(?:xen: )?Remapped {_N} page", _number("printed.remapped")),
    ("non-RAM page", rf"(?:xen: )?Remapped {_N} non-RAM page", _nonram),
    ("1-1 mapping", rf"(?:xen: )?Set {_N} page\S* to 1-1 mapping", _number("printed.set_identity")),
    ("pfn range", rf"(?:xen: )?Freeing{_PFNS} freed", _pages("printed.freeing")),
    ("pfn range", rf"(?:xen: )?Populating{_PFNS} added", _pages("printed.populated")),
    ("p2m virtual", rf"p2m virtual area at .{{1,40}}, size is {_HEX}", _number("printed.p2m_area_size", 16)),
    ("last_pfn", rf"(?:e820: )?last_pfn = 0x{_HEX} ", _number("printed.last_pfn", 16)),
    ("initrd moved", rf"initrd moved from {_MEM} to {_MEM}", _moved),
    ("Memory:", rf"Memory: {_N}[kK]/{_N}[kK] available", _memory),
    ("too many e", r"too many entries; ignoring", _table_full("classic")),
    ("too many E", r"too many E820 table entries; ignoring", _table_full("classic")),
    ("table full", r"E820 table full; ignoring", _table_full("linux7")),
    ("==> ", rf"e820: update {_MEM} usable ==>", _is("words", "classic")),
    ("==> ", rf"e820: update {_MEM} System RAM ==>", _is("words", "linux7")),
    ("messages dropped", rf"\*\* {_N} printk messages dropped", _dropped),
    ("Xen version:", r"Xen version: (\d\S{0,40})", _text("printed.xen_version")),
    ("kernel BUG", r"kernel BUG at (?P<file>\S{1,200}):(?P<line>\d{1,9})!", _bug),
    ("BUG: ", r"BUG: .{1,200}", _bug),
    ("panic", r"Kernel panic - not syncing.{0,200}", _bug),
    ("early exception", r"PANIC: early exception.{0,200}", _bug),
    ("Xen hypervisor allocated", r"Xen hypervisor allocated.{0,200}", _whole_line("printed.stops")),
    ("new memory area", r"Can't find new memory area.{0,200}", _whole_line("printed.stops")),
    ("No suitable area", r"No suitable area found.{0,200}", _whole_line("printed.stops")),
    ("ainted", r".{0,200}ainted.{0,200} (\d{1,3}\.\d{1,4}\S{0,80}) (#\d.{0,200})", _oops),
)
