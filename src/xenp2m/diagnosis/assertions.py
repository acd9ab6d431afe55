"""Places in Linux where memory faults of a PV guest surface: what is checked there, and why it fails.

Lines are those of kernels whose boots were seen to stop there (`Place.lines`, by series); elsewhere the
function's name tells, and what it says is read in that function's source.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from xenp2m.kernel import Version
    from xenp2m.logs.consolefacts import Fault

__all__ = ["PLACES", "Place", "place_of_fault"]


class Place(NamedTuple):
    """One place.

    Attributes:
        functions: any of these, as the one it stopped in or in the call trace.
        words: text in the fault's line or the one before it; empty where the function is enough.
        asserts: what is checked or done there.
        codes: findings that lead there, the most usual first.
        lines: series of Linux and the line of its source, as seen in real boots.
        since, until: series (until not included) in which the place means this; None for all.
    """

    functions: tuple[str, ...]
    words: str
    asserts: str
    codes: tuple[str, ...]
    lines: tuple[tuple[tuple[int, int], int], ...] = ()
    since: tuple[int, int] | None = None
    until: tuple[int, int] | None = None


_REMAP = ("xen_remap_memory", "xen_update_mem_tables")
PLACES = (
    Place(_REMAP, "Failed to update kernel mapping",
          "a frame moved out of a hole must be mapped at its new PFN, which Linux does not map as RAM",
          ("mem-below-allocation",), (((6, 1), 312), ((6, 1), 314), ((6, 12), 271), ((6, 12), 273),
                                      ((7, 2), 271), ((7, 2), 273))),
    Place(_REMAP, "Failed to set m2p mapping",
          "the hypervisor must note the new PFN of a moved frame; it refuses a frame that is not the guest's",
          ("ram-without-page",), (((7, 2), 264), ((7, 2), 266))),
    Place(_REMAP, "Failed to set p2m mapping",
          "a frame moved out of a hole must fit into the P2M at its new PFN",
          ("remap-beyond-p2m", "nvs-beyond-p2m")),
    Place(("xen_del_extra_mem",), "",
          "the PFNs that moved frames take must lie inside one extra region",
          ("extra-too-small", "map-overflow", "mem-below-allocation"),
          (((6, 1), 136), ((6, 12), 95), ((7, 2), 95))),
    Place(_REMAP, "", "frames are moved out of holes to RAM above the first allocation",
          ("mem-below-allocation", "ram-without-page", "extra-too-small", "remap-beyond-p2m"),
          (((6, 1), 314), ((6, 12), 273), ((7, 2), 273), ((7, 2), 266))),
    Place(("firmware_map_add_entry",), "", "a range of the memory map must not end before it starts",
          ("ram-without-page",), (((7, 2), 146),)),
    Place(("sparse_init", "__bitmap_set", "subsection_map_init", "sparse_init_subsection_map"), "",
          "sections of memory are counted from the map; an inverted range makes them wrap",
          ("ram-without-page",), (((6, 1), 149), ((6, 12), 149))),
    Place(("xen_free_unpopulated_pages", "arch_xen_unpopulated_init", "unpopulated_init"), "",
          "every PFN of extra memory needs a struct page, and one outside the guest's map has none",
          ("map-overflow", "extra-page-stray", "mem-below-allocation")),
    Place(("init",), "page fault",
          "every PFN of extra memory needs a struct page when unpopulated-alloc makes its list",
          ("map-overflow", "extra-page-stray", "mem-below-allocation"), since=(5, 9), until=(5, 17)),
    Place(("xen_alloc_p2m_entry", "xen_alloc_unpopulated_pages", "alloc_p2m_pmd"), "",
          "the P2M area must be mapped at the entry of this PFN: the PFN lies beyond the area",
          ("fault-beyond-p2m-area",), since=(3, 19)),
    Place(("set_foreign_p2m_mapping", "__set_phys_to_machine", "gnttab_map_refs"), "",
          "a foreign frame is stored at a PFN beyond the end of the P2M list",
          ("p2m-too-short",), since=(5, 9), until=(5, 12)),
    Place(("increase_reservation", "balloon_process"), "",
          "a PFN that the balloon fills must be missing before",
          ("identity-over-extra", "extra-beyond-tree"), until=(3, 18)),
    Place(("alloc_p2m", "set_phys_to_machine", "alloc_p2m_pmd"), "",
          "the P2M tree must hold the page for this PFN, and the tools' tree must name the same one",
          ("fault-tree-grown", "extra-beyond-tree"), until=(3, 19)),
    Place(("extend_brk", "early_alloc_p2m", "early_alloc_p2m_middle"), "",
          "pages of the tree come out of a small area reserved at build time",
          ("brk-exceeded",), until=(3, 19)),
)  # fmt: skip


def place_of_fault(fault: Fault, version: Version | None) -> tuple[Place, bool] | None:
    """The place a fault is at, and whether a boot of that very line was seen.

    The function it stopped in decides; then those of its call trace, innermost first.
    """
    text = f"{fault.said or ''} {fault.text}"
    for function in (fault.function, *fault.calls[:12]):
        for place in PLACES:
            if function not in place.functions or place.words not in text:
                continue
            series = version[:2] if version is not None else None
            if series is not None and not (place.since or (0, 0)) <= series < (place.until or (1 << 16, 0)):
                continue
            return place, (series, fault.line) in place.lines
    return None
