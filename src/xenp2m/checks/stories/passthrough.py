"""What a PCI device that is passed through to a PV guest runs into."""

from __future__ import annotations

from xenp2m.checks.stories.story import story
from xenp2m.findings import Severity

__all__ = ["PASSTHROUGH"]

PASSTHROUGH = (
    story(
        "bar-without-e820-host",
        Severity.ERROR,
        "A device's BAR lies in the guest's RAM, without e820_host",
        """A PV guest without e820_host=1 is given RAM from address 0 on in one piece, whatever the machine
        has there. A BAR of a device passed through that falls into it cannot be mapped: the guest's
        kernel says "address space collision", or the driver fails.""",
        "Set e820_host=1 in the guest's configuration.",
        "libxl__e820_alloc, tools/libs/light/libxl_x86.c",
        trigger="a BAR inside RAM of a guest without e820_host=1",
    ),
    story(
        "bar-in-ram",
        Severity.ERROR,
        "A device's BAR lies in the guest's RAM",
        """The guest's map has RAM where the device is, although it has the machine's holes. High RAM of such
        a guest begins at 4 GiB whatever the machine has there, so a BAR above 4 GiB can be covered by it.""",
        """Give the guest less memory= and maxmem=, so that its RAM above 4 GiB ends before the BAR, or make
        the firmware put the BAR elsewhere (the setting "above 4G decoding").""",
        "e820_sanitize, tools/libs/light/libxl_x86.c",
        trigger="a BAR inside RAM of a guest with e820_host=1",
        fixed="not fixed",
    ),
    story(
        "bar-under-hotplug",
        Severity.ERROR,
        "Memory was added over the hole that a device needs",
        """The guest's map leaves a hole for the device, but Linux put more memory there later: the balloon
        or the allocator of unpopulated pages took the hole for free address space. Messages then ask for
        e820_host=1 although it is set.""",
        """Let maxmem= equal memory=, so that nothing is added, or use a kernel in which such memory is
        placed behind the machine's map.""",
        "xen_alloc_unpopulated_pages, add_memory_resource (5.9 and later); reported in May 2026",
        trigger="a BAR inside RAM that /proc/iomem of the guest has and its map has not",
        fixed="not settled",
    ),
    story(
        "bar-in-unusable",
        Severity.ERROR,
        "A device's BAR lies in a range shown as unusable",
        """The toolstack marks the machine's RAM below 4 GiB that the guest does not get as unusable, up to
        the first other range of the machine's map. A BAR in there conflicts: "address conflict with
        Unusable memory".""",
        """Give the guest a memory= that reaches up to the machine's hole, or make the firmware put the BAR
        above it.""",
        "e820_sanitize, tools/libs/light/libxl_x86.c",
        trigger="a BAR inside an unusable range of the guest's map",
        fixed="not fixed",
    ),
    story(
        "bar-in-host-ram",
        Severity.WARNING,
        "An address given as a BAR is RAM of the host",
        """A BAR lies outside RAM on every machine. Either the BAR belongs to another host, or it is one that
        only the guest was told of.""",
        "Take lspci -v of the host that the map is of.",
        "the machine's E820 in the hypervisor's log",
        trigger="a BAR inside RAM of the host's map",
    ),
)
