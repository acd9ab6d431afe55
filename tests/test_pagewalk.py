"""One address through the guest's page tables, in both spaces and word sizes."""

from dataclasses import replace

import pytest

from sources import Pages, walkable
from xenp2m.errors import InputError
from xenp2m.frames import GEOMETRY_32, GEOMETRY_64
from xenp2m.maps.pagewalk import cr3_frame, root_of, walk


@pytest.mark.parametrize(("frames", "bits"), [("mfn", 64), ("pfn", 64), ("mfn", 32)])
def test_an_address_is_found(frames, bits):
    source = walkable(frames=frames, bits=bits)
    found = walk(source, root_of(source), 0x5ABC)
    assert found.frame == (0x105 if frames == "mfn" else 5)
    assert [(s.level, s.table, s.slot) for s in found.steps] == (
        [(4, 1, 0), (3, 2, 0), (2, 3, 0), (1, 4, 5)] if bits == 64 else [(3, 1, 0), (2, 3, 0), (1, 4, 5)]
    )


@pytest.mark.parametrize(
    ("vaddr", "why"),
    [
        (0x9000, "the entry of level 1 is not present"),
        (1 << 39, "the entry of level 4 is not present"),
        (1 << 47, "not canonical"),
        (0xFFFF_8000_0000_0000, "the frame 0x5555 of level 3 is not the guest's"),
    ],
)
def test_a_walk_that_stops_says_where(vaddr, why):
    source = walkable()
    found = walk(source, 1, vaddr)
    assert found.frame is None
    assert why in found.stopped


def test_a_page_table_that_is_not_in_the_input():
    source = walkable()
    pages = {pfn: source.memory.page(pfn) for pfn in (1, 2, 4)}
    found = walk(replace(source, memory=Pages(pages)), 1, 0x5000)
    assert "page table at PFN 0x3 is not in the input" in found.stopped
    assert len(found.steps) == 2


def test_a_large_page_ends_the_walk():
    source = walkable()
    pages = {pfn: source.memory.page(pfn) for pfn in (1, 2)}
    pages[3] = (0x20_0000 | 0x80 | 0x67).to_bytes(8, "little") + bytes(4088)
    assert walk(replace(source, memory=Pages(pages)), 1, 0x5ABC).frame == 0x205


def test_registers_of_both_widths():
    assert cr3_frame(0x1F920F000, GEOMETRY_64) == 0x1F920F
    assert cr3_frame(0x1234_5ABC, GEOMETRY_32) == 0xABC1_2345 & 0xFFFF_FFFF


def test_where_a_walk_begins():
    source = walkable()
    assert root_of(source) == 1
    assert root_of(source, cr3=0x102000) == 2
    kernel = replace(source, guest=replace(source.guest, cr3=(), p2m_cr3=0x103000))
    assert root_of(kernel) == 3
    with pytest.raises(InputError, match="the context of vCPU 3"):
        root_of(source, vcpu=3)
    with pytest.raises(InputError, match="a frame of the guest, got 0x9999, behind no PFN"):
        root_of(source, cr3=0x9999000)
    with pytest.raises(InputError, match="--cr3"):
        root_of(replace(source, guest=replace(source.guest, cr3=(-1,))))
    with pytest.raises(InputError, match="the guest's memory"):
        walk(replace(source, memory=None), 1, 0)
