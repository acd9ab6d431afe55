"""Recover a host from what its log says, and name everything that had to be assumed.

Only what was printed before dom0's own boot is used, and dom0's version and command line. What
Linux printed of its own map or its remapping is for comparison, never for a prediction.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING

from xenp2m.arrangement import objects_of_log, untold_objects
from xenp2m.dom0_mem import estimate_available, from_command_line, parse
from xenp2m.e820 import ISA_END, ISA_START, RAM, sanitize, validated
from xenp2m.errors import InputError, UnsupportedError
from xenp2m.frames import GEOMETRIES, PAGE_SHIFT, pfn_down, pfn_up
from xenp2m.host import UNLIMITED, Host
from xenp2m.hypervisor import Devices, machine_memory_map
from xenp2m.kernel import NEWEST, Release, Version
from xenp2m.model.rules import RULES
from xenp2m.options import Options, pages_of_dom0_mem

if TYPE_CHECKING:
    from xenp2m.e820 import Entry
    from xenp2m.logs.consolefacts import Log


__all__ = ["host_of_log"]

_SLACK_KIB = 64
"""KiB by which RAM entries and "System RAM" may differ: parts of pages."""
_SPANS = (
    "dom0_alloc", "initrd", "dom0_kernel_paddr", "loaded_kernel", "init_ramdisk_virt", "phys_mach_map",
    "start_info", "page_tables",
)  # fmt: skip
_SHIFTS = {"": 0, "k": 10, "m": 20, "g": 30, "t": 40}


def host_of_log(log: Log, options: Options) -> tuple[Host, str]:
    """Build the host that a log describes.

    Args:
        log: the facts of one paste.
        options: what the user said; it wins over the log.

    Returns:
        The host, and one line that names it.

    Raises:
        UnsupportedError: no PV guest, or one that is not modelled.
        InputError: no memory map, or facts that contradict each other.
    """
    return _Recovery(log, options).host()


def _without_isa(entries: tuple[Entry, ...]) -> tuple[Entry, ...]:
    """A domU's printed map without the ISA window that Linux reserves in it by itself."""
    return tuple(sanitize([e._replace(type=RAM) if e[:2] == (ISA_START, ISA_END) else e for e in entries]))


class _Recovery:
    """One recovery: collects assumptions while it goes."""

    def __init__(self, log: Log, options: Options) -> None:
        self._log = log
        self._options = options
        self._assumed: list[str] = []
        self._named = True
        self._xen = options.xen or Version.parse(log.xen_version or "")
        self._domu = options.domu or log.dom == "domU" or log.plain_form == "libxl"

    def host(self) -> tuple[Host, str]:
        self._refuse()
        self._contradictions()
        host_map = self._host_map()
        e820 = self._handed_over(host_map)
        nr_pages, max_res = self._sizes(host_map)
        release = self._release()
        base = self._log.dom0_alloc[0] >> PAGE_SHIFT if self._log.dom0_alloc else 1 << 20
        limit, ibft = self._options.limit_gb(), self._options.has_ibft(release)
        if limit is None and release.p2m not in RULES:
            self._assumed.append("memory hotplug up to 512 GiB")
        if ibft is None and release.ibft and not self._domu:
            self._assumed.append("CONFIG_ISCSI_IBFT_FIND=y")
        self._assumed.append(f"MFNs ascend from {base:#x}")
        objects = self._objects(nr_pages)
        bits = self._options.bits or self._log.dom0_kernel_bits or 64
        host = Host(
            release=release,
            nr_pages=nr_pages,
            e820=e820,
            dom="domU" if self._domu else "dom0",
            max_res=max_res,
            mfn_base=base,
            p2m_limit_gb=512 if limit is None else limit,
            ibft=not self._domu and (release.ibft if ibft is None else ibft),
            mem_limit=self._mem_limit(),
            rules=self._options.rules,
            extra=self._options.extra or "behind",
            geometry=GEOMETRIES[bits],
            assumed=tuple(self._assumed),
            **objects,  # type: ignore[arg-type]
        )
        return host, self._title(host)

    def _refuse(self) -> None:
        log, name = self._log, self._log.name
        if log.arch is not None and log.arch.startswith("arm"):
            raise UnsupportedError(name, "an x86 PV guest", "an Arm host: Xen keeps the P2M there, no PV P2M")
        kind = log.guest_kind
        if kind is None and re.search(r"(?:^|\s)dom0=\S*\bpvh\b", log.xen_cmdline or ""):
            kind = "pvh"
        if kind in ("pvh", "hvm"):
            guest = {"pvh": "a PVH", "hvm": "an HVM"}[kind]
            raise UnsupportedError(name, "a PV guest", f"{guest} guest: Xen keeps its P2M, it has no PV P2M")
        if kind is None and log.has_hypervisor and log.xen_cmdline is None and log.dom0_kernel_paddr is None:
            self._assumed.append("dom0 is PV: nothing says that it is not")

    def _contradictions(self) -> None:
        """Refuse facts that cannot all be true: ranges that end before they start, two hosts in one."""
        log = self._log
        for fact in _SPANS:
            span = getattr(log, fact)
            if span is not None and not 0 <= span[0] <= span[1]:
                got = f"{span[0]:#x}->{span[1]:#x}"
                raise InputError(log.where(fact), "a range that ends behind its start", got)
        told, seen = Version.parse(log.xen_version or ""), Version.parse(log.printed.xen_version or "")
        if told is not None and seen is not None and told[:2] != seen[:2]:
            raise InputError(
                log.where("printed.xen_version"), f"dom0 on Xen {told}, as the hypervisor says", f"Xen {seen}"
            )

    def _host_map(self) -> tuple[Entry, ...] | None:
        """The best map of the log, with what it stands for named."""
        log = self._log
        if log.host_map:
            return self._hypervisors_map(log)
        if log.plain_map:
            cut = (log.plain_form or "").startswith("xen")
            self._assumed.append(
                "no line of the map is missing: its heading is"
                if cut
                else "the map is the machine's, as the firmware gave it"
            )
            return validated(log.plain_map, log.name)
        if log.linux_map and (log.linux_map_label or "").startswith("BIOS"):
            self._assumed.append("the map that Linux printed is the machine's")
            return validated(log.linux_map, log.name)
        if log.linux_map and not self._domu:
            got = "only the one that Linux printed after its own boot (--domu for the log of a domU)"
            raise InputError(log.where("linux_map"), "the hypervisor's memory map, from xl dmesg", got)
        if log.linux_map:
            self._assumed.append("the map is the guest's own after its boot")
            return _without_isa(validated(log.linux_map, log.name))
        if log.iomem:
            self._assumed.append("/proc/iomem stands for the firmware's map")
            return validated(log.iomem, log.name)
        if self._domu:
            self._assumed.append("the toolstack gives no map")
            return None
        got = (
            "/proc/iomem as an ordinary user sees it: all addresses are zero"
            if log.iomem_zeroed
            else "no map"
        )
        raise InputError(
            log.name, 'a memory map, such as "(XEN) ... RAM map:" of xl dmesg and its lines', got
        )

    def _hypervisors_map(self, log: Log) -> tuple[Entry, ...]:
        """The map that Xen printed, after a check that it is whole."""
        where = log.where("host_map")
        if log.host_map_cut:
            raise InputError(where, "the whole memory map", "a text that ends inside it")
        entries = validated(log.host_map, where)
        ram = sum(e.size for e in entries if e.type == RAM) >> 10
        told = log.system_ram_kib
        if told is not None and ram + _SLACK_KIB < told:
            expected = f"RAM entries of {told:,} KiB, as System RAM says"
            raise InputError(where, expected, f"{ram:,} KiB: lines of the map are missing")
        return entries

    def _handed_over(self, host_map: tuple[Entry, ...] | None) -> tuple[Entry, ...] | None:
        """The map that Linux is given."""
        log = self._log
        if host_map is None or self._domu:
            return host_map
        devices = Devices(
            ioapics=log.ioapics or None, lapic=log.lapic, vendor=log.cpu_vendor, family=log.cpu_family,
            paddr_bits=log.phys_addr_bits, iommus=log.iommu_addresses or None, iommu_on=log.iommu_enabled,
        )  # fmt: skip
        e820, assumed = machine_memory_map(host_map, self._xen, devices)
        self._assumed += assumed
        return e820

    def _sizes(self, host_map: tuple[Entry, ...] | None) -> tuple[int, int | None]:
        """Initial pages and maximum reservation."""
        options, log = self._options, self._log
        nr_pages, max_res = options.nr_pages, options.max_pages
        self._remarks()
        if options.dom0_mem is not None and host_map is not None:
            vcpus = log.max_vcpus or 1
            counted = pages_of_dom0_mem(
                options.dom0_mem, host_map, self._xen, iommu=log.iommu_enabled, vcpus=vcpus
            )
            self._assumed += counted[2]
            return (nr_pages or counted[0]), (counted[1] if max_res is None else max_res)
        if self._domu:
            return self._domu_pages(nr_pages, host_map), UNLIMITED
        if nr_pages is None:
            nr_pages = self._built_pages()
        if nr_pages is None or max_res is None:
            guessed = self._reckoned(host_map or (), nr_pages)
            nr_pages = guessed[0] if nr_pages is None else nr_pages
            max_res = guessed[1] if max_res is None else max_res
        return nr_pages, max_res

    def _remarks(self) -> None:
        """What the hypervisor passes over in ``dom0_mem=``, or takes otherwise than it looks."""
        said = self._options.dom0_mem
        line = self._log.xen_cmdline
        meaning = parse(said, self._xen) if said is not None else from_command_line(line or "", self._xen)
        self._assumed += [f"dom0_mem=: {remark}" for remark in (*meaning.ignored, *meaning.remarks)]

    def _domu_pages(self, nr_pages: int | None, host_map: tuple[Entry, ...] | None) -> int:
        if nr_pages is not None:
            return nr_pages
        ram = sum(pfn_down(e.end) - pfn_up(e.start) for e in host_map or () if e.type == RAM)
        if ram < 1:
            raise InputError(self._log.name, "--nr-pages for a domU", "none")
        self._assumed.append(f"all {ram:,} pages of RAM in its map are populated")
        return ram

    def _built_pages(self) -> int | None:
        """Pages that the hypervisor said it built dom0 with."""
        log = self._log
        if log.dom0_alloc is None or (log.ends_at_allocation and log.xen_cmdline is not None):
            return None
        if log.ends_at_allocation:
            self._assumed.append("no ramdisk: the log ends where one would be told of")
        pages = (log.dom0_alloc[1] - log.dom0_alloc[0]) >> PAGE_SHIFT
        pages += log.dom0_alloc_pages or 0
        if log.initrd is not None:
            pages += pfn_up(log.initrd[1] - log.initrd[0])
        ram = sum(e.size for e in log.host_map if e.type == RAM) >> PAGE_SHIFT
        if not 1 <= pages <= (ram or 1 << 40):
            expected = f"1 to {ram:,} pages for dom0, the host's RAM"
            raise InputError(log.where("dom0_alloc"), expected, f"{pages:,}")
        return pages

    def _reckoned(self, host_map: tuple[Entry, ...], built: int | None) -> tuple[int, int]:
        """What the command line in the log comes to; defaults where there is none.

        Where the pages that dom0 was `built` with follow from what was available, they tell it.
        """
        log = self._log
        meaning = from_command_line(log.xen_cmdline or "", self._xen)
        available = estimate_available(host_map, iommu=log.iommu_enabled, vcpus=log.max_vcpus or 1)
        least, most = available.low, available.high
        if built is not None:
            pages = range(least, most + 1)
            least += bisect_left(pages, built, key=lambda n: meaning.pages(n)[0])
            most = available.low + bisect_right(pages, built, key=lambda n: meaning.pages(n)[0]) - 1
            if least > most:
                least, most = available.low, available.high
        nr_pages, max_pages = meaning.pages(min(max(available.pages, least), most))
        low, high = meaning.pages(least), meaning.pages(most)
        if log.xen_cmdline is None:
            self._assumed.append("no dom0_mem=")
        if low[1] != high[1] or (built is None and low[0] != high[0]):
            self._assumed.append(available.why)
        if built is None and nr_pages < 1:
            raise InputError(log.name, "enough RAM for dom0", f"{nr_pages} pages after dom0_mem=")
        return nr_pages, max_pages

    def _release(self) -> Release:
        log, options = self._log, self._options
        version = options.version
        for text in (
            log.linux_version_full,
            log.linux_version,
            log.linux_version_from_oops_full,
            log.linux_version_from_oops,
        ):
            version = version or Version.parse(text or "")
        if version is None:
            self._named = False
            version = self._newest_left()
            self._assumed.append(f"Linux {version}, the newest that the log's words allow")
        return options.varied(Release.of(version))

    def _newest_left(self) -> Version:
        """The newest version whose wording the log does not contradict."""
        words = self._log.words
        if self._log.printed.remapped is not None and not self._log.nonram_line and words != "linux7":
            return Version(6, 11, 1)
        return Version(6, 19) if words == "classic" else NEWEST

    def _mem_limit(self) -> int | None:
        """``mem=`` on dom0's command line, in bytes."""
        if self._options.mem_limit is not None:
            return self._options.mem_limit
        if self._log.linux_cmdline is None:
            self._assumed.append("no mem= on Linux' command line")
        limits = []
        for match in re.finditer(
            r"(?:^|\s)mem=(0[xX][0-9a-fA-F]{1,15}|\d{1,18})([kKmMgGtT]?)(?=\s|$)",
            self._log.linux_cmdline or "",
        ):
            limits.append(
                int(match[1], 0 if match[1][:2].lower() == "0x" else 10) << _SHIFTS[match[2].lower()]
            )
        return min(limits, default=None)

    def _objects(self, nr_pages: int) -> dict[str, object]:
        """Where the builder put kernel, start info, page tables, ramdisk and P2M list."""
        options = self._options
        said = {
            "kernel": options.image, "start_info": options.start_info, "pt": options.page_tables,
            "initrd": options.initrd, "p2m_frames": options.p2m_frames,
        }  # fmt: skip
        places = objects_of_log(self._log, nr_pages)
        places |= {name: value for name, value in said.items() if value is not None}
        untold = untold_objects(self._log, places)
        if untold and not self._domu:
            self._assumed.append(f"{untold} lie in RAM")
        return places

    def _title(self, host: Host) -> str:
        parts = [f"Xen {self._xen}"] if self._xen else []
        taken = "" if self._named else " (assumed)"
        parts += [f"Linux {host.release.version}{taken}", f"PV {host.dom}"]
        if host.rules is not None:
            parts[-2] += f" with the rules {host.rules}"
        meaning = from_command_line(self._log.xen_cmdline or "", self._xen)
        said = self._options.dom0_mem or ",".join(meaning.options)
        if said:
            parts.append(said if said.startswith("dom0_mem=") else f"dom0_mem={said}")
        return " · ".join(parts)
