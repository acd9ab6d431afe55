import pytest

from consoles import Q35, console
from xenp2m.logs.pcibars import parse_bars

LSPCI = """\
00:02.0 VGA compatible controller: Some Maker Device 1234 (rev 09)
	Subsystem: Some Maker Device 5678
	Flags: bus master, fast devsel, latency 0, IRQ 29
	Memory at f7800000 (64-bit, non-prefetchable) [size=4M]
	Memory at e0000000 (64-bit, prefetchable) [size=256M]
	I/O ports at f000 [size=64]
	Expansion ROM at 000c0000 [virtual] [disabled] [size=128K]
0000:03:00.4 Ethernet controller [0200]: Other Maker Device [1111:2222]
	Region 0: Memory at 90004000 (64-bit, prefetchable) [size=16K]
	Region 3: Memory at 90104000 (64-bit, prefetchable) [size=16K]
"""


def test_lspci():
    assert [(b.device, b.name, b.start, b.end - b.start) for b in parse_bars(LSPCI)] == [
        ("0000:00:02.0", "Region 0", 0xF7800000, 4 << 20),
        ("0000:00:02.0", "Region 1", 0xE0000000, 256 << 20),
        ("0000:00:02.0", "ROM", 0xC0000, 128 << 10),
        ("0000:03:00.4", "BAR 0", 0x90004000, 16 << 10),
        ("0000:03:00.4", "BAR 3", 0x90104000, 16 << 10),
    ]


@pytest.mark.parametrize(
    ("line", "bar"),
    [
        ("pci 0000:00:01.0: BAR 0 [mem 0xfd000000-0xfdffffff pref]", ("BAR 0", 0xFD000000, 0xFE000000)),
        ("pci 0000:00:01.0: reg 0x10: [mem 0xfd000000-0xfdffffff pref]", ("BAR 0", 0xFD000000, 0xFE000000)),
        ("pci 0000:00:01.0: reg 0x24: [mem 0xfd000000-0xfd0000ff]", ("BAR 5", 0xFD000000, 0xFD000100)),
        ("pci 0000:00:01.0: reg 0x30: [mem 0xfd000000-0xfd00ffff pref]", ("ROM", 0xFD000000, 0xFD010000)),
        (
            "pci 0000:00:01.0: BAR 4: assigned [mem 0xfe000000-0xfe003fff 64bit pref]",
            ("BAR 4", 0xFE000000, 0xFE004000),
        ),
        ("pci 0000:00:01.0: BAR 4: no space for [mem size 0x00004000]", None),
        ("pci 0000:00:01.0: BAR 2 [io  0xc0c0-0xc0df]", None),
    ],
)
def test_lines_of_the_kernel(line, bar):
    found = parse_bars(f"[    4.1] {line}\n")
    assert [(b.name, b.start, b.end) for b in found] == ([bar] if bar else [])


def test_a_real_console():
    found = parse_bars(console(Q35))
    assert ("0000:00:02.0", "BAR 0", 0xFEB80000) in {(b.device, b.name, b.start) for b in found}
    assert len(found) == 10
