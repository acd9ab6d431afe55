"""Every finding of a boot: a host that has it, and its nearest neighbour that does not."""

import pytest

from hosts import GIB, MIB, NVS, PC, RAM, RESERVED, Entry, pc, with_range
from xenp2m.checks.stories import STORIES
from xenp2m.findings import Outcome, Severity
from xenp2m.frames import GEOMETRY_32
from xenp2m.plan import make_plan

IMAGE = {"kernel": (16 * MIB, 74 * MIB), "start_info": 74 * MIB, "pt": (74 * MIB + 4096, 75 * MIB)}
LIST = {"initrd": (128 * MIB, 130 * MIB), "p2m_frames": (0x8200, 514)}
NVS_MAP = with_range(32 * MIB, 32 * MIB + 0x10000, NVS)
NVS_ODD = with_range(32 * MIB + 0x400, 32 * MIB + 0x10000, NVS)
UNALIGNED = with_range(0x50000000, 0x50000400)
ODD_END = (
    *PC[:3],
    Entry(0x100000, 32 * MIB, RAM),
    Entry(32 * MIB, 33 * MIB, NVS),
    Entry(33 * MIB, 0x60000400, RAM),
)
TINY = (
    *PC[:3],
    Entry(0x100000, 0x50000000, RAM),
    Entry(0x50001400, 0x50001C00, RAM),
    Entry(0x50004000, 0x7FFDC000, RAM),
)
SMALL = (*PC[:3], Entry(0x100000, 0x40000000, RAM))
MANY = tuple(Entry(i * 0x4000, i * 0x4000 + 0x2000, RAM) for i in range(160))
TIGHT = (*PC[:3], Entry(0x100000, 0x8200000, RAM), Entry(0x8201000, 0x8300000, RAM))
WIDE = (*PC[:3], Entry(0x100000, 256 * MIB, RAM), Entry(0x70000000, 0x100000000, RAM))
HALF = {"nr_pages": 0x20000, "max_res": 0x20000}
RAM_AT = (
    *PC[:2],
    Entry(0xF0000, 0x100400, RESERVED),
    Entry(0x100400, 0x8000000, RAM),
    Entry(0x9000000, 0x7FFDC000, RAM),
)

THREAD = {"e820": (*PC[:3], Entry(0x100000, 2364 * MIB, RAM), Entry(2364 * MIB, 2600 * MIB, RESERVED)),
          "nr_pages": 1024 * MIB >> 12, "max_res": 2364 * MIB >> 12, "extra": "contiguous"}  # fmt: skip
FAR = (*PC, Entry(0xFD00000000, 0x10000000000, RESERVED))

SPLIT_RAM = (Entry(0, 0x9F000, RAM), Entry(0x100000, 0x60000000, RAM), Entry(0x80000000, 0xC0000000, RAM))
"""RAM behind a hole: a 32-bit 2.6.39 with 1 GiB puts extra memory over the hole."""

CASES = [
    # code, a host that has the finding, its neighbour that does not
    ("frames-remapped", pc(), pc(e820=None, dom="domU")),
    ("ibft-window", pc("6.12", ibft=True), pc("6.12")),
    ("ram-not-given", pc(), pc(nr_pages=2 * GIB >> 12, max_res=4 * GIB >> 12)),
    ("leftover-unusable", pc("4.19.9"), pc("4.19.10")),
    ("p2m-relocated", pc(e820=with_range(0x8200000, 0x8201000), **IMAGE, **LIST), pc(**IMAGE, **LIST)),
    ("initrd-relocated", pc(e820=with_range(128 * MIB, 129 * MIB), **IMAGE, **LIST), pc(**IMAGE, **LIST)),
    ("nvs-swapped", pc("6.12.107", e820=NVS_MAP, **IMAGE), pc("6.12.107", e820=NVS_MAP)),
    ("extra-capped", pc(nr_pages=64 * MIB >> 12, max_res=704 * MIB >> 12), pc(nr_pages=64 * MIB >> 12, max_res=0x2BF9F)),
    ("pages-released", pc(e820=SMALL), pc(e820=(*SMALL, Entry(0x40000000, 0x40061000, RAM)))),
    ("extra-regions-full", pc(nr_pages=100, e820=MANY), pc(nr_pages=100, e820=MANY[:150])),
    ("nvs-offset-fault", pc("6.12.91", e820=NVS_ODD, **IMAGE), pc("6.12.92", e820=NVS_ODD, **IMAGE)),
    ("extra-page-stray", pc(e820=(*UNALIGNED[:-1], Entry(0x50020400, 0x50040000, RESERVED), PC[-1]), max_res=0x50010 - 0x61), pc(e820=UNALIGNED, max_res=0x4FF00)),
    ("image-conflict", pc(e820=with_range(64 * MIB, 64 * MIB + 4096), **IMAGE), pc(e820=with_range(76 * MIB, 77 * MIB), **IMAGE)),
    ("no-free-area", pc(e820=TIGHT, kernel=(MIB, 130 * MIB), p2m_frames=(0x8200, 514)), pc(e820=TIGHT, kernel=(MIB, 100 * MIB), p2m_frames=(0x8200, 514))),
    ("nvs-no-room", pc("6.12", e820=NVS_MAP[:-1], nr_pages=0x7FFD0, max_res=0x7FFD0, **IMAGE), pc("6.12", e820=NVS_MAP, **IMAGE)),
    ("nvs-unaligned", pc("6.12", e820=ODD_END, **IMAGE), pc("6.12", e820=(*ODD_END[:-1], Entry(33 * MIB, 0x60000000, RAM)), **IMAGE)),
    ("nvs-beyond-p2m", pc("6.12", e820=NVS_MAP, p2m_limit_gb=0, **HALF, **IMAGE), pc("6.12", e820=NVS_MAP, p2m_limit_gb=2, **HALF, **IMAGE)),
    ("map-overflow", pc(e820=UNALIGNED, max_res=0x58000), pc(e820=UNALIGNED, max_res=0x4FF00)),
    ("extra-too-small", pc(e820=UNALIGNED, nr_pages=0x4FFD8, max_res=0x4FFD8), pc(e820=UNALIGNED, nr_pages=0x4FFD8, max_res=0x50800)),
    ("remap-beyond-p2m", pc(nr_pages=0x80000, max_res=0x40000, e820=WIDE, p2m_limit_gb=0), pc(nr_pages=0x80000, max_res=0x80000, e820=WIDE, p2m_limit_gb=0)),
    ("ram-without-page", pc(e820=TINY), pc(e820=TINY, max_res=GIB >> 12)),
    ("relocation-unaligned", pc(e820=RAM_AT, **IMAGE, **LIST), pc(e820=(*PC[:3], Entry(0x100000, 0x8000000, RAM), RAM_AT[-1]), **IMAGE, **LIST)),
    ("extra-beyond-tree", pc("2.6.39", e820=(*PC, Entry(0xFD00000000, 1 << 40, RESERVED))), pc("2.6.39")),
    ("extra-contiguous", pc("2.6.39", extra="contiguous"), pc("2.6.39")),
    ("identity-over-extra", pc("2.6.39", **THREAD, rules="seed"), pc("2.6.39", **THREAD)),
    ("extra-over-hole", pc("2.6.39", e820=SPLIT_RAM, geometry=GEOMETRY_32), pc("3.2", e820=SPLIT_RAM, geometry=GEOMETRY_32)),
    ("brk-exceeded", pc("2.6.39", e820=FAR, geometry=GEOMETRY_32), pc("3.18", e820=FAR, geometry=GEOMETRY_32)),
    ("max-below-allocation", pc(max_res=0x3FFFF), pc(max_res=0x40000)),
    ("frames-lost", pc(e820=SMALL, nr_pages=0x40001), pc(e820=SMALL)),
    ("allocation-too-small", pc(nr_pages=0x49FF, max_res=0x4A00, kernel=(16 * MIB, 74 * MIB)), pc(nr_pages=0x4A00, max_res=0x4A00, kernel=(16 * MIB, 74 * MIB))),
    ("mem-below-allocation", pc(mem_limit=GIB), pc(mem_limit=GIB + (97 << 12))),
]  # fmt: skip


@pytest.mark.parametrize(("code", "host", "neighbour"), CASES, ids=[case[0] for case in CASES])
def test_finding_and_near_miss(code, host, neighbour):
    assert code in {f.code for f in make_plan(host).findings}
    assert code not in {f.code for f in make_plan(neighbour).findings}


def test_every_code_has_a_case():
    assert {case[0] for case in CASES} == set(STORIES)


@pytest.mark.parametrize(("code", "host"), [case[:2] for case in CASES], ids=[case[0] for case in CASES])
def test_an_error_ends_the_boot_and_nothing_else_does(code, host):
    plan = make_plan(host)
    errors = [f for f in plan.findings if f.severity is Severity.ERROR]
    assert all(f.outcome is Outcome.BOOTS for f in plan.findings if f not in errors)
    assert (plan.outcome is not Outcome.BOOTS) == any(f.outcome is not Outcome.BOOTS for f in errors)
    assert plan.findings == sorted(plan.findings, key=lambda f: -f.severity)


@pytest.mark.parametrize(
    ("version", "outcome"),
    [
        ("6.1", "boots"),
        ("6.12.107", "crashes"),
        ("5.10.223", "crashes"),
        ("7.3.4", "crashes"),
        ("6.6", "unsettled"),
    ],
)
def test_overflow_ends_as_it_was_seen_to_end(version, outcome):
    assert str(make_plan(pc(version, e820=UNALIGNED, max_res=0x58000)).outcome) == outcome


@pytest.mark.parametrize(("what", "outcome"), [("p2m", Outcome.HALTS), ("initrd", Outcome.CRASHES)])
def test_unaligned_relocation_ends_as_it_was_seen_to_end(what, outcome):
    objects = LIST if what == "p2m" else {"initrd": LIST["initrd"]}
    assert make_plan(pc(e820=RAM_AT, **IMAGE, **objects)).outcome is outcome


def test_conflict_names_what_lies_there():
    (finding,) = [
        f
        for f in make_plan(pc(e820=with_range(64 * MIB, 65 * MIB, NVS), **IMAGE)).findings
        if f.severity is Severity.ERROR
    ]
    assert "kernel 0x1000000-0x49fffff meets ACPI NVS 0x4000000-0x40fffff" in finding.what
    (finding,) = [
        f
        for f in make_plan(pc("6.12", e820=with_range(74 * MIB, 75 * MIB), **IMAGE)).findings
        if f.severity is Severity.ERROR
    ]
    assert finding.what.startswith("start info")


@pytest.mark.parametrize("story", STORIES.values(), ids=list(STORIES))
def test_stories_are_whole(story):
    assert all((story.title, story.story, story.fix, story.source))
    assert story.story.endswith((".", '".'))
    assert story.fix.endswith(".")
    assert story.code == story.code.lower()


@pytest.mark.parametrize(
    ("version", "outcome"),
    [("5.10.223", "crashes"), ("6.1.176", "crashes"), ("6.12.107", "crashes"), ("7.2.13", "halts")],
)
def test_ram_without_a_page_ends_as_it_was_seen_to_end(version, outcome):
    assert str(make_plan(pc(version, e820=TINY)).outcome) == outcome


@pytest.mark.parametrize(
    ("version", "outcome"), [("5.10.223", "crashes"), ("6.1", "halts"), ("7.2.13", "halts")]
)
def test_mem_ends_as_it_was_seen_to_end(version, outcome):
    assert str(make_plan(pc(version, mem_limit=GIB)).outcome) == outcome
