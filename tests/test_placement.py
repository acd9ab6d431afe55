"""Where the builder's objects would fit, held against a walk over every load address."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hosts import GIB, MIB, NVS, PC, RAM, RESERVED, Entry, pc, with_range
from xenp2m.boot.placement import LOAD_STEP, placement_of
from xenp2m.plan import make_plan

IMAGE = {"kernel": (16 * MIB, 74 * MIB), "start_info": 74 * MIB, "pt": (74 * MIB + 4096, 75 * MIB)}
LIST = {"initrd": (128 * MIB, 130 * MIB), "p2m_frames": (0x8200, 514)}


def fates(host):
    return {held.name: held.fate for held in placement_of(host).objects}


@pytest.mark.parametrize(
    ("version", "map_", "fate"),
    [
        ("6.1", with_range(64 * MIB, 65 * MIB), "stops"),
        ("6.1", with_range(64 * MIB, 65 * MIB, NVS), "stops"),
        ("6.12", with_range(64 * MIB, 65 * MIB, NVS), "swaps"),
        ("6.6.53", with_range(64 * MIB, 65 * MIB, NVS), "stops"),
        ("6.6.54", with_range(64 * MIB, 65 * MIB, NVS), "swaps"),
        ("6.12", with_range(64 * MIB, 65 * MIB), "stops"),
        ("3.12", with_range(64 * MIB, 65 * MIB), "unchecked"),
        ("6.1", with_range(76 * MIB, 77 * MIB), "fits"),
    ],
)
def test_what_becomes_of_the_kernel(version, map_, fate):
    host = pc(version, e820=map_, **IMAGE)
    assert fates(host)["kernel"] == fate
    bug = make_plan(host).layout.bug
    assert (bug is not None) == (fate == "stops")


def test_list_and_ramdisk_move():
    host = pc(e820=with_range(128 * MIB, 131 * MIB), **IMAGE, **LIST)
    assert {name: fate for name, fate in fates(host).items() if fate != "fits"} == {
        "ramdisk": "moves",
        "P2M list": "moves",
    }
    assert {move.what for move in make_plan(host).layout.relocations} == {"initrd", "p2m"}


def test_conflicts_name_entries_and_gaps():
    host = pc(e820=(*PC[:3], Entry(0x100000, 32 * MIB, RAM), Entry(33 * MIB, GIB, RAM)), **IMAGE)
    kernel = placement_of(host).objects[0]
    assert kernel.gaps == ((32 * MIB, 33 * MIB),)
    assert kernel.meets == ()


def test_the_swap_needs_whole_pages_of_each_range():
    host = pc("6.12", e820=with_range(32 * MIB + 0x400, 32 * MIB + 0x10400, NVS), **IMAGE)
    assert placement_of(host).swap_need == 0x11000
    room = sum(e.size for e in PC if e.type == RAM and e.start >= GIB) + 0x7FFDC000 - GIB
    assert placement_of(host).spare == room


@settings(max_examples=30, deadline=None)
@given(
    holes=st.lists(st.tuples(st.integers(0x200, 0x40000), st.integers(1, 0x6000), st.sampled_from((RESERVED, NVS))), max_size=5)
)  # fmt: skip
def test_load_addresses_against_every_step(holes):
    entries = (
        *PC[:3],
        Entry(0x100000, GIB, RAM),
        *(Entry(s << 12, (s + n) << 12, kind) for s, n, kind in holes),
    )
    host = pc(e820=entries, nr_pages=0x30000, **IMAGE)
    loads = {
        at for first, last in placement_of(host).loads for at in range(first, last + LOAD_STEP, LOAD_STEP)
    }
    ram = bytearray(0x40000)
    ram[0x100:] = b"\1" * (0x40000 - 0x100)
    for start, pages, _ in holes:
        ram[start : start + pages] = bytes(len(ram[start : start + pages]))

    def free(start, end):
        return end <= 0x30000 << 12 and b"\0" not in ram[start >> 12 : -(-end >> 12)]

    for load in range(LOAD_STEP, 0x30000 << 12, LOAD_STEP):
        shift = load - IMAGE["kernel"][0]
        places = (IMAGE["kernel"], (IMAGE["start_info"], IMAGE["start_info"] + 1168), IMAGE["pt"])
        assert (load in loads) == all(free(s + shift, e + shift) for s, e in places), hex(load)
