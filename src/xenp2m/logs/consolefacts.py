"""The facts of a pasted log: what was read, nothing that was worked out from it.

`Log` holds them, with the line each one stands on; `merge` puts the facts of several pastes of one
boot together (``xl dmesg`` in one file, dom0's ``dmesg`` in another).
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from xenp2m.errors import InputError, shorten

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from xenp2m.e820 import Entry

__all__ = ["Bug", "Fault", "Log", "Moved", "Pages", "Printed", "Running", "Span", "merge"]


class Span(NamedTuple):
    """Addresses ``[start, end)``, in bytes."""

    start: int
    end: int


class Pages(NamedTuple):
    """Frames ``[start, end)`` that Linux says it freed or populated, and how many pages it counted."""

    start: int
    end: int
    pages: int


class Moved(NamedTuple):
    """Something that Linux moved, from one place to another."""

    source: Span
    target: Span


class Bug(NamedTuple):
    """A line in which Linux gives up: where in its source (None where it does not say), and the line."""

    file: str | None
    line: int | None
    text: str


@dataclass(frozen=True, slots=True)
class Fault:
    """One BUG, WARNING, oops or panic of Linux, with what it printed below it.

    Attributes:
        kind: ``bug``, ``warning``, ``oops``, ``exception`` or ``panic``.
        text: the line that opens it.
        number: number of that line.
        file, line: where in its source, where it says so.
        function: of the instruction it stopped at, where a symbol is printed.
        address: of a page fault.
        calls: functions of the call trace, innermost first.
        registers: registers and their values.
        said: the line before it, where a WARN tells its reason there.
    """

    kind: str
    text: str
    number: int
    file: str | None = None
    line: int | None = None
    function: str | None = None
    address: int | None = None
    calls: tuple[str, ...] = ()
    registers: tuple[tuple[str, int], ...] = ()
    said: str | None = None


@dataclass(frozen=True, slots=True)
class Running:
    """What tools print in the running system: for accounting, never for a prediction.

    Attributes:
        free_mib: ``free_memory`` of ``xl info``.
        xen_version, xen_cmdline: of ``xl info``.
        mem_total_kib: of /proc/meminfo, or of ``free``.
        domains: ``(domid, key, value)`` of xenstore's ``memory/`` keys, values in KiB.
    """

    free_mib: int | None = None
    xen_version: str | None = None
    xen_cmdline: str | None = None
    mem_total_kib: int | None = None
    domains: tuple[tuple[int, str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Printed:
    """What Linux said about its own boot. For comparison afterwards, never for a prediction.

    Attributes:
        released: pages of ``Released N page(s)`` (or ``pages of unused memory``).
        remapped: pages of ``Remapped N page(s)``.
        remapped_nonram: pages of ``Remapped N non-RAM page(s)``.
        set_identity: pages of ``Set N page(s) to 1-1 mapping``.
        freeing: the ``Freeing a-b pfn range`` lines.
        populated: the ``Populating a-b pfn range`` lines.
        p2m_area_size: bytes of the ``p2m virtual area``.
        last_pfn: the first ``last_pfn =``: where RAM ends, exclusive, as a PFN.
        initrd_moved: where the initrd lay and where it was moved to.
        memory_available: KiB of ``Memory: A/B available``: available and all.
        memory_reserved: KiB that the same line calls reserved.
        memory_kernel: KiB of kernel code, data, init and bss in it.
        memory_absent: KiB that it calls absent (up to 3.9; B then counts holes as well).
        one_to_one: the ``1-1 mapping on`` ranges, PFNs.
        unavailable: pages of each ``pages in unavailable ranges`` line.
        ramdisk: the ramdisk, as Linux found it.
        swiotlb: bytes of the ``software IO TLB``.
        balloon_underflow: whether the balloon says that its extra pages exceed its target.
        faults: every BUG, WARNING, oops and panic.
        too_many_entries: lines saying that the E820 table is full.
        messages_dropped: messages the console says it dropped.
        xen_version: the version of ``Xen version:`` as dom0 prints it.
        bugs: lines in which Linux gives up, first ones first.
        stops: lines of the raw console that say why dom0 halts.
        dom0_end: what Xen says when dom0 has ended.
    """

    released: int | None = None
    remapped: int | None = None
    remapped_nonram: int | None = None
    set_identity: int | None = None
    freeing: tuple[Pages, ...] = ()
    populated: tuple[Pages, ...] = ()
    p2m_area_size: int | None = None
    last_pfn: int | None = None
    initrd_moved: Moved | None = None
    memory_available: tuple[int, int] | None = None
    memory_reserved: int | None = None
    memory_kernel: int | None = None
    memory_absent: int | None = None
    one_to_one: tuple[Span, ...] = ()
    unavailable: tuple[int, ...] = ()
    ramdisk: Span | None = None
    swiotlb: int | None = None
    balloon_underflow: bool = False
    faults: tuple[Fault, ...] = ()
    too_many_entries: int = 0
    messages_dropped: int = 0
    xen_version: str | None = None
    bugs: tuple[Bug, ...] = ()
    stops: tuple[str, ...] = ()
    dom0_end: str | None = None

    @property
    def died(self) -> bool:
        """Whether the kernel ended before its time."""
        ended = self.dom0_end is not None and ("halted" in self.dom0_end or "crashed" in self.dom0_end)
        return bool(ended or self.stops or any(fault.kind != "warning" for fault in self.faults))


@dataclass(frozen=True, slots=True)
class Log:
    """The facts of one boot. A fact that is not in the text is None, empty or False.

    Attributes:
        name: what to call the paste in messages.
        boots: boots seen in the text; the facts are those of the last one whose hypervisor part is
            there, or of the last one.
        unended: number of the last line, where the text ends within it and a number in it may be cut:
            nothing is taken from it then but words.
        unread: what was recognised in the text and not read, and why.
        lines: the number of the line behind each fact that is there, by the fact's name
            (``printed.released`` for those of `Printed`).
        names: the paste behind a fact, where several were merged.

        xen_version, xen_cmdline: of the hypervisor's banner, and what it was started with.
        host_map, host_map_source: the map under the hypervisor's ``... RAM map:``, and the words
            before those (``Xen-e820``, ``Multiboot-e820``, ``EFI``, ...).
        host_map_cut: the text ends inside that map, or a line of it is broken off.
        efi_map, efi_map_bs: the hypervisor's EFI memory map, converted as `e820text.efi_type` does;
            whether it says that boot services are mapped.
        system_ram_kib: KiB of ``System RAM:``.
        dom0_alloc, dom0_alloc_pages: machine addresses of the first chunk, and the pages to come.
        initrd: machine addresses of the initrd.
        dom0_kernel_paddr, dom0_kernel_bits: pseudo-physical addresses of the kernel, 32 or 64.
        loaded_kernel, init_ramdisk_virt, phys_mach_map, start_info, page_tables, total:
            the virtual memory arrangement, in virtual addresses.
        max_vcpus: of dom0.
        ioapics, lapic: addresses, as the hypervisor prints them.
        cpu_vendor, cpu_family, phys_addr_bits: of the processor; vendors are ``Intel``, ``AMD``, ...
        iommu_addresses, iommu_enabled: of the IOMMUs, as far as they are printed.

        guest_kind: ``pv``, ``pvh`` or ``hvm``.
        arch: of the kernel: ``x86_64``, ``i386`` or ``arm64``.
        dom: ``dom0`` or ``domU``, where that is visible.

        linux_version, linux_version_full: of the banner; the full one is the upstream version where
            the banner tells it elsewhere (Debian, Ubuntu).
        linux_version_from_oops, linux_version_from_oops_full: the same of the first oops line.
        linux_cmdline: what the kernel was started with.
        linux_map, linux_map_label: the first map Linux prints: ``Xen`` is the guest's own, made
            during its boot, ``BIOS-e820`` (no hypervisor below) is the host's.
        linux_map_open: the text ends inside that map.
        words: ``classic`` or ``linux7``, by how the kernel names E820 types.
        nonram_line: the kernel prints how many pages that are not RAM it remapped.

        plain_map, plain_form: entries of a text without any map of the above, in their order.
        iomem, iomem_zeroed: top-level entries of /proc/iomem; they are all zero (not read as root).
        user_map: the map after ``mem=`` and ``memmap=``, as Linux prints it under ``user:``.
        printed: what Linux says about its boot.
        running: what tools print in the running system.
    """

    name: str
    boots: int = 0
    unended: int | None = None
    unread: tuple[str, ...] = ()
    lines: Mapping[str, int] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)
    xen_version: str | None = None
    xen_cmdline: str | None = None
    host_map: tuple[Entry, ...] = ()
    host_map_source: str | None = None
    host_map_cut: bool = False
    efi_map: tuple[Entry, ...] = ()
    efi_map_bs: bool = False
    system_ram_kib: int | None = None
    dom0_alloc: Span | None = None
    dom0_alloc_pages: int | None = None
    initrd: Span | None = None
    dom0_kernel_paddr: Span | None = None
    dom0_kernel_bits: int | None = None
    loaded_kernel: Span | None = None
    init_ramdisk_virt: Span | None = None
    phys_mach_map: Span | None = None
    start_info: Span | None = None
    page_tables: Span | None = None
    total: Span | None = None
    max_vcpus: int | None = None
    ioapics: tuple[int, ...] = ()
    lapic: int | None = None
    cpu_vendor: str | None = None
    cpu_family: int | None = None
    phys_addr_bits: int | None = None
    iommu_addresses: tuple[int, ...] = ()
    iommu_enabled: bool | None = None
    guest_kind: str | None = None
    arch: str | None = None
    dom: str | None = None
    linux_version: str | None = None
    linux_version_full: str | None = None
    linux_version_from_oops: str | None = None
    linux_version_from_oops_full: str | None = None
    linux_cmdline: str | None = None
    linux_map: tuple[Entry, ...] = ()
    linux_map_label: str | None = None
    linux_map_open: bool = False
    words: str | None = None
    nonram_line: bool = False
    plain_map: tuple[Entry, ...] = ()
    plain_form: str | None = None
    iomem: tuple[Entry, ...] = ()
    iomem_zeroed: bool = False
    user_map: tuple[Entry, ...] = ()
    printed: Printed = field(default_factory=Printed)
    running: Running = field(default_factory=Running)

    def where(self, fact: str) -> str:
        """Name and line of a fact, for a message; the name alone where the line is not known."""
        name = self.names.get(fact, self.name)
        return f"{name}:{self.lines[fact]}" if fact in self.lines else name

    @property
    def ends_at_allocation(self) -> bool:
        """Whether the hypervisor's part ends at ``Dom0 alloc.``, before it could tell of an initrd."""
        behind = (self.initrd, self.loaded_kernel, self.phys_mach_map, self.start_info, self.total)
        return self.dom0_alloc is not None and all(fact is None for fact in behind)

    @property
    def has_hypervisor(self) -> bool:
        """Whether anything of the hypervisor's own boot is there."""
        return bool(self.xen_version or self.host_map or self.dom0_alloc or self.xen_cmdline)

    @property
    def has_kernel(self) -> bool:
        """Whether anything of a kernel's boot is there."""
        return bool(self.linux_version or self.linux_map or self.linux_cmdline)


_TOGETHER = frozenset({"name", "boots", "lines", "names", "printed", "running"})
_LENIENT = frozenset(
    {
        "unended",
        "unread",
        "plain_map",
        "plain_form",
        "iomem",
        "iomem_zeroed",
        "nonram_line",
        "host_map_cut",
        "user_map",
    }
)
_EMPTY = Log("")
_Told = TypeVar("_Told", Printed, Running)


def merge(logs: Sequence[Log]) -> Log:
    """Put the facts of several pastes of one boot together.

    Args:
        logs: at least one log; earlier ones win where a fact may differ (pasted maps without a
            header, /proc/iomem, what the kernel said).

    Returns:
        A log that knows which paste each fact came from.

    Raises:
        InputError: two of them tell of different boots.
    """
    if not logs:
        raise InputError("logs", "at least one", "none")
    merged = logs[0]
    for log in logs[1:]:
        merged = _merge_two(merged, log)
    return merged


def _merge_two(first: Log, second: Log) -> Log:
    taken: dict[str, object] = {}
    for each in fields(Log):
        if each.name in _TOGETHER:
            continue
        ours, theirs, absent = (getattr(log, each.name) for log in (first, second, _EMPTY))
        if ours == absent:
            taken[each.name] = theirs
        elif theirs not in (absent, ours) and each.name not in _LENIENT:
            expected = f"the same {each.name} as {first.where(each.name)}: {_told(ours)}"
            raise InputError(second.where(each.name), expected, _told(theirs))
    lines = {**second.lines, **first.lines}
    names = {fact: (first if fact in first.lines else second) for fact in lines}
    return replace(
        first,
        boots=max(first.boots, second.boots),
        lines=lines,
        names={fact: log.names.get(fact, log.name) for fact, log in names.items()},
        printed=_merge_told(first.printed, second.printed, Printed()),
        running=_merge_told(first.running, second.running, Running()),
        **taken,  # type: ignore[arg-type]
    )


def _merge_told(first: _Told, second: _Told, absent: _Told) -> _Told:
    """What the first one says, and what only the second one says."""
    names = [f.name for f in fields(absent)]
    missing = [name for name in names if getattr(first, name) == getattr(absent, name)]
    return replace(first, **{name: getattr(second, name) for name in missing})


def _told(value: object) -> str:
    if isinstance(value, Span):
        return f"{value.start:#x}-{value.end:#x}"
    if isinstance(value, tuple) and len(value) > 3:
        return f"one of {len(value)} entries"
    return shorten(value)
