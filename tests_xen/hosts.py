"""A host in a few lines: the machine, its memory map, the versions, the command lines."""

from __future__ import annotations

import struct
from dataclasses import dataclass

__all__ = ["Host", "MapLine", "map_records", "pc_map"]

MapLine = tuple[int, int, int]
"""Start and end (not included) in bytes, and the E820 type."""

RAM, RESERVED, ACPI, NVS, UNUSABLE = 1, 2, 3, 4, 5


@dataclass(frozen=True)
class Host:
    """One machine to boot.

    Attributes:
        name: in tables and on the command line.
        memory: of the machine, as QEMU takes it.
        machine: QEMU's machine type.
        below_4g: RAM below 4 GiB (QEMU's ``max-ram-below-4g``); the rest lies above.
        map: the memory map that Xen is given in place of the firmware's.
        dom0_mem: Xen's option; None for none at all.
        xen: suite of the hypervisor.
        linux: suite of the kernel.
        linux_args: more words for Linux' command line.
        note: what is to be seen here.
        fault: the rule of the kernel's faults that this host meets.
        job: what runs inside dom0: ``list`` prints dom0's list, ``live`` lets the program read running
            domains, ``artefacts`` makes files of guests.
    """

    name: str
    memory: str = "4G"
    machine: str = "q35"
    below_4g: str | None = None
    map: tuple[MapLine, ...] | None = None
    dom0_mem: str | None = None
    xen: str = "bookworm"
    linux: str = "bookworm"
    linux_args: str = ""
    note: str = ""
    fault: str = ""
    job: str = "list"

    @property
    def qemu_machine(self) -> str:
        """QEMU's ``-machine``."""
        split = f",max-ram-below-4g={self.below_4g}" if self.below_4g else ""
        return f"{self.machine},accel=tcg{split}"

    @property
    def xen_args(self) -> str:
        """Xen's command line; without real mode it keeps the map it is handed."""
        words = ["console=com1", "com1=115200,8n1", "loglvl=all", "guest_loglvl=all"]
        words += ["no-real-mode"] if self.map else []
        words += [f"dom0_mem={self.dom0_mem}"] if self.dom0_mem else []
        return " ".join(words)

    @property
    def kernel_args(self) -> str:
        """Linux' command line."""
        return f"console=hvc0 earlyprintk=xen ignore_loglevel {self.linux_args}".strip()


def pc_map(*instead: MapLine, memory: int = 4 << 30, split: int = 2 << 30) -> tuple[MapLine, ...]:
    """The map of a PC as QEMU's firmware gives it, with some stretches replaced.

    Args:
        instead: what to put over it; a type of 0 leaves nothing there.
        memory: of the machine, in bytes.
        split: where RAM below 4 GiB ends.
    """
    lines: list[MapLine] = [
        (0, 0x9FC00, RAM), (0x9FC00, 0xA0000, RESERVED), (0xF0000, 0x100000, RESERVED),
        (0x100000, split - 0x24000, RAM), (split - 0x24000, split, RESERVED),
        (0xB0000000, 0xC0000000, RESERVED), (0xFED1C000, 0xFED20000, RESERVED),
        (0xFFFC0000, 1 << 32, RESERVED), (1 << 32, (1 << 32) + memory - split, RAM),
        (0xFD00000000, 0x10000000000, RESERVED),
    ]  # fmt: skip
    for start, end, kind in instead:
        lines = [
            part
            for a, b, t in lines
            for part in ((a, min(b, start), t), (max(a, end), b, t))
            if part[0] < part[1]
        ] + ([(start, end, kind)] if kind else [])
    return tuple(sorted(lines))


def map_records(lines: tuple[MapLine, ...]) -> bytes:
    """A map as multiboot memory map records."""
    return b"".join(struct.pack("<IQQI", 20, start, end - start, kind) for start, end, kind in lines)
