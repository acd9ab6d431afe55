"""What a log shows that a plan alone cannot: disagreements, lost lines, faults without a known host."""

from __future__ import annotations

from xenp2m.checks.stories.story import story
from xenp2m.findings import Severity

__all__ = ["DIAGNOSIS"]

_LOG = (
    story(
        "log-disagrees",
        Severity.WARNING,
        "The log prints something else than predicted",
        """A line of the log and the boot that its own host should have done differ. Either something about
        the host is not in the log (the kernel's configuration, patches of a distribution), or lines of
        two boots were mixed, or the program's model is wrong there. What would explain it is named where a
        single change does; it is an inference, not a fact.""",
        """Give the option that is named, or the missing part of the log. If nothing explains it, report
        the log.""",
        "xenp2m diagnose: every compared line, and the plan of the same log",
        trigger="a line of the log that differs from the boot predicted from it",
    ),
    story(
        "log-sum-broken",
        Severity.WARNING,
        "Numbers of the log that belong together do not add up",
        """Some lines repeat each other: the pages dom0 is built with stand in "Dom0 alloc." and in the size
        of "Phys-Mach map"; kernels of 3.5 to 3.17 populate and set to identity as many pages as they
        release; the last usable range ends at last_pfn. Where they differ, a line was lost or changed, or
        two boots were mixed.""",
        "Get the log again, whole and from one boot.",
        "dom0_construct_pv (Xen), xen_memory_setup (Linux)",
        trigger="two lines of one log that must agree and do not",
    ),
    story(
        "messages-lost",
        Severity.NOTE,
        "The console dropped messages",
        """The kernel printed faster than the console could write; lines are missing from the log, and what
        they would have shown is not known.""",
        "Take dmesg from the running system, or a console that keeps up.",
        "console_unlock, kernel/printk",
        trigger='"printk messages dropped" in the log',
    ),
    story(
        "iomem-zeroed",
        Severity.NOTE,
        "/proc/iomem was read by an ordinary user",
        """All addresses in it are zero: the kernel shows them to root alone.""",
        "Read it again as root.",
        "r_show, kernel/resource.c, 4.6",
        trigger="a /proc/iomem whose addresses are all zero",
    ),
    story(
        "dom0-died",
        Severity.ERROR,
        "dom0 ended, and its prediction does not say why",
        """The hypervisor or the kernel says that dom0 ended before its time. The boot that was predicted from
        the log does not end there, so the cause is not among those known here, or something about the host
        is not in the log.""",
        """Look at the first fault of the log. earlyprintk=xen on Linux' command line shows what comes before
        a silent end.""",
        "hwdom_shutdown (Xen); BUG, panic (Linux)",
        trigger="a log in which dom0 ends, of a host whose predicted boot does not",
    ),
    story(
        "struct-page-cost",
        Severity.WARNING,
        "struct pages take a large part of dom0's memory",
        """Linux keeps 64 bytes for each page that it may ever own, and takes them from what it starts with.
        With a max in dom0_mem= (or none, which means all of the host) far above the start, an eighth of
        the memory or more is gone before the first process runs.""",
        """Give max in dom0_mem= the value of the start, or as little more as is needed, as in
        dom0_mem=2G,max:2G.""",
        "sparse_init; xen_get_max_pages, 3.1",
        trigger="struct pages that take an eighth of the first allocation or more",
    ),
    story(
        "balloon-refused",
        Severity.WARNING,
        "The balloon driver refused to start",
        """The extra memory of the guest is larger than what it owns, so the driver's account would become
        negative, and it gives up: memory cannot be added later.""",
        """Give max in dom0_mem= at most twice the start, or a kernel with CONFIG_XEN_UNPOPULATED_ALLOC=y.""",
        "balloon_add_regions, drivers/xen/balloon.c, 6.18 and 7.0",
        trigger='"Extra pages underflow current target" in the log',
        fixed="not settled",
    ),
)
_FAULTS = (
    story(
        "fault-beyond-p2m-area",
        Severity.ERROR,
        "A PFN lies beyond the P2M area",
        """Linux reserves address space for its P2M list once, at boot, and asserts that the entry of a PFN
        lies in it. Frames for foreign pages (grants of a guest's disk or network) are taken from unused
        physical addresses; where the machine's map has large reserved ranges far up, those addresses can
        lie behind what the list covers: 512 GiB with CONFIG_XEN_MEMORY_HOTPLUG_LIMIT=512. It strikes when
        the first guest starts, long after boot. "p2m virtual area ... size" in the log, divided by eight,
        is the number of PFNs covered.""",
        """A kernel with a larger CONFIG_XEN_MEMORY_HOTPLUG_LIMIT, or without CONFIG_XEN_UNPOPULATED_ALLOC; or
        a max in dom0_mem= above the start, where the kernel takes such frames from extra memory (5.10,
        6.12 and later).""",
        "xen_alloc_p2m_entry, arch/x86/xen/p2m.c (line 542 in 6.0)",
        trigger="a BUG in xen_alloc_p2m_entry",
        fixed="not settled",
    ),
    story(
        "fault-tree-grown",
        Severity.ERROR,
        "The P2M tree fails where memory is added",
        """Up to 3.18 the P2M is a tree that gets new pages when memory is added at run time. A BUG in
        alloc_p2m or set_phys_to_machine there means that the tree and the copy of it for tools disagree,
        that two processors added the same page, or that the PFN lies beyond the tree. It was reported for
        guests that grew across 4 GiB.""",
        "Start the guest with the memory it is to have, or use 3.19 or later, which keep a list.",
        "alloc_p2m, set_phys_to_machine, arch/x86/xen/p2m.c, up to 3.18",
        trigger="a BUG in alloc_p2m or set_phys_to_machine, up to 3.18",
        fixed="3.19, with the linear list",
    ),
    story(
        "fault-elsewhere",
        Severity.WARNING,
        "A fault that is not one of the P2M",
        """A BUG or warning at a place that has nothing to do with how a Xen PV guest maps its memory, as far
        as the log tells.""",
        "Look for that function in the reports of your kernel.",
        "as named in the finding",
        trigger="a BUG, warning or panic at a place that is not known here",
    ),
)
_SIZING = (
    story(
        "dom0-mem-ignored",
        Severity.WARNING,
        "A part of dom0_mem= is passed over",
        """The hypervisor reads dom0_mem= item by item and says nothing where it cannot read one. Before 4.12
        the rest is dropped in silence; later an item that is bad ends the reading as well.""",
        "Write sizes such as 1024M, percentages such as 10% (Xen 4.12 and later), min: and max: before them.",
        "parse_dom0_mem, parse_amt, xen/arch/x86/dom0_build.c, 4.3 to 4.20",
        trigger="a part of dom0_mem= that the hypervisor does not read",
    ),
    story(
        "dom0-mem-misread",
        Severity.WARNING,
        "A size in dom0_mem= means something else than it looks",
        """A bare number is in KiB, and a leading 0 makes it octal.""",
        "Give every size a unit: 2048M or 2G.",
        "parse_size_and_unit, xen/common/lib.c, 4.3 to 4.20",
        trigger="a size in dom0_mem= without a unit, or with a leading 0",
    ),
    story(
        "dom0-mem-no-max",
        Severity.NOTE,
        "dom0_mem= sets no max",
        """Without max: dom0 may grow to all of the host's RAM, so Linux makes struct pages for as much of it
        as ten times the start allows, out of the memory it starts with.""",
        "Where dom0 is not to grow, give max the value of the start: dom0_mem=2G,max:2G.",
        "dom0_compute_nr_pages (Xen); xen_get_max_pages (Linux)",
        trigger="dom0_mem= without max:",
    ),
)
DIAGNOSIS = (*_LOG, *_FAULTS, *_SIZING)
