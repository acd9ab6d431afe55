"""The boot of Linux 4.3 and later, page by page and pass by pass: the slow twin of `xenp2m.boot`.

Nothing here works on runs. Every P2M entry is a word in a list, every leaf a list or the name of a
shared page, every pass of the kernel's loops is a pass of a loop. It knows nothing of the code in
``xenp2m.boot`` but the types of what goes in and comes out; numbers wrap at 2^64 where the kernel's
do. Sources: Linux ``arch/x86/xen/setup.c``, ``p2m.c``, ``mmu_pv.c`` and ``arch/x86/kernel/e820.c``,
5.10 to 7.1, and what ``Release`` says of the others.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

from xenp2m.e820 import Entry
from xenp2m.host import Host

PAGE = 4096
LEAF = 512
GIB = LEAF * LEAF
MAX_P2M_PFN = LEAF**3
WRAP = 1 << 64
INVALID = WRAP - 1
IDENTITY = 1 << 62
RECORD = LEAF - 3
SLOTS = 128
RAM, RESERVED, NVS, UNUSABLE = 1, 2, 4, 5
UNMERGEABLE = (12, 0xEFFFFFFF)
START_INFO_SIZE = 1168


class Halt(Exception):
    """The kernel stops here: its code, the phase, what it writes before."""


def up(address: int) -> int:
    return (address + PAGE - 1) % WRAP // PAGE


def down(address: int) -> int:
    return address // PAGE


def roundup(value: int, unit: int) -> int:
    return -(-value // unit) * unit


def update_table(table: list[Entry], capacity: int) -> list[Entry]:
    """Sorted, without overlap: between two edges the highest type that covers everything there."""
    if len(table) < 2 or any(e.end < e.start for e in table):
        return list(table)
    edges = sorted({edge for e in table if e.start < e.end for edge in (e.start, e.end)})
    result: list[Entry] = []
    for low, high in pairwise(edges):
        kind = max((e.type for e in table if e.start <= low and high <= e.end), default=0)
        if not kind:
            continue
        last = result[-1] if result else None
        if last and last.end == low and last.type == kind and kind not in UNMERGEABLE:
            result[-1] = Entry(last.start, high, kind)
        else:
            result.append(Entry(low, high, kind))
    return result[:capacity]


@dataclass
class Twin:
    """What came of one boot, step by step. `run` fills it in."""

    host: Host
    table: list[Entry] = field(default_factory=list)
    host_map: list[Entry] = field(default_factory=list)
    guest: list[Entry] = field(default_factory=list)
    dropped: int = 0
    e820: list[Entry] | None = None
    slots: list[list[int]] = field(default_factory=lambda: [[0, 0] for _ in range(SLOTS)])
    extra_lost: int = 0
    extra_early: list[tuple[int, int]] | None = None
    extra: list[tuple[int, int]] | None = None
    reserved: list[tuple[int, int]] = field(default_factory=list)
    relocations: list[tuple[str, int, int, int]] = field(default_factory=list)
    swaps: list[tuple[Entry, Entry, int, int, int]] = field(default_factory=list)
    moved: list[tuple[int, int]] = field(default_factory=list)
    released: int = 0
    freed: list[int] = field(default_factory=list)
    early: list[int] = field(default_factory=list)
    records: dict[int, tuple[int | None, int, list[int]]] = field(default_factory=dict)
    newest: int | None = None
    remapped: int = 0
    leaves: list[str | list[int]] = field(default_factory=list)
    shared_pte: set[int] = field(default_factory=set)
    mids: set[int] | None = None
    pages: int = 0
    size: int = 0
    max_pfn: int = 0
    last_pfn: int = 0
    bug: tuple[str, int, str | None] | None = None

    # ---- phase 1: memory setup

    def run(self) -> Twin:
        try:
            self.setup()
            self.rebuild()
            self.invalidate_extra()
            self.build_tree()
            self.remap()
            self.remap_nonram()
        except Halt as halt:
            self.bug = halt.args
            return self
        self.extra = [(s, (s + n) % WRAP) for s, n in self.slots if n]
        return self

    def setup(self) -> None:
        host = self.host
        limit = 1 << 34 if host.dom == "dom0" else 1 << 27
        self.ini = min(limit, host.nr_pages)
        self.early = [
            host.mfn_base + (host.nr_pages - 1 - p if host.mfn_desc else p) for p in range(host.nr_pages)
        ]
        self.m2p = {mfn: pfn for pfn, mfn in enumerate(self.early)}
        self.early += [INVALID] * (-len(self.early) % LEAF)
        self.size = self.max_pfn = len(self.early)
        self.reserve_objects()
        self.read_map()
        if host.release.checks == "early":
            self.check("kernel", host.kernel)
            self.check(
                "xen_start_info",
                None if host.start_info is None else (host.start_info, host.start_info + START_INFO_SIZE),
            )
            self.check("page table", host.pt)
        self.walk(self.grant(limit))
        self.extra_early = [(s, (s + n) % WRAP) for s, n in self.slots if n]
        self.add(0xA0000, 0x60000, RESERVED)
        self.e820 = update_table(self.guest, host.release.e820_entries)
        if host.release.checks == "late":
            self.check("kernel", host.kernel)
            self.check("page table", host.pt)
        self.place_list()
        self.place_initrd()
        remap_pfn = 0
        for start, end in self.holes():
            remap_pfn = self.fill_hole(start, end, remap_pfn or self.ini)

    def reserve_objects(self) -> None:
        host = self.host
        self.reserved.append((0, host.release.low_reserve))
        for area in (host.kernel, host.pt):
            if area is not None:
                self.reserved.append(area)
        if host.start_info is not None:
            self.reserved.append((host.start_info, host.start_info + PAGE))
        if host.initrd is not None:
            self.reserved.append((host.initrd[0], up(host.initrd[1]) * PAGE))

    def read_map(self) -> None:
        host = self.host
        if host.e820 is None:
            self.table = [Entry(0, self.ini * PAGE + (8 << 20), RAM)]
        else:
            self.table = list(host.e820)
        if host.dom == "dom0":
            self.table = [e._replace(type=RAM) if e.type == UNUSABLE else e for e in self.table]
            if host.ibft:
                self.table.append(Entry(0x80000, 0x100000, RESERVED))
        self.first = self.table[0].start
        self.table = update_table(self.table, host.release.e820_entries)
        self.host_map = list(self.table)

    def fits(self, start: int, size: int) -> bool:
        end = start + size
        return not size or any(e.type == RAM and e.start <= start and end <= e.end for e in self.table)

    def check(self, what: str, area: tuple[int, int] | None) -> None:
        if area is None or area[0] == area[1]:
            return
        if self.host.release.nvs != "conflict":
            self.resolve(*area)
        if not self.fits(area[0], area[1] - area[0]):
            raise Halt("console", 1, f"Xen hypervisor allocated {what} memory conflicts with E820 map")

    def resolve(self, start: int, end: int) -> None:
        index = 0
        while index < len(self.table):
            entry = self.table[index]
            if entry.start >= end:
                return
            index += 1
            if entry.end > start and entry.type == NVS:
                self.swap(index - 1)
                if self.host.release.nvs_scan == "first":
                    index = 0

    def swap(self, index: int) -> None:
        nvs = self.table[index]
        start = down(nvs.start) * PAGE
        size = up(nvs.end - start) * PAGE
        for place, entry in enumerate(self.table):
            target = entry.end - size
            if entry.type != RAM or entry.end - entry.start < size or target < self.ini * PAGE:
                continue
            offset = nvs.start - start
            new = target - offset if self.host.release.nvs == "swap-offset-fault" else target + offset
            moved = Entry(new, new + nvs.end - nvs.start, NVS)
            self.table[place] = entry._replace(end=target)
            self.table[index] = Entry(start, start + size, RAM)
            self.table.append(moved)
            if target % PAGE:
                raise Halt("nonram-swap-not-page-aligned", 1, None)
            if len(self.swaps) == 4:
                raise Halt(
                    "console", 1, "Number of required E820 entry remapping actions exceed maximum value"
                )
            self.swaps.append((nvs, moved, target, start, size))
            self.table = update_table(self.table, self.host.release.e820_entries)
            return
        raise Halt("console", 1, "No suitable area found for required E820 entry remapping action")

    def holes(self) -> list[tuple[int, int]]:
        found, start = [], 0
        for index, entry in enumerate(self.table):
            if entry.type == RAM or index == len(self.table) - 1:
                end = up(entry.start) if entry.type == RAM else up(entry.end)
                if down(start) < end:
                    found.append((down(start), end))
                start = entry.end
        return found

    def grant(self, limit: int) -> int:
        host = self.host
        most = limit
        if host.dom == "dom0" and host.max_res is not None and host.max_res > 0:
            most = min(host.max_res, limit)
        for start, end in self.holes():
            if start < self.ini:
                most += min(end, self.ini) - start
        wanted = max(0, most - self.ini)
        return min(10 * min(self.ini, 1 << 34), wanted, (most - self.ini) % WRAP)

    def walk(self, extra: int) -> None:
        mem_end = self.ini * PAGE
        addr = self.first
        for entry in self.table:
            addr, size = entry.start, entry.end - entry.start
            while True:
                chunk, kind = size, entry.type
                if kind == RAM:
                    if addr < mem_end:
                        chunk = min(size, mem_end - addr)
                    elif extra:
                        chunk = min(size, extra * PAGE % WRAP)
                        pages = (down(addr + chunk) - up(addr)) % WRAP
                        extra = (extra - pages) % WRAP
                        self.add_extra(up(addr), pages)
                        self.max_pfn = (up(addr) + pages) % WRAP
                    else:
                        kind = UNUSABLE if self.host.release.leftover == "unusable" else 0
                if kind:
                    self.add(addr, chunk, kind)
                addr += chunk
                size -= chunk
                if not size:
                    break
        for pfn in range(addr // PAGE, self.size):
            self.early[pfn] = IDENTITY | pfn

    def add(self, addr: int, size: int, kind: int) -> None:
        end = addr + size
        if kind == RAM:
            addr, end = up(addr) * PAGE, down(end) * PAGE
        if len(self.guest) == self.host.release.e820_entries:
            self.dropped += 1
        else:
            self.guest.append(Entry(addr, end, kind))

    def add_extra(self, start: int, pages: int) -> None:
        self.reserved.append((start * PAGE, min(start + pages, 1 << 52) * PAGE))
        for slot in self.slots:
            if slot[1] == 0:
                slot[:] = start, pages
                return
            if (slot[0] + slot[1]) % WRAP == start:
                slot[1] = (slot[1] + pages) % WRAP
                return
        self.extra_lost += 1

    def free(self, start: int, end: int) -> None:
        left = []
        for low, high in self.reserved:
            left += [(low, min(high, start)), (max(low, end), high)]
        self.reserved = [(low, high) for low, high in left if low < high]

    def find_free_area(self, size: int) -> int:
        for entry in self.table:
            if entry.type != RAM or entry.end - entry.start < size:
                continue
            start = addr = entry.start
            while addr < start + size:
                if any(low <= addr < high for low, high in self.reserved):
                    start = addr + PAGE
                    if start + size > entry.end:
                        break
                addr += PAGE
            else:
                self.reserved.append((start, start + size))
                return start
        return 0

    def place_list(self) -> None:
        if self.host.p2m_frames is None:
            return
        first, count = self.host.p2m_frames
        start, end = first * PAGE, (first + count) * PAGE
        self.reserved.append((start, end))
        if self.fits(start, end - start):
            return
        bytes_ = self.host.nr_pages * 8
        frames = sum(-(-bytes_ // (PAGE * LEAF**level)) for level in range(4))
        target = self.find_free_area(frames * PAGE)
        if not target:
            raise Halt("console", 1, "Can't find new memory area for p2m needed due to E820 map conflict")
        self.relocations.append(("p2m", start, target, frames * PAGE))
        self.free(start, end)

    def place_initrd(self) -> None:
        if self.host.initrd is None:
            return
        start, end = self.host.initrd
        if self.fits(start, end - start):
            return
        target = self.find_free_area(end - start)
        if not target:
            raise Halt("console", 1, "Can't find new memory area for initrd needed due to E820 map conflict")
        self.relocations.append(("initrd", start, target, end - start))
        self.free(start, end)

    def find_pfn_range(self, pfn: int) -> tuple[int, int]:
        """Where whole pages of RAM go on at or after `pfn`, and how many; 0 where there are none."""
        for entry in self.table:
            if entry.type == RAM and down(entry.end) > pfn:
                pfn = max(pfn, up(entry.start))
                return pfn, (down(entry.end) - pfn) % WRAP
        return pfn, 0

    def fill_hole(self, start: int, end: int, remap_pfn: int) -> int:
        pfn = start
        while pfn < end:
            if pfn >= self.ini:
                self.set_identity(pfn, end)
                break
            size = min(end, self.ini) - pfn
            remap_pfn, room = self.find_pfn_range(remap_pfn)
            if not room:
                self.release(pfn, end)
                break
            size = min(size, room)
            self.prepare(pfn, size, remap_pfn)
            pfn += size
            remap_pfn += size
        return remap_pfn

    def set_identity(self, start: int, end: int) -> None:
        for pfn in range(start, min(end, self.size)):
            self.early[pfn] = IDENTITY | pfn

    def mfn(self, pfn: int) -> int:
        word = self.early[pfn] if pfn < self.size else IDENTITY | pfn
        return word if word == INVALID else word % (1 << 62)

    def prepare(self, start: int, size: int, target: int) -> None:
        """Note the frames of a piece of a hole inside those frames, 509 to a record, newest first."""
        left = size
        while left:
            chunk = min(left, RECORD)
            mfns = [self.mfn(start + i) for i in range(chunk)]
            self.records[mfns[0]] = (self.newest, target, mfns)
            self.newest = mfns[0]
            self.moved += [(start + i, target + i) for i in range(chunk)]
            self.set_identity(start, start + chunk)
            start, target, left = start + chunk, target + chunk, left - chunk

    def release(self, start: int, end: int) -> None:
        for pfn in range(start, min(end, self.ini)):
            mfn = self.mfn(pfn)
            if self.early[pfn] & IDENTITY and mfn not in self.m2p:
                break  # Xen refuses: the frame is not the guest's own.
            if mfn == INVALID or self.m2p.get(mfn) != pfn:
                continue
            self.released += 1
            self.freed.append(pfn)
            self.early[pfn] = INVALID
        self.set_identity(start, end)

    # ---- phase 2: the list in its own area

    def element(self, pfn: int) -> str:
        if pfn >= self.size:
            return "identity"
        word = self.early[pfn]
        return "missing" if word == INVALID else "identity" if word & IDENTITY else "pfn"

    def uniform(self, start: int, end: int) -> str | None:
        """The one kind that all entries share, unless that is a frame."""
        kind = self.element(start)
        if kind == "pfn":
            return None
        # Every entry past the list's end is identity: one look at the end stands for all of them.
        return kind if all(self.element(p) == kind for p in range(start, min(end, self.size + 1))) else None

    def rebuild(self) -> None:
        self.last_pfn = self.max_pfn
        entries = max(self.max_pfn, self.host.p2m_limit_gb << 18)
        entries = roundup(8 * entries, 2 << 20) // 8
        self.pages = 4
        for gib in range(0, entries, GIB):
            kind = self.uniform(gib, gib + GIB)
            if kind:
                self.shared_pte.add(gib // GIB)
                self.leaves += [kind] * LEAF
                continue
            for start in range(gib, gib + GIB, LEAF):
                kind = self.uniform(start, start + LEAF)
                if kind:
                    self.leaves.append(kind)
                else:
                    self.leaves.append(self.early[start : start + LEAF])
                    self.pages += 1
        self.size = self.max_pfn = entries

    def store(self, pfn: int, word: int) -> bool:
        if pfn >= self.size:
            if word != INVALID and self.host.release.beyond == "bugs":
                raise Halt("store-beyond-p2m-end", 4, None)
            return word == INVALID
        leaf = self.leaves[pfn // LEAF]
        if leaf == "missing":
            return word == INVALID
        if leaf == "identity":
            return word == IDENTITY | pfn
        leaf[pfn % LEAF] = word
        return True

    def allocate(self, pfn: int) -> None:
        gib, index = pfn // GIB, pfn // LEAF
        if gib in self.shared_pte:
            self.shared_pte.remove(gib)
            self.pages += 1
        if self.mids is not None and pfn < MAX_P2M_PFN and gib not in self.mids:
            self.mids.add(gib)
            self.pages += 1
        leaf = self.leaves[index]
        if isinstance(leaf, str):
            first = index * LEAF
            self.leaves[index] = [INVALID if leaf == "missing" else IDENTITY | first + i for i in range(LEAF)]
            self.pages += 1
        if self.host.release.list_end == "entry" and pfn > self.last_pfn:
            self.last_pfn = pfn
        if self.host.release.list_end == "page" and pfn >= self.last_pfn:
            self.last_pfn = roundup(pfn + 1, LEAF)

    def set(self, pfn: int, word: int) -> bool:
        if self.store(pfn, word):
            return True
        if pfn >= self.size:
            return False
        self.allocate(pfn)
        return self.store(pfn, word)

    def invalidate_extra(self) -> None:
        for start, pages in self.slots:
            for pfn in range(start, (start + pages) % WRAP):
                self.set(pfn, INVALID)

    def build_tree(self) -> None:
        if self.host.virt_p2m_4tools:
            return
        self.pages += 3
        self.mids = set()
        for gib in range(min(self.max_pfn, MAX_P2M_PFN) // GIB):
            if gib not in self.shared_pte:
                self.mids.add(gib)
                self.pages += 1

    def remap(self) -> None:
        start, length = None, 0
        while self.newest is not None:
            if self.newest not in self.records:
                raise Halt("endless list", 4, None)  # A page in two holes; the kernel goes round for ever.
            older, target, mfns = self.records.pop(self.newest)
            for i, mfn in enumerate(mfns):
                if not self.set(target + i, mfn):
                    raise Halt("remap-p2m-update-failed", 4, None)
                self.remapped += 1
            if start is None or target + len(mfns) == start:
                start, length = target, length + len(mfns)
            elif start + length == target:
                length += len(mfns)
            else:
                self.del_extra(start, length)
                start, length = target, len(mfns)
            self.newest = older
        if start is not None:
            self.del_extra(start, length)

    def del_extra(self, start: int, pages: int) -> None:
        small = Halt("extra-region-smaller-than-remapped", 4, None)
        for slot in self.slots:
            low, high = slot[0], (slot[0] + slot[1]) % WRAP
            if start == low or start + pages == high:
                if pages > slot[1]:
                    raise small
                slot[0] += pages if start == low else 0
                slot[1] -= pages
                return
            if low < start < high:
                if start + pages > high:
                    raise small
                slot[1] = start - low
                self.add_extra(start + pages, high - start - pages)
                return

    def remap_nonram(self) -> None:
        for _, _, paddr, maddr, size in self.swaps:
            for i in range(up(paddr + size) - down(paddr)):
                if not self.set(down(paddr) + i, down(maddr) + i):
                    raise Halt("nonram-swap-target-beyond-p2m", 4, None)

    # ---- reading

    def runs(self) -> list[tuple[int, int, str, int, int]]:
        """``(start, end, kind, first MFN, step)``, joined from the left, one entry after the other."""
        found: list[list] = []
        for index, leaf in enumerate(self.leaves):
            first = index * LEAF
            if isinstance(leaf, str):
                self.join(found, first, first + LEAF, leaf, 0)
                continue
            for pfn, word in enumerate(leaf, first):
                if word == INVALID:
                    self.join(found, pfn, pfn + 1, "missing", 0)
                elif word == IDENTITY | pfn:
                    self.join(found, pfn, pfn + 1, "identity", 0)
                else:
                    assert word < 1 << 62
                    self.join(found, pfn, pfn + 1, "mfn", word)
        return [tuple(run) for run in found]

    @staticmethod
    def join(found: list[list], start: int, end: int, kind: str, mfn: int) -> None:
        last = found[-1] if found else None
        if last and last[2] == kind:
            step = mfn - last[3]
            if kind != "mfn":
                last[1] = end
                return
            if last[1] - last[0] == 1 and step in (1, -1):
                last[1], last[4] = end, step
                return
            if last[1] - last[0] > 1 and step == last[4] * (start - last[0]):
                last[1] = end
                return
        found.append([start, end, kind, mfn, 1 if kind == "mfn" else 0])
