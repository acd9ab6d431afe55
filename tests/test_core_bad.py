"""Cores that are cut, contradict themselves or lie: a typed error or a map, never more than the file."""

import os
import random
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cores_data import bytes_of
from xenp2m.errors import InputError, UnsupportedError
from xenp2m.extents import Run
from xenp2m.frames import GEOMETRY_32, GEOMETRY_64, Kind
from xenp2m.p2m import P2M
from xenp2m.sources import layout
from xenp2m.sources.core.reader import read
from xenp2m.sources.synth_core import CoreSpec, synth_core

RUNS = [Run(0, 60, Kind.MFN, 100, 1), Run(60, 3000, Kind.IDENTITY), Run(3000, 5000, Kind.MISSING)]
NOTES, PAGES = 0x200, 0x3000
VALUES = (0, 1, 1 << 31, 1 << 63, (1 << 64) - 1)
MOST_MEMORY = 64 << 20


@pytest.fixture(scope="module", params=["64", "32", "hvm"])
def good(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("good") / "a.core"
    geometry = GEOMETRY_32 if request.param == "32" else GEOMETRY_64
    synth_core(path, P2M(RUNS, geometry=geometry), CoreSpec(hvm=request.param == "hvm", gone=2))
    return path.read_bytes()


@pytest.fixture
def attempt(tmp_path):
    """Look at everything a changed file offers; None if it was refused."""

    def run(data, *, salvage=False):
        path = tmp_path / "bad.core"
        path.write_bytes(data)
        tracemalloc.start()
        try:
            source = read(path, salvage=salvage)
            assert len(source.p2m) == sum(source.p2m.count().values())
            source.p2m.duplicates(100)
            for pfn in source.memory.pfns()[:: max(1, len(source.p2m) // 7)][:20].tolist():
                assert source.memory.page(pfn) is not None
            for address in (source.guest.p2m_vaddr, 0, (1 << 64) - 1):
                source.memory.path(source.guest.p2m_cr3 >> 12, address, 4)
        except InputError as error:
            if "\n" in str(error) or path.name not in str(error):
                raise
            return None
        finally:
            _, peak = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            assert peak < MOST_MEMORY
        return source

    return run


def changed(data, offset, value, size):
    return data[:offset] + (value % (1 << 8 * size)).to_bytes(size, "little") + data[offset + size :]


def test_the_unchanged_file_is_good(good, attempt):
    assert attempt(good).lost == ()


def test_every_truncation_is_refused_and_salvage_says_what_is_gone(good, attempt):
    step = random.Random(len(good))
    every = 1 if good[18] == 62 and b"xen_p2m" in good else 7
    points = {
        *range(0, NOTES + 64, every),
        *(step.randrange(len(good)) for _ in range(40)),
        len(good) - 1,
        PAGES,
    }
    for size in sorted(points):
        assert attempt(good[:size]) is None
        salvaged = attempt(good[:size], salvage=True)
        assert salvaged is None or salvaged.lost
        if size > PAGES:
            assert salvaged.lost


def test_a_core_without_its_table_keeps_who_it_was(attempt):
    data = bytes_of("tiny64-both")
    whole = attempt(data)
    # Behind the pages stand the table and the names.
    cut = attempt(data[: 0x7DB000 + 16 * 1000], salvage=True)
    assert cut.guest.max_pfn == whole.guest.max_pfn
    assert cut.guest.xen == whole.guest.xen
    assert len(cut.listed) == 1000
    assert cut.memory.page(999) == whole.memory.page(999)
    assert cut.memory.page(1000) is None
    assert any("order" in line for line in cut.lost)
    assert any(".xen_p2m" in line for line in cut.lost)
    without = attempt(data[:0x400000], salvage=True)
    assert without.guest.p2m_vaddr == whole.guest.p2m_vaddr
    assert without.memory.pfns().size == 0
    assert without.p2m.count() == {Kind.UNKNOWN: whole.guest.max_pfn}
    assert len([line for line in without.lost if "xen" in line]) >= 2


def test_every_field_of_the_headers(good, attempt):
    fields = [(16, 2), (18, 2), (40, 8), (52, 2), (54, 2), (58, 2), (60, 2), (62, 2)]
    count = int.from_bytes(good[60:62], "little")
    for row in range(count):
        fields += [(64 + 64 * row + at, size) for at, size in ((0, 4), (4, 4), (24, 8), (32, 8), (56, 8))]
    note = good.index(b"Xen\0")
    for _ in range(4):
        fields += [(note - 12, 4), (note - 8, 4), (note - 4, 4), (note, 4)]
        note = good.index(b"Xen\0", note + 1) if b"Xen\0" in good[note + 1 : PAGES] else note
    head = good.index((layout.MAGIC_PV).to_bytes(8, "little")) if b"\xed\xeb\x0f\xf0" in good else 0
    fields += [(head + at, 8) for at in (0, 8, 16, 24) if head]
    refused = 0
    for offset, size in fields:
        for value in VALUES:
            refused += attempt(changed(good, offset, value, size)) is None
            attempt(changed(good, offset, value, size), salvage=True)
    assert refused > len(fields) * len(VALUES) // 2


def test_every_field_of_shared_info_and_contexts(good, attempt):
    if b"xen_shared_info" not in good:
        return
    word = 8 if good[18] == 62 else 4
    shared = int.from_bytes(good[64 + 64 * 4 + 24 :][:8], "little")
    kind = layout.SHARED_INFO[word]
    assert int(np.frombuffer(good, kind, 1, shared)["max_pfn"][0]) == 5000
    for name in ("max_pfn", "pfn_to_mfn_frame_list_list", "p2m_cr3", "p2m_vaddr", "p2m_generation"):
        for value in VALUES:
            source = attempt(changed(good, shared + kind.fields[name][1], value, word))
            if name == "max_pfn" and value % (1 << 8 * word) >= 1 << 31:
                assert source is None
                saved = attempt(changed(good, shared + kind.fields[name][1], value, word), salvage=True)
                assert saved.p2m.count()[Kind.MFN] == 60
                assert "max_pfn" in saved.lost[0]
            if name == "p2m_cr3" and value == 1 << 31:
                # The other view of the list is still there; the loss is told.
                assert source.guest.form == "frame list tree"


def test_every_field_of_the_table(good, attempt):
    table = len(good) - good[::-1].index(b"\xff") - (16 if b"xen_p2m" in good else 8) * 62
    for row in (0, 1, 30, 59):
        for at in range(0, 16, 8):
            for value in VALUES:
                attempt(changed(good, table + row * 16 + at, value, 8))


def test_tables_that_do_not_ascend(tmp_path, attempt):
    path = tmp_path / "a"
    synth_core(path, P2M(RUNS))
    data = path.read_bytes()
    rows = data.index(b"".join(n.to_bytes(8, "little") for n in (0, 100, 1, 101)))
    twice = changed(data, rows + 16, 0, 8)
    assert attempt(twice) is None
    path.write_bytes(twice)
    with pytest.raises(InputError, match=rf"offset {rows + 16:#x}: expected a PFN from 0x1 on"):
        _ = read(path).p2m
    saved = attempt(twice, salvage=True)
    assert ".xen_p2m: 1 rows that do not ascend or are no frames" in saved.lost
    assert saved.listed.lookup(0) == (Kind.MFN, 100)
    assert saved.listed.lookup(1) == (Kind.UNKNOWN, -1)
    assert saved.listed.lookup(2) == (Kind.MFN, 102)
    far = changed(data, rows + 59 * 16, 1 << 51, 8)
    assert len(attempt(far).listed) == (1 << 51) + 1


def test_lists_that_go_round_in_circles(tmp_path, attempt):
    """A top page table whose every entry is itself, and a tree of nothing but its own top."""
    path = tmp_path / "a"
    memory = {0: ((100 << 12 | 1).to_bytes(8, "little")) * 512, 1: (101).to_bytes(8, "little") * 512}
    synth_core(path, P2M(RUNS), CoreSpec(memory=memory))
    data = path.read_bytes()
    shared = int.from_bytes(data[64 + 64 * 4 + 24 :][:8], "little")
    fields = layout.SHARED_INFO[8].fields
    most = (1 << 27).to_bytes(8, "little")
    cr3, top, count = (shared + fields[n][1] for n in ("p2m_cr3", "pfn_to_mfn_frame_list_list", "max_pfn"))
    for change in ({cr3: 100 << 12}, {cr3: 0, top: 101}):
        data2 = data
        for offset, value in change.items():
            data2 = changed(data2, offset, value, 8)
        attempt(data2)
        attempt(data2[:count] + most + data2[count + 8 :])


def test_sections_on_top_of_each_other(good, attempt, tmp_path):
    for row in range(2, int.from_bytes(good[60:62], "little")):
        moved = changed(good, 64 + 64 * row + 24, 0x40, 8)
        assert attempt(moved) is None
        path = tmp_path / "b"
        path.write_bytes(moved)
        with pytest.raises(InputError, match=r"offset 0x[0-9a-f]+: expected (\.|a note|the notes|a PFN)"):
            _ = read(path).p2m


def test_a_file_that_shrinks_while_it_is_read(good, tmp_path):
    path = tmp_path / "a"
    path.write_bytes(good)
    source = read(path)
    os.truncate(path, PAGES + 100)
    with pytest.raises(InputError, match="shrank"):
        _ = source.p2m


def test_what_is_no_file_of_ours(tmp_path):
    with pytest.raises(InputError, match="a directory"):
        read(tmp_path)
    with pytest.raises(InputError, match="No such file"):
        read(tmp_path / "none")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match="a pipe"):
        read(tmp_path / "pipe")
    for content, message in (
        (b"", "an empty file"),
        (b"\x7fELF\2\2" + bytes(80), "little-endian"),
        (b"\x7fELF\2\1" + bytes(80), "e_type"),
        (b"MZ" + bytes(80), "ELF core"),
    ):
        (tmp_path / "x").write_bytes(content)
        with pytest.raises(InputError, match=message):
            read(tmp_path / "x")


def test_other_architectures_are_named(good, tmp_path):
    path = tmp_path / "arm"
    path.write_bytes(changed(good, 18, 183, 2))
    with pytest.raises(UnsupportedError, match="e_machine 183"):
        read(path)


@settings(max_examples=150)
@given(data=st.data())
def test_any_bytes_in_any_place(tmp_path_factory, data):
    name = data.draw(st.sampled_from(["tiny64-both", "tiny32pae"]))
    content = bytearray(bytes_of(name))
    places = st.integers(0, 0x2B98 + 3136) | st.integers(0x7DB000, len(content) - 1)
    for place in data.draw(st.lists(places, min_size=1, max_size=6)):
        content[place] = data.draw(st.integers(0, 255))
    cut = data.draw(st.sampled_from([0, 0, 1, 80, 0x8000, 0x400000]))
    path = tmp_path_factory.getbasetemp() / "any.core"
    path.write_bytes(content[: len(content) - cut])
    for salvage in (False, True):
        try:
            source = read(path, salvage=salvage)
            source.p2m.count()
            source.memory.pfns()
        except InputError as error:
            if "\n" in str(error):
                raise
