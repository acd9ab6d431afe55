import pytest

from xenp2m.logs.consolefacts import Bug, Moved, Pages, Printed, Span
from xenp2m.logs.consolelog import read_log

XEN = "(XEN) Xen version 4.8.5 (root@x) (gcc) debug=n\n(XEN) Command line: dom0_mem=1G\n"


def test_the_initrd_of_both_arrangements():
    text = (
        "(XEN) PHYSICAL MEMORY ARRANGEMENT:\n"
        "(XEN)  Dom0 alloc.:   0000000230000000->0000000234000000 (123456 pages to be allocated)\n"
        "(XEN) VIRTUAL MEMORY ARRANGEMENT:\n"
        "(XEN)  Loaded kernel: c1000000->c1a00000\n"
        "(XEN)  Init. ramdisk: c1a00000->c2000000\n"
    )
    log = read_log(text)
    assert (log.initrd, log.init_ramdisk_virt) == (None, Span(0xC1A00000, 0xC2000000))
    assert (log.guest_kind, log.dom, log.dom0_alloc_pages) == ("pv", "dom0", 123456)
    assert read_log(text.replace("VIRTUAL", "PHYSICAL")).initrd == Span(0xC1A00000, 0xC2000000)
    none = "(XEN)  Init. ramdisk: 0000000000000000->0000000000000000\n"
    assert read_log(XEN + none).initrd is None


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("(XEN) *** Building a PVH Dom0 ***", {"guest_kind": "pvh", "dom": "dom0"}),
        ("(XEN) *** LOADING DOMAIN 0 ***", {"guest_kind": None, "dom": "dom0"}),
        ("[    0.0] Booting paravirtualized kernel on Xen PVH", {"guest_kind": "pvh"}),
        ("[    0.0] Booting paravirtualized kernel on Xen HVM", {"guest_kind": "hvm"}),
        ("[    0.0] Booting paravirtualized kernel on Xen", {"guest_kind": "pv"}),
        ("[    0.0] Booting paravirtualized kernel on bare hardware", {"guest_kind": None}),
        ("[    0.0] Hypervisor detected: Xen PV", {"guest_kind": "pv"}),
        ("[    0.0] Hypervisor detected: Xen HVM\n[ 0.0] Booting paravirtualized kernel on Xen PVH", {"guest_kind": "pvh"}),
        ("[    0.0] Hypervisor detected: Xen PV\n[ 0.0] ACPI: RSDP 0x000F59B0", {"dom": "dom0"}),
        ("[    0.0] Hypervisor detected: Xen HVM\n[ 0.0] ACPI: RSDP 0x000F59B0", {"dom": None}),
        ("[    0.0] ACPI in unprivileged domain disabled", {"dom": "domU"}),
        ("[    0.0] Booting Linux on physical CPU 0x0000000000 [0x410fd034]", {"arch": "arm64"}),
        ("(XEN) Xen version 4.17.4 (x@y) (aarch64-linux-gnu-gcc 12.2.0) debug=n", {"arch": "arm64"}),
        ('(XEN) Processor: 00000000410fd034: "ARM Limited", variant: 0x0', {"arch": "arm64"}),
        ("(XEN)  Dom0 kernel: 32-bit, PAE, lsb, paddr 0x1000000 -> 0x1a00000", {"dom0_kernel_bits": 32, "arch": "i386"}),
        ("(XEN)  Dom0 kernel: 64-bit, lsb", {"dom0_kernel_bits": 64, "dom0_kernel_paddr": None}),
        ("(XEN) CPU Vendor: Intel, Family 6 (0x6), Model 85 (0x55), Stepping 4", {"cpu_vendor": "Intel", "cpu_family": 6}),
        ("(XEN) CPU0: AMD Fam17h machine check reporting enabled", {"cpu_vendor": "AMD", "cpu_family": 23}),
        ("(XEN) Intel machine check reporting enabled", {"cpu_vendor": "Intel", "cpu_family": None}),
        ("(XEN) [VT-D]  drhd->address = fed90000 iommu->reg = ffff82c0", {"iommu_addresses": (0xFED90000,)}),
        ("(XEN) Hardware Dom0 shutdown: rebooting machine", {"printed": Printed(dom0_end="Hardware Dom0 shutdown: rebooting machine")}),
        ("(XEN) I/O virtualisation enabled", {"iommu_enabled": True}),
        ("[    0.0] IOAPIC[0]: apic_id 0, version 32, address 0xfec00000, GSI 0-23", {"ioapics": ()}),
        ("[    0.0] e820: update [mem 0x00000000-0x00000fff] System RAM ==> device reserved", {"words": "linux7"}),
        ("[    0.0] E820 table full; ignoring [mem 0x1000-0xfff]", {"words": "linux7"}),
        ("[    0.0] too many E820 table entries; ignoring [mem 0x1000-0xfff]", {"words": "classic"}),
    ],
)  # fmt: skip
def test_lines_of_other_hosts(line, found):
    log = read_log(line)
    assert {name: getattr(log, name) for name in found} == found


@pytest.mark.parametrize(
    ("banner", "version", "full"),
    [
        ("Linux version 6.8.0-48-generic (buildd@x) (x86_64-linux-gnu-gcc-13 (Ubuntu 13.2.0) 13.2.0) #48-Ubuntu SMP (Ubuntu 6.8.0-48.48-generic 6.8.12)", "6.8.0-48-generic", "6.8.12"),
        ("Linux version 5.10.0-9-amd64 (d@x) (gcc-10 (Debian 10.2.1-6) 10.2.1) #1 SMP Debian 5.10.70-1 (2021-09-30)", "5.10.0-9-amd64", "5.10.70"),
        ("Linux version 6.6.77-1.qubes.fc37.x86_64 (u@h) (gcc (GCC) 12.3.1) #1 SMP", "6.6.77-1.qubes.fc37.x86_64", "6.6.77-1.qubes.fc37.x86_64"),
    ],
)  # fmt: skip
def test_versions_of_banners(banner, version, full):
    log = read_log("[    0.000000] " + banner)
    assert (log.linux_version, log.linux_version_full, log.arch) == (version, full, "x86_64")


@pytest.mark.parametrize(
    ("line", "version", "full"),
    [
        ("CPU: 0 PID: 0 Comm: swapper Not tainted 6.1.0-56-amd64 #1  Debian 6.1.192-2", "6.1.0-56-amd64", "6.1.192"),
        ("CPU: 0 UID: 0 PID: 0 Comm: swapper Not tainted 7.2.13+deb14-amd64 #1 PREEMPT(undef)  Debian 7.2.13-1", "7.2.13+deb14-amd64", "7.2.13"),
        ("CPU: 3 PID: 77 Comm: xenbus Tainted: G        W   E     5.4.98-1.fc25.qubes.x86_64 #1", "5.4.98-1.fc25.qubes.x86_64", "5.4.98-1.fc25.qubes.x86_64"),
        ("Pid: 0, comm: swapper Not tainted 2.6.39-rc7 #1", "2.6.39-rc7", "2.6.39-rc7"),
    ],
)  # fmt: skip
def test_versions_of_oopses(line, version, full):
    log = read_log("[    2.451626] " + line)
    assert (log.linux_version, log.linux_version_from_oops, log.linux_version_from_oops_full) == (
        None,
        version,
        full,
    )


def test_what_linux_says_of_its_boot():
    log = read_log(
        "[    0.0] Linux version 3.8.0 (x) (gcc) #1 SMP\n"
        "[    0.0] Freeing  9f-100 pfn range: 97 pages freed\n"
        "[    0.0] Freeing  bf699-f7f80 pfn range: 231655 pages freed\n"
        "[    0.0] Released 283999 pages of unused memory\n"
        "[    0.0] Set 283999 page(s) to 1-1 mapping\n"
        "[    0.0] Populating 1acb65-1f20c4 pfn range: 283999 pages added\n"
        "[    0.0] initrd moved from [mem 0x08000000-0x10b5a724] to [mem 0x18537000-0x21091724]\n"
        "[    2.4] kernel BUG at arch/x86/xen/setup.c:314!\n"
        "[    2.5] Kernel panic - not syncing: Attempted to kill the idle task!\n"
        "(XEN) Domain 0 crashed: rebooting machine in 5 seconds.\n"
    )
    printed = log.printed
    assert (printed.released, printed.set_identity) == (283999, 283999)
    assert printed.freeing == (Pages(0x9F, 0x100, 97), Pages(0xBF699, 0xF7F80, 231655))
    assert printed.populated == (Pages(0x1ACB65, 0x1F20C4, 283999),)
    assert printed.initrd_moved == Moved(Span(0x8000000, 0x10B5A724), Span(0x18537000, 0x21091724))
    assert printed.bugs == (
        Bug("arch/x86/xen/setup.c", 314, "kernel BUG at arch/x86/xen/setup.c:314!"),
        Bug(None, None, "Kernel panic - not syncing: Attempted to kill the idle task!"),
    )
    assert printed.dom0_end == "Domain 0 crashed: rebooting machine in 5 seconds."


def test_lists_are_bounded():
    log = read_log("".join(f"[ 1.0] kernel BUG at a.c:{n}!\n" for n in range(3000)))
    assert len(log.printed.bugs) == 1000
