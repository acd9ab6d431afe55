"""Boots reported in public: the numbers that their logs printed follow from their maps."""

from bisect import bisect_left
from dataclasses import replace

import pytest

from xenp2m.arrangement import list_frames
from xenp2m.boot.conflicts import find_free_area
from xenp2m.diagnosis.identities import identities
from xenp2m.diagnosis.predicted import ram_frames_of, unavailable_pages
from xenp2m.e820 import RAM, RESERVED, Entry
from xenp2m.frames import Kind
from xenp2m.host import Host
from xenp2m.kernel import Release, Version
from xenp2m.logs.consolelog import read_log
from xenp2m.plan import make_plan

SERVER = (
    (0x0, 0x99400, 1), (0x99400, 0xA0000, 2), (0xE0000, 0x100000, 2), (0x100000, 0x59A24000, 1),
    (0x59A24000, 0x59A25000, 2), (0x59A25000, 0x64BEC000, 1), (0x64BEC000, 0x67600000, 2),
    (0x67600000, 0x67B34000, 3), (0x67B34000, 0x6D72D000, 4), (0x6D72D000, 0x6F28C000, 2),
    (0x6F28C000, 0x6F800000, 1), (0x6F800000, 0x90000000, 2), (0xFD000000, 0xFE800000, 2),
    (0xFED20000, 0xFED45000, 2), (0xFF000000, 0x100000000, 2), (0x100000000, 0x2080000000, 1),
)  # fmt: skip
EPYC = (
    (0x0, 0x80000, 1), (0x80000, 0x100000, 2), (0x100000, 0x9A7F000, 1), (0x9A7F000, 0xA000000, 2),
    (0xA000000, 0xA200000, 1), (0xA200000, 0xA23C000, 4), (0xA23C000, 0x93C7E000, 1), (0x93C7E000, 0x96684000, 2),
    (0x96684000, 0x966F3000, 3), (0x966F3000, 0x9716E000, 4), (0x9716E000, 0x9AFFF000, 2),
    (0x9AFFF000, 0x9BFF9000, 1), (0x9BFF9000, 0x9BFFD000, 2), (0x9BFFD000, 0x9BFFF000, 1),
    (0x9BFFF000, 0x9D000000, 2), (0x100000000, 0xFDE300000, 1),
)  # fmt: skip


def planned(version, entries, nr_pages, **fields):
    e820 = tuple(Entry(*entry) for entry in entries)
    return make_plan(Host(Release.of(Version.parse(version)), nr_pages, e820, **fields)).layout


def test_a_server_of_128_gib_on_4_12():
    """634,632 pages remapped, the P2M area of 512 GiB, last_pfn 0x2080000."""
    layout = planned("4.12.14", SERVER, 0x1F00000)
    assert (layout.remapped, layout.released) == (634632, 0)
    assert layout.p2m_size * 8 == 0x40000000
    assert layout.e820[-1].end == 0x2080000 << 12


@pytest.mark.parametrize(
    ("version", "size", "limit_gb", "area"),
    [("5.15", 0x20000000, 512, 0x40000000), ("6.0", 0x9000000, 0, 0x200000)],
)
def test_small_guests(version, size, limit_gb, area):
    layout = planned(version, [(0, size, 1)], size >> 12, dom="domU", p2m_limit_gb=limit_gb)
    assert (layout.remapped, layout.released) == (0, 0)
    assert [tuple(e) for e in layout.e820] == [
        (0, 0xA0000, RAM),
        (0xA0000, 0x100000, RESERVED),
        (0x100000, size, RAM),
    ]
    assert layout.p2m_size * 8 == area


def test_an_epyc_of_64_gib_on_6_8():
    """440,771 pages remapped; the ramdisk moved to behind the P2M list, to 0x18537000."""
    assert planned("6.8.12", EPYC, 0xF00000).remapped == 440771
    host = Host(Release.of(Version.parse("6.8.12")), 0xF00000, tuple(Entry(*entry) for entry in EPYC))
    frames = ram_frames_of(make_plan(host))
    assert frames[-1][1] == 0xFDE300
    assert unavailable_pages(frames) == [1, 128, 1409, 60, 29569, 4, 16385, 7424]
    initrd = (0x8000000, 0x10B5A724)
    behind = (0x10B5B000, 0x18537000)
    pages = bisect_left(
        range(1 << 25), (behind[1] - behind[0]) >> 12, key=lambda n: list_frames(0x8000000000, n)
    )
    assert list_frames(0x8000000000, pages) == (behind[1] - behind[0]) >> 12
    assert 60 << 18 < pages < 64 << 18
    entries = [Entry(*entry) for entry in EPYC]
    taken = [(0x1000000, 0x8000000), initrd, behind, (0, 0x10000)]
    assert find_free_area(entries, taken, initrd[1] - initrd[0]) == 0x18537000


DOMU_2011 = (
    (0x0, 0x40000000, 1), (0x40000000, 0x9CF66000, 5), (0x9CF66000, 0x9D102000, 4), (0x9F6BD000, 0x9F6BF000, 2),
    (0x9F714000, 0x9F7BF000, 4), (0x9F7E0000, 0x9F7FF000, 3), (0x9F800000, 0xB0000000, 2),
    (0xFC000000, 0xFD000000, 2), (0xFEC00000, 0xFEC01000, 2), (0xFEE00000, 0xFEE01000, 2),
    (0xFFE00000, 0x100000000, 2), (0x100000000, 0x140800000, 1),
)  # fmt: skip
DESKTOP_2013 = (
    (0x0, 0x9EC00, 1), (0x9EC00, 0xA0000, 2), (0xE0000, 0x100000, 2), (0x100000, 0x20000000, 1),
    (0x20000000, 0x20200000, 2), (0x20200000, 0x40000000, 1), (0x40000000, 0x40200000, 2),
    (0x40200000, 0xBAD80000, 1), (0xBAD80000, 0xBADC9000, 4), (0xBADC9000, 0xBADD1000, 3),
    (0xBADD1000, 0xBADF4000, 2), (0xBADF4000, 0xBADF6000, 1), (0xBADF6000, 0xBAE06000, 2),
    (0xBAE06000, 0xBAE14000, 4), (0xBAE14000, 0xBAE3C000, 2), (0xBAE3C000, 0xBAE7F000, 4),
    (0xBAE7F000, 0xBB000000, 1), (0xBB800000, 0xBFA00000, 2), (0xFED1C000, 0xFED40000, 2),
    (0xFF000000, 0x100000000, 2), (0x100000000, 0x23FE00000, 1), (0xFEC00000, 0xFEC01000, 2),
    (0xFEE00000, 0xFEE01000, 2),
)  # fmt: skip


def identity_pages(layout):
    return sum(run.pages for run in layout.runs if run.kind is Kind.IDENTITY)


def test_a_domu_with_the_hosts_map_on_2_6_39():
    """Set 405658 page(s) to 1-1 mapping."""
    assert identity_pages(planned("2.6.39", DOMU_2011, 262144, dom="domU")) == 405658


@pytest.mark.parametrize(
    ("version", "size", "nr_pages"), [("3.2.12", 0x80800000, 0x80000), ("3.13", 0x26F00000, 0x26EA0)]
)
def test_a_domu_of_one_entry_moves_nothing(version, size, nr_pages):
    """Released 0, set 0 to 1-1 mapping; the map is the toolstack's, with the ISA window in it."""
    layout = planned(version, [(0, size, 1)], nr_pages, dom="domU")
    assert (layout.released, list(layout.freed), identity_pages(layout)) == (0, [], 0)
    assert [(e.start, e.end) for e in layout.e820] == [(0, 0xA0000), (0xA0000, 0x100000), (0x100000, size)]


def test_a_desktop_on_3_8():
    """283,999 pages released, set to 1-1 mapping and populated again at 0x1acb65 - 0x1f20c4."""
    layout = planned("3.8", DESKTOP_2013, 1756005)
    freed = [(0x9E, 0x100), (0x20000, 0x20200), (0x40000, 0x40200), (0xBAD80, 0xBADF4), (0xBADF6, 0xBAE7F),
             (0xBB000, 0x100000)]  # fmt: skip
    assert layout.freed == freed
    assert layout.populated == [(0x1ACB65, 0x1F20C4)]
    assert identity_pages(layout) == 283999
    assert layout.released == 0


def test_a_dom0_on_3_5_that_told_its_ranges_but_no_map():
    """395,979 pages released, in six ranges."""
    ranges = (("9d", "100", 99), ("9cf36", "9d0d2", 412), ("9f6bd", "9f6bf", 2), ("9f714", "9f7bf", 171),
              ("9f7e0", "9f7ff", 31), ("9f800", "100000", 395264))  # fmt: skip
    lines = [f"[    0.000000] Freeing  {a}-{b} pfn range: {n} pages freed" for a, b, n in ranges]
    log = read_log("\n".join([*lines, "[    0.000000] Released 395979 pages of unused memory", ""]))
    (check,) = identities(log)
    assert (check.printed, check.expected, check.agrees) == ("395,979", "395,979", True)
    short = replace(log, printed=replace(log.printed, freeing=log.printed.freeing[1:]))
    assert not next(identities(short)).agrees
