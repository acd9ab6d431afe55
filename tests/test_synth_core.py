"""Cores written here read back as the map they were written from, in every form."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core_twin import slow_core
from xenp2m.extents import Run
from xenp2m.frames import GEOMETRY_32, GEOMETRY_64, Kind
from xenp2m.p2m import P2M
from xenp2m.sources import leafmap
from xenp2m.sources.core.reader import read
from xenp2m.sources.synth_core import CoreSpec, synth_core

RUNS = [
    Run(0, 3000, Kind.MFN, 5000, 1),
    Run(3000, 3010, Kind.MISSING),
    Run(3010, 3020, Kind.FOREIGN, 77, 1),
    Run(3020, 20000, Kind.IDENTITY),
    Run(20000, 21000, Kind.MFN, 1999, -1),
    Run(21000, 30000, Kind.MISSING),
]
GEOMETRIES = pytest.mark.parametrize("geometry", [GEOMETRY_64, GEOMETRY_32], ids=["64", "32"])


def made(path, runs, geometry=GEOMETRY_64, **spec):
    p2m = P2M(runs, geometry=geometry)
    synth_core(path, p2m, CoreSpec(**spec))
    return p2m, read(path)


@GEOMETRIES
@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize(("linear", "tree"), [(True, True), (True, False), (False, True)])
def test_every_form_of_a_list(tmp_path, geometry, linear, tree, shared):
    p2m, source = made(tmp_path / "a", RUNS, geometry, linear=linear, tree=tree, shared=shared)
    assert source.guest.form == ("linear list" if linear else "frame list tree")
    assert source.lost == ()
    assert source.listed.count() == {Kind.MFN: 4000, Kind.UNKNOWN: 17000}
    if linear or not shared:
        assert source.p2m.extents() == p2m.extents()
        return
    # A tree does not tell which of two shared pages is which: only those entries stay open.
    for start, end, kind, *_ in source.p2m.extents():
        theirs = p2m.words(start, end)
        if kind is Kind.UNKNOWN:
            assert (theirs >= np.uint64(1 << 62)).all()
        else:
            assert (theirs == source.p2m.words(start, end)).all()
    assert "nothing shows which" in source.leaves.why


@GEOMETRIES
def test_identity_behind_the_end_tells_the_shared_pages_apart(tmp_path, geometry):
    _, source = made(tmp_path / "a", RUNS, geometry, tree=False)
    assert source.leaves.identity != source.leaves.missing
    assert "behind the end" in source.leaves.why
    assert source.inferred == (source.leaves.why,)


@GEOMETRIES
def test_a_shared_missing_leaf_is_told_by_what_lies_behind_the_list(tmp_path, geometry):
    runs = [Run(0, 2048, Kind.MFN, 9, 1), Run(2048, 8192, Kind.MISSING)]
    _, source = made(tmp_path / "a", runs, geometry, tree=False)
    assert source.p2m.extents() == runs
    assert source.leaves.missing is not None
    # In a tree alone nothing tells.
    _, source = made(tmp_path / "b", runs, geometry, linear=False)
    assert source.p2m.extents()[-1] == Run(2048, 8192, Kind.UNKNOWN)


@pytest.mark.parametrize("elf", [64, 32])
def test_hvm_and_files_of_32_bit_tools(tmp_path, elf):
    _, source = made(tmp_path / "a", RUNS, GEOMETRY_32, hvm=True, elf=elf, gone=2)
    assert source.guest.translated
    assert source.origin.format == "xen core, HVM"
    assert source.p2m.extents() == [Run(0, 21000, Kind.UNKNOWN)]
    assert source.listed is None
    assert source.memory.pfns().tolist() == [*range(3000), *range(20000, 21000)]
    assert source.memory.page(0) == bytes(4096)
    assert source.memory.page(3000) is None


def test_pages_contexts_and_rows_of_pages_that_went(tmp_path):
    page = bytes(range(256)) * 16
    _, source = made(tmp_path / "a", RUNS, gone=5, memory={7: page, 20000: page[::-1]})
    assert source.memory.page(7) == page
    rows, there = source.memory.frames(np.array([5007, 1999, 1 << 40], np.uint64))
    assert there.tolist() == [True, True, False]
    assert [row.tobytes() for row in rows] == [page, page[::-1], bytes(4096)]
    assert source.guest.cr3 == (source.guest.p2m_cr3 >> 12,)
    assert len(source.listed) == 21000


def test_a_torn_list_says_so(tmp_path):
    _, source = made(tmp_path / "a", RUNS, generation=7)
    assert source.lost == ("p2m_generation is odd (7): the guest was changing its list",)


def test_a_guest_that_published_nothing_has_its_table(tmp_path):
    _, source = made(tmp_path / "a", RUNS, linear=False, tree=False)
    assert source.guest.form == ""
    assert source.leaves is None
    assert source.p2m.extents() == source.listed.extents()
    assert source.p2m.lookup(3010) == (Kind.UNKNOWN, -1)
    assert source.lost == ("the guest has not published its list",)


def test_too_few_frames_and_unknown_entries_leave_nothing_behind(tmp_path):
    with pytest.raises(ValueError, match="too few frames"):
        synth_core(tmp_path / "a", P2M([Run(0, 2, Kind.MFN, 1, 1)]))
    with pytest.raises(ValueError, match="unknown"):
        synth_core(tmp_path / "a", P2M([Run(0, 99, Kind.MFN, 1, 1), Run(99, 100, Kind.UNKNOWN)]))
    with pytest.raises(ValueError, match="4096 bytes"):
        synth_core(tmp_path / "a", P2M(RUNS), CoreSpec(memory={5: b"short"}))
    assert list(tmp_path.iterdir()) == []


@st.composite
def maps(draw):
    kinds = st.sampled_from([Kind.MFN, Kind.MFN, Kind.IDENTITY, Kind.MISSING, Kind.FOREIGN])
    runs, mfn = [Run(0, 64, Kind.MFN, 1 << 20, 1)], 1
    for kind in draw(st.lists(kinds, max_size=8)):
        start = runs[-1].end
        end = start + draw(st.sampled_from([1, 2, 3, 511, 512, 513, 1500]))
        step = draw(st.sampled_from([1, -1])) if end - start > 1 else 1
        if kind in (Kind.MFN, Kind.FOREIGN):
            first = mfn if step > 0 else mfn + end - start - 1
            runs.append(Run(start, end, kind, first, step))
            mfn += end - start + draw(st.integers(0, 2))
        else:
            runs.append(Run(start, end, kind))
    return runs


@settings(max_examples=40)
@given(runs=maps(), wide=st.booleans(), linear=st.booleans())
def test_any_map_comes_back(tmp_path_factory, runs, wide, linear):
    path = tmp_path_factory.getbasetemp() / "any.core"
    p2m, source = made(
        path, runs, GEOMETRY_64 if wide else GEOMETRY_32, linear=linear, tree=not linear, shared=False
    )
    assert source.p2m.extents() == p2m.extents()
    assert source.memory.pfns().tolist() == [
        pfn for run in runs if run.kind is Kind.MFN for pfn in range(run.start, run.end)
    ]


@settings(max_examples=40)
@given(runs=maps(), wide=st.booleans(), shared=st.booleans(), batch=st.integers(1, 5))
def test_a_large_guests_map_is_read_as_runs(tmp_path_factory, runs, wide, shared, batch):
    path = tmp_path_factory.getbasetemp() / "runs.core"
    geometry = GEOMETRY_64 if wide else GEOMETRY_32
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(leafmap, "_MOST_WORDS", 0)
        patch.setattr(leafmap, "_BATCH", batch)
        # room for the balloon makes shared pages of missing entries recur
        p2m, source = made(path, [*runs, *room(runs[-1].end)], geometry, shared=shared)
        assert source.p2m.extents() == p2m.extents()


@settings(max_examples=60)
@given(runs=maps(), elf=st.sampled_from([32, 64]), hvm=st.booleans(), gone=st.integers(0, 3), data=st.data())
def test_any_core_is_what_a_slow_reader_makes_of_it(tmp_path_factory, runs, elf, hvm, gone, data):
    path = tmp_path_factory.getbasetemp() / "twin.core"
    # the last frames are the list's own
    some = st.dictionaries(st.integers(0, 40), st.binary(min_size=1, max_size=64), max_size=4)
    memory = {pfn: text.ljust(4096, b"\1") for pfn, text in data.draw(some).items()}
    geometry = GEOMETRY_32 if elf == 32 else GEOMETRY_64
    runs = [*runs, Run(runs[-1].end, runs[-1].end + 64, Kind.MFN, 1 << 22, 1)]
    _, source = made(path, runs, geometry, elf=elf, hvm=hvm, gone=gone, memory=memory)
    slow = slow_core(path)
    assert source.memory.pfns().tolist() == list(slow)
    for pfn in data.draw(st.lists(st.sampled_from([*slow]), max_size=9)) + list(memory):
        mfn, page = slow[pfn]
        assert source.memory.page(pfn) == page
        assert page.startswith(memory.get(pfn, b""))
        assert hvm or source.memory.frame(mfn) == page
        assert hvm or source.listed.lookup(pfn) == (Kind.MFN, mfn)
    absent = {pfn for run in runs for pfn in (run.start, run.end)} - slow.keys()
    assert all(source.memory.page(pfn) is None for pfn in absent)


def room(start):
    """A frame, and many PFNs without any."""
    return [Run(start, start + 1, Kind.MFN, 1 << 21, 1), Run(start + 1, start + 9000, Kind.MISSING)]
