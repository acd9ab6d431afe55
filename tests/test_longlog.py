"""Long logs: what is left out tells nothing, and what is held is bounded."""

import tracemalloc

import pytest

from consoles import BOOTS, FLOODED, Q35, SEVEN, console, different
from xenp2m.errors import InputError
from xenp2m.logs.consolelog import read_log
from xenp2m.logs.longlog import read_long

NOISE = b"Nov 22 10:00:00 box systemd[1]: Started Session 12345 of user somebody, as it does all day long.\n"


@pytest.mark.parametrize("host", [Q35, SEVEN, FLOODED, "mem-800M-1024_max1536", "k72-d2-subpage-above"])
def test_a_sifted_log_has_the_same_facts_at_the_same_lines(host):
    path = BOOTS / host / "console.log.xz"
    whole, sifted = read_log(console(host), "x"), read_log(read_long(path, plain=0), "x")
    assert different(whole, sifted) == set()
    assert whole.lines == sifted.lines


def test_noise_before_between_and_behind_changes_no_fact(tmp_path):
    text = console(Q35).encode()
    middle = text.index(b"Linux version")
    middle = text.rindex(b"\n", 0, middle) + 1
    path = tmp_path / "long.log"
    path.write_bytes(NOISE * 3000 + text[:middle] + NOISE * 3000 + text[middle:] + NOISE * 3000)
    log = read_log(read_long(path, plain=1 << 16), "x")
    assert different(read_log(console(Q35), "x"), log) == set()
    assert log.lines["host_map"] == read_log(console(Q35), "x").lines["host_map"] + 3000


def test_memory_is_bounded(tmp_path):
    path = tmp_path / "long.log"
    with path.open("wb") as file:
        file.write(console(Q35).encode())
        for _ in range(400):
            file.write(NOISE * 1000)
    tracemalloc.start()
    text = read_long(path, plain=1 << 20)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert path.stat().st_size > 38_000_000
    assert len(text) < 1_000_000
    assert peak < 16_000_000


def test_a_line_without_an_end_and_utf_16(tmp_path):
    path = tmp_path / "one"
    path.write_bytes(b"x" * 3_000_000 + b"\n" + console(Q35).encode())
    assert read_log(read_long(path, plain=1 << 16), "x").xen_version == "4.17.7"
    path.write_bytes(("\ufeff" + "y" * 50_000 + "\n" + console(Q35)).encode("utf-16-le"))
    assert different(read_log(console(Q35), "x"), read_log(read_long(path, plain=1 << 16), "x")) == set()


def test_a_long_file_of_nothing_is_refused(tmp_path):
    path = tmp_path / "noise"
    path.write_bytes(NOISE * 3000)
    with pytest.raises(InputError):
        read_long(path, plain=1 << 16)
    path.write_bytes(bytes(range(256)) * 2000)
    with pytest.raises(InputError):
        read_long(path, plain=1 << 16)
