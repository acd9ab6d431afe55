"""What the hypervisor adds to the machine's map for dom0, and which Xen version does what.

``XENMEM_machine_memory_map`` answers dom0 with Xen's own E820 and, in the gaps of it, one RESERVED
entry for each stretch of frames that dom0 may not map: I/O APICs, the local APIC or the whole
interrupt range, IOMMU registers, HyperTransport. None of them is in the map that Xen prints.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from xenp2m.e820 import RESERVED, Entry
from xenp2m.extents import subtract
from xenp2m.frames import PAGE_SHIFT, pfn_down, pfn_up
from xenp2m.kernel import Version

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from xenp2m.extents import Range

__all__ = ["NEWEST_XEN", "Devices", "XenRelease", "machine_memory_map", "reserved_ranges"]

NEWEST_XEN = Version(4, 20, 5)
"""The newest hypervisor whose real boots were compared with this program's answers."""

LAPIC = 0xFEE00000
"""Usual address of the local APIC, and start of the interrupt range."""
INTERRUPT_END = 0xFEF00000
IOAPIC = 0xFEC00000
"""Usual address of the first I/O APIC."""
_USUAL_IOMMU = 0xFED90000
_HT_SIZE = 3 << 32
_AMD_IOMMU_SIZE = 0x4000


@dataclass(frozen=True, slots=True)
class XenRelease:
    """The rules of one hypervisor version: the one table of its edges.

    Attributes:
        version: the version; None where it is not known, then `NEWEST_XEN`'s rules hold.
        amounts: how ``dom0_mem=`` is read: ``strict`` with percentages (76a68b902062, 4.12), or
            ``loose`` (before).
        interrupts: what is kept from dom0 around 0xfee00000: the local APIC's ``page`` (4.1; again
            in 4.20.4 and later), or the interrupt ``range`` up to 0xfef00000 (seen 4.13 to 4.17).
        hypertransport: the 12 GiB kept from dom0 on AMD: ``none``, ``fixed`` below 2^40 (seen 4.5
            to 4.14), or ``sized``: below the end of the address space from family 17h (d6e38eea2d80,
            4.16 and 4.14.6).
        unsettled: names of the rules above that no source at hand settles for this version.
    """

    version: Version | None = None
    amounts: str = "strict"
    interrupts: str = "page"
    hypertransport: str = "sized"
    unsettled: frozenset[str] = frozenset()

    @classmethod
    def of(cls, version: Version | None) -> XenRelease:
        """The rules of a version (``dom0_setup_permissions``, ``parse_dom0_mem``)."""
        edge = version or NEWEST_XEN
        return cls(
            version=version,
            amounts="strict" if edge >= Version(4, 12) else "loose",
            interrupts="range" if Version(4, 4) <= edge < Version(4, 20, 1) else "page",
            hypertransport=_hypertransport(edge),
            unsettled=_unsettled(edge),
        )


def _hypertransport(version: Version) -> str:
    if version < Version(4, 4):
        return "none"
    mended = {(4, 14): 4, (4, 15): 2}.get(version[:2])
    if mended is not None:
        return "sized" if version.patch >= mended else "fixed"
    return "sized" if version >= Version(4, 16) else "fixed"


# First and last version (inclusive) between which an edge lies somewhere.
_UNSETTLED: tuple[tuple[str, Version, Version], ...] = (
    ("interrupts", Version(4, 2), Version(4, 4, 99)),
    ("interrupts", Version(4, 18, 5), Version(4, 18, 99)),
    ("interrupts", Version(4, 19, 2), Version(4, 19, 99)),
    ("interrupts", Version(4, 20, 1), Version(4, 20, 3)),
    ("hypertransport", Version(4, 2), Version(4, 4, 99)),
    ("hypertransport", Version(4, 14, 4), Version(4, 14, 5)),
    ("hypertransport", Version(4, 15, 2), Version(4, 15, 99)),
)


def _unsettled(version: Version) -> frozenset[str]:
    return frozenset(rule for rule, first, last in _UNSETTLED if first <= version <= last)


@dataclass(frozen=True, slots=True)
class Devices:
    """What is known of the devices and the processor of a host. None: not told.

    Attributes:
        ioapics: byte addresses of the I/O APICs.
        lapic: byte address of the local APIC; 0 if there is none.
        vendor: processor vendor as Xen prints it (``AMD``, ``Intel``, ``Hygon``).
        family: full processor family (0x17 for the first Zen).
        paddr_bits: bits of a physical address.
        iommus: byte addresses of the register blocks of the IOMMUs in use.
        iommu_on: whether Xen uses an IOMMU ("I/O virtualisation enabled").
    """

    ioapics: tuple[int, ...] | None = None
    lapic: int | None = None
    vendor: str | None = None
    family: int | None = None
    paddr_bits: int | None = None
    iommus: tuple[int, ...] | None = None
    iommu_on: bool | None = None

    @property
    def is_amd(self) -> bool:
        """Whether the processor is AMD's."""
        return "amd" in (self.vendor or "").lower()

    @property
    def is_hygon(self) -> bool:
        """Whether the processor is Hygon's, which counts as AMD's in later versions."""
        return "hygon" in (self.vendor or "").lower()

    @property
    def bits(self) -> int:
        """Bits of a physical address: as told, else 40 on AMD's family 0Fh, else 48."""
        if self.paddr_bits is not None:
            return max(32, min(self.paddr_bits, 64))
        return 40 if self.is_amd and self.family == 0xF else 48


def reserved_ranges(
    host: Sequence[Entry], xen: Version | None, devices: Devices | None = None
) -> tuple[list[Entry], list[str]]:
    """The entries that the hypervisor adds to a host's map for dom0.

    Args:
        host: Xen's own map in its order (sorted, without overlap), in bytes.
        xen: its version; None where unknown.
        devices: what is known of the host.

    Returns:
        The added entries (bytes, half-open, RESERVED, ascending), and one line for each assumption
        that changes them. UNUSABLE entries add nothing: they are kept from dom0, but the frames of
        an entry are never looked at, whatever its type.

    Source: ``XENMEM_machine_memory_map`` and ``handle_iomem_range`` (arch/x86/mm.c, the same in
    4.14, 4.17 and 4.20), ``dom0_setup_permissions`` (4.3 to 4.20), ``intel_iommu_hwdom_init``,
    ``amd_iommu_hwdom_init``.
    """
    release, devices = XenRelease.of(xen), devices or Devices()
    added = _added(host, release, devices)
    doubts = _doubts(release, devices)
    assumed = [line for line, rules, other in doubts if _added(host, rules, other) != added]
    return added, list(dict.fromkeys(assumed))


def machine_memory_map(
    host: Sequence[Entry], xen: Version | None, devices: Devices | None = None
) -> tuple[tuple[Entry, ...], list[str]]:
    """The map that dom0 is given: `host` with `reserved_ranges` in place, and the assumptions.

    Host entries stay byte-exact and in their order.
    """
    added, assumed = reserved_ranges(host, xen, devices)
    whole: list[Entry] = []
    for entry in host:
        while added and added[0].start < entry.start:
            whole.append(added.pop(0))
        whole.append(entry)
    return (*whole, *added), assumed


def _added(host: Sequence[Entry], release: XenRelease, devices: Devices) -> list[Entry]:
    """Walk the gaps of `host` as the hypercall does.

    A run of frames kept from dom0 is only noticed at the next frame that dom0 may map, or at the
    next entry; one that reaches the end of the address space is never reported.
    """
    limit = 1 << (devices.bits - PAGE_SHIFT)
    ioapics = {pfn_down(a) for a in ((IOAPIC,) if devices.ioapics is None else devices.ioapics)}
    kept = [*_denied(release, devices), *((pfn, pfn + 1) for pfn in ioapics)]
    allowed = subtract([(0, limit)], kept)
    starts, ends = [start for start, _ in allowed], [end for _, end in allowed]
    added: list[Entry] = []
    cursor = 0

    def visit(runs: Iterable[Range], cursor: int) -> int:
        for start, end in runs:
            if cursor < start < limit:
                added.append(Entry(cursor << PAGE_SHIFT, start << PAGE_SHIFT, RESERVED))
            cursor = end
        return cursor

    for entry in host:
        first = pfn_down(entry.start)
        if first > cursor:
            cursor = visit(allowed[bisect_right(ends, cursor) : bisect_left(starts, first)], cursor)
            # The entry's own first frame ends a run, too, unless an I/O APIC sits on it.
            cursor = visit([] if first in ioapics else [(first, first + 1)], cursor)
        cursor = pfn_up(entry.end)
    if cursor:
        visit(allowed[bisect_right(ends, cursor) :], cursor)
    return added


def _denied(release: XenRelease, devices: Devices) -> list[Range]:
    """Frame ranges that the iomem permissions of dom0 leave out."""
    denied: list[Range] = []
    lapic = LAPIC if devices.lapic is None else devices.lapic
    if lapic:
        denied.append((pfn_down(lapic), pfn_down(lapic) + 1))
    if release.interrupts == "range":
        denied.append((pfn_down(LAPIC), pfn_down(INTERRUPT_END)))
    sized = release.hypertransport == "sized"
    if release.hypertransport != "none" and (devices.is_amd or (sized and devices.is_hygon)):
        late = sized and (devices.family is None or devices.family >= 0x17)
        top = 1 << (devices.bits if late else 40)
        denied.append((pfn_down(top - _HT_SIZE), pfn_down(top)))
    if devices.iommu_on is not False:
        size = _AMD_IOMMU_SIZE if devices.is_amd or devices.is_hygon else 1
        denied += [(pfn_down(a), pfn_up(a + size)) for a in devices.iommus or ()]
    return denied


def _doubts(release: XenRelease, devices: Devices) -> Iterator[tuple[str, XenRelease, Devices]]:
    """What had to be assumed: the line for it, and what would hold if it were wrong."""
    if release.version is None:
        older = XenRelease.of(Version(4, 17))
        yield f"Xen {NEWEST_XEN}: its version is not named", older, devices
    if "interrupts" in release.unsettled:
        page = release.interrupts == "page"
        range_ = f"{LAPIC:#x} - {INTERRUPT_END:#x}"
        what = f"{LAPIC:#x} alone, not {range_}" if page else f"the whole of {range_}"
        line = f"Xen {release.version} reserves {what}: not settled for this version"
        yield line, replace(release, interrupts="range" if page else "page"), devices
    if "hypertransport" in release.unsettled:
        where = {"none": "nothing", "fixed": "0xfd00000000 - 0x10000000000"}
        what = where.get(release.hypertransport, "the last 12 GiB of addresses")
        line = f"Xen {release.version} reserves {what} for HyperTransport: not settled for this version"
        for other in {"none", "fixed", "sized"} - {release.hypertransport}:
            yield line, replace(release, hypertransport=other), devices
    if devices.ioapics is None:
        yield f"one I/O APIC, at {IOAPIC:#x}: none is named", release, replace(devices, ioapics=())
    if devices.lapic is None:
        line = f"the local APIC at {LAPIC:#x}: its address is not named"
        yield line, release, replace(devices, lapic=0)
    if devices.iommus is None and devices.iommu_on is not False:
        line = "no IOMMU: none is named"
        if devices.iommu_on:
            line = "no range for the registers of the IOMMU: their address is not named"
        yield line, release, replace(devices, iommus=(_USUAL_IOMMU,), iommu_on=True)
    yield from _processor_doubts(release, devices)


def _processor_doubts(release: XenRelease, devices: Devices) -> Iterator[tuple[str, XenRelease, Devices]]:
    if devices.vendor is None:
        line = "no HyperTransport range: the processor is not named"
        yield line, release, replace(devices, vendor="AMD", family=devices.family or 0x15)
    elif devices.family is None:
        line = "an AMD processor of family 17h or later: the family is not named"
        yield line, release, replace(devices, family=0x15)
    if devices.paddr_bits is None:
        for bits in (40, 43, 44, 48, 52):
            line = f"physical addresses of {devices.bits} bits: not named"
            yield line, release, replace(devices, paddr_bits=bits)
