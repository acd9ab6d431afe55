"""What only the trees of 2.6.39 to 3.18, and of the thread of 2011, run into."""

from __future__ import annotations

from xenp2m.checks.stories.story import story
from xenp2m.findings import Severity

__all__ = ["OLDER"]

OLDER = (
    story(
        "identity-over-extra",
        Severity.ERROR,
        "Identity reaches into memory that the balloon fills",
        """Frames of extra memory read as identity, as if devices were there: an identity range was rounded
        out to a whole page of the P2M tree, 1 GiB or 2 MiB (4 GiB or 4 MiB on 32 bits). When the balloon
        comes to the first of them kernels up to 3.11 stop with BUG_ON(phys_to_machine_mapping_valid(pfn));
        later ones store the new page where nobody reads it, and use the device's frame as memory. With
        extra memory behind the whole map, as 2.6.37 and later place it, this takes a map that ends inside
        a GiB; with memory right behind the allocation it takes any hole that does not begin on a
        boundary. The series was changed before it landed: pages are made for the edges of each range.""",
        "Let max in dom0_mem= end before the GiB in which the hole begins, or use a kernel as it landed.",
        "set_phys_to_machine of the series of 30 December 2010",
        trigger="extra memory that reads as identity, because a swap turned a whole page of the tree",
        fixed="before 2.6.39 (f4cec35b0d4b)",
    ),
    story(
        "extra-over-hole",
        Severity.ERROR,
        "Extra memory lies over a hole of the map",
        """Kernels up to 3.1 put extra memory behind the allocation and behind every entry that stays in the
        guest's map. RAM that the guest does not get is no such entry: where such RAM follows a hole, extra
        memory begins before the hole and reaches over it, and the hole is marked as identity afterwards.
        32-bit kernels do it below 4 GiB, 64-bit ones from 4 GiB on. When the balloon comes to the hole the
        kernel stops with BUG_ON(phys_to_machine_mapping_valid(pfn)).""",
        "Do not balloon dom0 up that far (let max in dom0_mem= end before the hole), or use 3.2 or later.",
        "xen_memory_setup, xen_set_identity, arch/x86/xen/setup.c, 2.6.39 to 3.1",
        trigger="extra memory over a hole of the map that is made identity, up to 3.1",
        fixed="3.2",
    ),
    story(
        "extra-beyond-tree",
        Severity.WARNING,
        "Extra memory lies beyond the end of the P2M tree",
        """Kernels up to 3.1 put extra memory behind the whole map. Where the map reaches far up (the
        HyperTransport range of AMD ends at 1 TiB) that is behind the 512 GiB that a 64-bit tree can hold.
        dom0 boots; a BUG in set_phys_to_machine ends it when the balloon first fills one of those frames.""",
        "Do not balloon dom0 up, or use 3.2 or later.",
        "xen_memory_setup and __set_phys_to_machine, 2.6.39 to 3.1",
        trigger="extra memory behind the last frame that the tree can hold, up to 3.1",
        fixed="3.2",
    ),
    story(
        "extra-contiguous",
        Severity.NOTE,
        "Extra memory follows the allocation: the premise of the thread of 2011",
        """The thread takes it that the balloon fills the PFNs right behind the initial allocation. Since
        2.6.37 extra memory lies behind the whole map, at 4 GiB or above on 64 bits, so this very BUG needs
        an extra region that begins inside the last GiB with identity in it: a map that ends inside a GiB,
        such as at 0xfec01000. From 3.2 on extra memory lies in RAM entries of the map, where the premise
        would hold again; by then pages are made for the edges of each identity range.""",
        "Leave --extra away for what the kernel does.",
        "xen_memory_setup, arch/x86/xen/setup.c, 2.6.37 (36bc251b87f8); xen-devel, 4 January 2011",
        trigger="--extra contiguous",
    ),
    story(
        "brk-exceeded",
        Severity.ERROR,
        "The P2M tree needs more early pages than were set aside",
        """The pages of the tree come out of an area whose size was fixed when the kernel was built. This
        boot takes more of them than p2m.c reserves; once what others reserved and do not use is gone,
        extend_brk stops the kernel with a BUG. A 32-bit kernel with a map that reaches far up is the
        common case.""",
        """Use 3.16 or later, which share one page for all identity of a mid page; on 32 bits a 64-bit kernel
        helps as well, because its tree ends at 512 GiB. A map of fewer holes needs less.""",
        "RESERVE_BRK in arch/x86/xen/p2m.c, 2.6.39 to 3.18",
        trigger="a boot that takes more early pages than p2m.c reserves, up to 3.18",
        fixed="3.19, with the linear list; 3.16 (3cb83e46d032) needs far fewer",
    ),
)
