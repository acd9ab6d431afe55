"""Cores of real guests against what was read from the guests while they were paused."""

import numpy as np
import pytest

from cores_data import ALL, LINUX, TINY, bytes_of, live, unpack
from xenp2m.errors import InputError, UnsupportedError
from xenp2m.extents import Run
from xenp2m.frames import Kind
from xenp2m.p2m import P2M
from xenp2m.sources.core.reader import read, sniff
from xenp2m.sources.synth_core import synth_core

INVALID = np.uint64((1 << 64) - 1)
IDENTITY = 1 << 62


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("cores")


@pytest.fixture(params=ALL)
def real(request, folder):
    return request.param, read(unpack(request.param, folder))


def test_the_raw_map_is_the_live_list(real):
    name, source = real
    words, frames = live(name)
    assert source.leaves.frames.tolist() == frames.tolist()
    assert source.leaves.space == "mfn"
    assert source.lost == ()
    got = source.p2m.words(0, len(source.p2m))
    per = source.guest.geometry.entries
    # Readers of values see all ones in the shared identity page.
    shared = np.repeat(frames == (source.leaves.identity or 0), per)[: words.size]
    assert got.size == words.size == source.guest.max_pfn
    assert (got[~shared] == words[~shared]).all()
    assert (words[shared] == INVALID).all()
    assert (got[shared] == (np.flatnonzero(shared).astype(np.uint64) | np.uint64(IDENTITY))).all()


def test_the_shared_identity_page_is_found_in_one_guest_only(real):
    name, source = real
    if name == "e1":
        assert np.unique(source.leaves.frames, return_counts=True)[1].max() == 1967
        assert source.leaves.identity == 0x179F4D
        assert source.leaves.missing == 0x179F4C
        assert source.p2m.count()[Kind.IDENTITY] == 1967 * 512 + 256
    else:
        assert source.leaves.identity is source.leaves.missing is None
        assert "private" in source.leaves.why


def test_the_cores_own_table_has_the_frames_and_nothing_else(real):
    _, source = real
    raw = source.p2m.words(0, len(source.p2m))
    listed = source.listed.words(0, raw.size)
    frames = raw < np.uint64(IDENTITY)
    assert (listed[frames] == raw[frames]).all()
    assert source.listed.count()[Kind.MFN] == frames.sum()
    assert set(source.listed.count()) <= {Kind.MFN, Kind.UNKNOWN}


@pytest.mark.parametrize(
    ("name", "form", "word"),
    [
        ("tiny64-both", "linear list", 8),
        ("tiny64-classic", "frame list tree", 8),
        ("tiny32pae", "frame list tree", 4),
        ("e1", "linear list", 8),
    ],
)
def test_whose_it_is(name, form, word, folder):
    source = read(unpack(name, folder))
    assert source.origin.format == "xen core, PV"
    assert source.origin.size == len(bytes_of(name))
    assert source.guest.form == form
    assert source.guest.geometry.word == word
    assert source.guest.xen.startswith("4.17")
    assert source.guest.vcpus == len(source.guest.cr3) == 1
    assert source.guest.generation % 2 == 0


def test_memory_by_pfn_and_by_mfn(real):
    name, source = real
    memory = source.memory
    pfns = memory.pfns()
    assert (np.diff(pfns.astype(np.int64)) > 0).all()
    words, frames = live(name)
    leaf = int(memory.pfns_of(frames[:1])[0])
    page = memory.page(leaf)
    kind = "<u4" if name == "tiny32pae" else "<u8"
    low = np.frombuffer(page, kind)[:16].astype(np.uint64)
    assert low.tolist() == words[:16].tolist()
    rows, there = memory.frames(np.array([frames[0], 1 << 51, frames[0]], np.uint64))
    assert there.tolist() == [True, False, True]
    assert rows[0].tobytes() == rows[2].tobytes() == page
    assert memory.frame(int(frames[0])) == page
    assert memory.frame(1 << 51) is None
    assert memory.page(int(pfns[-1]) + 1) is None
    assert memory.page(-1) is None


def test_virtual_addresses_of_the_list_lead_to_its_pages(folder):
    for name in ("tiny64-both", *LINUX):
        source = read(unpack(name, folder))
        frames = live(name)[1]
        for number in (0, 1, frames.size - 1):
            address = source.guest.p2m_vaddr + number * 4096 + 8
            path = source.memory.path(source.guest.p2m_cr3 >> 12, address, 4)
            assert path.frame == frames[number]
            assert path.size == 4096
            assert [step.level for step in path.steps] == [4, 3, 2, 1]
            assert path.steps[0].table == source.guest.p2m_cr3 >> 12


def test_opening_reads_no_table(folder):
    path = unpack(TINY[0], folder)
    data = bytearray(path.read_bytes())
    broken = folder / "broken-table.core"
    data[0x7DB000 : 0x7DB000 + 8] = (5).to_bytes(8, "little")
    broken.write_bytes(data)
    source = read(broken)
    assert source.origin.name == str(broken)
    whole = read(path).memory
    for pfn in (3, 1000, 2007):
        assert source.memory.page(pfn) == whole.page(pfn) is not None
    with pytest.raises(InputError, match=r"offset 0x7db010: expected a PFN from 0x6 on"):
        _ = source.p2m


def test_sniff():
    assert sniff(bytes_of(TINY[0])[:18])
    assert not sniff(b"\x7fELF" + bytes(12) + b"\x02\0")
    assert not sniff(b"")
    assert not sniff(b"\x1f\x8b\x08" + bytes(20))


def test_a_core_from_before_elf_is_named(tmp_path):
    path = tmp_path / "old"
    path.write_bytes((0xF00FEBED).to_bytes(4, "little") + bytes(100))
    with pytest.raises(UnsupportedError, match="before Xen 3"):
        read(path)


@pytest.mark.parametrize(
    ("magic", "tool"),
    [(b"\x1f\x8b", "gzip"), (b"BZh", "bzip2"), (b"\xfd7zXZ\0", "xz"), (b"\x28\xb5\x2f\xfd", "zstd")],
)
def test_packed_cores_name_the_pipe(tmp_path, magic, tool):
    path = tmp_path / "vm.core"
    path.write_bytes(magic + bytes(100))
    with pytest.raises(InputError, match=f"{tool} -dc .*vm.core"):
        read(path)


def test_reading_the_list_is_told(tmp_path):
    synth_core(tmp_path / "a", P2M([Run(0, 40_000, Kind.MFN, 9, 1)]))
    told = []
    source = read(tmp_path / "a", progress=lambda done, total: told.append((done, total)))
    assert len(source.p2m) == 40_000
    leaves = -(-40_000 // 512)
    assert told[-1] == (leaves, leaves)
