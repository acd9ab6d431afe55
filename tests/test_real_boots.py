"""The parts of `tests_xen` that need no boot: what they make of dom0's list and of a console."""

import gzip
import struct

import pytest
from tests_xen.compare import compare
from tests_xen.document import document
from tests_xen.errors import LabError
from tests_xen.hosts import RAM, RESERVED, map_records, pc_map
from tests_xen.initramfs import archive, ramdisk
from tests_xen.matrix import ARTEFACTS, FAULTS, LIVE, SHAPES, quick, schedule
from tests_xen.packages import SUITES, Kernel
from tests_xen.qemu import Boot
from tests_xen.readout import read_p2m
from tests_xen.rows import Row

LIST = """\
symbol xen_p2m_size 800
symbol nr_pages 1f0
symbol xen_p2m_last_pfn 3f0
word 0 256 170000 1
word 100 240 40 1
word 1f0 16 ffffffffffffffff 0
word 200 256 ffffffffffffffff 0
word 300 255 4000000000000300 1
word 3ff 1 8000000000000123 0
leaf 0 2 77 1
leaf 2 2 99 0
shared missing 98
shared identity 99
tables 0 1 1
end
"""


def test_a_list_is_read_with_the_frames_behind_its_pages():
    readout = read_p2m(LIST)
    assert readout.kinds == [
        (0, 0x1F0, "mfn"),
        (0x1F0, 0x300, "missing"),
        (0x300, 0x3FF, "identity"),
        (0x3FF, 0x400, "foreign"),
        (0x400, 0x800, "identity"),
    ]
    assert (readout.read, readout.size, readout.own_leaves, readout.tables) == (0x400, 0x800, 2, 1)
    assert (readout.nr_pages, readout.last_pfn) == (0x1F0, 0x3F0)


def test_an_identity_entry_of_another_pfn_is_no_identity():
    text = LIST.replace("word 300 255 4000000000000300 1", "word 300 255 4000000000000301 1")
    assert read_p2m(text).kinds[2] == (0x300, 0x3FF, "other")


@pytest.mark.parametrize(
    "broken",
    [
        LIST.removesuffix("end\n"),
        LIST.replace("word 200 256", "word 200 255"),
        LIST.replace("leaf 2 2 99 0", "leaf 2 1 99 0"),
        LIST.replace("leaf 0 2 77 1", "leaf 0 2 98 1"),
        LIST.replace("symbol nr_pages 1f0\n", ""),
    ],
)
def test_a_list_that_is_not_whole_is_refused(broken):
    with pytest.raises(LabError):
        read_p2m(broken)


def test_what_dom0_did_not_hand_over_is_a_difference(tmp_path):
    console = tmp_path / "console.log"
    console.write_bytes(b"(XEN) Xen-e820 RAM map:\n(XEN)  [0000000000100000, 000000007fffffff] (usable)\n")
    nowhere = Kernel("6.1.0", tmp_path, tmp_path)
    verdict = compare(Boot("booted", console.read_bytes(), 1.0), console, nowhere)
    assert any("not read to its end" in line for line in verdict.differences)
    verdict = compare(Boot("no end", console.read_bytes(), 150.0), console, nowhere)
    assert verdict.differences == [
        "nothing to compare: no end in 150 seconds, after: (XEN)  [0000000000100000, 000000007fffffff] (usable)"
    ]


def test_a_map_with_a_stretch_replaced():
    lines = pc_map((0x20000400, 0x20001000, RESERVED), (0x30000000, 0x30001000, 0))
    inside = [line for line in lines if 0x100000 <= line[0] < 0x7FFDC000]
    assert inside == [
        (0x100000, 0x20000400, RAM),
        (0x20000400, 0x20001000, RESERVED),
        (0x20001000, 0x30000000, RAM),
        (0x30001000, 0x7FFDC000, RAM),
    ]
    assert struct.unpack("<IQQI", map_records(lines)[:24]) == (20, 0, 0x9FC00, RAM)


def test_a_ramdisk_is_a_cpio_archive(tmp_path):
    packed = ramdisk(tmp_path / "initrd", {"dev/": b"", "bin/sh": b"abc", "init": "bin/sh"}).read_bytes()
    data = gzip.decompress(packed)
    assert data == archive({"dev/": b"", "bin/sh": b"abc", "init": "bin/sh"})
    names, at = [], 0
    while at < len(data):
        fields = [int(data[at + 6 + 8 * n : at + 14 + 8 * n], 16) for n in range(13)]
        name = data[at + 110 : at + 110 + fields[11] - 1].decode()
        at += -(-(110 + fields[11]) // 4) * 4
        names.append((name, fields[1] >> 12, data[at : at + fields[6]]))
        at += -(-fields[6] // 4) * 4
    assert names == [
        ("dev", 4, b""),
        ("bin", 4, b""),
        ("bin/sh", 8, b"abc"),
        ("init", 10, b"bin/sh"),
        ("TRAILER!!!", 0, b""),
    ]


def test_the_matrix_has_every_host_and_every_pair_at_least_twice():
    hosts = schedule()
    assert {h.name for h in hosts} == {h.name for h in (*SHAPES, *FAULTS, LIVE, ARTEFACTS)}
    for pair in ((linux, xen) for linux in SUITES for xen in SUITES):
        assert sum((h.linux, h.xen) == pair for h in hosts) >= 2
    assert {h.name for h in quick()} <= {h.name for h in hosts}


def test_the_document_has_a_section_for_each_kind_of_boot():
    def row(host, **fields):
        given = {"job": "list", "note": "", "fault": "", "findings": [], "differences": [], **fields}
        return Row(
            host=host, linux="6.1", xen="4.17", real="booted", predicted="boots", pfns=7, seconds=1, **given
        )

    rows = [
        row("plain"),
        row("faulty", fault="D4", said="BUG"),
        row("inside", job="live", differences=["one"]),
    ]
    sections = dict(part.split("\n", 1) for part in document(rows).split("\n## ")[1:])
    found = {name: [r.host for r in rows if f"| {r.host} |" in text] for name, text in sections.items()}
    assert [hosts for hosts in found.values() if hosts] == [["plain"], ["inside"], ["faulty"]]
    assert "* inside, Linux 6.1, Xen 4.17: one" in sections["Differences"]
    assert "3 boots, 21 entries, 1 differences" in document(rows)
