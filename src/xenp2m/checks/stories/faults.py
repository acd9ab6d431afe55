"""Faults and races of a version's own code that no map decides: told as notes."""

from __future__ import annotations

from xenp2m.checks.stories.story import story
from xenp2m.findings import Severity

__all__ = ["FAULTS", "UNRELEASED"]

_P2M = "arch/x86/xen/p2m.c"

FAULTS = (
    story(
        "identity-leaf-store",
        Severity.NOTE,
        "A store into a shared identity page succeeds and is lost",
        """Up to 3.18 only the shared missing page is guarded against stores. A store into the shared
        identity page returns success, the entry still reads as identity, and the value appears in every
        other stretch that shares the page. From 3.19 on the page is write-protected and replaced.""",
        "Nothing to do in normal use: it takes a grant or the balloon inside a range of devices.",
        f"__set_phys_to_machine, {_P2M}, 2.6.39 to 3.18",
        trigger="a store of a frame where the tree has the shared identity page, up to 3.18",
        fixed="3.19, with the linear list",
        about="kernel",
    ),
    story(
        "missing-mid-scribbled",
        Severity.NOTE,
        "Identity set at run time appears in every missing GiB",
        """Up to 3.15 an identity entry set where the whole GiB is missing is written into the shared
        missing page of the second level: the same 2 MiB of every missing GiB read as identity from then
        on.""",
        "Nothing to do in normal use: a boot makes pages for its ranges first.",
        f"__set_phys_to_machine, {_P2M}, 2.6.39 to 3.15",
        trigger="an identity entry set at run time in a GiB without any entry, up to 3.15",
        fixed="3.16 (3cb83e46d032), whose swap turns the whole GiB",
        about="kernel",
    ),
    story(
        "identity-edge-not-split",
        Severity.NOTE,
        "An identity range cannot end inside a page that is identity",
        """Where the page at the edge of a range is the shared identity page already, it is not split and
        stays identity as a whole. 3.16 to 3.18 then walk past the end of the range, and warn that they
        are short of a negative number of 1-1 mappings.""",
        "Nothing to do in normal use: ranges of a boot do not overlap.",
        f"set_phys_range_identity, {_P2M}, 2.6.39 to 3.18",
        trigger="an identity range that ends inside a shared identity page, up to 3.18",
        fixed="3.19, with the linear list",
        about="kernel",
    ),
    story(
        "extra-end-off-by-one",
        Severity.NOTE,
        "One page more than the extra memory is made missing",
        """The loop that makes extra memory missing includes the PFN after its end. Behind the whole map
        nothing is there to lose; right before a hole, identity is set again later in the same boot.""",
        "Nothing to do.",
        "xen_add_extra_mem, arch/x86/xen/setup.c, 2.6.39 to 3.1",
        trigger="extra memory, up to 3.1",
        fixed="3.2",
        about="kernel",
    ),
    story(
        "compat-page-tables",
        Severity.NOTE,
        "The start of the page tables is misreported to 32-bit dom0",
        """A 64-bit hypervisor gives a 32-bit dom0 a pt_base some pages behind the start of its page
        tables. Kernels without the workaround do not reserve the pages before it.""",
        "Use 3.7 or later, or a 64-bit kernel.",
        "xen_start_info.pt_base; xen_reserve_xen_mfnlist and its neighbours in arch/x86/xen/mmu.c",
        trigger="a 32-bit dom0 on a 64-bit hypervisor, before 3.7",
        fixed="3.7 (806c312e50f1)",
        about="kernel",
    ),
    story(
        "m2p-range-check",
        Severity.NOTE,
        "The bound of the M2P table is a power of two",
        """mfn_to_pfn compares a frame number with the next power of two above the size of the table. Beyond
        its real end a 32-bit dom0 on a 64-bit hypervisor can wrap and read user memory, and a host
        with memory above 2^44 bytes shifts wrongly.""",
        "Use 3.1 or later.",
        "mfn_to_pfn, arch/x86/include/asm/xen/page.h",
        trigger="a frame number behind the end of the M2P table, before 3.1",
        fixed="3.1 (the parent of 3c05c4bed4cc)",
        about="kernel",
    ),
    story(
        "m2p-of-identity",
        Severity.NOTE,
        "The way back from an identity frame is not known",
        """The M2P has no entry for a device's frame, so mfn_to_pfn of it finds nothing. The landed series
        looks whether the frame itself is identity in the P2M where the M2P does not agree.""",
        "Use a kernel as it landed.",
        "mfn_to_pfn of the series of December 2010",
        trigger="the rules of the series as posted (--rules seed and its variants)",
        fixed="2.6.39 (706cc9d2a4cb)",
        about="kernel",
    ),
    story(
        "tools-tree-race",
        Severity.NOTE,
        "Two stores at once can leave the tools a stale page",
        """Two processors that store into the same fresh GiB both make a page for the tools' tree. The one
        that comes second keeps writing to its own, and what tools read for save and migration misses
        those entries. Fixed between 3.12 and 3.18.""",
        "Do not balloon while a guest of such a kernel is saved.",
        f"alloc_p2m, {_P2M}, 2.6.39 to at least 3.12",
        trigger="stores from two processors in a GiB without any entry, up to 3.17",
        fixed="by 3.18; the version is not settled",
        about="kernel",
    ),
    story(
        "tools-tree-revector",
        Severity.NOTE,
        "The tools' tree is written before it exists",
        """When the builder's list is copied, 64-bit kernels also write the new pages into the tools' tree,
        which is not there yet. Gone in 3.18, which builds that tree late.""",
        "Nothing to do: the tree is built anew before tools can read it.",
        f"xen_revector_p2m_tree, {_P2M}, 3.7 to 3.17",
        trigger="64 bits, 3.7 to 3.17",
        fixed="3.18",
        about="kernel",
    ),
    story(
        "last-leaf-unseen",
        Severity.NOTE,
        "Tools do not see the last page of a grown list",
        """When memory is added at run time the end that tools are told is the last entry, not the end
        of its page. Saving or migrating such a guest can miss the last 512 entries.""",
        "Use 5.15, or stable 5.14.6 or 5.10.67.",
        f"alloc_p2m, {_P2M}, 3.19 to 5.14",
        trigger="memory added at run time, and a save afterwards",
        fixed='5.15, stable 5.14.6, 5.10.67 ("fix setting of max_pfn in shared_info")',
        about="kernel",
    ),
    story(
        "foreign-map-status",
        Severity.NOTE,
        "A failed grant mapping leaves foreign entries behind",
        """Mapping several grants stops cleaning up at the first entry in an unexpected state, and does not
        look whether the mapping for the kernel itself worked: entries of other domains' frames stay in
        the P2M. This is part of XSA-361.""",
        "Use 5.12, or a stable kernel of after February 2021.",
        f"set_foreign_p2m_mapping and clear_foreign_p2m_mapping, {_P2M}",
        trigger="a grant mapping that fails in part, before 5.12 (which patch levels of series older than"
        " 5.4 have the fix is not settled)",
        fixed="5.12 (a35f2ef3b737, b512e1b077e5), stable 5.11.1, 5.10.18, 5.4.100",
        about="kernel",
    ),
    story(
        "hole-mapped-cacheable",
        Severity.NOTE,
        "Device ranges stay in the kernel's direct map",
        """When a hole's frames move, 5.10 and earlier map the device behind it in their place, cacheable.
        6.1 clears the mapping. Nothing is known to have come of it.""",
        "Nothing to do.",
        "xen_set_identity_and_remap_chunk, arch/x86/xen/setup.c",
        trigger="a hole below the initial allocation, 4.3 to 5.10",
        fixed="between 5.11 and 6.1; the version is not settled",
        about="kernel",
    ),
)

UNRELEASED = (
    story(
        "list-freed-too-far",
        Severity.NOTE,
        "More than the builder's list is freed",
        """Once the builder's list is copied its pages are given to the allocator. In a text of August 2012
        they were counted up to the next 2 MiB, so that page tables behind the list were freed with it and
        overwritten. The next change of the same series, before 3.7, frees the list's own pages only. No
        release is known to have had the fault, so no boot is tested for it.""",
        "Nothing to do.",
        "xen/mmu: Release just the MFN list, not MFN list and part of pagetables (before 3fc509fc0c59)",
        trigger="a list that does not end on a 2 MiB boundary, in kernels between two changes of 2012",
        fixed="before 3.7",
        about="kernel",
    ),
)
"""Faults that were mended before a release: told, never reported."""
