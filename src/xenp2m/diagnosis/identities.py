"""Sums that hold in every log that prints their parts, whatever the host.

The first two were found in public logs of 2011 to 2024; all were checked on this project's own boots.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from xenp2m.arrangement import list_frames
from xenp2m.diagnosis.result import Check
from xenp2m.e820 import RAM
from xenp2m.frames import PAGE_SHIFT, pfn_down, pfn_up

if TYPE_CHECKING:
    from collections.abc import Iterator

    from xenp2m.logs.consolefacts import Log

__all__ = ["built_pages", "identities", "known_frames"]


def built_pages(log: Log) -> int | None:
    """Pages the hypervisor says it builds dom0 with; None where it does not say, or not all of it.

    The chunk of ``Dom0 alloc.``, the pages to be allocated, and those of the initrd, whose line comes next.
    """
    if log.dom0_alloc is None or not 0 <= log.dom0_alloc.start <= log.dom0_alloc.end:
        return None
    if log.ends_at_allocation:
        return None
    pages = (log.dom0_alloc.end - log.dom0_alloc.start) >> PAGE_SHIFT
    pages += log.dom0_alloc_pages or 0
    if log.initrd is not None and log.initrd.start <= log.initrd.end:
        pages += pfn_up(log.initrd.end - log.initrd.start)
    return pages


def known_frames(log: Log) -> list[tuple[int, int]]:
    """Whole frames of RAM in the map Linux printed, behind ``mem=`` where it printed that."""
    entries = log.user_map or log.linux_map
    spans = [(max(1, pfn_up(e.start)), pfn_down(e.end)) for e in entries if e.type == RAM]
    return sorted(span for span in spans if span[0] < span[1])


def identities(log: Log) -> Iterator[Check]:
    """Check every sum whose parts are all in the log."""
    yield from _built(log)
    yield from _old_counts(log)
    yield from _moved_sums(log)
    if log.linux_map_label == "Xen" and log.linux_map:
        yield from _map_sums(log)


def _check(name: str, printed: int, expected: int, where: str, why: str = "") -> Check:
    return Check(name, f"{printed:,}", f"{expected:,}", printed == expected, where, "log", why)


def _built(log: Log) -> Iterator[Check]:
    """``Phys-Mach map`` holds a word for every page that dom0 is built with.

    A list outside the kernel's mapping is printed as what is mapped: in 4.4 and later up to a whole
    page or a whole 2 MiB.
    """
    pages = built_pages(log)
    if pages is None or log.phys_mach_map is None or log.dom0_alloc_pages is None:
        return
    size = log.phys_mach_map.end - log.phys_mach_map.start
    if size < 0:
        return
    word = 4 if log.dom0_kernel_bits == 32 else 8
    mapped = {pages * word, pfn_up(pages * word) << PAGE_SHIFT, -(-pages * word >> 21) << 21}
    if log.phys_mach_map.start >> 47 == 0:
        mapped.add(list_frames(log.phys_mach_map.start, pages) << PAGE_SHIFT)
    where = log.where("phys_mach_map")
    why = "" if size in mapped else "a line of the two was lost or belongs to another boot"
    shown = pages if size in mapped else size // word
    yield Check("pages dom0 is built with", f"{shown:,}", f"{pages:,}", size in mapped, where, "log", why)


def _old_counts(log: Log) -> Iterator[Check]:
    """3.5 to 3.17: pages released = set to identity = populated again."""
    told = log.printed
    if not told.populated or told.released is None:
        return
    where = log.where("printed.populated")
    yield _check("pages populated as released", sum(p.pages for p in told.populated), told.released, where)
    if told.set_identity is not None:
        where = log.where("printed.set_identity")
        yield _check("pages set to identity as released", told.set_identity, told.released, where)


def _moved_sums(log: Log) -> Iterator[Check]:
    told = log.printed
    if told.freeing and told.released is not None:
        where = log.where("printed.freeing")
        yield _check("ranges freed as released", sum(p.pages for p in told.freeing), told.released, where)
    for name, ranges in (("freed", told.freeing), ("populated", told.populated)):
        wrong = [p for p in ranges if p.end - p.start != p.pages]
        if ranges and wrong:
            where = log.where("printed.freeing" if name == "freed" else "printed.populated")
            yield _check(f"pages of a range {name}", wrong[0].pages, wrong[0].end - wrong[0].start, where)


def _map_sums(log: Log) -> Iterator[Check]:
    told, frames = log.printed, known_frames(log)
    if not frames or told.too_many_entries or told.messages_dropped:
        return
    if told.last_pfn is not None:
        where = log.where("printed.last_pfn")
        yield Check(
            "last_pfn and the printed map",
            f"{told.last_pfn:#x}", f"{frames[-1][1]:#x}", told.last_pfn == frames[-1][1], where, "log",
        )  # fmt: skip
    if told.memory_available is not None and told.memory_absent is None:
        kib = sum(end - start for start, end in frames) << 2
        why = "a page that Linux keeps from its own map (memory errors, memmap=) or a line that was lost"
        where = log.where("printed.memory_available")
        yield _check("Memory: and the printed map, KiB", told.memory_available[1], kib, where, why)
