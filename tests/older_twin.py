"""Boots of 2.6.39, 3.6 and 3.18, frame by frame on a tree of pages: the slow twin of `xenp2m.boot`.

It follows the kernels' steps one frame at a time, with Xen as a pair of dicts; it shares with the
package only the sorting of maps and the tree of pages, which have twins of their own.
"""

from __future__ import annotations

from xenp2m.e820 import Entry, sanitize
from xenp2m.model.phys_to_machine import PhysToMachine
from xenp2m.model.rules import RULES

PAGE = 4096
RAM, RESERVED, UNUSABLE = 1, 2, 5
WORD = 1 << 64


def up(address):
    return -(-address // PAGE)


class OlderTwin:
    """One boot; the attributes are what is compared."""

    def __init__(self, host):
        self.host = host
        self.base = host.nr_pages
        self.p2m = PhysToMachine(
            RULES[host.release.p2m], host.geometry, [host.mfns(p) for p in range(self.base)]
        )
        self.m2p = {host.mfns(p): p for p in range(self.base)}
        self.fresh = host.mfn_base + host.nr_pages
        self.freed, self.populated, self.released = [], [], 0
        self.table, self.extra = [], []
        self.end_pfn = self.base
        {"g1": self.boot_g1, "g2": self.boot_g2, "g2r": self.boot_g2r}[host.release.era]()

    # ---- the kernel's accessors

    def mfn(self, pfn):
        """pfn_to_mfn: the number without flag bits, or None."""
        word = self.p2m.get(pfn)
        return None if word == self.p2m.geometry.invalid else word & ~(self.p2m.geometry.identity_bit * 3)

    def pfn_of(self, mfn):
        """mfn_to_pfn."""
        pfn = self.m2p.get(mfn)
        if pfn is not None and self.mfn(pfn) == mfn:
            return pfn
        return mfn if self.p2m.get(mfn) == self.p2m.identity(mfn) else None

    def note(self, ranges, pfn):
        if ranges and ranges[-1][1] == pfn:
            ranges[-1] = (ranges[-1][0], pfn + 1)
        else:
            ranges.append((pfn, pfn + 1))

    def release(self, start, end, stops):
        for pfn in range(start, end):
            mfn = self.mfn(pfn)
            if mfn is None or self.pfn_of(mfn) != pfn:
                continue
            if mfn not in self.m2p:  # not ours: the hypercall fails
                if stops:
                    return
                continue
            del self.m2p[mfn]
            assert self.p2m.store(pfn, self.p2m.geometry.invalid)
            self.released += 1
            self.note(self.freed, pfn)

    def populate(self, start, end):
        done = 0
        for pfn in range(start, end):
            if self.mfn(pfn) is not None:
                continue
            assert self.p2m.early_set(pfn, self.fresh)
            self.m2p[self.fresh] = pfn
            self.fresh += 1
            self.note(self.populated, pfn)
            done += 1
        return done

    # ---- 2.6.39

    def boot_g1(self):
        host, mem_end, extra = self.host, self.base * PAGE, 0
        start = max(1 << 32, mem_end)
        for entry in host.e820:
            size = entry.end - entry.start
            if entry.type == RAM:
                size = (size - entry.end % PAGE) % WORD
            end = (entry.start + size) % WORD
            if entry.type == RAM and end > mem_end:
                delta = min(size, end - mem_end)
                size, end = size - delta, end - delta
                extra += delta // PAGE
                if delta and host.is_dom0 and end < 1 << 32:
                    self.table.append(Entry(end, end + delta, UNUSABLE))
            if size and end > start:
                start = end
            if size:
                self.table.append(Entry(entry.start, end, entry.type))
        self.e820 = sanitize([*self.table, Entry(0xA0000, 0x100000, RESERVED)])
        cursor, limit = 0x100000, self.base * PAGE
        for entry in self.e820:
            if cursor < limit:
                end = min(limit, entry.start)
                if cursor < end:
                    self.release(up(cursor), end // PAGE, stops=False)
                cursor = max(cursor, entry.end)
        if cursor < limit:
            self.release(up(cursor), limit // PAGE, stops=False)
        extra += self.released
        extra = min(10 * self.base, self.base + extra) - self.base
        if extra:
            end = start + extra * PAGE
            self.extra = [(start, end)]
            self.e820 = sanitize([*self.e820, Entry(start, end, RAM)])
            self.end_pfn = end // PAGE
            for pfn in range(start // PAGE, self.end_pfn + 1):
                self.p2m.store(pfn, self.p2m.geometry.invalid)
        self.identity_g1()

    def identity_g1(self):
        last = hole = 0 if self.host.is_dom0 else 0x100000
        for entry in self.host.e820:
            start, end = max(entry.start, last), entry.end
            if end <= start or last > end:
                continue
            if entry.type in (RAM, UNUSABLE):
                if start > hole:
                    self.p2m.set_range_identity(up(hole), start // PAGE)
                last = hole = end
                continue
            hole, last = min(start, hole), end
        if last > hole:
            self.p2m.set_range_identity(up(hole), last // PAGE)

    # ---- 3.6 and 3.18

    def holes(self):
        start = 0
        for index, entry in enumerate(self.map):
            if entry.type == RAM or index == len(self.map) - 1:
                first, end = start // PAGE, up(entry.start if entry.type == RAM else entry.end)
                if first < end:
                    yield first, end
                start = entry.end

    def sort_host_map(self):
        entries = list(self.host.e820)
        if self.host.is_dom0 and self.host.release.unusable == "ram":
            entries = [e._replace(type=RAM) if e.type == UNUSABLE else e for e in entries]
        self.map = sanitize(entries, capacity=len(entries))

    def boot_g2(self):
        self.sort_host_map()
        for start, end in self.holes():
            if start < self.base:
                self.release(start, min(end, self.base), stops=True)
            self.p2m.set_range_identity(start, end)
        credits, last, done = self.released, 0, 0
        for entry in self.map:
            if credits <= 0:
                break
            end = entry.end // PAGE
            if entry.type != RAM or end <= self.base:
                continue
            start = max(self.base, up(entry.start))
            capacity = min(credits, (end - start) % WORD)
            filled = self.populate(start, start + capacity)
            done, last = done + filled, start + filled
            if filled < capacity:
                break
            credits -= filled
        self.released -= done
        self.finish(max(self.base, last))

    def boot_g2r(self):
        self.sort_host_map()
        last = self.base
        for hole in self.holes():
            last = self.remap(*hole, last)
        self.finish(max(self.base, last))

    def room(self, target):
        for entry in self.map:
            end = entry.end // PAGE
            if entry.type != RAM or end < target:
                continue
            if up(entry.start) > target:
                return up(entry.start), (end - up(entry.start)) % WORD
            return target, end - target
        return target, 0

    def remap(self, start, end, target):
        while start < end:
            if start >= self.base:
                self.p2m.set_range_identity(start, end)
                break
            target, room = self.room(target)
            if not room:
                self.release(start, min(end, self.base), stops=True)
                self.p2m.set_range_identity(start, end)
                break
            size = min(end, self.base, start + room) - start
            self.move(start, target, size)
            start, target = start + size, target + size
        return target

    def move(self, source, target, size):
        n = self.p2m.geometry.entries
        low, high = -(-source // n) * n, -(-target // n) * n
        end, last = (source + size) // n * n, (target + size) // n * n
        at, to, left = low, high, size
        while at < end and to < last:
            held = [self.mfn(at + i) for i in range(n)]
            self.p2m.set_range_identity(at, at + n)
            for i, mfn in enumerate(held):
                self.update(to + i, mfn)
            at, to, left = at + n, to + n, left - n
        a, b = source, target
        for _ in range(left):
            a, b = at if a == low else a, to if b == high else b
            self.update(b, self.mfn(a))
            a, b = a + 1, b + 1
        if low >= end:
            self.p2m.set_range_identity(source, source + size)
            return
        if source < low:
            self.p2m.set_range_identity(source, low)
        if source + size > at:
            self.p2m.set_range_identity(at, source + size)

    def update(self, pfn, mfn):
        assert self.p2m.early_set(pfn, self.p2m.geometry.invalid if mfn is None else mfn)
        self.m2p[mfn] = pfn

    def finish(self, top):
        limit = 500 << 18
        most = self.host.max_res if self.host.is_dom0 and self.host.max_res else limit
        extra = max(0, min(most, limit) - self.base) + self.released
        extra, mem_end = min(10 * top, extra), top * PAGE
        for entry in self.map:
            start, end = entry.start, entry.end
            while start < end:
                size, kind = end - start, entry.type
                if kind == RAM and start < mem_end:
                    size = min(size, mem_end - start)
                elif kind == RAM and extra:
                    size = min(size, extra * PAGE)
                    extra -= size // PAGE
                    self.add_extra(start, size)
                elif kind == RAM:
                    kind = UNUSABLE
                self.add(start, start + size, kind)
                start += size
        if self.p2m.rules.beyond_identity:
            self.p2m.set_range_identity(self.map[-1].end // PAGE, self.p2m.geometry.max_p2m_pfn)
        self.e820 = sanitize([*self.table, Entry(0xA0000, 0x100000, RESERVED)])

    def add(self, start, end, kind):
        if kind == RAM:
            start, end = up(start) * PAGE, end // PAGE * PAGE
        self.table.append(Entry(start, end, kind))

    def add_extra(self, start, size):
        for index, (low, high) in enumerate(self.extra):
            if high == start:
                self.extra[index] = (low, start + size)
                break
        else:
            self.extra.append((start, start + size))
        self.end_pfn = (start + size) // PAGE
        for pfn in range(start // PAGE, self.end_pfn):
            if self.mfn(pfn) != pfn:
                self.p2m.store(pfn, self.p2m.geometry.invalid)
