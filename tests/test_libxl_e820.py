import pytest

from xenp2m.e820 import ACPI, NVS, RAM, RESERVED, UNUSABLE, Entry
from xenp2m.errors import InputError
from xenp2m.libxl_e820 import HIGH, host_e820

HOST = (
    Entry(0, 0x9FC00, RAM), Entry(0x9FC00, 0xA0000, RESERVED), Entry(0xF0000, 0x100000, RESERVED),
    Entry(0x100000, 0x7FFDC000, RAM), Entry(0x7FFDC000, 0x80000000, RESERVED), Entry(0xB0000000, 0xC0000000, RESERVED),
    Entry(0xFEC00000, 0xFEC01000, RESERVED), Entry(0xFED1C000, 0xFED20000, RESERVED),
    Entry(0xFEE00000, 0xFEF00000, RESERVED), Entry(0xFFFC0000, 0x100000000, RESERVED),
    Entry(0x100000000, 0x180000000, RAM), Entry(0xFD00000000, 0x10000000000, RESERVED),
)  # fmt: skip


def frames(entries):
    return [(e.start >> 12, e.end >> 12, e.type) for e in entries]


def test_a_real_guest():
    """memory=161, maxmem=225 on a 4 GiB machine: what `xl -vvv create` printed."""
    assert frames(host_e820(HOST, 164864, 164864 + 65536)) == [
        (0, 0xA100, RAM), (0xA100, 0x7FFDC, UNUSABLE), (0x7FFDC, 0x80000, RESERVED), (0xB0000, 0xC0000, RESERVED),
        (0xFEC00, 0xFEC01, RESERVED), (0xFED1C, 0xFED20, RESERVED), (0xFEE00, 0xFEF00, RESERVED),
        (0xFFFC0, 0x100000, RESERVED), (0xFD00000, 0x10000000, RESERVED), (0x100000, 0x104000, RAM),
    ]  # fmt: skip


def test_a_public_guest_of_2011():
    """1 GiB and 8 MiB of slack on a host whose RAM lies in pieces below 4 GiB (Xen 4.2)."""
    host = (
        Entry(0x100000, 0x9CF66000, RAM), Entry(0x9CF66000, 0x9D102000, NVS), Entry(0x9F6BD000, 0x9F6BF000, RESERVED),
        Entry(0x9F714000, 0x9F7BF000, NVS), Entry(0x9F7E0000, 0x9F7FF000, ACPI), Entry(0x9F800000, 0xB0000000, RESERVED),
    )  # fmt: skip
    made = host_e820(host, 1 << 20, 2 << 20, 8 << 10)
    assert frames(made)[:3] == [(0, 0x40000, RAM), (0x40000, 0x9CF66, UNUSABLE), (0x9CF66, 0x9D102, NVS)]
    assert frames(made)[-1] == (0x100000, 0x140800, RAM)


def test_memory_beyond_the_first_range_moves_behind_4_gib():
    made = host_e820(HOST, 3 << 20, 3 << 20)
    assert made[0] == Entry(0, 0x7FFDC000, RAM)
    assert made[-1] == Entry(HIGH, HIGH + (3 << 30) - 0x7FFDC000, RAM)
    assert UNUSABLE not in {e.type for e in made}


def test_high_ram_begins_at_4_gib_even_where_the_machine_has_something_there():
    made = host_e820((*HOST[:-2], Entry(1 << 32, (1 << 32) + 4096, RESERVED)), 3 << 20, 3 << 20)
    assert made[-1].start == HIGH
    assert any(e.start == HIGH and e.type == RESERVED for e in made)


def test_ram_of_the_machine_between_its_ranges_is_unusable():
    host = (Entry(0x100000, 0x50000000, RAM), Entry(0x50000000, 0x50001000, RESERVED), Entry(0x50001000, 0x7F000000, RAM),
            Entry(0x7F000000, 0x80000000, RESERVED))  # fmt: skip
    assert frames(host_e820(host, 1 << 20, 1 << 20)) == [
        (0, 0x40000, RAM), (0x40000, 0x50000, UNUSABLE), (0x50000, 0x50001, RESERVED), (0x50001, 0x7F000, UNUSABLE),
        (0x7F000, 0x80000, RESERVED),
    ]  # fmt: skip


@pytest.mark.parametrize(("memory", "most"), [(0, 1), (2, 1), (1, 1 << 45)])
def test_sizes_that_are_none(memory, most):
    with pytest.raises(InputError):
        host_e820(HOST, memory, most)
