"""What becomes of frames and of entries of the map, in the eras where it goes wrong."""

from __future__ import annotations

from xenp2m.checks.stories.story import SETUP, story
from xenp2m.findings import Severity

__all__ = ["FRAMES"]

_LOST = (
    story(
        "frames-out-of-reach",
        Severity.WARNING,
        "Frames under an entry of the map are lost",
        """The builder gave dom0 frames at PFNs where the map has an entry that is not RAM. Up to 3.1 only
        gaps between entries are given back; under an entry the P2M is overwritten with identity, and the
        frame stays dom0's without a PFN that leads to it. 3.2 to 3.17 release all such frames, 3.18 and
        later move them.""",
        "Give dom0 less memory, so that it ends below that entry, or use 3.2 or later.",
        f"xen_return_unused_memory and xen_set_identity, {SETUP}, 2.6.39 to 3.1",
        trigger="an entry that is not RAM above 1 MiB and below the initial allocation, up to 3.1",
        fixed='3.2 ("xen: release all pages within 1-1 p2m mappings")',
    ),
    story(
        "remap-target-missed",
        Severity.WARNING,
        "The search for RAM stops at the end of an entry",
        """Frames from holes are to move to RAM above the initial allocation. The search takes a RAM entry
        that ends exactly where it stands, finds no room in it, and gives up: the frames are released
        though there is RAM further up, and the log says "Unable to find available pfn range, not
        remapping identity pages". Later kernels go on to the next entry.""",
        "Change dom0_mem= by a megabyte, so that dom0 does not end where a RAM entry ends.",
        f"xen_find_pfn_range, {SETUP}, 3.18",
        trigger="a RAM entry ends at the PFN that frames are to move to, and another RAM entry follows",
        fixed="after 3.18; the version is not settled",
    ),
    story(
        "remapped-out-of-map",
        Severity.WARNING,
        "Frames move to PFNs that the guest's map does not have",
        """Frames from holes move to PFNs above the initial allocation, but the guest's RAM ends at or below
        the maximum. 3.19 to 4.2 do not count the moved frames into it, so with max equal to the start size
        they land behind all RAM, and dom0 runs with that much less. Where the list ends there, the kernel
        stops with a BUG instead (remap-beyond-p2m).""",
        "Give max in dom0_mem= some megabytes more than dom0 starts with, or use 4.3 or later.",
        f"xen_memory_setup and xen_remap_memory, {SETUP}, 3.19 to 4.2",
        trigger="a hole below the initial allocation, and a maximum that leaves no RAM for its frames",
        fixed='4.3 ("xen: split counting of extra memory pages from remapping")',
    ),
    story(
        "map-entries-lost",
        Severity.WARNING,
        "Overlaps push the last ranges out of the map",
        """3.2 to 4.2 sort the host's map in place, in room for as many ranges as it has entries. An entry
        inside another splits it in three; what is then too much is lost from the end of the map. Lost
        ranges of devices get no identity, lost RAM is never used. 2.6.39 to 3.1 and 4.3 and later sort in
        the kernel's whole table.""",
        "Use 4.3 or later, or firmware whose entries do not overlap.",
        f"xen_memory_setup, {SETUP}, 3.2 to 4.2",
        trigger="entries of the host's map overlap, so that it sorts to more ranges than it has entries",
        fixed="4.3",
    ),
    story(
        "page-in-two-holes",
        Severity.WARNING,
        "One page belongs to two holes",
        """Holes are rounded outwards to whole pages. A RAM entry inside one page has a hole on either side,
        and both take the page. It is released or moved twice: the second time it is identity already, so
        the place it moves to gets the machine frame of the same number, which is not dom0's.""",
        "Hide the entry: a firmware setting, or GRUB's cutmem over its page.",
        f"xen_foreach_remap_area, {SETUP}, 3.2 to 7.3",
        trigger="a RAM entry inside one page, below the initial allocation, 3.2 and later",
        fixed="not fixed",
    ),
    story(
        "frames-populated",
        Severity.NOTE,
        "Frames are given back and taken anew",
        """3.5 to 3.17 release the frames under holes and ask the hypervisor for as many new ones above the
        initial allocation. Nothing is lost, but the new frames come page by page from anywhere: such
        memory is not contiguous for devices and goes through bounce buffers. 3.18 and later move the
        frames they have.""",
        "Use 3.18 or later where that costs speed.",
        f"xen_populate_chunk, {SETUP}, 3.5 to 3.17",
        trigger="a hole below the initial allocation, and RAM above it, 3.5 to 3.17",
        fixed="3.18 (4fbb67e3c87b)",
    ),
    story(
        "extra-partial-page",
        Severity.NOTE,
        "The first page of extra memory stays identity",
        """An extra region that begins inside a page shares that page with the hole before it, which is
        identity by then. Making the region's frames missing leaves such a page alone and warns: "Trying to
        over-write 1-1 mapping".""",
        "Nothing to do: the page is not part of the guest's RAM.",
        f"xen_add_extra_mem, {SETUP}, 3.2 to 3.18",
        trigger="an extra region begins off a page boundary, 3.2 to 3.18",
        fixed="4.3, which counts regions in frames",
    ),
)

_IDENTITY = (
    story(
        "partial-page-not-identity",
        Severity.NOTE,
        "A device range that begins inside a page is not identity there",
        """Up to 3.1 identity ranges are rounded inwards: the page in which a reserved range begins or ends
        stays ordinary. Firmware tables in that part (the DMI table often lies so) are read from RAM that
        has nothing to do with them. 3.2 and later round outwards.""",
        "Use 3.2 or later.",
        f"xen_set_identity, {SETUP}, 2.6.39 to 3.1",
        trigger="an entry that is not RAM begins or ends off a page boundary, up to 3.1",
        fixed="3.2",
    ),
    story(
        "identity-refused",
        Severity.WARNING,
        "Nothing behind the last RAM becomes identity",
        """Up to 3.15 a request for identity whose end reaches the end of the P2M tree (512 GiB on 64 bits)
        is refused as a whole. The last hole of hosts with AMD processors ends at 1 TiB, where their
        HyperTransport range does: everything behind the last RAM stays missing, devices included.""",
        "Use 3.16 or later.",
        "set_phys_range_identity, arch/x86/xen/p2m.c, 2.6.39 to 3.15",
        trigger="the map ends at or above the end of the tree, and its last entry is not RAM",
        fixed="3.16 (3cb83e46d032)",
    ),
    story(
        "identity-shifted",
        Severity.WARNING,
        "Identity entries carry the number of another frame",
        """A shared identity page is replaced by one of its own when a frame is stored into it. A text of
        3.19 filled the new page with numbers that count from the stored frame, not from the start of the
        page, so that its other entries lead to neighbouring devices.""",
        "Use the release itself: the text was mended, when is not settled.",
        "xen_alloc_p2m and alloc_p2m, arch/x86/xen/p2m.c, as posted for 3.19 (--variant fill=unaligned)",
        trigger="a frame is stored into a page of identity, by the rule fill=unaligned",
        fixed="before or in 3.19; the version is not settled",
    ),
    story(
        "unusable-mapped",
        Severity.ERROR,
        "An UNUSABLE range below the allocation stops dom0",
        """3.5 began to map what it makes identity. The hypervisor refuses every mapping of memory that
        it marks UNUSABLE, as it does for tboot, and hosts with such a range below the initial allocation
        did not boot. 3.11 maps nothing but the ISA window, and takes UNUSABLE for RAM.""",
        "Use 3.11 or later, or 3.4 or earlier.",
        f"xen_set_identity_and_release_chunk, {SETUP}, since 3.5 (83d51ab473dd)",
        trigger="an UNUSABLE entry of dom0's map below the initial allocation, 3.5 to 3.10",
        fixed="3.11 (e201bfcc5c4f for what is mapped)",
    ),
    story(
        "ram-looks-like-hole",
        Severity.NOTE,
        "RAM left out of a guest's map looks like a hole for devices",
        """A domU with the host's map has less memory than the host has RAM below 4 GiB. What it does not get
        is cut out of its map, and where nothing marks it unusable it looks like a PCI hole: a device
        passed through may be placed on an address at which the machine has RAM.""",
        """Use tools of Xen 4.2 or later with e820_host, which mark such ranges, and look where the devices
        are (xenp2m bars).""",
        f"xen_memory_setup, {SETUP}; libxl's e820_sanitize, Xen 4.2",
        trigger="a domU whose map has RAM below 4 GiB that its final map neither has nor marks unusable",
        fixed="Xen 4.2, in the tools (364fab04a6cd)",
    ),
)

_LIMITS = (
    story(
        "max-ignored",
        Severity.WARNING,
        "max in dom0_mem= is not looked at",
        """2.6.39 and 3.0 to 3.0.3 do not ask for the maximum reservation. dom0 prepares for all RAM of the
        host (up to ten times its start), and pays for the page structures of all of it out of its start size;
        ballooning beyond the real maximum fails.""",
        "Use 3.0.4, 3.1 or later, or limit dom0 with mem= on its own command line.",
        f"xen_memory_setup, {SETUP}, 2.6.39 to 3.0.3",
        trigger="a maximum below what the host's RAM allows, 2.6.39 to 3.0.3",
        fixed='3.1, stable 3.0.4 ("xen: use maximum reservation to limit amount of usable RAM")',
    ),
    story(
        "max-wraps",
        Severity.NOTE,
        "A maximum of 8 TiB or more is misread",
        """Up to 4.2 the answer about the maximum reservation goes through a signed number of 32 bits. From
        2^31 pages on it is taken for no answer, and the kernel's own limit holds; from 2^32 pages on it
        starts again at nothing.""",
        "Give max in dom0_mem= less than 8 TiB, or use 4.3 or later.",
        f"xen_get_max_pages, {SETUP}, 3.1 to 4.2",
        trigger="a maximum of 2^31 pages or more that is not unlimited, 3.1 to 4.2",
        fixed="4.3",
    ),
    story(
        "extra-below-4g",
        Severity.NOTE,
        "Extra memory below 4 GiB",
        """A region of extra memory below 4 GiB makes the kernel's search for the end of low RAM find that
        region instead. 2.6.39 and later place it at 4 GiB or above on 64 bits; memory right behind the
        allocation, the premise of the thread of 2011, would meet this fault first.""",
        "Leave --extra contiguous away for what the kernel does.",
        f"xen_memory_setup, {SETUP}; e820_end_of_low_ram_pfn",
        trigger="64 bits, up to 3.1, and an extra region that begins below 4 GiB",
        fixed="2.6.39 (24bdb0b62cc8)",
    ),
    story(
        "extra-over-holes",
        Severity.NOTE,
        "Contiguous extra memory would run over devices",
        """Counted right behind the allocation, the memory up to the maximum does not end where RAM ends:
        some of it would lie over entries that are not RAM. Kernels before 2.6.37 could do that; 2.6.37
        moved extra memory behind all entries. Here it is cut off at the end of its RAM.""",
        "Leave --extra contiguous away for what the kernel does.",
        f"xen_memory_setup, {SETUP}, 2.6.37",
        trigger="--extra contiguous, and a maximum above the end of the RAM entry that dom0 ends in",
        fixed="2.6.37 (36bc251b87f8)",
    ),
    story(
        "p2m-too-short",
        Severity.WARNING,
        "The list ends where other domains' pages are to go",
        """Since 5.9 pages of other domains are mapped at PFNs that dom0 never had. Without memory hotplug
        its list ends with its own memory, and a store behind the end is a BUG: dom0 dies when it serves
        guests. It takes a kernel with CONFIG_XEN_UNPOPULATED_ALLOC as well. This is XSA-369,
        CVE-2021-28039.""",
        "Use a kernel with the fix, or one with CONFIG_XEN_MEMORY_HOTPLUG_LIMIT.",
        "xen_vmalloc_p2m_tree and __set_phys_to_machine, arch/x86/xen/p2m.c",
        trigger="dom0 without memory hotplug (--hotplug-limit 0), 5.9 to 5.11.3, 5.10 to 5.10.20",
        fixed="5.12 (882213990d32), stable 5.11.4, 5.10.21",
    ),
    story(
        "balloon-underflow",
        Severity.NOTE,
        "The balloon may refuse to start",
        """7.0 subtracts extra memory from the current reservation. Where it is not smaller, the driver warns
        "Extra pages underflow current target" and does not start. Kernels with
        CONFIG_XEN_UNPOPULATED_ALLOC empty the extra regions before, and were seen to be well; without it
        nothing was tried.""",
        "Use a kernel with CONFIG_XEN_UNPOPULATED_ALLOC, or let max be below twice the start size.",
        "balloon_add_regions, drivers/xen/balloon.c, 7.0",
        trigger="dom0 of 7.0 or later with at least as much extra memory as it starts with",
        fixed="not settled",
    ),
)

_RULES = (
    story(
        "objects-unchecked",
        Severity.ERROR,
        "The kernel's own pages lie outside RAM, and nothing looks",
        """Before 4.3 no kernel compares the places of its image, start info, page tables, P2M list and
        ramdisk with the map. A page of theirs where the map has no RAM is given back, moved or made
        identity under the running kernel. Whether dom0 dies at once depends on what the page held.""",
        "Use 4.3 or later, which moves the list and the ramdisk and says what it cannot move.",
        f"xen_memory_setup, {SETUP}, up to 4.2; described on xen-devel, January 2015",
        trigger="an object of the builder that is not inside one RAM entry, up to 4.2",
        fixed="4.3 (xen_is_e820_reserved)",
    ),
    story(
        "ram-is-identity",
        Severity.WARNING,
        "RAM of the guest's map is identity",
        """A page that the guest's map calls RAM, and that is not extra memory, reads as identity: the
        kernel would use a machine frame that was never given to it. No layout may have such a page.""",
        "Change dom0_mem= or the kernel; the frames are listed.",
        "a rule of every era: a page is RAM or identity",
        trigger="RAM of the final map, without extra memory, that is identity in the P2M",
        fixed="not fixed",
    ),
    story(
        "ram-without-frame",
        Severity.WARNING,
        "RAM of the guest's map has no frame",
        """A page that the guest's map calls RAM, and that is not extra memory, has no frame behind it:
        the kernel dies when it uses the page.""",
        "Change dom0_mem= or the kernel; the frames are listed.",
        "a rule of every era: usable RAM has frames",
        trigger="RAM of the final map, without extra memory, that is missing in the P2M",
        fixed="not fixed",
    ),
    story(
        "mfn-equals-pfn",
        Severity.NOTE,
        "An ordinary frame has its own number",
        """A page's MFN happens to equal its PFN. In the first series identity was told by that alone, and
        3.2 to 3.18 still leave such a page alone when they make extra memory missing. With
        IDENTITY_FRAME_BIT nothing else comes of it.""",
        "Nothing to do.",
        "get_phys_to_machine of December 2010; xen_add_extra_mem, 3.2 to 3.18",
        trigger="the builder put the frame of the same number behind a PFN",
        fixed="2.6.39 (f4cec35b0d4b) for what identity is",
    ),
)

FRAMES = (*_LOST, *_IDENTITY, *_LIMITS, *_RULES)
