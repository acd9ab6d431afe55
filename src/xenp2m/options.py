"""What a user says about a host beside its log or row; what is not said stays None."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from xenp2m.dom0_mem import estimate_available, parse
from xenp2m.e820 import RAM
from xenp2m.errors import InputError
from xenp2m.frames import GEOMETRIES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from xenp2m.e820 import Entry
    from xenp2m.host import Host
    from xenp2m.kernel import Release, Version
    from xenp2m.kernelconfig import KernelConfig

__all__ = ["Options", "pages_of_dom0_mem"]


@dataclass(frozen=True, slots=True)
class Options:
    """Said by hand. Byte ranges are half-open; `p2m_frames` is ``(first PFN, count)``.

    Attributes:
        kernel: Linux version.
        variants: rules set by hand, ``NAME=VALUE``.
        xen: hypervisor version.
        dom0_mem: a ``dom0_mem=`` value.
        nr_pages: initial pages.
        max_pages: maximum reservation in pages.
        domu: whether the domain is a domU.
        ibft: whether dom0 reserves 0x80000 - 0x100000.
        hotplug_limit: ``CONFIG_XEN_MEMORY_HOTPLUG_LIMIT`` in GiB.
        config: the kernel's ``.config``.
        rules: how the P2M is edited, by name, in place of the kernel's own way.
        extra: where extra memory lies: ``behind`` the map, or ``contiguous``.
        bits: word size of the kernel.
        mem_limit: Linux' own ``mem=`` in bytes.
        image: the kernel image.
        start_info: byte address of the start info page.
        page_tables: the builder's page tables.
        initrd: the initial ramdisk.
        p2m_frames: frames of the builder's list.
    """

    kernel: Version | None = None
    variants: tuple[str, ...] = ()
    xen: Version | None = None
    dom0_mem: str | None = None
    nr_pages: int | None = None
    max_pages: int | None = None
    domu: bool = False
    ibft: bool | None = None
    hotplug_limit: int | None = None
    config: KernelConfig | None = None
    rules: str | None = None
    extra: str | None = None
    bits: int | None = None
    mem_limit: int | None = None
    image: tuple[int, int] | None = None
    start_info: int | None = None
    page_tables: tuple[int, int] | None = None
    initrd: tuple[int, int] | None = None
    p2m_frames: tuple[int, int] | None = None

    @property
    def version(self) -> Version | None:
        """The kernel's version, said or from its configuration."""
        return self.kernel or (self.config.version if self.config else None)

    def varied(self, release: Release) -> Release:
        """`release` with what the configuration and ``--variant`` say."""
        if self.config is not None:
            release = replace(release, e820_entries=self.config.e820_entries)
        for variant in self.variants:
            release = release.vary(variant)
        return release

    def limit_gb(self) -> int | None:
        """Hotplug limit in GiB, said or from the configuration."""
        if self.hotplug_limit is None and self.config is not None:
            return self.config.p2m_limit_gb
        return self.hotplug_limit

    def has_ibft(self, release: Release) -> bool | None:
        """Whether the iBFT window is reserved: said, or from the configuration of a kernel that knows it."""
        if self.ibft is None and self.config is not None:
            return self.config.ibft and release.ibft
        if self.ibft is None and any(variant.startswith("ibft=") for variant in self.variants):
            return self.varied(release).ibft
        return self.ibft

    def applied(self, host: Host) -> Host:
        """`host` with everything that was said in place of what its row says."""
        release = host.release if self.version is None else type(host.release).of(self.version)
        said: dict[str, Any] = {
            "dom": "domU" if self.domu else None,
            "nr_pages": self.nr_pages,
            "max_res": self.max_pages,
            "ibft": self.has_ibft(release),
            "p2m_limit_gb": self.limit_gb(),
            "mem_limit": self.mem_limit,
            "rules": self.rules,
            "extra": self.extra,
            "geometry": GEOMETRIES[self.bits] if self.bits is not None else None,
            "kernel": self.image,
            "start_info": self.start_info,
            "pt": self.page_tables,
            "initrd": self.initrd,
            "p2m_frames": self.p2m_frames,
        }
        settled = {name for name, value in said.items() if value is not None and name != "kernel"}
        assumed: tuple[str, ...] = ()
        if self.dom0_mem is not None:
            nr_pages, max_pages, assumed = pages_of_dom0_mem(self.dom0_mem, host.e820 or (), self.xen)
            said["nr_pages"] = self.nr_pages or nr_pages
            said["max_res"] = max_pages if self.max_pages is None else self.max_pages
            settled |= {"nr_pages", "max_res"}
        if self.version is not None:
            settled.add("kernel")
        if self.bits is not None:
            settled.add("bits")
        kept = tuple(line for line in host.assumed if line.split()[0] not in settled)
        changes = {name: value for name, value in said.items() if value is not None}
        return replace(host, release=self.varied(release), assumed=(*kept, *assumed), **changes)


def pages_of_dom0_mem(
    text: str, host_map: Iterable[Entry], xen: Version | None, *, iommu: bool | None = None, vcpus: int = 1
) -> tuple[int, int, tuple[str, ...]]:
    """What a ``dom0_mem=`` value makes of a host.

    Args:
        text: the value, as a user typed it.
        host_map: the host's own map.
        xen: hypervisor version.
        iommu: whether an IOMMU is in use; None if unknown.
        vcpus: processors of dom0.

    Returns:
        Initial pages, maximum reservation, and what had to be assumed.

    Raises:
        InputError: a bad value, or one that leaves dom0 without memory.
    """
    entries = list(host_map)
    meaning = parse(text, xen, strict=True)
    available = estimate_available(entries, iommu=iommu, vcpus=vcpus)
    nr_pages, max_pages = meaning.pages(available.pages)
    bounds = {meaning.pages(pages) for pages in (available.low, available.high)}
    if nr_pages < 1:
        ram = sum(e.size for e in entries if e.type == RAM) >> 20
        raise InputError("--dom0-mem", "a value that leaves dom0 some memory", f"{text} of {ram} MiB of RAM")
    assumed = (available.why,) if bounds != {(nr_pages, max_pages)} else ()
    return nr_pages, max_pages, assumed
