"""Ranges that the hypervisor adds to dom0's map: real boots, versions, and a page-by-page twin."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xenp2m.e820 import NVS, RAM, RESERVED, UNUSABLE, Entry, sanitize
from xenp2m.hypervisor import Devices, XenRelease, machine_memory_map, reserved_ranges
from xenp2m.kernel import Version

PAGE = 4096
QEMU = Devices(ioapics=(0xFEC00000,), lapic=0xFEE00000, vendor="AMD", family=0xF, iommu_on=False)

# Xen-e820 of our own boots in QEMU (real-p2m: q35-4g..., pc2364-6g...).
Q35 = [
    Entry(0x0, 0x9FC00, RAM),
    Entry(0x9FC00, 0xA0000, RESERVED),
    Entry(0xF0000, 0x100000, RESERVED),
    Entry(0x100000, 0x7FFDC000, RAM),
    Entry(0x7FFDC000, 0x80000000, RESERVED),
    Entry(0xB0000000, 0xC0000000, RESERVED),
    Entry(0xFED1C000, 0xFED20000, RESERVED),
    Entry(0xFFFC0000, 0x100000000, RESERVED),
    Entry(0x100000000, 0x180000000, RAM),
    Entry(0xFD00000000, 0x10000000000, RESERVED),
]
PC = [
    Entry(0x0, 0x9FC00, RAM),
    Entry(0x9FC00, 0xA0000, RESERVED),
    Entry(0xF0000, 0x100000, RESERVED),
    Entry(0x100000, 0x93BDD000, RAM),
    Entry(0x93BDD000, 0x93C00000, RESERVED),
    Entry(0xFFFC0000, 0x100000000, RESERVED),
    Entry(0x100000000, 0x1EC400000, RAM),
    Entry(0xFD00000000, 0x10000000000, RESERVED),
]
# A desktop of 2013 (MSI H61, Xen 4.1.5-pre) and a server with sixteen DRHDs (SUSE, Xen of the 4.13 era).
H61 = [
    Entry(0x0, 0x9EC00, RAM),
    Entry(0x9EC00, 0xA0000, RESERVED),
    Entry(0xE0000, 0x100000, RESERVED),
    Entry(0x100000, 0xBAD80000, RAM),
    Entry(0xBAD80000, 0xBADC9000, NVS),
    Entry(0xBAE7F000, 0xBB000000, RAM),
    Entry(0xBB800000, 0xBFA00000, RESERVED),
    Entry(0xFED1C000, 0xFED40000, RESERVED),
    Entry(0xFF000000, 0x100000000, RESERVED),
    Entry(0x100000000, 0x23FE00000, RAM),
]
SERVER = [
    Entry(0x0, 0x99400, RAM),
    Entry(0x99400, 0xA0000, RESERVED),
    Entry(0xE0000, 0x100000, RESERVED),
    Entry(0x100000, 0x64BEC000, RAM),
    Entry(0x64BEC000, 0x90000000, RESERVED),
    Entry(0xFD000000, 0xFE800000, RESERVED),
    Entry(0xFED20000, 0xFED45000, RESERVED),
    Entry(0xFF000000, 0x100000000, RESERVED),
    Entry(0x100000000, 0x2080000000, RAM),
]
DRHDS = (
    *(0x96BFC000, 0x9D7FC000, 0xA43FC000, 0xAAFFC000, 0xB1BFC000, 0xB87FC000, 0xBF3FC000, 0xC5FFC000),
    *(0xCCBFC000, 0xD37FC000, 0xDA3FC000, 0xE0FFC000, 0xE7BFC000, 0xEE7FC000, 0xF53FC000, 0xFBFFC000),
)
IOAPICS = (0xFEC00000, 0xFEC01000, *range(0xFEC08000, 0xFEC80000, 0x8000))

APIC_PAGE = (0xFEE00000, 0xFEE01000)
INTERRUPTS = (0xFEE00000, 0xFEF00000)
IOAPIC_PAGE = (0xFEC00000, 0xFEC01000)


def pairs(entries):
    entries = list(entries)
    assert all(e.type == RESERVED for e in entries)
    return [(e.start, e.end) for e in entries]


@pytest.mark.parametrize(
    ("host", "xen", "last"),
    [
        (Q35, "4.17.7", INTERRUPTS),
        (PC, "4.17.7", INTERRUPTS),
        (PC, "4.14.6", INTERRUPTS),
        (PC, "4.20.4-pre", APIC_PAGE),
        (Q35, "4.20.5-pre", APIC_PAGE),
    ],
)
def test_our_own_boots(host, xen, last):
    added, assumed = reserved_ranges(host, Version.parse(xen), QEMU)
    assert pairs(added) == [IOAPIC_PAGE, last]
    assert assumed == []


def test_a_desktop_of_2013():
    known = Devices(ioapics=(0xFEC00000,), lapic=0xFEE00000, iommus=())
    added, assumed = reserved_ranges(H61, Version.parse("4.1.5-pre"), known)
    assert pairs(added) == [IOAPIC_PAGE, APIC_PAGE]
    assert assumed == []


def test_a_server_with_many_iommus_and_io_apics():
    known = Devices(ioapics=IOAPICS, lapic=0xFEE00000, vendor="Intel", iommus=DRHDS)
    added, assumed = reserved_ranges(SERVER, Version.parse("4.13-era"), known)
    assert (
        pairs(added)
        == [
            *((a, a + PAGE) for a in DRHDS),
            (0xFEC00000, 0xFEC02000),  # two neighbours are one entry
            *((a, a + PAGE) for a in IOAPICS[2:]),
            INTERRUPTS,
        ]
    )
    assert assumed == []


def test_the_additions_take_their_places_in_the_map():
    whole, assumed = machine_memory_map(Q35, Version(4, 17, 7), QEMU)
    assert list(whole) == sorted(whole)
    assert set(whole) - set(Q35) == {Entry(*IOAPIC_PAGE, RESERVED), Entry(*INTERRUPTS, RESERVED)}
    assert assumed == []


def test_additions_within_entries_of_the_host_are_none():
    host = [Entry(0, 0x9F000, RAM), Entry(0x100000, 0x80000000, RAM), Entry(0xFE000000, 1 << 32, RESERVED)]
    assert reserved_ranges(host, Version(4, 17), Devices(vendor="Intel")) == ([], [])


def test_unusable_memory_adds_nothing():
    unusable = [*Q35[:3], Entry(0x100000, 0x7F000000, RAM), Entry(0x7F000800, 0x7FFDC800, UNUSABLE), *Q35[5:]]
    assert reserved_ranges(unusable, Version(4, 17, 7), QEMU) == reserved_ranges(Q35, Version(4, 17, 7), QEMU)


def test_an_empty_map_stays_empty():
    assert reserved_ranges([], None) == ([], [])


class TestHyperTransport:
    HOST = Q35[:-1]
    HT = (0xFD00000000, 0x10000000000)

    def added(self, xen, **known):
        devices = Devices(ioapics=(), lapic=0, iommus=(), **known)
        return pairs(e for e in reserved_ranges(self.HOST, xen, devices)[0] if e.start > 1 << 32)

    def test_the_fixed_range_needs_addresses_beyond_it(self):
        assert self.added(Version(4, 11), vendor="AMD", family=0x15, paddr_bits=48) == [self.HT]
        assert self.added(Version(4, 11), vendor="AMD", family=0xF, paddr_bits=40) == []

    def test_not_on_intel(self):
        assert self.added(Version(4, 17), vendor="Intel", family=6, paddr_bits=46) == []

    def test_from_family_17h_it_ends_with_the_addresses_and_is_never_reported(self):
        assert self.added(Version(4, 17), vendor="AMD", family=0x17, paddr_bits=48) == []
        assert self.added(Version(4, 11), vendor="AMD", family=0x17, paddr_bits=48) == [self.HT]

    def test_unless_an_entry_of_the_host_lies_in_it(self):
        host = [*self.HOST, Entry(0xFFFE00000000, 0xFFFF00000000, RESERVED)]
        devices = Devices(ioapics=(), lapic=0, iommus=(), vendor="AMD", family=0x19, paddr_bits=48)
        added, _ = reserved_ranges(host, Version(4, 20, 4), devices)
        assert pairs(added) == [(0xFFFD00000000, 0xFFFE00000000)]
        devices = Devices(ioapics=(), lapic=0, iommus=(), vendor="AMD", family=0x19)
        assert reserved_ranges(host, Version(4, 20, 4), devices) == (
            added,
            ["physical addresses of 48 bits: not named"],
        )

    def test_nothing_is_added_beyond_the_addresses(self):
        host = [*self.HOST, Entry(1 << 48, (1 << 48) + PAGE, RESERVED)]
        devices = Devices(ioapics=(), lapic=0, iommus=(), vendor="AMD", family=0x19, paddr_bits=48)
        assert reserved_ranges(host, Version(4, 20, 4), devices) == ([], [])

    def test_hygon_counts_from_the_sized_rule_on(self):
        assert self.added(Version(4, 11), vendor="Hygon", family=0x18, paddr_bits=48) == []
        assert XenRelease.of(Version(4, 14, 6)).hypertransport == "sized"


class TestQuirks:
    def test_an_io_apic_on_the_first_frame_of_an_entry_hides_the_range_before_it(self):
        host = [Entry(0, 0x10000000, RAM), Entry(0xFEC01000, 0xFEC02000, RESERVED)]
        at_entry = Devices(ioapics=(0xFEC00000, 0xFEC01000), lapic=0, iommus=())
        before = Devices(ioapics=(0xFEC00000,), lapic=0, iommus=())
        assert pairs(reserved_ranges(host, Version(4, 20, 4), before)[0]) == [IOAPIC_PAGE]
        assert reserved_ranges(host, Version(4, 20, 4), at_entry)[0] == []

    def test_amd_iommu_registers_are_four_pages(self):
        known = Devices(ioapics=(), lapic=0, vendor="AMD", family=0x17, iommus=(0xF7F80000,))
        assert pairs(reserved_ranges(Q35, Version(4, 17), known)[0])[0] == (0xF7F80000, 0xF7F84000)

    def test_iommus_that_are_off_keep_nothing_from_dom0(self):
        known = Devices(ioapics=(), lapic=0, vendor="Intel", iommus=(0xFED90000,), iommu_on=False)
        assert reserved_ranges(Q35, Version(4, 20, 4), known) == ([], [])

    def test_a_partly_covered_frame_counts_as_covered(self):
        host = [
            Entry(0, 0xFEC00400, RAM),
            Entry(0xFEE00C00, 0xFEE01000, RESERVED),
            Entry(1 << 32, 1 << 33, RAM),
        ]
        added, _ = reserved_ranges(host, Version(4, 20, 4), Devices(iommus=()))
        assert added == []


class TestAssumptions:
    def test_everything_is_named_once_where_it_matters(self):
        _, assumed = reserved_ranges(Q35, None)
        assert [line.split(":")[0] for line in assumed] == [
            "Xen 4.20.5",
            "one I/O APIC, at 0xfec00000",
            "the local APIC at 0xfee00000",
            "no IOMMU",
        ]

    def test_nothing_is_named_that_the_map_already_tells(self):
        host = [*Q35[:6], Entry(0xFEC00000, 0x100000000, RESERVED), *Q35[8:]]
        assert reserved_ranges(host, None) == ([], [])

    def test_the_processor_matters_where_the_firmware_says_nothing(self):
        _, assumed = reserved_ranges(Q35[:-1], Version(4, 17), Devices((0xFEC00000,), 0xFEE00000, iommus=()))
        assert assumed == ["no HyperTransport range: the processor is not named"]
        amd = Devices((0xFEC00000,), 0xFEE00000, vendor="AMD", family=0x15, iommus=())
        _, assumed = reserved_ranges(Q35[:-1], Version(4, 17), amd)
        assert assumed == ["physical addresses of 48 bits: not named"]

    @pytest.mark.parametrize(
        ("xen", "range_"),
        [
            *(("4.2.3", APIC_PAGE), ("4.3.4", APIC_PAGE), ("4.4.1", INTERRUPTS), ("4.18.5", INTERRUPTS)),
            *(("4.19.3", INTERRUPTS), ("4.20.1", APIC_PAGE), ("4.20.3", APIC_PAGE)),
        ],
    )
    def test_versions_not_settled_are_named(self, xen, range_):
        added, assumed = reserved_ranges(Q35, Version.parse(xen), QEMU)
        assert pairs(added) == [IOAPIC_PAGE, range_]
        assert len(assumed) == 1
        assert f"Xen {xen} reserves" in assumed[0]
        assert "not settled" in assumed[0]

    @pytest.mark.parametrize(
        ("xen", "rule"),
        [
            ("4.1.5", "page"),
            ("4.5.0", "range"),
            ("4.11.4", "range"),
            ("4.17.7", "range"),
            ("4.18.4", "range"),
            ("4.19.1", "range"),
            ("4.20.0", "range"),
            ("4.20.4", "page"),
            ("4.21.0", "page"),
        ],
    )
    def test_settled_versions(self, xen, rule):
        release = XenRelease.of(Version.parse(xen))
        assert (release.interrupts, "interrupts" in release.unsettled) == (rule, False)

    def test_an_iommu_in_use_without_an_address(self):
        known = Devices((0xFEC00000,), 0xFEE00000, vendor="Intel", iommu_on=True)
        _, assumed = reserved_ranges(Q35, Version(4, 17), known)
        assert assumed == ["no range for the registers of the IOMMU: their address is not named"]


def slow_additions(host, kept, ioapics, limit):
    """Page by page: an allowed page ends a stretch of pages that are not; so does an entry's first."""
    found = []
    cursor = 0

    def look(page, allowed):
        nonlocal cursor
        if allowed:
            if cursor < page < limit:
                found.append((cursor * PAGE, page * PAGE))
            cursor = page + 1

    for entry in host:
        first = entry.start // PAGE
        if first > cursor:
            for page in range(cursor, first):
                look(page, page < limit and page not in kept and page not in ioapics)
            look(first, first not in ioapics)
        cursor = -(-entry.end // PAGE)
    if cursor:
        for page in range(cursor, limit):
            look(page, page not in kept and page not in ioapics)
    return found


BASE, TOP = 0xFEB00, 0x100000
ends = st.lists(st.integers(BASE * PAGE, (TOP + 8) * PAGE), max_size=12, unique=True)


@given(
    ends,
    st.integers(0, PAGE - 1),
    st.lists(st.integers(BASE, TOP - 1) | st.integers(0xFEC00, 0xFEC04), max_size=4),
    st.lists(st.integers(BASE, TOP - 1) | st.integers(0xFEC00, 0xFEC04), max_size=3),
    st.booleans(),
)
def test_against_a_twin_that_looks_at_every_page(bounds, mask, ioapics, iommus, whole_range):
    bounds = sorted(b & ~mask for b in bounds)
    host = [Entry(0, BASE * PAGE, RAM)]
    host += [Entry(s, e, UNUSABLE) for s, e in zip(bounds[::2], bounds[1::2], strict=False) if s < e]
    host = sanitize(host)
    devices = Devices(
        ioapics=tuple(p * PAGE for p in ioapics),
        lapic=0xFEE00000,
        vendor="Intel",
        paddr_bits=32,
        iommus=tuple(p * PAGE for p in iommus),
    )
    kept = {0xFEE00, *iommus} | (set(range(0xFEE00, 0xFEF00)) if whole_range else set())
    added, _ = reserved_ranges(host, Version(4, 17) if whole_range else Version(4, 20, 4), devices)
    assert pairs(added) == slow_additions(host, kept, set(ioapics), TOP)
