"""Which hosts are booted with which kernel and hypervisor."""

from __future__ import annotations

from dataclasses import replace

from tests_xen.hosts import ACPI, NVS, RAM, RESERVED, UNUSABLE, Host, pc_map
from tests_xen.packages import SUITES

__all__ = ["ARTEFACTS", "FAULTS", "LIVE", "SHAPES", "everything", "quick", "schedule"]

_HOLES = tuple((base, base + 0x1000, RESERVED) for base in range(0x20000000, 0x34000000, 0x800000))
_ODD_FRAMES = (
    (0x12345000, 0x12346000, 0), (0x20001000, 0x20002000, 0),
    (0x2FF00000, 0x30303000, RESERVED), (0x50000000, 0x53C00000, 0), (0x6F7FF000, 0x70801000, RESERVED),
)  # fmt: skip
_ODD_BYTES = (
    (0x12345678, 0x12346789, RESERVED), (0x2FF00400, 0x303030C0, RESERVED),
    (0x6F7FFFFF, 0x70801001, RESERVED),
)  # fmt: skip
_TYPES = (
    (0x20000000, 0x20010000, ACPI), (0x20010000, 0x20020000, NVS),
    (0x28000000, 0x28100000, UNUSABLE), (0x30000000, 0x30200000, 12),
)  # fmt: skip
_MOVED = ((0x8000000, 0x9000000, RESERVED),)

SHAPES = (
    Host("below", dom0_mem="1024M,max:1536M", note="max below the hole"),
    Host("across", dom0_mem="1024M,max:3072M", note="max across the hole"),
    Host("above", dom0_mem="3000M,max:3500M", note="the first allocation reaches across the hole"),
    Host("equal", dom0_mem="1024M,max:1024M", note="no room to grow"),
    Host("equal-across", dom0_mem="3G,max:3G", note="no room to grow, across the hole"),
    Host("no-max", dom0_mem="1024M", note="max absent: all of the host is room"),
    Host("no-dom0-mem", note="no dom0_mem= at all"),
    Host("thread", "6G", "pc", "2364M", dom0_mem="1024M,max:2364M", note="the thread's: max at the hole"),
    Host("thread-equal", "6G", "pc", "2364M", dom0_mem="2364M,max:2364M", note="all of RAM below the hole"),
    Host("thread-no-max", "6G", "pc", "2364M", dom0_mem="2364M", note="the same without max"),
    Host("small", "1G", dom0_mem="512M,max:768M", note="a host without RAM above 4 GiB"),
    Host("large", "8G", "pc", dom0_mem="5G,max:7G", note="most of RAM above 4 GiB"),
    Host("negative", dom0_mem="min:512M,max:-1G,-2G", note="sizes counted from the end"),
    Host("odd", map=pc_map(*_ODD_FRAMES), dom0_mem="3000M,max:3500M", note="odd holes and gaps in RAM"),
    Host("bytes", map=pc_map(*_ODD_BYTES), dom0_mem="1500M,max:3G", note="holes that begin inside a page"),
    Host("many", map=pc_map(*_HOLES), dom0_mem="800M,max:1800M", note="40 holes of one page"),
    Host("types", map=pc_map(*_TYPES), dom0_mem="1G,max:2G", note="ACPI, NVS and unusable inside RAM"),
    Host("moved", map=pc_map(*_MOVED), dom0_mem="1G,max:2G", note="ramdisk and P2M list must move"),
)  # fmt: skip
"""Hosts that boot; every one runs at least once, each time with another pair of versions."""

_D4 = pc_map((0x50000000, 0x50000400, RESERVED))
_D9_ALIGNED = pc_map((0x2000000, 0x2010000, NVS))
_D9 = pc_map((0x2000400, 0x2010000, NVS))
_D9_END = pc_map((0x2000000, 0x2010000, NVS), (0x7FFDBC00, 0x7FFDC000, RESERVED))
_D14 = pc_map((0xF0000, 0x100400, RESERVED), *_MOVED)
_D14_INITRD = pc_map((0xF0000, 0x100400, RESERVED), (0x8000000, 0x8001000, RESERVED))
_D2_ABOVE = pc_map((0x50000000, 0x50004000, RESERVED), (0x50001400, 0x50001C00, RAM))
_D2_BELOW = pc_map((0x20000000, 0x20004000, RESERVED), (0x20001400, 0x20001C00, RAM))
_KERNEL_HOLE = pc_map((0x2000000, 0x2010000, RESERVED))

FAULTS = (
    Host("d4-overflow", map=_D4, dom0_mem="1024M,max:1408M", fault="D4",
         note="extra memory ends in an entry that starts inside a page"),
    Host("d4-equal", map=_D4, dom0_mem="1310560K,max:1310560K", fault="D4",
         note="the same, with no room but for moved frames"),
    Host("d9-aligned", map=_D9_ALIGNED, dom0_mem="1024M,max:1408M", fault="D9",
         note="ACPI NVS under the kernel, on page boundaries"),
    Host("d9-offset", map=_D9, dom0_mem="1024M,max:1408M", fault="D9",
         note="ACPI NVS under the kernel, from inside a page on"),
    Host("d9-end", map=_D9_END, dom0_mem="1024M,max:1408M", fault="D9",
         note="the RAM it would change places with ends inside a page"),
    Host("d14-list", map=_D14, dom0_mem="1024M,max:1408M", fault="D14",
         note="the P2M list moves to RAM that starts inside a page"),
    Host("d14-ramdisk", map=_D14_INITRD, dom0_mem="1024M,max:1408M", fault="D14",
         note="the ramdisk alone moves to RAM that starts inside a page"),
    Host("d2-above", map=_D2_ABOVE, dom0_mem="1024M,max:1408M", fault="D2",
         note="RAM without a whole page, above the first allocation"),
    Host("d2-below", map=_D2_BELOW, dom0_mem="1024M,max:1408M", fault="D2",
         note="RAM without a whole page, inside the first allocation"),
    Host("mem", dom0_mem="1024M,max:1536M", linux_args="mem=800M", fault="H18", note="mem= below dom0_mem="),
    Host("image", map=_KERNEL_HOLE, dom0_mem="1024M,max:1536M", fault="image", note="a hole under the image"),
)  # fmt: skip
"""Hosts that meet a fault of the kernel; every one runs with every suite's own pair."""

LIVE = Host("live", dom0_mem="2G,max:2G", job="live", note="maps of dom0 and two guests, read inside dom0")
"""The program inside dom0; runs with every suite's own pair."""

ARTEFACTS = Host(
    "artefacts", dom0_mem="2560M,max:2560M", job="artefacts", note="cores, streams, lists of two guests"
)
"""Files that real tools make, read by the program; runs with every suite's own pair."""

_QUICK = {"below": 1, "no-dom0-mem": 1, "thread": 2, "odd": 3, "bytes": 2, "types": 3, "moved": 1, "large": 3}
_QUICK_FAULTS = {"d4-overflow": 1, "d9-offset": 3, "mem": 2, "live": 1}


def schedule() -> list[Host]:
    """The full run: every shape, every pair of kernel and hypervisor at least twice, every fault."""
    pairs = [(linux, xen) for linux in SUITES for xen in SUITES]
    hosts = []
    for number, (linux, xen) in enumerate(pairs):
        for shape in (SHAPES[(2 * number + k) % len(SHAPES)] for k in (0, 1)):
            hosts.append(replace(shape, linux=linux, xen=xen))
    own = [(host, suite) for host in (*FAULTS, LIVE, ARTEFACTS) for suite in SUITES]
    return hosts + [replace(host, linux=suite, xen=suite) for host, suite in own]


def quick() -> list[Host]:
    """The part for CI: all suites' newest features in a few minutes."""
    named = {host.name: host for host in (*SHAPES, *FAULTS, LIVE)}
    return [
        replace(named[name], linux=SUITES[suite], xen=SUITES[suite])
        for name, suite in (_QUICK | _QUICK_FAULTS).items()
    ]


def everything() -> list[Host]:
    """Every host with every pair: takes hours."""
    pairs = [(linux, xen) for linux in SUITES for xen in SUITES]
    return [
        replace(host, linux=linux, xen=xen)
        for host in (*SHAPES, *FAULTS, LIVE, ARTEFACTS)
        for linux, xen in pairs
    ]
