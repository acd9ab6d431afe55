"""Which reader an input is for, and what is said of one that no reader takes."""

import gzip
import lzma
import os
import struct
import threading
from pathlib import Path

import pytest
from tests.guests import unpacked

import xenp2m
from xenp2m import InputError, Kind, Run, UnsupportedError
from xenp2m.p2m import P2M
from xenp2m.sources.detect import FORMATS
from xenp2m.sources.synth_stream import StreamSpec, synth_stream


def put(tmp_path, data):
    path = tmp_path / "input"
    path.write_bytes(data)
    return path


def stream():
    return synth_stream(P2M([Run(0, 64, Kind.MFN, 5, 1)]), StreamSpec(wrapper=""))


@pytest.mark.parametrize(
    ("head", "told"),
    [
        (b"", "an empty file"),
        (gzip.compress(b"x" * 99), "gzip -dc .*input . xenp2m show -"),
        (lzma.compress(b"x" * 99), "xz -dc"),
        (b"\x28\xb5\x2f\xfd" + bytes(99), "zstd -dc"),
        (b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x02\x00" + bytes(99), "no core of a Xen domain"),
        (b"KDUMP   " + bytes(99), "kdump"),
        (b"QFI\xfb" + bytes(99), "qcow2"),
        (b"LinuxGuestRecord" + bytes(99), "saved by xm"),
        (b"PK\x03\x04" + bytes(99), "none of ours"),
        (bytes(9000), "nothing but zeros"),
    ],
)
def test_what_is_recognised_is_named(tmp_path, head, told):
    with pytest.raises(UnsupportedError, match=told):
        xenp2m.open(put(tmp_path, head))


def test_cores_of_before_elf_are_named(tmp_path):
    with pytest.raises(UnsupportedError, match="ELF"):
        xenp2m.open(put(tmp_path, struct.pack("<6I", 0xF00FEBED, 1, 2, 3, 4, 5) + bytes(99)))


def test_anything_else_is_no_map(tmp_path):
    with pytest.raises(InputError, match="none of them"):
        xenp2m.open(put(tmp_path, b"Dear list,\n"))
    with pytest.raises(InputError, match="a directory"):
        xenp2m.open(tmp_path)
    with pytest.raises(InputError, match="No such file"):
        xenp2m.open(tmp_path / "none")
    with pytest.raises(InputError):
        xenp2m.open("a\0b")


def test_the_first_bytes_decide_and_not_the_name(tmp_path):
    path = tmp_path / "map.npz"
    path.write_bytes(stream())
    assert xenp2m.open(path).origin.format.startswith("migration stream")
    assert xenp2m.open(str(path), format="stream").p2m.lookup(3) == (Kind.MFN, 8)
    with pytest.raises(InputError, match=r"one of .*stream"):
        xenp2m.open(path, format="tar")
    with pytest.raises(InputError):
        xenp2m.open(path, format="npz")
    with pytest.raises(InputError):
        xenp2m.open(path, format="core")


def test_every_format_has_a_reader():
    for each in FORMATS.values():
        assert callable(each.reader.sniff)
        assert not each.reader.sniff(b"")
        assert callable(each.reader.read)


def test_a_core_is_not_read_from_a_pipe(tmp_path):
    path = tmp_path / "fifo"
    os.mkfifo(path)
    head = b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x04\x00" + bytes(40)
    thread = threading.Thread(target=path.write_bytes, args=(head,))
    thread.start()
    with pytest.raises(InputError, match="a regular file"):
        xenp2m.open(path)
    thread.join(10)


def test_a_core_and_a_save_of_one_guest_tell_one_map(tmp_path):
    cores = Path(__file__).parent / "cores"
    for name in ("tiny64-both", "tiny32pae"):
        core = put(tmp_path, lzma.decompress((cores / f"{name}.core.xz").read_bytes()))
        save = unpacked(f"{name}.save", tmp_path)
        one, other = xenp2m.open(core), xenp2m.open(save)
        assert len(one.p2m) == len(other.p2m)
        assert (one.p2m.words(0, len(one.p2m)) == other.p2m.words(0, len(one.p2m))).all()
