import re
import time
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consoles import (
    BOOTS,
    FLOODED,
    HALTED,
    HOSTS,
    Q35,
    SEVEN,
    SILENT,
    as_entries,
    console,
    different,
    facts,
    host_json,
    split,
)
from xenp2m.e820 import ACPI, NVS, RAM, RESERVED, UNUSABLE, Entry
from xenp2m.errors import InputError
from xenp2m.logs.consolefacts import Log, Running, Span, merge
from xenp2m.logs.consolelog import read_log
from xenp2m.logs.textfile import read_text

# Real boots


@pytest.mark.parametrize("host", HOSTS)
def test_real_consoles_agree_with_what_was_recorded_of_them(host):
    log, told = read_log(read_text(BOOTS / host / "console.log.xz"), host), host_json(host)
    assert log.host_map == as_entries(told["xen_e820"])
    assert not log.host_map_cut
    assert log.linux_map == as_entries(told["dom0_e820"])
    assert log.xen_version == told["xen_version"].split()[0]
    assert log.xen_cmdline == told["xen_cmdline"]
    assert told["dom0_cmdline"] in ("", log.linux_cmdline)
    assert log.printed.remapped == told["remapped_per_log"]
    assert log.printed.remapped_nonram == told.get("remapped_nonram_per_log")
    assert log.printed.too_many_entries == told.get("table_full_lines", 0)
    assert (log.boots, log.guest_kind, log.dom, log.arch) == (1, "pv", "dom0", "x86_64")


def test_every_fact_of_one_console():
    log = read_log(console(Q35), "q35.log")
    assert facts(log) == facts(
        Log(
            name="",
            boots=1,
            xen_version="4.17.7",
            xen_cmdline="console=com1 com1=115200,8n1 loglvl=all guest_loglvl=all dom0_mem=1024M,max:1536M",
            host_map=as_entries(host_json(Q35)["xen_e820"]),
            host_map_source="Xen-e820",
            system_ram_kib=4193772,
            dom0_alloc=Span(0x170000000, 0x178000000),
            dom0_alloc_pages=228429,
            initrd=Span(0x17FC4D000, 0x17FFFF311),
            dom0_kernel_paddr=Span(0x1000000, 0x4A00000),
            dom0_kernel_bits=64,
            loaded_kernel=Span(0xFFFFFFFF81000000, 0xFFFFFFFF84A00000),
            phys_mach_map=Span(0x8000000000, 0x8000200000),
            start_info=Span(0xFFFFFFFF84A00000, 0xFFFFFFFF84A004B8),
            page_tables=Span(0xFFFFFFFF84A01000, 0xFFFFFFFF84A2A000),
            total=Span(0xFFFFFFFF80000000, 0xFFFFFFFF84C00000),
            max_vcpus=1,
            ioapics=(0xFEC00000,),
            lapic=0xFEE00000,
            cpu_vendor="AMD",
            cpu_family=15,
            iommu_enabled=False,
            guest_kind="pv",
            arch="x86_64",
            dom="dom0",
            linux_version="6.1.0-56-amd64",
            linux_version_full="6.1.192",
            linux_cmdline="console=hvc0 earlyprintk=xen ignore_loglevel dumpm2p",
            linux_map=as_entries(host_json(Q35)["dom0_e820"]),
            linux_map_label="Xen",
            words="classic",
            iomem=log.iomem,
            printed=log.printed,
            running=log.running,
        )
    )
    assert log.running == Running(mem_total_kib=900540)
    assert log.iomem[:2] == (Entry(0, 0x1000, RESERVED), Entry(0x1000, 0x9F000, RAM))
    assert log.printed == replace(
        Log("").printed,
        released=0,
        remapped=97,
        p2m_area_size=0x40000000,
        last_pfn=0x60061,
        memory_available=(204168, 1572860),
        memory_reserved=684152,
        memory_kernel=14343 + 2338 + 9132 + 2824 + 17344,
        unavailable=(1, 97, 32671),
        ramdisk=Span(0x8000000, 0x83B3000),
        swiotlb=64 << 20,
        xen_version="4.17.7",
    )


def test_every_fact_knows_its_line():
    text = console(Q35)
    log = read_log(text, "q35.log")
    lines = text.split("\n")
    said = {
        "xen_version": "Xen version 4.17.7",
        "host_map_source": "Xen-e820 RAM map:",
        "host_map": "[0000000000000000, 000000000009fbff]",
        "dom0_alloc": "Dom0 alloc.:",
        "ioapics": "(XEN) ACPI: IOAPIC",
        "linux_version": "Linux version 6.1.0",
        "linux_map": "Xen: [mem 0x0000000000000000-0x000000000009efff]",
        "printed.remapped": "Remapped 97 page(s)",
        "iomem": "00000000-00000fff : Reserved",
    }
    for fact, words in said.items():
        assert words in lines[log.lines[fact] - 1]
    assert log.where("dom0_alloc") == f"q35.log:{log.lines['dom0_alloc']}"
    assert log.where("efi_map") == "q35.log"


def test_words_of_linux_7():
    log = read_log(console(SEVEN))
    assert (log.words, log.nonram_line, log.linux_version_full) == ("linux7", True, "7.2.13")
    assert (log.printed.remapped, log.printed.remapped_nonram) == (128, 0)


def test_what_a_flood_leaves():
    log = read_log(console(FLOODED))
    assert (log.linux_version, log.linux_version_full, log.words) == (None, None, "classic")
    assert log.linux_cmdline == "console=hvc0 earlyprintk=xen ignore_loglevel"  # it is printed a second time
    assert log.printed.messages_dropped == 158713
    assert log.linux_map_label == "Xen"


def test_a_dom0_that_halts():
    log = read_log(console(HALTED))
    assert log.printed.stops == ("Xen hypervisor allocated page table memory conflicts with E820 map",)
    assert log.printed.dom0_end == "Hardware Dom0 halted: halting machine"
    silent = read_log(console(SILENT))
    assert (silent.printed.stops, silent.words, silent.has_kernel) == ((), None, False)
    assert silent.printed.dom0_end == "Hardware Dom0 halted: halting machine"


# What became of a log on its way


@pytest.mark.parametrize("stamp", ["[00000034deadbeef] ", "[    1.234567] ", "[2026-11-22 15:00:00] "])
def test_stamps_of_the_hypervisor(stamp):
    text = console(Q35).replace("(XEN) ", "(XEN) " + stamp)
    assert different(read_log(console(Q35)), read_log(text)) == set()


def test_the_prefix_of_xen_lost():
    text = console(Q35).replace("(XEN) ", "")
    assert different(read_log(console(Q35)), read_log(text)) == set()


@pytest.mark.parametrize("prefix", ["Nov 22 15:00:00 box kernel: ", "dom0 kernel: ", "<6>"])
def test_a_journal_of_the_kernel(prefix):
    _, kernel = split(console(Q35))
    sent = "".join(f"{prefix}{line}\n" for line in kernel.splitlines())
    assert different(read_log(kernel), read_log(sent)) == set()
    unstamped = "".join(f"{prefix}{line[15:]}\n" for line in kernel.splitlines())
    if prefix != "<6>":
        assert different(read_log(kernel), read_log(unstamped)) == set()


@pytest.mark.parametrize("host", HOSTS)
def test_a_console_cut_anywhere_is_read(host):
    lines = console(host).split("\n")
    whole = read_log(console(host))
    for end in {*range(0, len(lines), 200), *range(0, 180, 7)}:
        log = read_log("\n".join(lines[:end]))
        assert log.host_map == whole.host_map[: len(log.host_map)]
        assert log.host_map_cut or log.host_map in ((), whole.host_map)
        read_log("\n".join(lines[end:]))


def test_a_map_whose_line_is_broken_off_is_cut():
    header = "(XEN) Xen-e820 RAM map:\n(XEN)  [0000000000000000, 000000000009fbff] (usable)\n"
    assert not read_log(header).host_map_cut
    assert read_log(header + "(XEN)  [000000000010").host_map_cut
    assert read_log(header + "(XEN)  [0000000000100000, 0000").host_map_cut
    assert not read_log(header + "(XEN) ACPI: RSDP 000F59B0, 0014 (r0 BOCHS )").host_map_cut
    assert read_log("(XEN) Xen version 4.17.7 (x)\n" + header).host_map_cut


# Several boots, several pastes


@pytest.mark.parametrize("host", HOSTS)
def test_xl_dmesg_and_dmesg_in_one_text_or_two(host):
    xen, kernel = split(console(host))
    whole = read_log(console(host))
    rest = {"iomem", "printed", "running"}  # not part of either
    assert different(whole, read_log(xen + kernel)) <= rest
    assert different(whole, merge([read_log(xen), read_log(kernel)])) <= rest
    if host in (Q35, SEVEN):
        assert different(whole, read_log(kernel + xen)) <= rest
        assert different(whole, merge([read_log(kernel), read_log(xen)])) <= rest


def test_of_several_boots_the_last_whole_one_counts():
    first, second = console(SEVEN), console(Q35)
    assert different(replace(read_log(second), boots=2), read_log(first + "\n" + second)) == set()
    cut = second[: second.index("(XEN)  [000000007ffdc000")]
    assert different(replace(read_log(first), boots=2), read_log(first + "\n" + cut)) == set()
    third = read_log(first + "\n" + second + "\n" + console(HALTED))
    assert (third.boots, third.linux_version, third.host_map) == (3, None, read_log(console(HALTED)).host_map)


@pytest.mark.parametrize("prefix", ["(XEN) ", ""])
def test_a_script_that_prints_the_log_again_changes_nothing(prefix):
    text = console(Q35)
    xen, kernel = split(text)
    again = text + "\n=== xl dmesg\n" + xen.replace("(XEN) ", prefix)
    assert different(read_log(text), read_log(again)) == set()
    tail = xen[len(xen) // 3 :].replace("(XEN) ", prefix)
    assert different(read_log(text), read_log(text + tail)) == set()
    assert different(read_log(text), read_log(text + "\n" + kernel)) == set()


def test_a_map_printed_later_does_not_become_the_hosts():
    later = "(XEN) Xen-e820 RAM map:\n(XEN)  [0000000000000000, 0000000000000fff] (usable)\n(XEN) end\n"
    text = console(Q35)
    assert different(read_log(text), read_log(text + later)) == set()
    other = "[    9.0] Xen: [mem 0x0000000000000000-0x0000000000000fff] reserved\n9.9: Remapped 5 page(s)\n"
    assert different(read_log(text), read_log(text + other + "[ 9.1] Remapped 6 page(s)\n")) == set()


def test_two_dmesgs_of_one_machine_are_two_boots():
    _, kernel = split(console(Q35))
    assert read_log(kernel + kernel).boots == 2


# Lines of other hosts


XEN = "(XEN) Xen version 4.8.5 (root@x) (gcc) debug=n\n(XEN) Command line: dom0_mem=1G\n"


def test_the_map_on_efi():
    text = (
        "(XEN) EFI RAM map:\n"
        "(XEN)  0000000000000000 - 00000000000a0000 (usable)\n"
        "(XEN)  0000000000100000 - 0000000040000000 (usable)\n"
        "(XEN) System RAM: 1023MB (1048192kB)\n"
        "(XEN) EFI memory map: (mapping BootServices)\n"
        "(XEN)  0000000000000-000000009ffff type=7 attr=000000000000000f\n"
        "(XEN)  0000000100000-00000001fffff type=4 attr=000000000000000f\n"
        "(XEN)  0000000200000-000003fffffff type=7 attr=0000000000000001\n"
        "(XEN) Unknown interrupt\n"
        "(XEN)  0000000000000-00000000fffff type=7 attr=000000000000000f\n"
    )
    log = read_log(XEN + text)
    assert log.host_map == (Entry(0, 0xA0000, RAM), Entry(0x100000, 0x40000000, RAM))
    assert (log.host_map_source, log.efi_map_bs, log.host_map_cut) == ("EFI", True, False)
    assert log.efi_map == (
        Entry(0, 0xA0000, RAM),
        Entry(0x100000, 0x200000, RESERVED),
        Entry(0x200000, 0x40000000, UNUSABLE),
    )
    assert read_log(text.replace(" (mapping BootServices)", "")).efi_map[1] == Entry(0x100000, 0x200000, RAM)


def test_the_map_after_clipping_counts():
    text = (
        "(XEN) Initial Xen-e801 RAM map:\n(XEN)  0000000000000000 - 0000000040000000 (usable)\n"
        "(XEN) Truncating RAM from 1048576kB to 524288kB\n"
        "(XEN) Xen-e801 RAM map:\n(XEN)  0000000000000000 - 0000000020000000 (usable)\n(XEN) x\n"
    )
    log = read_log(text)
    assert (log.host_map, log.host_map_source) == ((Entry(0, 0x20000000, RAM),), "Xen-e801")
    assert read_log(text[: text.index("(XEN) Trunc")]).host_map == (Entry(0, 0x40000000, RAM),)


def test_guests_in_the_hosts_log_are_left_alone():
    text = console(Q35) + "(d1) [    0.0] Xen: [mem 0x0-0xfff] reserved\n(d1) Hypervisor detected: Xen HVM\n"
    assert different(read_log(console(Q35)), read_log(text)) == set()


def test_a_bare_metal_kernel_prints_the_hosts_map():
    text = (
        "BIOS-provided physical RAM map:\n"
        "BIOS-e820: 0000000000000000 - 000000000009f800 (usable)\n"
        "BIOS-e820: 0000000000100000 - 0000000040000000 (usable)\n"
        "last_pfn = 0x40000 max_arch_pfn = 0x400000000\n"
        "user-defined physical RAM map:\n"
        " user: 0000000000000000 - 0000000000001000 (usable)\n"
    )
    log = read_log(text)
    assert log.linux_map == (Entry(0, 0x9F800, RAM), Entry(0x100000, 0x40000000, RAM))
    assert (log.linux_map_label, log.plain_map, log.words) == ("BIOS-e820", (), "classic")


def test_an_inverted_entry_is_kept():
    text = (
        "[    0.0] Xen: [mem 0x0000000000000000-0x000000000007ffff]  System RAM\n"
        "[    0.0] Xen: [gap 0x0000000050001400-0x0000000050001fff]\n"
        "(XEN) d0v0 something\n"
        "[    0.0] Xen: [mem 0x0000000050002000-0x0000000050000fff]  System RAM\n"
        "[    0.0] [Firmware Bug]: out of order E820 entry!\n"
        "[    0.0] Xen: [mem 0x00000000000a0000-0x00000000000fffff]  device reserved\n"
    )
    assert read_log(text).linux_map == (
        Entry(0, 0x80000, RAM),
        Entry(0x50002000, 0x50001000, RAM),
        Entry(0xA0000, 0x100000, RESERVED),
    )


@pytest.mark.parametrize(
    ("text", "form", "entries"),
    [
        ("0 9fc00 usable\n9fc00 a0000 reserved\n100000 40000000 usable\n", "plain", 3),
        ("(XEN)  [0000000000000000, 000000000009fbff] (usable)\n(XEN)  [0000000000100000, 000000003fffffff] (usable)\n", "xen", 2),
        (" 0000000000000000 - 000000000009fc00 (usable)\n", "xen-old", 1),
        ("0x0 0x9fbff System RAM\n0x100000 0x3fffffff ACPI Tables\n", "memmap", 2),
        ("/sys/firmware/memmap/0/end:0x9fbff\n/sys/firmware/memmap/0/start:0x0\n/sys/firmware/memmap/0/type:System RAM\n", "memmap", 1),
        ("libxl: debug: libxl_x86.c:232:e820_sanitize: :\t[0 -> a100] RAM\n", "libxl", 1),
        ("[mem 0x0-0x9fbff] usable\n", "linux", 1),
        ("user: [mem 0x0-0x9fbff] usable\nother\nuser: [mem 0x100000-0x1fffff] usable\n", "user", 2),
    ],
)  # fmt: skip
def test_a_map_on_its_own(text, form, entries):
    log = read_log(text)
    assert (log.plain_form, len(log.plain_map)) == (form, entries)
    assert log.plain_map[0] in (Entry(0, 0x9FC00, RAM), Entry(0, 0xA100000, RAM))
    assert (log.host_map, log.linux_map, log.has_hypervisor, log.has_kernel) == ((), (), False, False)


def test_numbers_in_a_log_are_no_map():
    text = console(SILENT)
    lost = "\n".join(line for line in text.split("\n") if "RAM map" not in line and ", 0" not in line)
    assert read_log(lost + "\n0 1000 1\n").plain_map == ()


def test_iomem():
    text = (
        "00000000-00000fff : Reserved\n00001000-0009ffff : System RAM\n  00002000-00002fff : Kernel code\n"
        "000a0000-000fffff : PCI Bus 0000:00\n7ffdc000-7fffffff : ACPI Tables\n"
        "80000000-8fffffff : ACPI Non-volatile Storage\n"
    )
    log = read_log(text)
    assert log.iomem == (
        Entry(0, 0x1000, RESERVED),
        Entry(0x1000, 0xA0000, RAM),
        Entry(0x7FFDC000, 0x80000000, ACPI),
        Entry(0x80000000, 0x90000000, NVS),
    )
    assert not log.iomem_zeroed
    zeroed = read_log(
        "00000000-00000000 : Reserved\n00000000-00000000 : System RAM\n  00000000-00000000 : Kernel code\n"
    )
    assert (zeroed.iomem, zeroed.iomem_zeroed) == ((), True)


# Bounds


def test_a_map_without_end_is_refused_by_its_line():
    text = "(XEN) Xen-e820 RAM map:\n" + "(XEN)  [0000000000000000, 000000000009fbff] (usable)\n" * 10_001
    with pytest.raises(InputError, match=r"^big:10002: expected a map of at most 10,000 entries"):
        read_log(text, "big")
    assert len(read_log(text[: text.rindex("(XEN)")]).host_map) == 10_000


def test_too_many_lines_and_boots_are_refused():
    with pytest.raises(InputError, match="2,000,000 lines"):
        read_log("a\n" * 2_000_002)
    with pytest.raises(InputError, match="1,000 boots"):
        read_log("(XEN) Xen version 4.1.0 (x)\n" * 1_200)


def test_time_is_linear():
    text = console(Q35) * 100
    began = time.perf_counter()
    read_log(text)
    assert time.perf_counter() - began < 30


LINES = st.sampled_from(
    ["(XEN) ", "[    0.0] ", "Xen version 4.17.7 (", "Linux version 6.1 ", "Xen-e820 RAM map:", "EFI memory map:", "\n",
     " [0000000000000000, 000000000009fbff] (usable)", "Xen: [mem 0x0-0xfff] usable", "Dom0 alloc.:   0->1 (1 pages", "\n",
     "Command line: ", "IOAPIC[0]: apic_id 0, address 0xfec00000", "*** Building a PV Dom0 ***", "Init. ramdisk: f->ff", "\n",
     "00000000-00000000 : System RAM", "Not tainted 6.1.0 #1", "kernel BUG at a:1!", "0 1000 usable", "Dom0 crashed", "\n"]
)  # fmt: skip


@settings(max_examples=400, deadline=1000)
@given(st.lists(LINES | st.text(max_size=20), max_size=60).map("".join))
def test_any_text_is_a_log(text):
    log = read_log(text)
    assert all(1 <= number <= text.count("\n") + 1 for number in log.lines.values())
    assert not (log.plain_map and (log.host_map or log.linux_map))
    assert facts(merge([log, log])) == facts(log)


@pytest.mark.parametrize(
    "line",
    [
        "Nov 22 15:00:02 srv07 qemu[31]: BUG: something odd",
        "2026-11-22T15:00:02+0100 srv07 python3[7]: WARNING: app.py:12 is deprecated",
        "Nov 22 15:00:02 srv07 watchdog: Kernel panic - not syncing: as a test",
        "Nov 22 15:00:02 srv07 app[1]: Memory: 100K/200K available",
    ],
)
def test_what_a_program_of_a_journal_says_is_not_the_kernels(line):
    text = "Nov 22 15:00:01 srv07 kernel: Linux version 6.1.0-50-amd64 (x) (gcc) #1 SMP\n"
    assert read_log(f"{text}{line}\n").printed == read_log(text).printed
    assert (
        read_log(f"{text}{re.sub('srv07 [^:]*:', 'srv07 kernel:', line)}\n").printed != read_log(text).printed
    )
