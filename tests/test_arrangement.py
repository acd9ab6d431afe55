"""Where the builder put its objects, and what of it a log leaves open."""

import pytest

from consoles import HALTED, Q35, console
from xenp2m.arrangement import list_frames, objects_of_log, untold_objects
from xenp2m.logs.consolelog import read_log


@pytest.mark.parametrize(
    ("nr_pages", "frames"),
    [
        (262144, 514),  # one 2 MiB page, seen as first_p2m_pfn and nr_p2m_frames of a real boot
        (262144 * 2, 1026),
        (1 << 27, (1 << 18) + 1),  # 1 GiB of list: one 1 GiB page and its L3
        (262144 + 1, 512 + 1 + 3),  # a page more needs an L1
        (1, 4),
    ],
)
def test_list_frames(nr_pages, frames):
    assert list_frames(0x8000000000, nr_pages) == frames


@pytest.mark.parametrize(
    ("behind", "untold"),
    [
        ("Dom0 alloc.", "kernel, start info, page tables, ramdisk and P2M list"),
        ("Init. ramdisk", "kernel, start info, page tables, ramdisk and P2M list"),
        ("Loaded kernel", "start info, page tables and P2M list"),
        ("Phys-Mach map", "start info and page tables"),
        ("Start info", "page tables"),
        ("Page tables", ""),
    ],
)
@pytest.mark.parametrize("host", [Q35, HALTED])
def test_objects_that_a_cut_log_does_not_tell_of(host, behind, untold):
    lines = console(host).split("\n")
    last = next(n for n, line in enumerate(lines) if f"{behind}:" in line)
    log = read_log("\n".join(lines[: last + 1]) + "\n", "log")
    assert untold_objects(log, objects_of_log(log, 0x40000)) == untold


def test_no_ramdisk_where_the_log_goes_on_without_one():
    text = "\n".join(line for line in console(Q35).split("\n") if "Init. ramdisk" not in line)
    log = read_log(text, "log")
    assert untold_objects(log, objects_of_log(log, 0x40000)) == ""
    cut = read_log(text[: text.index("Phys-Mach map")], "log")
    assert untold_objects(cut, objects_of_log(cut, 0x40000)) == (
        "start info, page tables, ramdisk and P2M list"
    )
