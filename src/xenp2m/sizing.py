"""Sizing: what the hypervisor and then Linux make of a ``dom0_mem=`` value on a host of some size."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from xenp2m.checks.stories import STORIES
from xenp2m.diagnosis.accounting import struct_page_kib
from xenp2m.diagnosis.predicted import ram_frames_of
from xenp2m.dom0_mem import estimate_available, parse
from xenp2m.e820 import RAM, RESERVED, Entry
from xenp2m.errors import InputError
from xenp2m.findings import Finding
from xenp2m.frames import PAGE_SHIFT
from xenp2m.host import UNLIMITED, Host
from xenp2m.kernel import Release
from xenp2m.plan import make_plan

if TYPE_CHECKING:
    from collections.abc import Iterator

    from xenp2m.dom0_mem import Available, Dom0Mem
    from xenp2m.kernel import Version
    from xenp2m.plan import Plan

__all__ = ["Sizing", "common_map", "size_dom0"]

LEAST, MOST = 64 << 20, 1 << 46
"""Bytes of RAM for which a map is made up."""
_BELOW = 3 << 30
RATIO = 10
"""``EXTRA_MEM_RATIO``: extra memory is at most ten times the start."""


@dataclass(frozen=True, slots=True)
class Sizing:
    """The answer for one value.

    Attributes:
        text: the value.
        meaning: as the hypervisor reads it.
        available: what it has to give, an estimate.
        nr_pages: pages dom0 starts with.
        low, high: the same at both ends of the estimate.
        max_pages: its maximum reservation; 0xffffffff without a limit.
        plan: Linux' boot with that.
        extra: pages of extra memory that Linux sets up: the headroom.
        capped: pages that the ratio cap takes off it.
        struct_kib: KiB of struct pages.
        findings: what was noticed.
    """

    text: str
    meaning: Dom0Mem
    available: Available
    nr_pages: int
    low: int
    high: int
    max_pages: int
    plan: Plan
    extra: int
    capped: int
    struct_kib: int
    findings: tuple[Finding, ...]


def common_map(ram: int) -> tuple[Entry, ...]:
    """The map of a PC with `ram` bytes: up to 3 GiB below 4 GiB, the rest above.

    Raises:
        InputError: less than 64 MiB, or more than 64 TiB.
    """
    if not LEAST <= ram <= MOST:
        raise InputError("--ram", "a size from 64M to 64T", f"{ram:#x} bytes")
    ram = ram >> PAGE_SHIFT << PAGE_SHIFT
    low = min(ram, _BELOW)
    entries = [Entry(0, 0x9FC00, RAM), Entry(0x9FC00, 0x100000, RESERVED), Entry(0x100000, low, RAM)]
    entries.append(Entry(0xFEC00000, 0xFEC01000, RESERVED))
    if ram > low:
        entries.append(Entry(1 << 32, (1 << 32) + ram - low, RAM))
    return tuple(entries)


def size_dom0(text: str, ram: int, xen: Version | None, kernel: Version) -> Sizing:
    """Work out one value.

    Args:
        text: a value, an option, or a command line of Xen.
        ram: bytes of the host's RAM; the map is `common_map`'s.
        xen: version of the hypervisor; None for the newest rules.
        kernel: version of Linux.

    Raises:
        InputError: nothing of ``dom0_mem=`` in the text, or dom0 is left without memory.
    """
    entries = common_map(ram)
    meaning = parse(text if "dom0_mem" in text else f"dom0_mem={text}", xen)
    if not text.strip() or not meaning.options or (" " in text.strip() and "dom0_mem" not in text):
        raise InputError("dom0_mem", "a size such as 1024M,max:1536M", repr(text[:60]))
    available = estimate_available(entries)
    nr_pages, max_pages = meaning.pages(available.pages)
    if nr_pages < 1:
        raise InputError(
            "dom0_mem", "a value that leaves dom0 some memory", f"{text[:60]} of {ram >> 20} MiB"
        )
    plan = make_plan(Host(Release.of(kernel), nr_pages, entries, max_res=max_pages))
    extra = sum(end - start for start, end in plan.layout.extra or ())
    wanted = min(max_pages, ram >> PAGE_SHIFT) - nr_pages
    sizing = Sizing(
        text, meaning, available, nr_pages, meaning.pages(available.low)[0], meaning.pages(available.high)[0],
        max_pages, plan, extra, max(0, wanted - RATIO * nr_pages), struct_page_kib(ram_frames_of(plan)), (),
    )  # fmt: skip
    return replace(sizing, findings=tuple(sorted(_findings(sizing), key=lambda f: -f.severity)))


def _findings(sizing: Sizing) -> Iterator[Finding]:
    for line in sizing.meaning.ignored:
        yield Finding(STORIES["dom0-mem-ignored"], line)
    for line in sizing.meaning.remarks:
        yield Finding(STORIES["dom0-mem-misread"], line)
    if sizing.max_pages == UNLIMITED:
        size = (
            f"{sizing.extra / 256:,.1f} MiB of room to grow, {sizing.struct_kib >> 10:,} MiB of struct pages"
        )
        yield Finding(STORIES["dom0-mem-no-max"], size)
    start = sizing.nr_pages << 2
    if sizing.struct_kib * 8 >= start:
        share = f"{100 * sizing.struct_kib // start} percent"
        what = f"{sizing.struct_kib >> 10:,} MiB of {start >> 10:,} MiB, {share}"
        yield Finding(STORIES["struct-page-cost"], what)
    for finding in sizing.plan.findings:
        if finding.story.about == "host" and finding.code not in ("ram-not-given", "frames-remapped"):
            yield finding
