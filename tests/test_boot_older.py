"""Boots of 2.6.39 to 4.2: the kernels' own answers, the thread's host, and moves frame by frame."""

import json
import lzma
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xenp2m.boot import g2r
from xenp2m.boot.layout import Move
from xenp2m.boot.overreach import over_reach
from xenp2m.boot.run_tree import Frames, RunTree
from xenp2m.boot.select import ERAS, boot
from xenp2m.e820 import Entry
from xenp2m.errors import InputError
from xenp2m.extents import intersect
from xenp2m.frames import GEOMETRY_32, GEOMETRY_64, Geometry, Kind
from xenp2m.host import Host
from xenp2m.kernel import Release, Version
from xenp2m.model.phys_to_machine import PhysToMachine
from xenp2m.model.rules import RULES
from xenp2m.model.shape import runs, shape
from xenp2m.plan import make_plan

VECTORS = Path(__file__).parent / "vectors"
FILES = ["2.6.39", "2.6.39-32", "3.6", "3.6-32", "3.12", "3.18", "3.18-32", "g3a"]
MIB = 1 << 20


def host_of(row):
    """The host of a row; g3a stands for 3.19 to 4.2, and the rows' tables are 320 and 131 long."""
    given, name = row["in"], row["kernel"]
    release = Release.of(Version.parse("4.1" if name == "g3a" else name))
    release = replace(release, e820_entries=320 if row["bits"] == 64 else 131)
    if given.get("variant") == "unaligned-identity-fill":
        release = replace(release, fill="unaligned")
    keys = ("nr_pages", "dom", "max_res", "mfn_base", "mfn_desc", "p2m_limit_gb")
    return Host(
        release=release,
        e820=None if given["e820"] is None else tuple(Entry(*e) for e in given["e820"]),
        geometry=GEOMETRY_64 if row["bits"] == 64 else GEOMETRY_32,
        **{key: given[key] for key in keys},
    )


def answer_of(layout):
    """The judged fields of a finished boot."""
    lists = {"e820": layout.e820, "extra_early": layout.extra_bytes_early}
    if layout.runs is not None:
        lists |= {"extra": layout.extra_bytes, "freed": layout.freed, "populated": layout.populated}
    out = {key: [list(item) for item in value] for key, value in lists.items()}
    if layout.runs is not None:
        out |= {"p2m": [r.listed() for r in layout.runs], "released": layout.released}
        out |= {"p2m_end": layout.p2m_end or layout.p2m_size, "shared_max_pfn": layout.shared_max_pfn}
    if layout.shape is not None:
        out |= {"struct": layout.shape, "brk_pages": layout.brk_pages}
    elif layout.runs is not None:
        out |= {"p2m_size": layout.p2m_size, "alloc_p2m_pages": layout.alloc_p2m_pages}
    if layout.bug is not None:
        out |= {"bug": layout.bug.code, "phase": layout.bug.phase}
    return out


INFORMATION = {"brk_budget_p2m", "bootmem_pages", "pte_pages"}


@pytest.mark.parametrize("name", FILES)
def test_every_row_agrees(name):
    wrong = {}
    with lzma.open(VECTORS / f"setup-{name}.jsonl.xz", "rt") as file:
        for line in file:
            row = json.loads(line)
            answer = answer_of(boot(host_of(row)))
            keys = set(row["out"]) - INFORMATION
            if bad := [k for k in keys | set(answer) if answer.get(k) != row["out"].get(k)]:
                wrong[row["id"]] = bad
    assert wrong == {}


@pytest.mark.parametrize(
    ("version", "era", "verified"),
    [("2.6.39", "g1", True), ("3.0", "g1-3.0", False), ("3.0.101", "g1-3.1", False), ("3.1", "g1-3.1", False), ("3.2", "g1b", False), ("3.4", "g1b", False),
     ("3.5", "g2", True), ("3.15", "g2", True), ("3.17", "g2-3.16", False), ("3.18", "g2r", True),
     ("3.19", "g3a", False), ("4.2", "g3a", False), ("4.3", "g3", True), ("7.3", "g3", True)],
)  # fmt: skip
def test_versions_find_their_era(version, era, verified):
    assert Release.of(Version.parse(version)).era == era
    assert ERAS[era].verified is verified


# --- the thread's host ----------------------------------------------------------------------------

THREAD_MAP = (Entry(0, 0x9F000, 1), Entry(0x100000, 2364 * MIB, 1), Entry(2364 * MIB, 2600 * MIB, 2),
              Entry(0xFEC00000, 0xFEC01000, 2))  # fmt: skip


def thread_host(version="2.6.39", **changes):
    """dom0_mem=1024M,max:2364M on a host with a hole from 2364 MiB."""
    release = Release.of(Version.parse(version))
    return Host(
        release=release, nr_pages=262144, e820=THREAD_MAP, max_res=605184, extra="contiguous", **changes
    )


@pytest.mark.parametrize("rules", ["seed", "seed-bit"])
def test_the_seed_breaks_the_threads_host(rules):
    found = over_reach(boot(thread_host(rules=rules)))
    assert found == ([(524288, 605184)], [], 524288, 262144)


@pytest.mark.parametrize(("geometry", "mib"), [(GEOMETRY_32, 1024), (GEOMETRY_64, 4096)], ids=["32", "64"])
@pytest.mark.parametrize("rules", [None, "seed-bit"])
def test_extra_memory_over_a_hole_is_told_from_over_reach(geometry, mib, rules):
    """RAM that is not given leaves no entry behind, so 2.6.39 puts extra memory over the hole before it."""
    ram = [(1, 3 * 1024), (3 * 1024 + 64, 3500), (6 * 1024 + 1, 8 * 1024)]
    ram = ram if mib == 4096 else [(1, 1500), (1501, 3000)]
    entries = (Entry(0, 0x9F000, 1), *(Entry(low * MIB, high * MIB, 1) for low, high in ram))
    host = Host(release=Release.of(Version(2, 6, 39)), nr_pages=1 << 18, e820=entries, geometry=geometry)
    found = over_reach(boot(replace(host, rules=rules)))
    hole = [(4096 << 8, 6145 << 8)] if mib == 4096 else [(1500 << 8, 1501 << 8)]
    hole = intersect(hole, boot(host).extra)
    assert found.asked == hole
    assert bool(found.identity) == (rules is not None)
    assert found.bug_pfn == min(start for start, _ in [*found.identity, *found.asked])
    reasons = {(part.start, part.end): part.why for part in make_plan(replace(host, rules=rules)).stretches}
    assert all("placed over this hole" in reasons[part] for part in found.asked)
    assert all("rounded out" in reasons[part] for part in found.identity)


@pytest.mark.parametrize("bits", [32, 64])
def test_where_late_3_0_and_3_1_put_extra_memory(bits):
    """Dom0 lifts it to 4 GiB on 32 bits too, and a domU never."""
    geometry = GEOMETRY_32 if bits == 32 else GEOMETRY_64
    entries = (Entry(0, 2048 * MIB, 1),)
    host = Host(release=Release.of(Version(2, 6, 39)), nr_pages=1 << 18, e820=entries, geometry=geometry)
    late = replace(host, release=Release.of(Version(3, 1)))
    starts = [boot(replace(h, dom=dom)).extra[0][0] for h in (host, late) for dom in ("dom0", "domU")]
    old = 1 << 18 if bits == 32 else 1 << 20
    assert starts == [old, old, 1 << 20, 1 << 18]


@pytest.mark.parametrize("rules", [name for name in RULES if name not in ("seed", "seed-bit")])
def test_no_other_rules_break_it(rules):
    layout = boot(thread_host(rules=rules))
    assert layout.extra == [(262144, 605184)]
    assert over_reach(layout) is None


def test_the_premise_is_needed():
    """E7b: with extra memory behind the map the seed does no harm to this host."""
    layout = boot(replace(thread_host(rules="seed"), extra="behind"))
    assert layout.extra[0][0] >= 1 << 20
    assert over_reach(layout) is None


@pytest.mark.parametrize("version", ["2.6.39", "3.1", "3.4", "3.6", "3.12", "3.16", "3.18", "4.0"])
@pytest.mark.parametrize("geometry", [GEOMETRY_64, GEOMETRY_32], ids=["64", "32"])
def test_every_era_boots_the_threads_host(version, geometry):
    layout = boot(replace(thread_host(version), extra="behind", geometry=geometry))
    assert layout.bug is None
    assert layout.runs[0].start == 0
    assert all(left.end == right.start for left, right in zip(layout.runs, layout.runs[1:], strict=False))
    assert over_reach(layout) is None
    kinds = {kind: sum(r.pages for r in layout.runs if r.kind is kind) for kind in (Kind.MFN, Kind.OTHER)}
    assert kinds[Kind.MFN] <= 262144
    assert kinds[Kind.OTHER] == 0


@pytest.mark.parametrize(
    ("version", "stops"), [("3.6", True), ("3.16", False), ("3.18", True), ("4.0", False)]
)
def test_ram_beyond_the_end_of_the_tree(version, stops):
    """Frames that move to 512 GiB and beyond have no place in a tree; a list grows to extra memory."""
    far = (Entry(0, 0x9F000, 1), Entry(0x100000, 0x3FFF0000, 1), Entry(1 << 39, (1 << 39) + (1 << 30), 1))
    layout = boot(
        Host(release=Release.of(Version.parse(version)), nr_pages=1 << 18, e820=far, p2m_limit_gb=0)
    )
    assert (layout.bug is not None) == stops
    if stops:
        assert layout.bug.code == "store-beyond-p2m-end"


@pytest.mark.parametrize("version", ["2.6.39", "3.4", "3.6", "3.16", "3.18", "4.0"])
def test_a_map_of_empty_entries_gives_no_traceback(version):
    empty = (Entry(0, 0, 1), Entry(4096, 4096, 2))
    layout = boot(Host(release=Release.of(Version.parse(version)), nr_pages=600, e820=empty))
    assert sum(r.pages for r in layout.runs if r.kind is Kind.MFN) <= 600


@pytest.mark.parametrize(
    ("version", "changes", "says"),
    [
        ("4.0", {"rules": "seed"}, "keeps a tree"),
        ("6.1", {"rules": "3.18"}, "keeps a tree"),
        ("3.6", {"extra": "contiguous"}, "one extra region"),
        ("6.1", {"geometry": GEOMETRY_32}, "before 4.3"),
    ],
)
def test_what_a_kernel_does_not_have_is_refused(version, changes, says):
    with pytest.raises(InputError, match=says):
        boot(replace(thread_host(version), **({"extra": "behind"} | changes)))


def test_rules_that_do_not_exist_are_refused():
    with pytest.raises(InputError, match="one of seed"):
        boot(thread_host(rules="seeds"))


# --- 3.18: moving on runs, and the same frame by frame --------------------------------------------


def literal_move(p2m, source, target, size):
    """The steps of xen_do_set_identity_and_remap_chunk, one frame at a time."""
    n = p2m.geometry.entries
    low, high = -(-source // n) * n, -(-target // n) * n
    end, last = (source + size) // n * n, (target + size) // n * n
    left = size
    at, to = low, high
    while at < end and to < last:
        held = [p2m.get(at + i) for i in range(n)]
        p2m.set_range_identity(at, at + n)
        for i, mfn in enumerate(held):
            assert p2m.early_set(to + i, mfn)
        at, to, left = at + n, to + n, left - n
    a, b = source, target
    for _ in range(left):
        a = at if a == low else a
        b = to if b == high else b
        assert p2m.early_set(b, p2m.get(a))
        a, b = a + 1, b + 1
    if low >= end:
        p2m.set_range_identity(source, source + size)
        return
    if source < low:
        p2m.set_range_identity(source, low)
    if source + size > at:
        p2m.set_range_identity(at, source + size)


@settings(max_examples=400, deadline=None)
@given(
    geometry=st.sampled_from([Geometry(8, 3), Geometry(8, 4), Geometry(8, 6)]),
    pages=st.integers(2, 60),
    descending=st.booleans(),
    moves=st.lists(st.tuples(st.integers(0, 60), st.integers(1, 30), st.integers(0, 9)), max_size=3),
)
def test_moves_on_runs_are_moves_frame_by_frame(geometry, pages, descending, moves):
    total = geometry.entries**3
    pages = min(pages, total // 2)
    p2m = PhysToMachine(RULES["3.18"], geometry, range(500, 500 + pages)[:: -1 if descending else 1])
    tree = RunTree(RULES["3.18"], geometry)
    tree.graft(pages, Frames(Kind.MFN, 499 + pages if descending else 500, -1 if descending else 1))
    target, source = pages, 0
    for gap, size, skip in moves:
        source, target = source + gap, target + skip
        size = min(size, pages - source, total - target)
        if size <= 0:
            break
        literal_move(p2m, source, target, size)
        g2r._move(tree, Move(source, target, size))
        source, target = source + size, target + size
        assert tree.runs() == runs(p2m)
        assert tree.brk == p2m.pages.brk
        assert [t[:3] for t in tree.shape()] == [t[:3] for t in shape(p2m.tree)]
