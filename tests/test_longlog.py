"""Long logs: what is left out tells nothing, and what is held is bounded."""

import tracemalloc

import pytest

from consoles import BOOTS, Q35, console, different
from xenp2m.errors import InputError
from xenp2m.logs.consolelog import read_log
from xenp2m.logs.longlog import read_long
from xenp2m.logs.pcibars import parse_bars

NOISE = b"Nov 22 10:00:00 box systemd[1]: Started Session 12345 of user somebody, as it does all day long.\n"


@pytest.mark.parametrize("host", sorted(path.parent.name for path in BOOTS.glob("*/console.log.xz")))
def test_a_sifted_log_has_the_same_facts_at_the_same_lines(host):
    path = BOOTS / host / "console.log.xz"
    whole, sifted = read_log(console(host), "x"), read_log(read_long(path, plain=0).text, "x")
    assert different(whole, sifted) == set()
    assert whole.lines == sifted.lines
    assert parse_bars(console(host)) == parse_bars(read_long(path, plain=0).text)


@pytest.mark.parametrize("width", [64, 80, 100])
@pytest.mark.parametrize("host", ["k72-d14-unaligned", "q35-4g-1024_max1536"])
def test_a_folded_log_is_joined_as_it_was_before_it_was_sifted(tmp_path, host, width):
    lines = console(host).splitlines()
    folded = [line[at : at + width] for line in lines for at in range(0, len(line) or 1, width)]
    path = tmp_path / "folded.log"
    path.write_text("\n".join(folded) + "\n")
    whole, sifted = read_log(path.read_text(), "x"), read_log(read_long(path, plain=0).text, "x")
    assert different(whole, sifted) == set()
    assert whole.lines == sifted.lines


def test_a_huge_line_in_a_folded_log_keeps_its_end(tmp_path):
    path = tmp_path / "folded.log"
    path.write_text("y" * 80 + "\n" + ("y" * 80 + "\n") * (1 << 15) + "z" * (1 << 22) + "\n" + console(Q35))
    log = read_log(read_long(path, plain=0).text, "x")
    assert log.lines["host_map"] == read_log(console(Q35), "x").lines["host_map"] + (1 << 15) + 2


def test_noise_before_between_and_behind_changes_no_fact(tmp_path):
    text = console(Q35).encode()
    middle = text.index(b"Linux version")
    middle = text.rindex(b"\n", 0, middle) + 1
    path = tmp_path / "long.log"
    path.write_bytes(NOISE * 3000 + text[:middle] + NOISE * 3000 + text[middle:] + NOISE * 3000)
    log = read_log(read_long(path, plain=1 << 16).text, "x")
    assert different(read_log(console(Q35), "x"), log) == set()
    assert log.lines["host_map"] == read_log(console(Q35), "x").lines["host_map"] + 3000


def test_memory_is_bounded(tmp_path):
    path = tmp_path / "long.log"
    with path.open("wb") as file:
        file.write(console(Q35).encode())
        for _ in range(400):
            file.write(NOISE * 1000)
    tracemalloc.start()
    text = read_long(path, plain=1 << 20).text
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert path.stat().st_size > 38_000_000
    assert len(text) < 1_000_000
    assert peak < 16_000_000


def test_a_line_without_an_end_and_utf_16(tmp_path):
    path = tmp_path / "one"
    path.write_bytes(b"x" * 3_000_000 + b"\n" + console(Q35).encode())
    assert read_log(read_long(path, plain=1 << 16).text, "x").xen_version == "4.17.7"
    path.write_bytes(("\ufeff" + "y" * 50_000 + "\n" + console(Q35)).encode("utf-16-le"))
    assert different(read_log(console(Q35), "x"), read_log(read_long(path, plain=1 << 16).text, "x")) == set()


def test_a_long_file_of_nothing_is_refused(tmp_path):
    path = tmp_path / "noise"
    path.write_bytes(NOISE * 3000)
    with pytest.raises(InputError):
        read_long(path, plain=1 << 16)
    path.write_bytes(bytes(range(256)) * 2000)
    with pytest.raises(InputError):
        read_long(path, plain=1 << 16)


LSPCI = """03:00.0 Ethernet controller: Example Corp. Device 0001 (rev 01)
\tSubsystem: Example Corp. Device 0002
\tControl: I/O+ Mem+ BusMaster+ SpecCycle- MemWINV- VGASnoop- ParErr- Stepping- SERR- FastB2B- DisINTx+
\tStatus: Cap+ 66MHz- UDF- FastB2B- ParErr- DEVSEL=fast >TAbort- <TAbort- <MAbort- >SERR- <PERR- INTx-
\tLatency: 0, Cache Line Size: 64 bytes
\tInterrupt: pin A routed to IRQ 16
\tNUMA node: 0
\tIOMMU group: 12
\tRegion 0: Memory at f7d00000 (64-bit, non-prefetchable) [size=128K]
\tRegion 2: I/O ports at e000 [size=32]
"""
FAULT = """[    0.100000] Failed to update kernel mapping for mfn=6930582 pfn=524288
[    0.100000] ------------[ cut here ]------------
[    0.100000] WARNING: CPU: 0 PID: 0 at arch/x86/xen/setup.c:312 xen_remap_memory+0x1b3/0x287
"""


def test_what_began_before_the_line_that_matters_is_there(tmp_path):
    """A device is named lines above its BARs, the reason of a warning above the warning."""
    text = LSPCI + NOISE.decode() * 20 + FAULT
    path = tmp_path / "long.log"
    path.write_bytes(NOISE * 1500 + text.encode() + NOISE * 1500)
    sifted = read_long(path, plain=1000).text
    (bar,) = parse_bars(sifted)
    assert (bar.device, bar.start, bar.line) == ("0000:03:00.0", 0xF7D00000, 1509)
    (fault,) = read_log(sifted, "x").printed.faults
    assert str(fault.said).endswith("pfn=524288")
    assert fault.number == 1500 + 10 + 20 + 3


def test_what_finds_no_room_is_named(tmp_path):
    path = tmp_path / "flood"
    line = b"[    1.000000] e820: too many entries; ignoring [mem 0x0000000012345000-0x0000000012345fff]\n"
    path.write_bytes(NOISE + line * 300_000)
    text = read_long(path)
    (why,) = text.unread
    number = int(why.split()[2].replace(",", ""))
    assert len(text.text) <= (25 << 20) + 300_001
    lines = text.text.split("\n")
    assert lines[number - 2]
    assert not any(lines[number - 1 :])
    assert not read_long(path, plain=40 << 20).unread


def test_json_is_read_whole_up_to_a_bound(tmp_path):
    path = tmp_path / "rows.json"
    path.write_text("[" + " " * 9_000_000 + "{}]")
    assert len(read_long(path, whole=lambda head: head.startswith("[")).text) == 9_000_004
    with path.open("ab") as file:
        file.write(b" " * (64 << 20))
    with pytest.raises(InputError, match="64 MiB of JSON"):
        read_long(path, whole=lambda head: head.startswith("["))
