"""Migration streams against the lists that were read from the same guests while they ran."""

import os
import struct
import subprocess
import sys
import threading
from collections import Counter

import numpy as np
import pytest
from tests.guests import live, unpacked

import xenp2m
from xenp2m import InputError, Kind, Run, UnsupportedError
from xenp2m.frames import GEOMETRY_32, GEOMETRY_64
from xenp2m.p2m import P2M
from xenp2m.sources.stream.reader import read, sniff
from xenp2m.sources.synth_stream import StreamSpec, record, stream_pieces, synth_stream

REAL = [
    ("tiny64-both.save", "tiny64-both.a.live", "linear list"),
    ("tiny32pae.save", "tiny32pae.a.live", "frame list tree"),
    ("domu2-s3.save", "domu2-s2.live", "linear list"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("guests")


@pytest.fixture
def fifo(tmp_path):
    """A FIFO that somebody writes given bytes to."""
    threads = []

    def make(data):
        path = tmp_path / f"fifo{len(threads)}"
        os.mkfifo(path)
        thread = threading.Thread(target=path.write_bytes, args=(data,))
        thread.start()
        threads.append(thread)
        return path

    yield make
    for thread in threads:
        thread.join(timeout=10)


def small(geometry=GEOMETRY_64):
    """Frames, a hole of identity entries, missing and foreign ones; whole shared pages among them."""
    per = geometry.entries
    return P2M(
        [
            Run(0, 0x9F, Kind.MFN, 0x5000, 1),
            Run(0x9F, 0x100, Kind.IDENTITY),
            Run(0x100, per, Kind.MFN, 0x9000, -1),
            Run(per, 4 * per, Kind.IDENTITY),
            Run(4 * per, 4 * per + 7, Kind.MISSING),
            Run(4 * per + 7, 4 * per + 9, Kind.FOREIGN, 0x777, 1),
            Run(4 * per + 9, 5 * per + 100, Kind.MFN, 0x20000, 1),
        ],
        geometry=geometry,
    )


def saved(tmp_path, data, name="made.save"):
    path = tmp_path / name
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(("save", "listed", "form"), REAL)
def test_a_save_holds_the_list_of_the_running_guest(folder, save, listed, form):
    source = read(unpacked(save, folder))
    words = live(listed)
    assert (source.p2m.words(0, len(source.p2m)) == words).all()
    assert len(source.p2m) == words.size == source.guest.max_pfn
    assert source.guest.form == form
    assert source.guest.xen == "4.17"
    assert source.lost == source.findings == ()
    assert source.leaves.space == "pfn"
    # What tools list of it: frames alone.
    assert source.listed.count() == {
        Kind.MFN: source.p2m.count()[Kind.MFN],
        Kind.MISSING: len(words) - source.p2m.count()[Kind.MFN],
    }


@pytest.mark.parametrize("save", ["tiny64-both.save", "tiny32pae.save"])
def test_pages_of_the_list_are_memory_of_the_guest(folder, save):
    source = read(unpacked(save, folder))
    dtype = "<u8" if source.guest.geometry.word == 8 else "<u4"
    leaf = source.memory.page(int(source.leaves.frames[0]))
    assert np.frombuffer(leaf, dtype)[0] == source.p2m.words(0, 1)[0]
    assert source.memory.page(len(source.p2m)) is None
    assert source.memory.page(-1) is None
    frames = [pfn for pfn in range(len(source.p2m)) if source.p2m.lookup(pfn)[0] is Kind.MFN]
    assert source.memory.pfns().tolist() == frames
    assert source.memory.page(source.guest.cr3[0]) is not None


@pytest.mark.parametrize(("save", "listed", "form"), REAL[:2])
def test_a_pipe_tells_the_same_map(folder, fifo, save, listed, form):
    data = unpacked(save, folder).read_bytes()
    source, whole = read(fifo(data)), read(unpacked(save, folder))
    assert (source.p2m.words(0, len(source.p2m)) == live(listed)).all()
    assert source.guest == whole.guest
    assert source.origin.size is None
    kept = source.memory.pfns()
    assert set(source.leaves.frames.tolist()) <= set(kept.tolist())
    assert 0 < kept.size < whole.memory.pfns().size
    for pfn in kept.tolist():
        assert source.memory.page(pfn) == whole.memory.page(pfn)


@pytest.mark.parametrize("wrapper", ["xl", "libxl", ""])
@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("geometry", [GEOMETRY_64, GEOMETRY_32], ids=["64", "32"])
@pytest.mark.parametrize("batch", [1, 3, 1024])
def test_every_kind_of_stream_reads_back(tmp_path, wrapper, version, geometry, batch):
    p2m = small(geometry)
    spec = StreamSpec(version=version, wrapper=wrapper, batch=batch, checkpoints=2)
    path = saved(tmp_path, synth_stream(p2m, spec))
    source = xenp2m.open(path)
    assert source.p2m.extents() == p2m.extents()
    assert source.p2m.geometry == geometry
    assert source.origin.format == f"migration stream v{version}, PV" + (
        f", in a file of {wrapper}" if wrapper else ""
    )
    assert source.findings == source.lost == ()


def test_a_shared_page_is_identity_in_a_linear_list_and_unknown_in_a_tree(tmp_path):
    p2m = small()
    source = read(saved(tmp_path, synth_stream(p2m, StreamSpec(linear=True))))
    recurring = Counter(source.leaves.frames.tolist()).most_common(1)[0]
    assert recurring == (source.leaves.identity, 3)
    assert source.memory.page(recurring[0]) == b"\xff" * 4096
    assert source.p2m.lookup(512) == (Kind.IDENTITY, 512)
    assert any("identity page" in line for line in source.inferred)
    source = read(saved(tmp_path, synth_stream(p2m, StreamSpec(linear=False))))
    assert source.leaves.identity is None
    assert source.p2m.count()[Kind.UNKNOWN] == 3 * 512
    assert source.p2m.lookup(512) == (Kind.UNKNOWN, -1)
    assert source.p2m.lookup(0x9F) == (Kind.IDENTITY, 0x9F)
    # Toolstacks before 4.7 walk the tree, whatever the guest publishes.
    source = read(saved(tmp_path, synth_stream(p2m, StreamSpec(linear=True, xen=(4, 6)))))
    assert source.guest.form == "frame list tree"
    # A toolstack that copies the list page by page shows values, not sharing.
    source = read(saved(tmp_path, synth_stream(p2m, StreamSpec(shared=False))))
    assert source.leaves.identity is None
    assert source.p2m.extents() == p2m.extents()


def test_the_list_of_a_guest_with_the_hosts_map(tmp_path):
    """The one real guest whose identity page is shared, written as a stream and read back."""
    words, pages = live("e820c.live"), live("e820c.listpages")
    frame, times = Counter(pages.tolist()).most_common(1)[0]
    assert times == 1967
    resolved = words.copy()
    for leaf in np.flatnonzero(pages == frame).tolist():
        assert (words[512 * leaf : 512 * leaf + 512] == (1 << 64) - 1).all()
        resolved[512 * leaf : 512 * leaf + 512] = np.arange(512 * leaf, 512 * leaf + 512) | 1 << 62
    p2m = P2M(resolved)
    source = read(saved(tmp_path, synth_stream(p2m)))
    assert source.p2m.count() == p2m.count()
    assert source.p2m.extents() == p2m.extents()
    assert int((source.leaves.frames == source.leaves.identity).sum()) == times


def test_an_hvm_stream_has_no_list(tmp_path):
    p2m = P2M([Run(0, 0x50, Kind.MFN, 0x100, 1), Run(0x50, 0x80, Kind.MISSING)])
    source = read(saved(tmp_path, synth_stream(p2m, StreamSpec(hvm=True))))
    assert source.guest.translated
    assert source.leaves is None
    assert source.p2m.extents() == [Run(0, 0x80, Kind.UNKNOWN)]
    assert source.listed.extents() == [Run(0, 0x50, Kind.UNKNOWN), Run(0x50, 0x80, Kind.MISSING)]
    assert source.memory.pfns().tolist() == list(range(0x50))


def test_the_last_record_of_a_pfn_wins(tmp_path):
    data = synth_stream(small(), StreamSpec(wrapper=""))
    end = data.rindex(record(0))
    words = struct.pack("<IIQQQ", 3, 0, 3, 4 | 15 << 60, 3)
    pages = record(1, words + b"\x11" * 4096 + b"\x22" * 4096)
    source = read(saved(tmp_path, data[:end] + pages + data[end:]))
    assert source.memory.page(3) == b"\x22" * 4096
    assert source.memory.page(4) is None
    assert source.listed.lookup(4) == (Kind.MISSING, -1)
    assert source.p2m.lookup(4) == (Kind.MFN, 0x5004)
    # After VERIFY pages are for comparison alone.
    source = read(saved(tmp_path, data[:end] + record(13) + pages + data[end:]))
    assert source.memory.page(3) == bytes(4096)
    assert source.memory.page(4) == bytes(4096)


def test_optional_records_are_passed_over(tmp_path):
    data = synth_stream(small(), StreamSpec(wrapper=""))
    extra = record(0x80000123, b"whatever")
    source = read(saved(tmp_path, data[:40] + extra + data[40:]))
    assert source.p2m.extents() == small().extents()
    with pytest.raises(InputError, match=r"offset 0x28: record 0 \(type 0x123\): expected a record type"):
        read(saved(tmp_path, data[:40] + record(0x123, b"whatever") + data[40:]))


def test_what_is_no_stream_or_a_legacy_one(tmp_path):
    assert not sniff(b"\x7fELF" + bytes(60))
    with pytest.raises(InputError, match="a migration stream"):
        read(saved(tmp_path, b"hello" * 20))
    with pytest.raises(InputError, match="a migration stream"):
        read(saved(tmp_path, b""))
    block = struct.pack("<QQI4sI", 0x8000, (1 << 64) - 1, 100, b"vcpu", 80) + bytes(80)
    with pytest.raises(UnsupportedError, match="a legacy stream of a 64-bit toolstack"):
        read(saved(tmp_path, block))
    block = struct.pack("<III4sI", 0x8000, (1 << 32) - 1, 100, b"extv", 80) + bytes(80)
    with pytest.raises(UnsupportedError, match="a legacy stream of a 32-bit toolstack"):
        read(saved(tmp_path, block))
    with pytest.raises(UnsupportedError, match="saved by xm"):
        xenp2m.open(saved(tmp_path, b"LinuxGuestRecord" + bytes(100)))
    data = bytearray(synth_stream(small()))
    data[36] = 1  # xl's flags without the one for a stream of version 2
    with pytest.raises(UnsupportedError, match="a legacy stream"):
        read(saved(tmp_path, data))


def test_a_converted_stream_says_so(tmp_path):
    source = read(saved(tmp_path, synth_stream(small(), StreamSpec(xen=(0, 0)))))
    assert source.origin.format.endswith("converted from a legacy stream")
    assert source.guest.xen is None


def test_every_truncation_is_an_error_and_salvage_says_what_is_lost(tmp_path, fifo):
    p2m = P2M([Run(0, 20, Kind.MFN, 0x100, 1)])
    data = synth_stream(p2m, StreamSpec(batch=4))
    edges = set(range(0, 700)) | set(range(len(data) - 3000, len(data), 7)) | set(range(0, len(data), 997))
    for size in sorted(edges):
        path = saved(tmp_path, data[:size])
        with pytest.raises(InputError, match="offset"):
            read(path)
        try:
            source = read(path, salvage=True)
        except InputError:
            continue
        assert source.lost
        for pfn in source.memory.pfns().tolist():
            assert len(source.memory.page(pfn)) == 4096
        assert source.p2m.count()[Kind.MFN] in (0, 20)
    for size in (10, 60, 300, 40000, len(data) - 1):
        with pytest.raises(InputError, match="offset"):
            read(fifo(data[:size]))


def test_a_pipe_costs_no_memory_for_its_pages(tmp_path):
    """A stream of 256 MiB through a pipe, in a process that may not grow by 64 MiB."""

    p2m = P2M([Run(0, 1 << 16, Kind.MFN, 0x100000, 1)])
    script = (
        "import resource, sys, xenp2m\n"
        "import xenp2m.sources.stream.reader\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "source = xenp2m.open('-')\n"
        "print(source.p2m.count()['mfn'], resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)\n"
    )
    run = subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    for piece in stream_pieces(p2m):
        run.stdin.write(piece)
    run.stdin.close()
    told = run.stdout.read().split()
    run.stdout.close()
    assert run.wait() == 0
    assert int(told[0]) == 1 << 16
    assert int(told[1]) < 64 << 10


@pytest.mark.parametrize("salvage", [False, True])
def test_a_stream_that_ends_soundly_without_a_guest_is_refused(tmp_path, salvage):
    whole = synth_stream(P2M([Run(0, 20, Kind.MFN, 0x500, 1)]))
    path = tmp_path / "empty.save"
    path.write_bytes(whole[: whole.index(b"LibxlFmt") + 16] + record(0))
    with pytest.raises(InputError, match="memory of a guest"):
        read(path, salvage=salvage)
