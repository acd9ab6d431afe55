"""Plans: every stretch of the map has one reason, and every place can be explained."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hosts import GIB, MIB, NVS, PC, RAM, RESERVED, Entry, pc, with_range
from xenp2m.frames import Kind
from xenp2m.hostrow import host_of_row
from xenp2m.place import place_of
from xenp2m.plan import make_plan

IMAGE = {"kernel": (16 * MIB, 74 * MIB)}


def test_stretches_cover_the_map_and_agree_with_it():
    for host in (
        pc(),
        pc(nr_pages=0xC0000, max_res=0xC0000),
        pc("6.12.107", e820=with_range(32 * MIB, 33 * MIB, NVS), **IMAGE),
    ):
        plan = make_plan(host)
        position = 0
        for stretch in plan.stretches:
            assert stretch.start == position
            position = stretch.end
            for pfn in (stretch.start, stretch.end - 1):
                assert plan.p2m.lookup(pfn)[0] is stretch.kind
        assert position == plan.layout.p2m_size


def test_reasons_of_a_pc():
    why = {s.start: s.why for s in make_plan(pc()).stretches}
    assert why == {
        0x0: "first allocation",
        0x9F: "reserved, gaps; its 97 frames moved up",
        0x100: "first allocation",
        0x40000: "97 frames moved from 0x9f - 0x100",
        0x40061: "extra memory: room for the balloon",
        0x60061: "reserved, gaps, host RAM that is not dom0's",
    }


def test_reason_of_a_swap_and_of_several_holes():
    plan = make_plan(pc("6.12.107", e820=with_range(32 * MIB, 33 * MIB, NVS), **IMAGE))
    assert "the frames of ACPI NVS 0x2000000-0x20fffff" in {s.why for s in plan.stretches}
    plan = make_plan(pc(nr_pages=0xC0000, max_res=0xC0000))
    assert "262,277 frames moved from 2 holes in 0x9f - 0xc0000" in {s.why for s in plan.stretches}


def test_places():
    plan = make_plan(pc(mfn_base=0x100000))
    moved = place_of(plan, 0x40010)
    assert (moved.kind, moved.mfn, moved.moved_from, moved.moved_to) == (Kind.MFN, 0x1000AF, 0xAF, None)
    hole = place_of(plan, 0x9F)
    assert (hole.kind, hole.mfn, hole.moved_to) == (Kind.IDENTITY, 0x9F, 0x40000)
    assert [e.type for e in hole.host] == [RAM, RESERVED]
    extra = place_of(plan, 0x50000)
    assert (extra.kind, extra.mfn) == (Kind.MISSING, None)
    assert place_of(plan, 1 << 30).kind is Kind.IDENTITY
    assert place_of(make_plan(pc(e820=with_range(64 * MIB, 65 * MIB), **IMAGE)), 0) is None


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 1 << 14), st.integers(1, 4000), st.sampled_from([1, 1, 1, 2, 3, 4, 5])),
        min_size=1,
        max_size=8,
    ),
    st.integers(1, 1 << 13),
    st.one_of(st.none(), st.integers(0, 1 << 15)),
    st.sampled_from(["4.12", "4.18", "5.10", "6.1", "6.12.107", "7.3.4"]),
    st.sampled_from([0, 0, 0x400]),
)
def test_any_map_gives_a_whole_plan(ranges, nr_pages, max_res, version, shift):
    entries = tuple(Entry((a << 12) + shift, (a + n << 12) + shift, kind) for a, n, kind in ranges)
    plan = make_plan(pc(version, e820=entries, nr_pages=nr_pages, max_res=max_res, p2m_limit_gb=0))
    if plan.layout.runs is None:
        assert plan.layout.bug is not None
        return
    assert plan.layout.runs[0].start == 0
    assert plan.layout.runs[-1].end == plan.layout.p2m_size == plan.stretches[-1].end
    frames = [pfn for r in plan.layout.runs if r.kind is Kind.MFN for pfn in (r.mfn, r.at(r.end - 1))]
    assert all(mfn >= 0 for mfn in frames)
    assert plan.p2m.count()[Kind.MFN] <= nr_pages


def test_cost_does_not_grow_with_pages():
    small = make_plan(pc())
    large = make_plan(
        pc(
            e820=tuple(Entry(e.start << 12, e.end << 12, e.type) for e in PC),
            nr_pages=GIB,
            max_res=3 * GIB >> 1,
        )
    )
    assert len(large.layout.runs) <= len(small.layout.runs) + 2


@pytest.mark.parametrize(("kernel", "asked"), [("2.6.39", set()), ("3.18", set()), ("4.2", {"p2m_limit_gb"}),
                                               ("6.1", {"p2m_limit_gb", "ibft"})])  # fmt: skip
def test_what_a_kernel_does_not_look_at_is_not_assumed(kernel, asked):
    row = {"kernel": kernel, "bits": 64, "in": {"nr_pages": 512, "e820": [[0, 1 << 30, 1]]}}
    said = {line.split()[0] for line in make_plan(host_of_row(row, "row")).assumed}
    assert said & {"p2m_limit_gb", "ibft"} == asked


def test_machine_frames_of_populated_pages_are_assumed():
    row = {
        "kernel": "3.6",
        "bits": 64,
        "in": {"nr_pages": 512, "e820": [[0, 0x9F000, 1], [0x100000, 1 << 30, 1]]},
    }
    plan = make_plan(host_of_row(row, "row"))
    assert plan.layout.populated
    assert any("populated anew get MFNs from 0x100200 on" in line for line in plan.assumed)
    assert not any(
        "populated" in line for line in make_plan(host_of_row(row | {"kernel": "3.18"}, "row")).assumed
    )
