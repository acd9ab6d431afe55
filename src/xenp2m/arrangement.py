"""Where the builder put kernel, start info, page tables, ramdisk and P2M list, out of what Xen prints.

Xen prints virtual addresses; the frames follow from where the kernel lies in both spaces.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from xenp2m.frames import PAGE_SHIFT, PAGE_SIZE, pfn_down, pfn_up

if TYPE_CHECKING:
    from collections.abc import Mapping

    from xenp2m.logs.consolefacts import Log

__all__ = ["list_frames", "objects_of_log", "untold_objects"]

_OBJECTS = {
    "kernel": "kernel",
    "start_info": "start info",
    "pt": "page tables",
    "initrd": "ramdisk",
    "p2m_frames": "P2M list",
}


def objects_of_log(log: Log, nr_pages: int) -> dict[str, object]:
    """The objects that a log tells of, as `xenp2m.host.Host` names and wants them.

    Args:
        log: the facts of one boot.
        nr_pages: pages that dom0 is built with: words of its list.
    """
    if log.dom0_kernel_paddr is None or log.loaded_kernel is None:
        return {}
    base = log.loaded_kernel[0] - log.dom0_kernel_paddr[0]
    places: dict[str, object] = {"kernel": log.dom0_kernel_paddr}
    if log.start_info is not None:
        places["start_info"] = log.start_info[0] - base
    if log.page_tables is not None:
        places["pt"] = (log.page_tables[0] - base, log.page_tables[1] - base)
    return places | _behind_the_image(log, base, nr_pages)


def _behind_the_image(log: Log, base: int, nr_pages: int) -> dict[str, object]:
    """Ramdisk and list, which follow the frames allocated in one piece.

    Source: ``dom0_construct_pv`` (4.14 to 4.20), and the P2M frames of real boots.
    """
    places: dict[str, object] = {}
    if log.dom0_alloc is None:
        return places
    end = log.dom0_alloc[1] - log.dom0_alloc[0]
    if log.initrd is not None:
        size = log.initrd[1] - log.initrd[0]
        mapped = log.init_ramdisk_virt
        start = mapped[0] - base if mapped and mapped[0] < mapped[1] and mapped[0] >= base else end
        places["initrd"] = (start, start + size)
        end = max(end, start + (pfn_up(size) << PAGE_SHIFT))
    if log.phys_mach_map is not None:
        virtual = log.phys_mach_map[0]
        if virtual >= base:
            places["p2m_frames"] = (pfn_down(virtual - base), pfn_up(8 * nr_pages))
        else:
            places["p2m_frames"] = (pfn_down(end), list_frames(virtual, nr_pages))
    return places


def untold_objects(log: Log, places: Mapping[str, object]) -> str:
    """Objects that are not among `places`, for people; empty where there is none.

    A log that goes on behind the place where it would name a ramdisk shows that there is none.
    """
    behind = (log.phys_mach_map, log.start_info, log.page_tables, log.total)
    shown = {"initrd"} if any(fact is not None for fact in behind) else set()
    *first, last = [name for key, name in _OBJECTS.items() if key not in {*places, *shown}] or [""]
    return f"{', '.join(first)} and {last}" if first else last


def list_frames(start: int, nr_pages: int) -> int:
    """Frames that the builder takes for a P2M list outside the kernel's own mapping.

    The list itself, in pages of 1 GiB, 2 MiB or 4 KiB as far as they fit, and the page tables for it.

    Args:
        start: virtual address of the list.
        nr_pages: entries.

    Source: ``setup_pv_physmap`` in xen/arch/x86/pv/dom0_build.c (4.14 to 4.20), on processors with
    1 GiB pages.
    """
    end = start + 8 * nr_pages
    frames = 0
    tables: set[tuple[int, int]] = set()
    while start < end:
        tables.add((39, start >> 39))
        if not start % (1 << 30) and end - start >= 1 << 30:
            step = 1 << 30
        else:
            tables.add((30, start >> 30))
            whole = not start % (1 << 21) and end - start >= 1 << 21
            step = (end - start) & -(1 << 21) if whole else PAGE_SIZE
            if whole:
                step = min(step, (1 << 30) - start % (1 << 30))
            else:
                tables.add((21, start >> 21))
        frames += step >> PAGE_SHIFT
        start += step
    return frames + len(tables)
