import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from xenp2m.e820 import ACPI, NVS, RAM, RESERVED, SOFT_RESERVED, UNUSABLE, Entry
from xenp2m.logs.e820text import FirmwareMemmap, MapLine, efi_type, is_gap, parse_line, parse_payload, unwrap

FORMS = [
    # Linux, inclusive
    ("Xen: [mem 0x0000000000000000-0x000000000009efff] usable", 0, 0x9F000, RAM, "linux", "Xen"),
    (
        "Xen: [mem 0x0000000000096400-0x00000000000fffff] reserved",
        0x96400,
        0x100000,
        RESERVED,
        "linux",
        "Xen",
    ),
    (
        "BIOS-e820: [mem 0x000000007ffcc400-0x000000007ffdbfff] ACPI NVS",
        0x7FFCC400,
        0x7FFDC000,
        NVS,
        "linux",
        "BIOS-e820",
    ),
    (
        "BIOS-e820: [mem 0x0000000000000000-0x0000000000000fff] ACPI data",
        0,
        0x1000,
        ACPI,
        "linux",
        "BIOS-e820",
    ),
    ("user: [mem 0x0000000000000000-0x0000000000000fff] unusable", 0, 0x1000, UNUSABLE, "linux", "user"),
    (
        "modified: [mem 0x0000000000000000-0x0000000000000fff] persistent (type 12)",
        0,
        0x1000,
        12,
        "linux",
        "modified",
    ),
    (
        "reserve setup_data: [mem 0x0000000000001000-0x0000000000001fff] usable",
        0x1000,
        0x2000,
        RAM,
        "linux",
        "reserve setup_data",
    ),
    ("BIOS-e820: [mem 0x0000000000000000-0x0000000000000fff] type 20", 0, 0x1000, 20, "linux", "BIOS-e820"),
    (
        "BIOS-e820: [mem 0x0000000000000000-0x0000000000000fff] soft reserved",
        0,
        0x1000,
        SOFT_RESERVED,
        "linux",
        "BIOS-e820",
    ),
    (
        "BIOS-e820: [mem 0x0000000000000000-0x0000000000000fff] application reserved",
        0,
        0x1000,
        SOFT_RESERVED,
        "linux",
        "BIOS-e820",
    ),
    # Linux 7, inclusive
    (
        "Xen: [mem 0x0000000000100000-0x000000006007ffff]  System RAM",
        0x100000,
        0x60080000,
        RAM,
        "linux7",
        "Xen",
    ),
    (
        "Xen: [mem 0x0000000000080000-0x00000000000fffff]  device reserved",
        0x80000,
        0x100000,
        RESERVED,
        "linux7",
        "Xen",
    ),
    (
        "Xen: [mem 0x000000007ffcc000-0x000000007ffdbfff]  ACPI NVS",
        0x7FFCC000,
        0x7FFDC000,
        NVS,
        "linux7",
        "Xen",
    ),
    (
        "Xen: [mem 0x0000000000000000-0x0000000000000fff]  persistent RAM (type 7)",
        0,
        0x1000,
        7,
        "linux7",
        "Xen",
    ),
    # Linux before 3.5, exclusive
    ("BIOS-e820: 0000000000000000 - 000000000009f800 (usable)", 0, 0x9F800, RAM, "linux-old", "BIOS-e820"),
    (" Xen: 00000000000a0000 - 0000000000100000 (reserved)", 0xA0000, 0x100000, RESERVED, "linux-old", "Xen"),
    (
        "BIOS-e820: 00000000fec00000 - 00000000fec01000 type 20",
        0xFEC00000,
        0xFEC01000,
        20,
        "linux-old",
        "BIOS-e820",
    ),
    # Xen: inclusive today, exclusive once
    ("(XEN)  [0000000000000000, 000000000009fbff] (usable)", 0, 0x9FC00, RAM, "xen", None),
    (
        "(XEN)  [000000fd00000000, 000000ffffffffff] (reserved)",
        0xFD00000000,
        0x10000000000,
        RESERVED,
        "xen",
        None,
    ),
    ("(XEN)  [0000000000000000, 0000000000000fff] (ACPI data)", 0, 0x1000, ACPI, "xen", None),
    ("(XEN)  [0000000000000000, 0000000000000fff] (unusable)", 0, 0x1000, UNUSABLE, "xen", None),
    ("(XEN)  [0000000000000000, 0000000000000fff] type 12", 0, 0x1000, 12, "xen", None),
    ("(XEN)  0000000000000000 - 000000000009fc00 (usable)", 0, 0x9FC00, RAM, "xen-old", None),
    # Xen on EFI, inclusive
    ("(XEN)  0000000000000-000000009ffff type=7 attr=000000000000000f", 0, 0xA0000, RAM, "efi", None),
    (
        "(XEN)  00000fee00000-00000fee00fff type=11 attr=8000000000000001",
        0xFEE00000,
        0xFEE01000,
        RESERVED,
        "efi",
        None,
    ),
    # tools: frames, exclusive
    (
        "libxl: debug: libxl_x86.c:232:e820_sanitize: :\t[a100 -> 7ffdc] Unusable",
        0xA100000,
        0x7FFDC000,
        UNUSABLE,
        "libxl",
        None,
    ),
    (
        "libxl: debug: libxl_x86.c:312:e820_sanitize: Domain 3::\t[0 -> a100] RAM",
        0,
        0xA100000,
        RAM,
        "libxl",
        None,
    ),
    ("(d1)  [00]: 00000000:00000000 - 00000000:000a0000: RAM", 0, 0xA0000, RAM, "hvmloader", None),
    (
        "(XEN) HVM4:  [06]: 00000001:00000000 - 00000001:0f000000: RAM",
        1 << 32,
        0x10F000000,
        RAM,
        "hvmloader",
        None,
    ),
    (
        "[04]: 00000000:fc000000 - 00000001:00000000: UNKNOWN (00000014)",
        0xFC000000,
        1 << 32,
        0x14,
        "hvmloader",
        None,
    ),
    # Linux files, inclusive
    ("0x0 0x9fbff System RAM", 0, 0x9FC00, RAM, "memmap", None),
    ("0x7ffdc000 0x7fffffff ACPI Non-volatile Storage", 0x7FFDC000, 0x80000000, NVS, "memmap", None),
    ("00001000-0009efff : System RAM", 0x1000, 0x9F000, RAM, "iomem", None),
    ("fd00000000-ffffffffff : Reserved", 0xFD00000000, 0x10000000000, RESERVED, "iomem", None),
    ("00000000-00000000 : System RAM", 0, 1, RAM, "iomem", None),
    # this project's own, exclusive
    ("100000 50000000 usable", 0x100000, 0x50000000, RAM, "plain", None),
    ("0x0 0x9fc00 reserved", 0, 0x9FC00, RESERVED, "plain", None),
    ("100000 50000000 2", 0x100000, 0x50000000, RESERVED, "plain", None),
]


@pytest.mark.parametrize(("line", "start", "end", "kind", "form", "label"), FORMS)
def test_every_form(line, start, end, kind, form, label):
    assert parse_line(line) == MapLine(Entry(start, end, kind), form, label)
    assert parse_line(line + " \r") == MapLine(Entry(start, end, kind), form, label)


@pytest.mark.parametrize(
    "line",
    [
        "",
        "Xen: [gap 0x0000000060080000-0x000000007ffdbfff]",
        "e820: update [mem 0x00000000-0x00000fff] usable ==> reserved",
        "e820: remove [mem 0x000a0000-0x000fffff] usable",
        "too many entries; ignoring [mem 0x7f925000-0x7f924fff]",
        "  node   0: [mem 0x0000000000001000-0x000000000009efff]",
        "system 00:05: [mem 0xb0000000-0xbfffffff window] has been reserved",
        "system 00:01: [mem 0xfed1c000-0xfed1ffff] has been reserved",
        "[mem 0xc0000000-0xfebfffff] available for PCI devices",
        "PCI: MMCONFIG at [mem 0xb0000000-0xbfffffff] reserved in E820",
        "ACPI: Reserving FACP table memory at [mem 0x7ffe20ea-0x7ffe21dd]",
        "(XEN) Faking a node at 0000000000000000-0000000180000000",
        "(XEN)  Dom0 alloc.:   0000000170000000->0000000178000000 (228429 pages to be allocated)",
        "(XEN)  [00000000a0, 00000000ff] RW",
        " HOLE: 00000000:000a0000 - 00000000:000f0000",
        "  000a0000-000bffff : Reserved",
        "60061000-63ffffff : RAM buffer",
        "c0000000-febfffff : PCI Bus 0000:00",
        "0x0 - 0x9fc00 usable",  # which end is it?
        "0-9fbff usable",
        "100000 50000000",
        "100000 50000000 0",
        "100000 50000000 13",
        "Xen: [mem 0x0000000000000000000000000-0x000000000009efff] usable",  # 25 digits
        "Xen: [mem 0x0-0x9efff] usable ==> reserved",
        "Xen: [mem 0x0-0x9efff] ACPI",  # the half of a broken line
        "Xen: [mem 0x0-0x9efff] type 99999999999",
        "[0000000000000000, 000000000009fbff] (of no known type)",
    ],
)
def test_what_is_no_entry(line):
    assert parse_line(line) is None


def test_ends_that_wrap_and_sizes_below_one():
    assert parse_line("Xen: [mem 0x1000-0xfff] usable").entry == Entry(0x1000, 0x1000, RAM)
    assert parse_line("Xen: [mem 0x50002000-0x50000fff]  System RAM").entry == Entry(
        0x50002000, 0x50001000, RAM
    )
    assert parse_line("Xen: [mem 0x0-0xffffffffffffffff] usable").entry == Entry(0, 0, RAM)


def test_gap_lines_are_part_of_a_map():
    assert is_gap(" Xen: [gap 0x0000000060080000-0x000000007ffdbfff] ")
    assert is_gap("[gap 0x0-0xfff]")
    assert not is_gap("[gap 0xc0000000-0xfebfffff] available for PCI devices")


def test_efi_types_as_xen_takes_them():
    write_back = 0xF
    ram = [n for n in range(16) if efi_type(n, write_back) == RAM]
    assert ram == [1, 2, 3, 4, 7]
    assert [n for n in range(16) if efi_type(n, write_back, map_bs=True) == RAM] == [1, 2, 7]
    assert [efi_type(n, 0x7) for n in ram] == [UNUSABLE] * 5
    assert [efi_type(n, 0x7, map_bs=True) for n in (3, 4)] == [RESERVED] * 2
    assert [efi_type(n, 0) for n in (8, 9, 10)] == [UNUSABLE, ACPI, NVS]
    assert {efi_type(n, write_back) for n in (0, 5, 6, 11, 12, 13, 14, 99)} == {RESERVED}


def test_blanks_and_dashes_of_mail_programs():
    assert parse_line("Xen:\xa0[mem\xa00x0\u20130xfff]\xa0usable").entry == Entry(0, 0x1000, RAM)


def test_memmap_in_three_lines_an_entry():
    memmap = FirmwareMemmap()
    listing = [
        "/sys/firmware/memmap/0/end:0x9fbff",
        "/sys/firmware/memmap/0/start:0x0",
        "/sys/firmware/memmap/0/type:System RAM",
        "/sys/firmware/memmap/10/end:0x1ffff",
        "/sys/firmware/memmap/10/start:0x10000",
        "/sys/firmware/memmap/10/type:Reserved",
        "/sys/firmware/memmap/1/end:0x9ffff",
        "/sys/firmware/memmap/1/start:0x9fc00",
        "/sys/firmware/memmap/1/type:ACPI Tables",
        "/sys/firmware/memmap/2/start:0x5",
        "/sys/firmware/memmap/2/type:Reserved",
    ]
    assert all(memmap.feed(line) for line in listing)
    assert not memmap.feed("something else")
    assert memmap.entries() == (
        Entry(0, 0x9FC00, RAM),
        Entry(0x9FC00, 0xA0000, ACPI),
        Entry(0x10000, 0x20000, RESERVED),
    )


def lines(text):
    return [line for _, line in unwrap(text) if line]


def test_broken_entries_are_whole_again():
    text = (
        "> (XEN)  [0000000000000000, 000000000009fbff]\n> (usable)\n"
        "> [    0.000000] Xen: [mem\n> 0x0000000000000000-0x000000000009efff] ACPI\n> NVS\n"
        "(XEN)  [0000000000100000, 0000000004a0f\nfff] (usable)\n"
    )
    assert [parse_line(line) for line in lines(text)] == [
        MapLine(Entry(0, 0x9FC00, RAM), "xen"),
        MapLine(Entry(0, 0x9F000, NVS), "linux", "Xen"),
        MapLine(Entry(0x100000, 0x4A10000, RAM), "xen"),
    ]
    assert [number for number, _ in unwrap(text)] == [1, 3, 6]


def test_whole_lines_stay_apart():
    text = (
        "[    0.000000] Command line: quiet\nBIOS-provided physical RAM map:\n"
        "(XEN)  [0000000000000000, 000000000009fbff]\n(XEN) (usable)\n"
        "(XEN)  [0000000000000000, 000000000009fbff]\n\n(usable)\n"
        "(XEN) Freed 656kB init memory\nmapping kernel into physical memory\n"
    )
    assert lines(text) == [line for line in text.split("\n") if line]


def test_broken_command_lines_are_whole_again():
    text = (
        "(XEN) Command line: placeholder console=com1 com1=115200,8n1 loglvl=all\n"
        "guest_loglvl=all no-real-mode dom0_max_vcpus=4 dom0_vcpus_pin iommu=on\n"
        "dom0_mem=1024M,max:1408M\n"
        "(XEN) Xen image load base address: 0\n"
    )
    assert lines(text)[0].endswith(
        "loglvl=all guest_loglvl=all no-real-mode dom0_max_vcpus=4 dom0_vcpus_pin iommu=on dom0_mem=1024M,max:1408M"
    )
    assert list(unwrap(text))[1][0] == 4


@settings(max_examples=500, deadline=500)
@given(st.text(max_size=300))
@example("> " * 200)
@example("Xen: " + " " * 300)
def test_any_line_is_an_entry_or_none(line):
    found = parse_line(line)
    assert found is None or (0 <= found.entry.start < 1 << 68 and 0 <= found.entry.end < 1 << 68)
    assert parse_payload(line) is None or isinstance(parse_payload(line), MapLine)


TOKENS = st.sampled_from(
    ["(XEN) ", "[mem 0x", "0x0-0xfff", "] ", "usable", "ACPI", "NVS", "\n", "\r", "> ", "Xen: ", "=3D", "=\n", " - ",
     "0000000000100000", "[", ", ", "(usable)", "\x1b[", "&gt;", " : ", " -> ", "type=7 attr=f", "[    0.0] ", "kernel: "]
)  # fmt: skip


@settings(max_examples=500, deadline=1000)
@given(st.lists(TOKENS, max_size=40).map("".join))
@example("=\n\n=3D")
@example("a=\n\nb=3D=")
def test_any_text_is_unwrapped_without_losing_a_digit(text):
    numbers = [number for number, _ in unwrap(text)]
    assert numbers == sorted(numbers)
    assert len(numbers) <= 4 * (text.count("\n") + text.count("(XEN)") + 1)


@pytest.mark.parametrize(
    "text",
    ["\n" * 3_000_000, " " * 5_000_000, "> " * 3_000_000, "[mem " * 500_000, "\x1b[" * 2_000_000, "(XEN) " * 500_000,
     "=3D=" * 200_000, ("Xen:" + " " * 4000 + "\n") * 300, ("0 " + " " * 4000 + "x\n") * 300, ("a " * 2000 + "\n") * 300,
     "[0000000000000000, 0\n" * 50_000, "(XEN) Command line: " + ("x" * 60 + "\n") * 30_000],
    ids=lambda text: repr(text[:12]),
)  # fmt: skip
def test_time_is_linear(text):
    began = time.perf_counter()
    for _, line in unwrap(text):
        parse_line(line)
    assert time.perf_counter() - began < 30


@pytest.mark.parametrize(
    "line",
    [
        "ffffffffffffff00 1ffffffffffffffff usable",
        "Xen: [mem 0xffffffffffffff00-0x1fffffffffffffffe] usable",
        "(XEN)  [ffffffffffffff00, 1fffffffffffffffe] (usable)",
    ],
)
def test_a_number_beyond_2_to_the_64_is_not_lost(line):
    assert parse_line(line).entry == Entry(0xFFFFFFFFFFFFFF00, 0x1FFFFFFFFFFFFFFFF, 1)
