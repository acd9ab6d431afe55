"""Host: all that one boot of a PV kernel needs to know."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from xenp2m.frames import GEOMETRY_64, Geometry

if TYPE_CHECKING:
    from xenp2m.e820 import Entry
    from xenp2m.kernel import Release

__all__ = ["UNLIMITED", "Host"]

UNLIMITED = 0xFFFFFFFF
"""``XENMEM_maximum_reservation`` of a domain without a limit, in pages."""


@dataclass(frozen=True, slots=True)
class Host:
    """One domain about to boot.

    Byte ranges are half-open ``(start, end)`` in the guest's own (pseudo-physical) addresses. An
    object that is None does not exist: it meets no conflict.

    Attributes:
        release: the kernel's rules.
        dom: ``dom0`` or ``domU``.
        nr_pages: pages the builder populated (``start_info.nr_pages``).
        e820: the map handed to Linux: of the machine with the hypervisor's own additions for dom0,
            of the toolstack for a domU; None where a domU gets none.
        max_res: answer of ``XENMEM_maximum_reservation`` in pages; None where the call fails.
        mfn_base: lowest MFN of the builder's list.
        mfn_desc: whether the list descends from ``mfn_base + nr_pages - 1``.
        p2m_limit_gb: ``CONFIG_XEN_MEMORY_HOTPLUG_LIMIT`` in GiB, 0 without memory hotplug.
        ibft: whether dom0 reserves 0x80000 - 0x100000.
        kernel: the image, ``_text`` to ``_end``.
        start_info: byte address of the start info page.
        pt: the builder's page tables.
        initrd: the initial ramdisk.
        p2m_frames: frames ``(first, count)`` that hold the builder's P2M list.
        virt_p2m_4tools: whether the toolstack reads the list by its virtual address alone
            (``SIF_VIRT_P2M_4TOOLS``), so that no tree of MFNs is built.
        rules: how the P2M is edited, a name of `xenp2m.model.rules`, where it is not the kernel's own
            way; the layout stays the kernel's. Up to 3.18 only.
        extra: where 2.6.39 to 3.1 put extra memory: ``behind`` all of the map, or ``contiguous``, right
            behind the allocation and up to the maximum reservation (the premise of the thread of 2011).
        mem_limit: Linux' own ``mem=`` in bytes; None without one.
        assumed: what was not told and had to be assumed, one line each.
        geometry: word size and fan-out of the P2M.
    """

    release: Release
    nr_pages: int
    e820: tuple[Entry, ...] | None
    dom: str = "dom0"
    max_res: int | None = UNLIMITED
    mfn_base: int = 1 << 20
    mfn_desc: bool = False
    p2m_limit_gb: int = 512
    ibft: bool = False
    kernel: tuple[int, int] | None = None
    start_info: int | None = None
    pt: tuple[int, int] | None = None
    initrd: tuple[int, int] | None = None
    p2m_frames: tuple[int, int] | None = None
    virt_p2m_4tools: bool = False
    rules: str | None = None
    extra: str = "behind"
    mem_limit: int | None = None
    assumed: tuple[str, ...] = field(default=())
    geometry: Geometry = GEOMETRY_64

    @property
    def is_dom0(self) -> bool:
        """Whether the domain is the initial one and sees the machine's map."""
        return self.dom == "dom0"

    @property
    def page_limit(self) -> int:
        """Most pages the kernel takes: 64 TiB, a domU 512 GiB (``xen_get_pages_limit``, 4.3 to 7.x)."""
        return 1 << 34 if self.is_dom0 else 1 << 27

    @property
    def ini_pages(self) -> int:
        """Initial pages the kernel counts with."""
        return min(self.page_limit, self.nr_pages)

    def mfns(self, pfn: int) -> int:
        """MFN that the builder put behind `pfn` (``pfn < nr_pages``)."""
        return self.mfn_base + (self.nr_pages - 1 - pfn if self.mfn_desc else pfn)
