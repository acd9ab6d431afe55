"""Where every page is, from installed RAM to the total that ``free`` shows.

A step that the log prints is taken from there; one that follows from the boot is predicted; the rest is
worked out, and said to be. A step whose parts are not in the log ends the way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from xenp2m.diagnosis.identities import built_pages, known_frames
from xenp2m.diagnosis.predicted import ram_frames_of
from xenp2m.diagnosis.result import Row
from xenp2m.e820 import RAM
from xenp2m.extents import intersect
from xenp2m.frames import PAGE_SHIFT, pfn_down, pfn_up

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from xenp2m.extents import Range
    from xenp2m.logs.consolefacts import Log
    from xenp2m.plan import Plan

__all__ = ["STRUCT_PAGE", "account", "struct_page_kib"]

STRUCT_PAGE = 64
"""Bytes of a ``struct page`` of a 64-bit kernel (x86-64 distribution kernels)."""
_SECTION = 1 << 15


def struct_page_kib(frames: Iterable[Range]) -> int:
    """KiB of ``struct page`` for every frame of the memory sections that hold RAM.

    Sections of 128 MiB are covered as a whole (``sparse_init``, SPARSEMEM_VMEMMAP).
    """
    sections = {s for start, end in frames for s in range(start // _SECTION, (end - 1) // _SECTION + 1)}
    return len(sections) * _SECTION * STRUCT_PAGE >> 10


def account(log: Log, plan: Plan | None) -> list[Row]:
    """Rows from the machine's RAM to ``free``.

    Args:
        log: the facts.
        plan: the prediction, or None where there is none; then the way starts later.

    Returns:
        Steps and sums in order; no row where nothing can be told. The steps between two sums add up.
    """
    rows: list[Row] = []
    is_dom0 = plan.host.is_dom0 if plan else log.dom != "domU"
    built = built_pages(log)
    start = (built, "printed", log.where("dom0_alloc")) if built else None
    if start is None and plan is not None:
        start = (plan.host.nr_pages, "predicted", "")
    if is_dom0:
        rows += _machine(log, start)
    if start is not None:
        rows.append(
            Row(
                "dom0 is built with" if is_dom0 else "guest is built with",
                start[0] << 2,
                *start[1:],
                True,
            )
        )
    total = list(_guest_map(log, plan, start[0] if start else None))
    rows += total
    if rows and rows[-1].total and (total or plan is None or log.printed.memory_available):
        rows += _managed(log, plan, rows[-1].kib)
    return rows


def _machine(log: Log, start: tuple[int, str, str] | None) -> Iterator[Row]:
    """From installed RAM to what dom0 gets."""
    ram = sum(e.size for e in log.host_map if e.type == RAM) >> 10
    if log.host_map_cut or any(entry.end < entry.start for entry in log.host_map):
        ram = 0
    if log.system_ram_kib is not None:
        yield Row("installed RAM", log.system_ram_kib, "printed", log.where("system_ram_kib"), True)
    elif ram:
        yield Row("installed RAM", ram, "worked out", f"the map at {log.where('host_map')}", True)
    else:
        return
    if start is None:
        return
    installed = log.system_ram_kib if log.system_ram_kib is not None else ram
    outside = installed - (start[0] << 2)
    free = log.running.free_mib
    if free is not None and (free << 10) <= outside:
        yield Row("free in the hypervisor", -(free << 10), "printed", log.where("running.free_mib"))
        yield Row("hypervisor itself, other domains", free * 1024 - outside, "worked out")
    else:
        yield Row("hypervisor, other domains, free", -outside, "worked out")


def _guest_map(log: Log, plan: Plan | None, built: int | None) -> Iterator[Row]:
    """From the pages dom0 was built with to the RAM in its map."""
    if plan is None or plan.layout.e820 is None or plan.layout.runs is None or built != plan.host.nr_pages:
        frames = known_frames(log)
        if frames and log.linux_map_label == "Xen" and not log.linux_map_open:
            if built:
                yield Row("extra, and what the map leaves out", _kib(frames) - (built << 2), "worked out")
            yield Row("RAM in the guest's map", _kib(frames), "printed", log.where("linux_map"), True)
        return
    layout, host = plan.layout, plan.host
    populated = sum(end - start for start, end in layout.populated)
    extra = sum(end - start for start, end in layout.extra or ())
    if layout.released:
        yield Row("given back to the hypervisor", -(layout.released + populated) << 2, "predicted")
    if populated:
        yield Row("fetched again behind the holes", populated << 2, "predicted")
    if extra:
        yield Row("extra: RAM without frames yet", extra << 2, "predicted")
    whole = [(pfn_up(e.start), pfn_down(e.end)) for e in layout.e820 or () if e.type == RAM]
    ram = _kib([span for span in whole if span[0] < span[1]])
    rest = ram - ((host.nr_pages - layout.released + extra) << 2)
    if rest:
        name = "frames that its map does not reach" if rest < 0 else "RAM entries that got no frame"
        yield Row(name, rest, "predicted")
    frames = ram_frames_of(plan)
    cut = ram - 4 - _kib(frames) if whole and whole[0][0] == 0 else ram - _kib(frames)
    if cut > 0:
        yield Row("cut off by mem=", -cut, "predicted")
    if whole and whole[0][0] == 0:
        yield Row("page 0, kept by Linux", -4, "predicted")
    yield Row("RAM in the guest's map", _kib(frames), "predicted", "", True)


def _kib(frames: Iterable[Range]) -> int:
    return sum(end - start for start, end in frames) << 2


def _managed(log: Log, plan: Plan | None, ram: int) -> Iterator[Row]:
    """From the RAM in the map to the total of ``free``."""
    told, running = log.printed, log.running
    if told.memory_reserved is None or told.memory_absent is not None or told.memory_available is None:
        if running.mem_total_kib is not None:
            yield Row("extra, kernel, struct pages, tables", running.mem_total_kib - ram, "worked out")
            yield _free(log)
        return
    if told.memory_available[1] != ram:
        return
    parts = list(_reserved(log, plan))
    yield from parts
    rest = -told.memory_reserved - sum(row.kib for row in parts)
    told_apart = plan is not None and plan.layout.runs is not None
    yield Row("tables of pages, hashes, CPUs" if told_apart else "extra memory, tables", rest, "worked out")
    where = log.where("printed.memory_reserved")
    yield Row("left at the Memory: line", ram - told.memory_reserved, "printed", where, True)
    if running.mem_total_kib is not None:
        freed = running.mem_total_kib - (ram - told.memory_reserved)
        yield Row("freed later, less what was taken", freed, "worked out")
        yield _free(log)


def _free(log: Log) -> Row:
    total = log.running.mem_total_kib or 0
    return Row("total of free", total, "printed", log.where("running.mem_total_kib"), True)


def _reserved(log: Log, plan: Plan | None) -> Iterator[Row]:
    """What is known of the memory that Linux calls reserved."""
    told = log.printed
    frames = ram_frames_of(plan) if plan and plan.layout.e820 else known_frames(log)
    if plan is not None and plan.layout.extra:
        extra = _kib(intersect(frames, plan.layout.extra))
        if extra:
            yield Row("extra, until the balloon fills it", -extra, "predicted")
    yield Row("struct pages", -struct_page_kib(frames), "inferred", "64 bytes a page, by 128 MiB")
    if plan is not None and plan.layout.map_pages:
        yield Row("P2M beside the builder's list", -plan.layout.map_pages << 2, "predicted")
    if told.swiotlb:
        yield Row("swiotlb", -(told.swiotlb >> 10), "printed", log.where("printed.swiotlb"))
    if told.memory_kernel:
        yield Row("kernel code and data", -told.memory_kernel, "printed", log.where("printed.memory_kernel"))
    if told.ramdisk:
        size = pfn_up(told.ramdisk.end) - (told.ramdisk.start >> PAGE_SHIFT)
        yield Row("ramdisk", -size << 2, "printed", log.where("printed.ramdisk"))
