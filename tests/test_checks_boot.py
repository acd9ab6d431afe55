"""Every finding of a boot: a host that has it, and its nearest neighbour that does not."""

from dataclasses import replace
from pathlib import Path

import pytest

from hosts import GIB, MIB, NVS, PC, RAM, RESERVED, Entry, pc, with_range
from judge import vector_rows
from xenp2m.boot.select import boot
from xenp2m.checks.stories import STORIES
from xenp2m.checks.stories.boot import BOOT
from xenp2m.checks.stories.faults import FAULTS
from xenp2m.checks.stories.frames import FRAMES
from xenp2m.checks.stories.older import OLDER
from xenp2m.e820 import UNUSABLE
from xenp2m.extents import intersect
from xenp2m.findings import Outcome, Severity
from xenp2m.frames import GEOMETRY_32, Kind
from xenp2m.hostrow import host_of_row
from xenp2m.kernel import Release, Version
from xenp2m.plan import make_plan
from xenp2m.views.plan_text import plan_lines

TESTS = Path(__file__).parent
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
NESTED = (*PC[:3], Entry(0x100000, 0x80000000, RAM), Entry(0x60000000, 0x60001000, RESERVED), PC[5])
EVEN = (Entry(0, 0x9F000, RAM), Entry(0x9F000, 0xA0000, RESERVED), *PC[2:])
SHIFTED = (
    *PC[:3],
    Entry(0x100000, 0x40000000, RAM),
    Entry(0x40000000, 0x48001000, RESERVED),
    Entry(0x48001000, 0x80000000, RAM),
)
UNALIGNED_FILL = replace(Release.of(Version(4, 2)), fill="unaligned")
TBOOT = with_range(8 * MIB, 9 * MIB, UNUSABLE)
PIECE = (
    *PC[:3],
    Entry(0x100000, 0x20000000, RAM),
    Entry(0x20001400, 0x20001C00, RAM),
    Entry(0x20004000, 0x7FFDC000, RAM),
)

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
    ("extra-contiguous", pc("2.6.39", extra="contiguous"), pc("2.6.39", extra="contiguous", max_res=GIB >> 12)),
    ("identity-over-extra", pc("2.6.39", **THREAD, rules="seed"), pc("2.6.39", **THREAD)),
    ("extra-over-hole", pc("2.6.39", e820=SPLIT_RAM, geometry=GEOMETRY_32), pc("3.2", e820=SPLIT_RAM, geometry=GEOMETRY_32)),
    ("brk-exceeded", pc("2.6.39", e820=FAR, geometry=GEOMETRY_32), pc("3.18", e820=FAR, geometry=GEOMETRY_32)),
    ("max-below-allocation", pc(max_res=0x3FFFF), pc(max_res=0x40000)),
    ("frames-lost", pc(e820=SMALL, nr_pages=0x40001), pc(e820=SMALL)),
    ("allocation-too-small", pc(nr_pages=0x49FF, max_res=0x4A00, kernel=(16 * MIB, 74 * MIB)), pc(nr_pages=0x4A00, max_res=0x4A00, kernel=(16 * MIB, 74 * MIB))),
    ("frames-out-of-reach", pc("2.6.39", e820=with_range(512 * MIB, 513 * MIB)), pc("2.6.39", e820=with_range(1024 * MIB, 1025 * MIB))),
    ("remap-target-missed", pc("3.18", nr_pages=0x7FFDC, max_res=0x90000), pc("3.18", nr_pages=0x7FF00, max_res=0x90000)),
    ("remapped-out-of-map", pc("4.2", max_res=0x40000), pc("4.2", max_res=0x40000 + 97)),
    ("map-entries-lost", pc("3.6", e820=NESTED), pc("2.6.39", e820=NESTED)),
    ("page-in-two-holes", pc("3.6", e820=TINY, nr_pages=0x58000), pc("3.6", e820=TINY)),
    ("frames-populated", pc("3.6"), pc("3.18")),
    ("extra-partial-page", pc("3.6", e820=UNALIGNED, max_res=0x58000), pc("3.6", max_res=0x58000)),
    ("partial-page-not-identity", pc("2.6.39"), pc("2.6.39", e820=EVEN)),
    ("identity-refused", pc("3.12", e820=FAR), pc("3.12", e820=(*PC, Entry(0x7E00000000, 0x7F00000000, RESERVED)))),
    ("identity-shifted", pc("4.2", e820=SHIFTED, release=UNALIGNED_FILL), pc("4.2", e820=SHIFTED)),
    ("unusable-mapped", pc("3.10", e820=TBOOT), pc("3.10", e820=with_range(1025 * MIB, 1026 * MIB, UNUSABLE))),
    ("ram-looks-like-hole", pc("2.6.39", dom="domU"), pc("2.6.39", dom="domU", nr_pages=0x7FFDC)),
    ("max-ignored", pc("3.0.3"), pc("3.0.4")),
    ("max-wraps", pc("4.2", max_res=1 << 31), pc("4.2", max_res=(1 << 31) - 1)),
    ("extra-below-4g", pc("2.6.39", extra="contiguous"), pc("2.6.39")),
    ("extra-over-holes", pc("2.6.39", extra="contiguous", max_res=0x7FFDD), pc("2.6.39", extra="contiguous", max_res=0x7FFDC)),
    ("p2m-too-short", pc("5.10.20", p2m_limit_gb=0), pc("5.10.21", p2m_limit_gb=0)),
    ("balloon-underflow", pc("7.0", max_res=0x80000), pc("7.0", max_res=0x7FFFF)),
    ("objects-unchecked", pc("3.12", e820=with_range(64 * MIB, 65 * MIB), **IMAGE), pc("3.12", e820=with_range(76 * MIB, 77 * MIB), **IMAGE)),
    ("ram-is-identity", pc(nr_pages=100, e820=MANY), pc(nr_pages=100, e820=MANY[:150])),
    ("ram-without-frame", pc("2.6.39", e820=PIECE), pc("2.6.39", e820=(*PIECE[:4], PIECE[5]))),
    ("mfn-equals-pfn", pc(mfn_base=0), pc(mfn_base=1)),
    ("identity-leaf-store", pc("3.18"), pc("3.19")),
    ("missing-mid-scribbled", pc("3.15"), pc("3.16")),
    ("identity-edge-not-split", pc("3.18"), pc("3.19")),
    ("extra-end-off-by-one", pc("3.1"), pc("3.2")),
    ("compat-page-tables", pc("3.6", geometry=GEOMETRY_32), pc("3.7", geometry=GEOMETRY_32)),
    ("m2p-range-check", pc("3.0"), pc("3.1")),
    ("m2p-of-identity", pc("2.6.39", rules="seed"), pc("2.6.39")),
    ("tools-tree-race", pc("3.17"), pc("3.18")),
    ("tools-tree-revector", pc("3.7"), pc("3.6")),
    ("last-leaf-unseen", pc("5.10.66"), pc("5.10.67")),
    ("foreign-map-status", pc("5.11"), pc("5.11.1")),
    ("hole-mapped-cacheable", pc("5.10"), pc("5.11")),
    ("mem-below-allocation", pc(mem_limit=GIB), pc(mem_limit=GIB + (97 << 12))),
]  # fmt: skip


@pytest.mark.parametrize(("code", "host", "neighbour"), CASES, ids=[case[0] for case in CASES])
def test_finding_and_near_miss(code, host, neighbour):
    assert code in {f.code for f in make_plan(host).findings}
    assert code not in {f.code for f in make_plan(neighbour).findings}


def test_every_code_of_a_boot_has_a_case():
    told = {story.code for story in (*BOOT, *OLDER, *FRAMES, *FAULTS)}
    assert {case[0] for case in CASES} == told
    assert len(CASES) == len(told)


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


def test_extra_memory_never_holds_a_frame():
    """A rule with no breach in any era; the vectors hold every kind of map."""
    for path in (TESTS / "vectors").glob("setup-*.jsonl.xz"):
        for row in vector_rows(path)[::3]:
            layout = boot(host_of_row(row, "row"))
            held = [(run.start, run.end) for run in layout.runs or () if run.kind is Kind.MFN]
            assert not intersect(layout.extra or (), held) or layout.bug, row["id"]


def test_faults_of_a_kernel_are_notes_and_the_same_on_every_host():
    small, large = make_plan(pc("3.12")), make_plan(pc("3.12", e820=FAR))
    faults = [{f.code for f in plan.findings if f.story.about == "kernel"} for plan in (small, large)]
    assert faults[0] == faults[1] != set()
    assert {story.severity for story in FAULTS} == {Severity.NOTE}
    assert {story.about for story in FAULTS} == {"kernel"}


@pytest.mark.parametrize("story", [*BOOT, *FRAMES, *FAULTS], ids=lambda story: story.code)
def test_stories_of_boots_say_when_and_since_when_not(story):
    assert story.trigger
    assert story.fixed or story.severity is Severity.NOTE


def test_a_plan_names_faults_of_the_kernel_in_one_line_only():
    plan = make_plan(pc("3.12"))
    brief = "\n".join(plan_lines(plan, "title"))
    whole = "\n".join(plan_lines(plan, "title", verbose=True))
    assert "6 notes on Linux 3.12 itself" in brief
    assert "tools-tree-race" not in brief
    assert "tools-tree-race" in whole
