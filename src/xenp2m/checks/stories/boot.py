"""What a boot of any era can run into."""

from __future__ import annotations

from xenp2m.checks.stories.story import SETUP, story
from xenp2m.findings import Severity

__all__ = ["BOOT"]

_NOTES = (
    story(
        "frames-remapped",
        Severity.NOTE,
        "Frames move out of holes",
        """The builder gives dom0 its pages at PFN 0 upwards and knows nothing of the machine's map. Where
        the map has no RAM (the window of ISA devices below 1 MiB always, the hole below 4 GiB on larger
        hosts) the PFN must mean the device behind it, so Linux makes it an identity mapping and hangs the
        frame that was there on a PFN of RAM above the initial allocation. No memory is lost; the map just
        reaches further up.""",
        "Nothing to do.",
        f"xen_set_identity_and_remap, {SETUP}, 3.18 (4fbb67e3c87b), counted into the maximum since 4.3",
        trigger="a hole of the map below the initial allocation, 3.18 and later",
    ),
    story(
        "ibft-window",
        Severity.NOTE,
        "512 KiB to 1 MiB are kept for an iBFT",
        """Kernels built with CONFIG_ISCSI_IBFT_FIND reserve 0x80000 - 0x100000 in dom0, where firmware may
        leave the iSCSI boot table. Up to 31 more pages than before are remapped, which is why the count
        in the log is 128 and no longer 97.""",
        "Nothing to do.",
        f"xen_memory_setup, {SETUP}, 6.5 (9338c2233b97)",
        trigger="dom0 of a kernel with CONFIG_ISCSI_IBFT_FIND, 6.5 and later",
    ),
    story(
        "ram-not-given",
        Severity.NOTE,
        "Host RAM that dom0 never sees",
        """RAM above what dom0 may ever have is left out of its map: those addresses are identity, as if
        devices were there, and other domains own the frames.""",
        "Nothing to do. A larger max in dom0_mem= raises the bound.",
        f"xen_memory_setup, {SETUP}, 4.3 (f5775e0b6116)",
        trigger="RAM of the host above what dom0 may have",
    ),
    story(
        "leftover-unusable",
        Severity.NOTE,
        "Host RAM that dom0 shows as unusable",
        """Linux before 4.3, and again 4.15 to 4.19.9, lists the RAM that dom0 does not get as "unusable".
        It is not bad memory: it belongs to other domains.""",
        "Nothing to do.",
        f"xen_memory_setup, {SETUP}, to 4.2; 4.15 (b3cf8528bb21), reverted in 4.20, 4.19.10 (123664101aa2)",
        trigger="RAM of the host above what dom0 may have, in kernels that keep it in the map",
        fixed="4.20 and 4.19.10 (123664101aa2)",
    ),
    story(
        "p2m-relocated",
        Severity.NOTE,
        "The P2M list moves to other memory",
        """The hypervisor put the list of frames where the machine has no RAM at those PFNs. Linux copies it
        to the first free area that is large enough and frees the old place.""",
        "Nothing to do.",
        f"xen_relocate_p2m, {SETUP} and mmu_pv.c, 4.3",
        trigger="the builder's list is not inside one RAM entry",
    ),
    story(
        "initrd-relocated",
        Severity.NOTE,
        "The initial ramdisk moves to other memory",
        """The hypervisor put the ramdisk where the machine has no RAM at those PFNs. Linux copies it to the
        first free area that is large enough; the log says "initrd moved from".""",
        "Nothing to do.",
        f"xen_memory_setup, {SETUP}, 4.3",
        trigger="the ramdisk is not inside one RAM entry",
    ),
    story(
        "nvs-swapped",
        Severity.NOTE,
        "ACPI NVS memory changes places with RAM",
        """An ACPI NVS range of the firmware lies where the kernel image, its start info or its page tables
        were loaded. Linux shows the range at the end of a RAM entry above the initial allocation instead,
        puts its frames into the P2M there, and redirects ACPI's accesses. The log says "Remapped N non-
        RAM page(s)".""",
        "Nothing to do.",
        f"xen_e820_swap_entry_with_ram, {SETUP}, 6.12 (be35d91c8880), stable 6.11.2, 6.10.13, 6.6.54",
        trigger="an ACPI NVS entry under the kernel, its start info or page tables, and RAM to swap with",
    ),
    story(
        "extra-capped",
        Severity.NOTE,
        "Extra memory stops at ten times the initial allocation",
        """The struct pages of all memory that dom0 may ever have come out of its initial allocation, so
        Linux takes no more than ten times that as extra memory, whatever max says.""",
        "Raise the initial allocation or lower max in dom0_mem=.",
        f"EXTRA_MEM_RATIO, {SETUP}, 3.5 to 7.x",
        trigger="max, and the RAM for it, exceed eleven times the initial allocation",
    ),
)

_WARNINGS = (
    story(
        "pages-released",
        Severity.WARNING,
        "Memory is given back to the hypervisor",
        """No RAM above the initial allocation is left for the frames that lie under holes, so they are
        released. dom0 starts with less than dom0_mem= says and cannot balloon back up.""",
        "Give dom0 less than the host's RAM, or leave dom0_mem= unset only on hosts whose map allows it.",
        f"xen_set_identity_and_release_chunk, {SETUP}, 4.3 to 7.x",
        trigger="a hole below the initial allocation, and no RAM above it left to move its frames to",
        fixed="not fixed: there is no other place",
    ),
    story(
        "max-below-allocation",
        Severity.WARNING,
        "The maximum reservation is below the initial allocation",
        """dom0 is built with more pages than its maximum reservation. Frames from holes then move to PFNs
        that have no place in dom0's map, and are lost to it. The hypervisor never builds such a dom0 by
        itself: it cuts the allocation to max.""",
        "Give max in dom0_mem= at least the size dom0 starts with.",
        f"xen_memory_setup, {SETUP}, 4.3 to 7.x; dom0_compute_nr_pages in Xen",
        trigger="the maximum reservation is smaller than the initial allocation",
        fixed="not fixed",
    ),
    story(
        "frames-lost",
        Severity.WARNING,
        "Frames lie beyond the end of the map and are lost",
        """The builder populated PFNs behind the last entry of the memory map. Linux makes everything there
        identity without giving the frames back, so dom0 owns them and cannot reach them.""",
        "Give the domain no more memory than its map has room for.",
        f"xen_memory_setup, {SETUP}, 4.3 to 7.x",
        trigger="the initial allocation reaches beyond the last entry of the map",
        fixed="not fixed",
    ),
    story(
        "extra-regions-full",
        Severity.WARNING,
        "More extra regions than the kernel can keep",
        """The map has more RAM entries than the 128 extra regions the kernel keeps. The rest stays in dom0's
        map without frames and without anyone who would ever fill them: touching them is a fault.""",
        "Lower max in dom0_mem= so that fewer RAM entries are needed.",
        f"xen_add_extra_mem, {SETUP}, 3.2 to 7.x",
        trigger="extra memory is spread over more than 128 RAM entries",
        fixed="not fixed",
    ),
    story(
        "nvs-offset-fault",
        Severity.WARNING,
        "The moved ACPI NVS range is off by its in-page offset",
        """The NVS range does not start on a page boundary. The code that moves it subtracts the offset
        within the page where it should add it, so the range begins below the pages that carry its
        contents. ACPI writes to a page of ordinary RAM and misses the end of its own data.""",
        "Use a kernel with the fix: 6.6.142, 6.12.92, 6.18.34, 7.0.11, 7.1 or later.",
        f"xen_e820_swap_entry_with_ram, {SETUP}; mended by 28e03f78e69c (7.1)",
        trigger="a swapped ACPI NVS entry that does not start on a page boundary",
        fixed="7.1 (28e03f78e69c), stable 6.6.142, 6.12.92, 6.18.34, 7.0.11",
    ),
    story(
        "extra-page-stray",
        Severity.WARNING,
        "One page of extra memory lands by itself",
        """The last of the extra memory meets a RAM entry that does not start on a page boundary. The kernel
        counts bytes in one place and whole pages in the other; one page is left over, the rest of that
        RAM entry is lost, and the page becomes a region of its own in the next RAM entry.""",
        "Change max in dom0_mem= so that extra memory ends in another RAM entry.",
        f"xen_memory_setup, {SETUP}, 4.3 to 7.3, not fixed",
        trigger="extra memory ends in a small RAM entry that does not start on a page boundary",
        fixed="not fixed",
    ),
)

_ERRORS = (
    story(
        "image-conflict",
        Severity.ERROR,
        "Kernel, start info or page tables lie outside RAM",
        """The hypervisor loads dom0's kernel, start info and first page tables at PFNs that follow from the
        kernel image alone. If the machine has no RAM at those PFNs, Linux cannot move them and stops with
        "Xen hypervisor allocated ... memory conflicts with E820 map". Nothing but that line appears, and
        only on a serial console or with earlyprintk=xen.""",
        """If the range is ACPI NVS: a kernel with the swap (6.12, stable 6.11.2, 6.10.13, 6.6.54), and some
        RAM above dom0_mem= to swap with. Otherwise a kernel built for another load address
        (CONFIG_PHYSICAL_START), or firmware settings that move the range.""",
        f"xen_is_e820_reserved, {SETUP}, 4.3; xen_chk_is_e820_usable, 6.12",
        trigger="the kernel, its start info (from 6.12 on) or its page tables are not inside one RAM entry",
        fixed="for ACPI NVS: 6.12 (be35d91c8880), stable 6.11.2, 6.10.13, 6.6.54; other types: not fixed",
    ),
    story(
        "allocation-too-small",
        Severity.ERROR,
        "dom0's memory is too small for what has to be loaded",
        """The kernel image, its page tables or the ramdisk reach beyond the pages that dom0 is given. The
        hypervisor stops before it starts dom0: "Domain 0 allocation is too small for kernel image" or "Not
        enough RAM for domain 0 allocation". A dom0_mem= value without a unit is in KiB.""",
        "Raise dom0_mem=, and give it a unit.",
        "dom0_construct_pv in xen/arch/x86/pv/dom0_build.c, 4.11 to 4.20",
        trigger="an object of the builder ends above the initial allocation",
        fixed="not a fault of the kernel",
    ),
    story(
        "no-free-area",
        Severity.ERROR,
        "No room to move the P2M list or the ramdisk",
        """The P2M list or the initial ramdisk lies outside RAM and no free RAM entry below the end of the
        initial allocation is large enough for it.""",
        "Raise dom0_mem=, or use a smaller ramdisk.",
        f"xen_find_free_area, {SETUP}, 4.3 to 7.x",
        trigger="the list or the ramdisk has to move, and no RAM entry holds it",
        fixed="not fixed",
    ),
    story(
        "nvs-no-room",
        Severity.ERROR,
        "No RAM to swap ACPI NVS memory with",
        """An ACPI NVS range lies under the kernel, its start info or its page tables, and no RAM entry has
        enough room above the initial allocation to change places with it. At most four ranges can be
        moved.""",
        "Lower dom0_mem= so that RAM above it is free, by at least the size of the range.",
        f"xen_e820_swap_entry_with_ram, {SETUP}, 6.12 to 7.x",
        trigger="an ACPI NVS entry under the kernel, and no RAM entry with as much room above the allocation",
        fixed="not fixed",
    ),
    story(
        "nvs-unaligned",
        Severity.ERROR,
        "The NVS swap meets a RAM entry with an unaligned end",
        """The RAM entry that is to take the NVS range does not end on a page boundary, and the kernel
        insists on whole pages with a BUG. It dies without a word.""",
        "Lower dom0_mem= or change firmware settings so that another RAM entry comes first.",
        "xen_add_remap_nonram, arch/x86/xen/mmu_pv.c, 6.12 to 7.x, not fixed",
        trigger="the RAM entry that would take the NVS range does not end on a page boundary",
        fixed="not fixed",
    ),
    story(
        "nvs-beyond-p2m",
        Severity.ERROR,
        "The swapped NVS range lies beyond the P2M",
        """The kernel was built without memory hotplug, so its P2M ends with the memory dom0 may have. The
        RAM that took the NVS range lies above that, and entering its frames fails with a panic.""",
        "Raise max in dom0_mem=, or use a kernel with CONFIG_XEN_MEMORY_HOTPLUG_LIMIT.",
        "xen_do_remap_nonram, arch/x86/xen/mmu_pv.c, 6.12 to 7.x",
        trigger="the RAM that took the NVS range lies above the list, in a kernel without memory hotplug",
        fixed="not fixed",
    ),
    story(
        "map-overflow",
        Severity.ERROR,
        "The guest's memory map overflows",
        """Extra memory ends inside a RAM entry that does not start on a page boundary. One page is left
        over, and the kernel adds one empty range after another in search of a place for it, one for every
        page of the entry, until its table is full. Every later range is dropped: the rest of RAM, the I/O
        APIC, the ISA window. Most kernels then die when they touch the page left over, which lies outside
        the map.""",
        """Change max in dom0_mem= so that extra memory ends before or after that RAM entry, or let the
        firmware or the boot loader (GRUB's cutmem) cut the entry at a page boundary.""",
        f"xen_memory_setup, {SETUP}, 4.3 to 7.3, not fixed",
        trigger="extra memory ends in a large RAM entry that does not start on a page boundary",
        fixed="not fixed",
    ),
    story(
        "extra-too-small",
        Severity.ERROR,
        "More frames move than the extra region holds",
        """Frames moved out of holes are taken off the extra region they land in. Where that region came out
        smaller than their number the kernel stops with a BUG in xen_remap_memory.""",
        "Give max in dom0_mem= some megabytes more than the initial allocation, or change it by some pages.",
        f"xen_del_extra_mem, {SETUP}, 4.3 to 7.x",
        trigger="the extra region that takes the moved frames is smaller than their number",
        fixed="not fixed",
    ),
    story(
        "remap-beyond-p2m",
        Severity.ERROR,
        "Frames move to PFNs beyond the P2M",
        """A frame from a hole is to appear at a PFN that the final P2M does not reach. The kernel stops with
        a BUG.""",
        "Lower dom0_mem=, or use a kernel with memory hotplug.",
        "xen_remap_memory and xen_update_mem_tables, 4.3 to 7.x",
        trigger="a frame moves to a PFN above the end of the list",
        fixed="not fixed; 4.3, which counts moved frames into the maximum, makes it rare",
    ),
    story(
        "ram-without-page",
        Severity.ERROR,
        "A RAM entry without one whole page",
        """A RAM entry of the firmware holds no aligned 4 KiB page. Rounded to pages its size turns negative;
        the kernel keeps such an entry in its table, cannot sort the table any more, and dies on it: with
        a BUG in firmware_map_add_entry where the entry lies above the initial allocation, in
        xen_remap_memory below.""",
        """Hide the entry: a firmware setting, or GRUB's cutmem over its page.""",
        f"xen_align_and_add_e820_region, {SETUP}, 2.6.39 to 7.3, not fixed",
        trigger="a RAM entry inside one page, or across less than one",
        fixed="not fixed",
    ),
    story(
        "relocation-unaligned",
        Severity.ERROR,
        "An object moves to an unaligned address",
        """The search for free memory starts at the first byte of a RAM entry. If the entry does not start on
        a page boundary, the P2M list is copied to an address that cannot be mapped and dom0 halts without
        a word; a ramdisk alone ends in "invalid magic" and a panic.""",
        "Raise dom0_mem= so that a RAM entry that starts on a page boundary comes first, or move the range.",
        f"xen_find_free_area, {SETUP}, 4.3 to 7.3, not fixed",
        trigger="the RAM entry that takes the list or the ramdisk does not start on a page boundary",
        fixed="not fixed",
    ),
    story(
        "mem-below-allocation",
        Severity.ERROR,
        "mem= on dom0's own command line is below dom0_mem=",
        """mem= cuts dom0's map, but the frames that move out of holes have their places above the initial
        allocation, in what was cut off. The kernel stops with a BUG in xen_remap_memory.""",
        "Remove mem= from dom0's command line: dom0_mem= with a max already limits it.",
        f"xen_remap_memory, {SETUP}, 4.3 to 7.x, not fixed",
        trigger="mem= ends below the PFNs that frames from holes move to",
        fixed="not fixed",
    ),
)

BOOT = (*_NOTES, *_WARNINGS, *_ERRORS)
