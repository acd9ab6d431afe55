"""Boots on runs against the slow twin, on any map; and the twin against the kernels' own code."""

import json
import lzma
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from twin import Twin
from xenp2m.boot.g3 import boot
from xenp2m.e820 import Entry, has_whole_page
from xenp2m.extents import Run, coalesce
from xenp2m.frames import Kind
from xenp2m.host import UNLIMITED, Host
from xenp2m.hostrow import host_of_row
from xenp2m.kernel import Release, Version
from xenp2m.plan import make_plan
from xenp2m.views.answer import answer

VECTORS = Path(__file__).parent / "vectors"
PAGE = 4096
TYPES = (1, 1, 1, 1, 1, 2, 2, 3, 4, 4, 5, 7, 12, 20)
VERSIONS = ((4, 3), (4, 14), (4, 15), (4, 19, 9), (4, 19, 10), (5, 10), (5, 10, 21), (5, 10, 67), (6, 1), (6, 6, 54),
            (6, 12), (6, 12, 92), (7, 0), (7, 1), (7, 3))  # fmt: skip


# ---- what is compared


def seen_by_twin(twin: Twin) -> dict:
    """What a boot comes to, in plain values; where the kernel stops, what it had until then."""
    seen = {"bug": twin.bug, "relocations": twin.relocations, "swaps": twin.swaps}
    if twin.bug is None or twin.bug[1] == 4:
        seen |= {"e820": twin.e820, "dropped": twin.dropped, "extra_early": twin.extra_early,
                 "moves": twin.moved, "released": twin.released, "freed": twin.freed}  # fmt: skip
    if twin.bug is None:
        seen |= {"extra": twin.extra, "remapped": twin.remapped, "p2m_size": twin.size, "runs": twin.runs(),
                 "shared_max_pfn": twin.last_pfn, "alloc_p2m_pages": twin.pages,
                 "extra_lost": twin.extra_lost}  # fmt: skip
    return seen


def seen_by_boot(host: Host) -> dict:
    layout = boot(host)
    bug = layout.bug and (layout.bug.code, layout.bug.phase, layout.bug.console)
    seen = {
        "bug": bug,
        "relocations": [tuple(r) for r in layout.relocations],
        "swaps": [tuple(s) for s in layout.swaps],
    }
    if bug is None or bug[1] == 4:
        moves = [(m.source + i, m.target + i) for m in layout.moves for i in range(m.size)]
        seen |= {"e820": layout.e820, "dropped": layout.dropped, "extra_early": layout.extra_early,
                 "moves": moves, "released": layout.released,
                 "freed": [pfn for start, end in layout.freed for pfn in range(start, end)]}  # fmt: skip
    if bug is None:
        runs = [(r.start, r.end, str(r.kind), r.mfn, r.step) for r in layout.runs]
        assert layout.runs == coalesce(layout.runs)
        seen |= {"extra": layout.extra, "remapped": layout.remapped, "p2m_size": layout.p2m_size, "runs": runs,
                 "shared_max_pfn": layout.shared_max_pfn, "alloc_p2m_pages": layout.alloc_p2m_pages,
                 "extra_lost": layout.extra_lost}  # fmt: skip
    return seen


# ---- any host

SPANS = (8, 40, 300, 600, 1200, 5000, 16384)
"""About how many pages a map covers."""
OFFSETS = (0, 0, 0, 0, 0, 0, 1, 0x400, 0x48F, 0x490, 0xC00, 0xFFF)
SHIFTS = (0, 0, 0, 1 << 30, (4 << 30) - (1 << 20))
TINY = (0, 1, 0x200, 0xFFF, PAGE, 2 * PAGE)

offsets = st.sampled_from(OFFSETS)
pfns = st.integers(0, max(SPANS))
"""Cut to the span of the host by taking the remainder: strategies made once draw much faster."""
rarely = st.sampled_from((None, None, None, True))
entry_draws = st.tuples(
    st.sampled_from(TYPES),
    st.sampled_from(("anywhere", "anywhere", "anywhere", "adjacent", "apart", "tiny")),
    pfns,
    offsets,
    pfns,
    offsets,
    st.sampled_from(TINY),
    st.integers(0, 99),
)
place_draws = st.tuples(rarely, st.booleans(), st.integers(0, 9), pfns, offsets, st.integers(0, 9), offsets)
release_draws = st.tuples(
    st.sampled_from(VERSIONS),
    st.booleans(),
    st.sampled_from(("discard", "unusable")),
    st.sampled_from(("conflict", "swap", "swap-offset-fault")),
    st.sampled_from(("next", "first")),
    st.sampled_from(("early", "late")),
    st.sampled_from(("page", "entry")),
    st.sampled_from(("fails", "bugs")),
    st.sampled_from((8, 10, 12, 20, 128, 128, 3200, 3200)),
)


def make_map(span, shift, low, draws):
    """Entries in any order: unaligned, nested, adjacent, tiny, overlapping, empty."""
    entries = [(50, Entry(0, (1 + low % span) * PAGE, 1))] if low else []
    last = 0
    for kind, how, start, offset, size, more, tiny, order in draws:
        if how == "adjacent":
            start = last
        elif how == "apart":
            start = last + offset
        else:
            start = start % (span + 1) * PAGE + offset
            start += shift if start > 1 << 20 else 0
        size = tiny if how == "tiny" else (1 + size % (4 if kind == 4 else span)) * PAGE + more
        last = start + size
        entries.append((order, Entry(start, last, kind)))
    return tuple(entry for _, entry in sorted(entries))


def make_release(version, varied, leftover, nvs, nvs_scan, checks, list_end, beyond, e820_entries, given):
    """Any rules that go together. Xen refuses to fill a table that is too small for what it has."""
    release = replace(Release.of(Version(*version)), e820_entries=max(e820_entries, given + 1))
    if not varied:
        return release
    if nvs != "conflict":
        checks, list_end = "early", "page"  # No kernel swaps without these.
    return replace(
        release,
        leftover=leftover,
        nvs=nvs,
        nvs_scan=nvs_scan,
        checks=checks,
        list_end=list_end,
        beyond=beyond,
    )


def make_area(span, entries, draw):
    """An object near an entry's start or anywhere, or none: ``(start, end)``."""
    exists, near, which, pfn, part, pages, more = draw
    if not exists:
        return None
    start = pfn % (span + 1) * PAGE
    if near and entries:
        liked = [entry for entry in entries if entry.type == 4] or entries
        start = max(0, liked[which % len(liked)].start // PAGE + pfn % 5 - 2) * PAGE
    return start + part, start + part + pages * PAGE + more


def lies_apart(frames, nr_pages, others):
    """Whether the builder could put its list there: once moved, nothing else is given free with it."""
    start, end = frames[0] * PAGE, sum(frames) * PAGE
    rest = [(low, -(-high // PAGE) * PAGE) for low, high in filter(None, others)]
    return sum(frames) <= nr_pages and all(end <= low or high <= start for low, high in [(0, 0x10000), *rest])


def make_host(span, shift, low, draws, nr, kind, most, near, mfns, release, places, limit_gb, yes):
    nr_pages = 1 + nr % span
    entries = make_map(span, shift, low, draws)
    kernel, start_info, pt, initrd, frames = (make_area(span, entries, place) for place in places)
    start_info = start_info and (start_info[0] // PAGE * PAGE, start_info[0] // PAGE * PAGE + PAGE)
    frames = frames and (frames[0] // PAGE, (frames[1] - frames[0]) // PAGE)
    if frames and not lies_apart(frames, nr_pages, (kernel, start_info, pt, initrd)):
        frames = None
    max_res = {"fails": None, "unlimited": UNLIMITED, "near": nr_pages + near, "any": near * span // 8}.get(
        most, most
    )
    return Host(
        release=make_release(*release, len(entries)),
        nr_pages=nr_pages,
        e820=None if kind == "domU without a map" else entries,
        dom=kind[:4],
        max_res=max_res,
        mfn_base=mfns[0],
        mfn_desc=mfns[1],
        p2m_limit_gb=limit_gb,
        ibft=yes[0] and yes[1],
        kernel=kernel,
        start_info=start_info and start_info[0],
        pt=pt,
        initrd=initrd,
        p2m_frames=frames,
        virt_p2m_4tools=yes[2],
    )


hosts = st.builds(
    make_host,
    st.sampled_from(SPANS),
    st.sampled_from(SHIFTS),
    pfns,
    st.lists(entry_draws, min_size=1, max_size=9),
    pfns,
    st.sampled_from(("dom0", "dom0", "dom0", "dom0", "domU", "domU without a map")),
    st.sampled_from(("fails", "unlimited", "near", "any", "any", 0, 1, -5)),
    st.integers(-3, 40),
    st.tuples(st.sampled_from((1 << 20, 1 << 20, 0, 1, 1 << 40)), st.booleans()),
    release_draws,
    st.tuples(*[place_draws] * 5),
    st.integers(0, 2),
    st.tuples(*[st.booleans()] * 3),
)


def makes_sense(twin: Twin) -> bool:
    """Whether every RAM entry holds a whole page; the kernels' answer to others is a negative size."""
    return all(has_whole_page(entry) for entry in [*twin.host_map, *twin.table] if entry.type == 1)


# ---- the twin against the kernels' own code


def rows_that_fit(name, most):
    with lzma.open(VECTORS / name, "rt") as file:
        rows = [json.loads(line) for line in file]
    return [row for row in rows if row["in"]["nr_pages"] <= most]


def answer_of_twin(twin):
    """The fields of a row, as far as the kernel came."""
    told = {"bug": twin.bug[0], "phase": twin.bug[1]} if twin.bug else {}
    for what, _, target, size in twin.relocations:
        told[f"{what}_moved"] = [target, size // PAGE] if what == "p2m" else target
    if twin.e820 is not None:
        told |= {"e820": [list(e) for e in twin.e820], "extra_early": in_bytes(twin.extra_early)}
    if not twin.bug:
        runs = [Run(start, end, Kind(kind), mfn, step) for start, end, kind, mfn, step in twin.runs()]
        told |= {"extra": in_bytes(twin.extra), "released": twin.released, "freed": joined(twin.freed),
                   "p2m": [run.listed() for run in runs], "p2m_end": twin.size, "p2m_size": twin.size,
                   "shared_max_pfn": twin.last_pfn, "alloc_p2m_pages": twin.pages}  # fmt: skip
    return told


def in_bytes(frames):
    return [[start * PAGE, end * PAGE] for start, end in frames]


def joined(pfns):
    found = []
    for pfn in pfns:
        if found and found[-1][1] == pfn:
            found[-1][1] += 1
        else:
            found.append([pfn, pfn + 1])
    return found


@pytest.mark.parametrize(
    ("name", "rows"), [("setup-5.10.jsonl.xz", 40), ("setup-6.1.jsonl.xz", 40), ("setup-7.0.jsonl.xz", 62)]
)
def test_the_twin_answers_as_the_kernel_did(name, rows):
    some = rows_that_fit(name, 33000)
    assert len(some) >= rows
    wrong = {}
    for row in some:
        twin = Twin(host_of_row(row, row["id"])).run()
        given, wanted = answer_of_twin(twin), row["out"]
        if fields := [
            f
            for f in {*given, "bug", "p2m_moved", "initrd_moved"}
            if f in wanted | given and given.get(f) != wanted.get(f)
        ]:
            wrong[row["id"]] = fields
        assert twin.dropped == wanted.get("e820_overflow", 0)
    assert not wrong


# ---- boot against the twin


def dom0(nr_pages, *entries, version=(6, 1), e820_entries=3200, **more):
    release = replace(Release.of(Version(*version)), e820_entries=e820_entries)
    e820 = tuple(Entry(start * PAGE + a, end * PAGE + b, kind) for start, a, end, b, kind in entries)
    return Host(release, nr_pages, e820, **{"p2m_limit_gb": 0, "max_res": nr_pages} | more)


def nvs(pfn):
    return (pfn, 0x10, pfn + 2, 0x20, 4)


ALL = (0, 0, 0x400, 0, 1)

NAMED = {
    "a PC": dom0(0x400, (0, 0, 0x9F, 0xC00, 1), (0xF0, 0, 0x100, 0, 2), (0x100, 0, 0x2000, 0, 1), max_res=0x800),
    "no room for the moved pages": dom0(0x400, (0, 0, 0x9F, 0xC00, 1), (0x100, 0, 0x410, 0, 1)),
    "an unaligned start where the extra memory ends": dom0(0x24, (0, 0, 0x24, 0, 1), (0x30, 0x400, 0x50, 0, 1), max_res=0x26),
    "an unaligned entry whose last part holds no page": dom0(
        0x24, (0, 0, 0x24, 0, 1), (0x30, 0x400, 0x50, 0x800, 1), max_res=0x26
    ),
    "entries without a byte fill the table": dom0(
        0x24, (0, 0, 0x24, 0, 1), (0x30, 0x400, 0x80, 0, 1), (0x90, 0, 0x91, 0, 2), max_res=0x26, e820_entries=20
    ),
    "a region without a page starts where the moved pages end": dom0(
        0x10, (0, 0, 8, 0, 1), (0x20, 0x400, 0x29, 0, 1), max_res=9
    ),
    "a region without a page starts there after whole chunks": dom0(
        0x10, (0, 0, 8, 0, 1), (0x20, 0x400, 0x29, 0x400, 1), max_res=9
    ),
    "the map's last page is a part of one": dom0(0x40, (0, 0, 0x20, 0, 1), (0x20, 0, 0x30, 0x400, 2)),
    "sorting makes more entries than the table holds": dom0(
        0x200, (0, 0, 0x200, 0, 1), (0x210, 0, 0x220, 0, 2), (0x220, 0, 0x221, 0, 3), (0x222, 0, 0x223, 0, 4), e820_entries=5
    ),
    "the host's own map makes more entries than the table holds": dom0(
        0x200, (0, 0, 0x400, 0, 1), (0x210, 0, 0x220, 0, 2), (0x230, 0, 0x240, 0, 3), (0x250, 0, 0x450, 0, 4), e820_entries=5
    ),
    "nothing but empty entries": dom0(0x40, (8, 0, 8, 0, 1), (5, 0, 5, 0, 2)),
    "one empty entry": dom0(0x40, (8, 0, 8, 0, 2)),
    "no RAM": dom0(0x40, (0, 0, 0x80, 0, 2)),
    "an NVS entry under the image": dom0(
        0x200, ALL, nvs(0x110), version=(7, 1), kernel=(0x110000, 0x120000)
    ),
    "an NVS entry under the image, the faulty offset": dom0(
        0x200, ALL, nvs(0x110), version=(6, 12), kernel=(0x110000, 0x120000)
    ),
    "an NVS entry under the image, no swap": dom0(0x200, ALL, nvs(0x110), kernel=(0x110000, 0x120000)),
    "two NVS entries, the second is passed over": dom0(
        0x200, ALL, nvs(0x110), nvs(0x118), version=(6, 12, 92), kernel=(0x110000, 0x120000)
    ),
    "two NVS entries": dom0(0x200, ALL, nvs(0x110), nvs(0x118), version=(7, 1), kernel=(0x110000, 0x120000)),
    "four NVS entries": dom0(
        0x200, ALL, *map(nvs, range(0x110, 0x120, 4)), version=(7, 1), kernel=(0x110000, 0x120000)
    ),
    "five NVS entries": dom0(
        0x200, ALL, *map(nvs, range(0x110, 0x124, 4)), version=(7, 1), kernel=(0x110000, 0x124000)
    ),
    "room for an NVS entry just above the first pages": dom0(
        0x200, (0, 0, 0x203, 0, 1), nvs(0x110), version=(7, 1), kernel=(0x110000, 0x120000), p2m_limit_gb=2
    ),
    "an NVS entry, and RAM that ends within a page": dom0(
        0x200, (0, 0, 0x400, 0x800, 1), nvs(0x110), version=(7, 1), kernel=(0x110000, 0x120000)
    ),
    "no room for an NVS entry": dom0(
        0x200, (0, 0, 0x202, 0, 1), nvs(0x110), version=(7, 1), kernel=(0x110000, 0x120000)
    ),
    "an NVS entry goes past the list": dom0(
        0x200, (0, 0, 0x200, 0, 1), (0x50000, 0, 0x50100, 0, 1), nvs(0x110), version=(7, 1), kernel=(0x110000, 0x120000),
        max_res=0x10
    ),
    "start info at the very end of RAM": dom0(0x200, (0, 0, 0x120, 0x490, 1), version=(6, 12), start_info=0x120000),
    "start info a byte too far": dom0(0x200, (0, 0, 0x120, 0x48F, 1), version=(6, 12), start_info=0x120000),
    "start info is not looked at": dom0(0x200, (0, 0, 0x120, 0x48F, 1), start_info=0x120000),
    "moved pages without extra memory, the end at an entry": dom0(
        0x900, (0, 0, 0x200, 0, 1), (0x900, 0, 0x2000, 0, 1), version=(5, 10), max_res=0x10
    ),
    "moved pages without extra memory, the end at a page": dom0(
        0x900, (0, 0, 0x200, 0, 1), (0x900, 0, 0x2000, 0, 1), max_res=0x10
    ),
    "moved pages start where the list ended": dom0(
        0x800, (0, 0, 0x200, 0, 1), (0x400, 0, 0x4000, 0, 1), max_res=0x10
    ),
    "moved pages start where the list ended, the end at an entry": dom0(
        0x800, (0, 0, 0x200, 0, 1), (0x400, 0, 0x4000, 0, 1), max_res=0x10, version=(5, 10)
    ),
    "moved pages in another GiB": dom0(
        0x400, (0, 0, 0x200, 0, 1), (0x40000, 0, 0x41000, 0, 1), max_res=0x10, p2m_limit_gb=2
    ),
    "moved pages in another GiB, no tree for tools": dom0(
        0x400, (0, 0, 0x200, 0, 1), (0x40000, 0, 0x41000, 0, 1), max_res=0x10, p2m_limit_gb=2, virt_p2m_4tools=True
    ),
    "moved pages past the list": dom0(0x400, (0, 0, 0x200, 0, 1), (0x40000, 0, 0x41000, 0, 1), max_res=0x10),
    "moved pages past the list, an older kernel": dom0(
        0x400, (0, 0, 0x200, 0, 1), (0x40000, 0, 0x41000, 0, 1), max_res=0x10, version=(5, 10)
    ),
    "a list and an initrd in the way": dom0(
        0x300, (0, 0, 0x180, 0, 1), (0x200, 0, 0x400, 0, 1), p2m_frames=(0x190, 2), initrd=(0x1A0000, 0x1A4321)
    ),
    "more holes than regions": dom0(
        0x100, (0, 0, 0x100, 0, 1), *((0x200 + 4 * i, 0, 0x202 + 4 * i, 0, 1) for i in range(140)), max_res=0x400
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", NAMED)
def test_named_hosts(name):
    host = NAMED[name]
    assert seen_by_boot(host) == seen_by_twin(Twin(host).run())


def test_named_hosts_go_every_way():
    twins = {name: Twin(host).run() for name, host in NAMED.items()}
    assert {len(twin.swaps) for twin in twins.values()} == {0, 1, 2, 4}
    bugs = {twin.bug[0] for twin in twins.values() if twin.bug}
    assert bugs == {
        "console",
        "extra-region-smaller-than-remapped",
        "nonram-swap-not-page-aligned",
        "nonram-swap-target-beyond-p2m",
        "remap-p2m-update-failed",
        "store-beyond-p2m-end",
    }
    assert {relocation[0] for twin in twins.values() for relocation in twin.relocations} == {"p2m", "initrd"}
    assert max(twin.extra_lost for twin in twins.values()) > 0


@settings(max_examples=500, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(hosts)
def test_boot_equals_its_twin(host):
    seen = seen_by_boot(host)
    twin = Twin(host).run()
    if makes_sense(twin):
        assert seen == seen_by_twin(twin)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(hosts)
def test_any_host_has_an_answer(host):
    plan = make_plan(host)
    told = json.loads(json.dumps(answer(plan, "x")))
    assert told["outcome"] in ("boots", "unsettled", "crashes", "halts")
    assert (plan.layout.bug is not None) == ("bug" in told)
    ends = [stretch.end for stretch in plan.stretches]
    assert ends == sorted(ends)
    if plan.layout.runs is not None:
        assert [plan.stretches[0].start, ends[-1]] == [0, plan.layout.p2m_size]
