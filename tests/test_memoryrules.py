import pytest

from xenp2m.logs.consolefacts import Pages, Span
from xenp2m.logs.consolelog import read_log


def printed(line):
    return read_log(f"[    0.000000] {line}\n").printed


@pytest.mark.parametrize(
    ("line", "fact", "value"),
    [
        ("xen_release_chunk: looking at area pfn bb000-fec00: 277504 pages freed", "freeing",
         (Pages(0xBB000, 0xFEC00, 277504),)),
        ("xen_release_chunk: looking at area pfn 100-100: 0 pages freed", "freeing", ()),
        ("released 395979 pages of unused memory", "released", 395979),
        ("1-1 mapping on 9e->100", "one_to_one", (Span(0x9E, 0x100),)),
        ("On node 0, zone DMA32: 32671 pages in unavailable ranges", "unavailable", (32671,)),
        ("RAMDISK: [mem 0x08000000-0x083b2fff]", "ramdisk", Span(0x8000000, 0x83B3000)),
        ("software IO TLB: mapped [mem 0x0000000039c00000-0x000000003dc00000] (64MB)", "swiotlb", 64 << 20),
        ("software IO TLB [mem 0xa8000000-0xabffffff] (64MB) mapped at [ffff8800a8000000-ffff8800abffffff]",
         "swiotlb", 64 << 20),
        ("Placing 64MB software IO TLB between ffff880020000000 - ffff880024000000", "swiotlb", 64 << 20),
        ("software IO TLB: area num 1.", "swiotlb", None),
        ("Memory: 204168K/1572860K available (14343K kernel code, 684152K reserved, 0K cma-reserved)",
         "memory_reserved", 684152),
        ("Memory: 923840k/12582912k available (5821k kernel code, 3145752k absent, 684328k reserved)",
         "memory_reserved", 684328),
        ("Memory: 923840k/12582912k available (5821k kernel code, 3145752k absent, 684328k reserved)",
         "memory_absent", 3145752),
    ],
)  # fmt: skip
def test_one_line(line, fact, value):
    assert getattr(printed(line), fact) == value


def test_equal_counts_of_two_ranges_both_count():
    line = "On node 0, zone DMA32: 1 pages in unavailable ranges\n"
    assert read_log(f"[ 0.1] {line}[ 0.2] {line}").printed.unavailable == (1, 1)


def test_the_map_behind_mem_is_kept_apart():
    text = (
        "[    0.000000] Xen: [mem 0x0000000000100000-0x000000003fffffff] usable\n"
        "[    0.000000] e820: user-defined physical RAM map:\n"
        "[    0.000000] user: [mem 0x0000000000100000-0x0000000031ffffff] usable\n"
    )
    log = read_log(text)
    assert [e.end for e in log.user_map] == [0x32000000]
    assert [e.end for e in log.linux_map] == [0x40000000]
