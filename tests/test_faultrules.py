"""Faults as kernels of several eras print them; the texts are of our own boots, or in their form."""

import pytest

from xenp2m.logs.consolelog import read_log

MEM = """\
[    0.640946] ------------[ cut here ]------------
[    0.641243] Failed to update kernel mapping for mfn=1507487 pfn=262144
[    0.641732] WARNING: CPU: 0 PID: 0 at arch/x86/xen/setup.c:312 xen_remap_memory+0x1b3/0x287
[    0.643067] RIP: e030:xen_remap_memory+0x1b3/0x287
[    0.644150] RAX: 0000000000000000 RBX: 000000000017312f RCX: c0000000ffffefff
[    0.644621] R10: 0000000000000003 R11: ffffffff82ad46c8 R12: 0000000000040000
[    0.645775] Call Trace:
[    0.646355]  ? xen_pagetable_init+0x41c/0x42f
[    0.646520]  ? setup_arch+0xc26/0xd4f
[    0.648221] ------------[ cut here ]------------
[    0.648350] kernel BUG at arch/x86/xen/setup.c:314!
PANIC: early exception 0x06 IP 10000e030:ffffffff8308029e error 0 cr2 0xffffc90000300000
[    0.649135] RIP: e030:xen_remap_memory+0x1b5/0x287
"""


def test_a_warning_and_the_bug_behind_it():
    warning, bug = read_log(MEM).printed.faults
    assert (warning.kind, warning.file, warning.line) == ("warning", "arch/x86/xen/setup.c", 312)
    assert warning.said == "Failed to update kernel mapping for mfn=1507487 pfn=262144"
    assert warning.function == "xen_remap_memory"
    assert warning.calls == ("xen_pagetable_init", "setup_arch")
    assert dict(warning.registers)["RBX"] == 0x17312F
    assert dict(warning.registers)["R12"] == 0x40000
    # The exception is the BUG's own, not a second fault.
    assert (bug.kind, bug.line, bug.function, bug.said) == ("bug", 314, "xen_remap_memory", None)
    assert bug.number == 11


@pytest.mark.parametrize(
    ("line", "kind", "file", "number", "function", "address"),
    [
        ("WARNING: arch/x86/xen/setup.c:264 at xen_remap_memory+0x151/0x290, CPU#0: swapper/0", "warning",
         "arch/x86/xen/setup.c", 264, "xen_remap_memory", None),
        ("WARNING: at arch/x86/xen/p2m.c:500 set_phys_range_identity+0x10/0x20()", "warning",
         "arch/x86/xen/p2m.c", 500, "set_phys_range_identity", None),
        ("kernel BUG at /usr/src/kernel-3.7/arch/x86/xen/p2m.c:545!", "bug",
         "/usr/src/kernel-3.7/arch/x86/xen/p2m.c", 545, None, None),
        ("BUG: unable to handle page fault for address: ffffea0004000010", "oops", None, None, None, 0xFFFFEA0004000010),
        ("BUG: unable to handle kernel paging request at ffffea0004000010", "oops", None, None, None, 0xFFFFEA0004000010),
        ("BUG: kernel NULL pointer dereference, address: 0000000000000010", "oops", None, None, None, 0x10),
        ("PANIC: early exception 0x06 IP e030:ffffffff839c8f2c error 0 cr2 0xffffc90000300000", "exception",
         None, None, None, None),
        ("general protection fault, probably for non-canonical address 0x8000: 0000 [#1] PREEMPT SMP NOPTI", "oops",
         None, None, None, None),
        ("Kernel panic - not syncing: Attempted to kill init!", "panic", None, None, None, None),
    ],
)  # fmt: skip
def test_opening_lines(line, kind, file, number, function, address):
    (fault,) = read_log(f"<2>[    1.0] {line}\n").printed.faults
    assert (fault.kind, fault.file, fault.line, fault.function) == (kind, file, number, function)
    assert fault.address == address


@pytest.mark.parametrize(
    ("line", "function"),
    [
        ("RIP: e030:xen_del_extra_mem+0x7f/0x1d0", "xen_del_extra_mem"),
        ("RIP: e030:firmware_map_add_entry.isra.0+0x90/0xa0", "firmware_map_add_entry"),
        ("RIP: e030:[<ffffffff8100ae7f>]  [<ffffffff8100ae7f>] alloc_p2m+0x25f/0x270", "alloc_p2m"),
        ("RIP: 0033:0x7ee06144117b", None),
    ],
)
def test_where_it_stopped(line, function):
    text = f"[    1.0] kernel BUG at a.c:1!\n[    1.0] {line}\n"
    assert read_log(text).printed.faults[0].function == function


def test_of_a_flood_of_warnings_the_first_are_kept():
    text = "".join(f"[    1.0] WARNING: CPU: 0 PID: 1 at a.c:{n} f+0x1/0x2\n" for n in range(500))
    faults = read_log(text).printed.faults
    assert len(faults) == 64
    assert faults[0].line == 0
