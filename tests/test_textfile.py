import bz2
import gzip
import io
import lzma
import os
import random
import threading
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xenp2m.errors import InputError
from xenp2m.logs.textfile import decode, read_text

TEXT = "(XEN) Xen-e820 RAM map:\n" * 40


def error_of(path, **options) -> str:
    with pytest.raises(InputError) as caught:
        read_text(path, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture
def write(tmp_path):
    def write(data: bytes, name: str = "input"):
        path = tmp_path / name
        path.write_bytes(data)
        return path

    return write


@pytest.mark.parametrize("pack", [bytes, gzip.compress, bz2.compress, lzma.compress])
def test_packing_is_known_by_content_not_by_name(write, pack):
    assert read_text(write(pack(TEXT.encode()), "log.txt")) == TEXT


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
def test_members_follow_each_other_and_may_be_padded(write, pack):
    data = pack(b"one\n") + pack(b"") + pack(b"two\n")
    assert read_text(write(data)) == "one\ntwo\n"
    assert read_text(write(data + b"\0" * 700_000)) == "one\ntwo\n"
    assert "something else behind it" in error_of(write(data + b"tail"))


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
@pytest.mark.parametrize("kept", [11, 60, 400])
def test_a_packed_file_that_ends_early(write, pack, kept):
    data = pack(random.Random(1).randbytes(700))
    assert "ends early" in error_of(write(data[:kept]))


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
def test_a_damaged_packed_file(write, pack):
    data = bytearray(pack(random.Random(1).randbytes(5000)))
    data[len(data) // 2] ^= 255
    data[-3] ^= 255
    assert "expected sound" in error_of(write(bytes(data)))


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
def test_a_bomb_is_stopped_early(write, pack):
    path = write(pack(b"x" * 64_000_000))
    assert path.stat().st_size < 100_000
    tracemalloc.start()
    assert error_of(path, limit=1 << 20).endswith("expected at most 1 MiB of text, got more")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 24 << 20


def test_the_limit_is_the_last_size_that_is_read(write):
    path = write(b"x" * 1000)
    assert len(read_text(path, limit=1000)) == 1000
    assert "at most 999 bytes of text, got more" in error_of(path, limit=999)


@pytest.mark.parametrize("pack", [bytes, gzip.compress, lzma.compress])
@pytest.mark.parametrize(
    ("magic", "said"),
    [
        (b"\x7fELF\x02\x01\x01", "expected a log or a memory map, got an ELF core"),
        (b"Xen saved domain, xl format\n \0 \r", "got a domain saved by xl"),
        (b"\x28\xb5\x2f\xfd", "zstd -dc FILE | xenp2m plan -"),
        (b"PK\x03\x04", "got a zip archive"),
        (b"\x89PNG\r\n", "got a picture"),
    ],
)
def test_what_is_no_text_is_named(write, pack, magic, said):
    assert said in error_of(write(pack(magic + bytes(1000))))


def test_packed_twice_and_tar(write):
    assert "got xz in gzip" in error_of(write(gzip.compress(lzma.compress(b"x" * 1000))))
    assert "got a tar archive in gzip" in error_of(write(gzip.compress(b"a" * 257 + b"ustar" + bytes(300))))


def test_no_such_file_directory_and_empty(tmp_path, write):
    assert "no such file or directory" in error_of(tmp_path / "none")
    assert "got a directory" in error_of(tmp_path)
    assert "an empty file" in error_of(write(b""))
    assert "an empty file in xz" in error_of(write(lzma.compress(b"")))
    assert "null byte" in error_of("a\0b")


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_file_that_may_not_be_read(write):
    path = write(b"text")
    path.chmod(0)
    assert "permission denied" in error_of(path)


def test_standard_input(monkeypatch):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(lzma.compress(b"hello"))))
    assert read_text("-") == "hello"
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"")))
    assert error_of("-").startswith("standard input: ")


def test_a_fifo_in_small_pieces(tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    data = gzip.compress(TEXT.encode())

    def feed():
        with path.open("wb", buffering=0) as pipe:
            for byte in data:
                pipe.write(bytes([byte]))

    thread = threading.Thread(target=feed)
    thread.start()
    assert read_text(path) == TEXT
    thread.join()


@pytest.mark.parametrize("coding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_codings(coding):
    assert decode(TEXT.encode(coding), "x") == TEXT
    assert decode(("\ufeff" + TEXT).encode("utf-16-be"), "x") == TEXT


def test_stray_bytes_and_nuls_are_no_obstacle():
    assert decode(b"a\0b\xff\xa0c\x1b[0m\n" * 50, "x") == "ab\ufffd\ufffdc\x1b[0m\n" * 50


def test_noise_and_zeros_are_refused():
    for data in (random.Random(1).randbytes(1 << 20), b"\0" * 5000):
        with pytest.raises(InputError):
            decode(data, "noise")


@settings(max_examples=300, deadline=1000)
@given(st.binary(max_size=3000))
def test_any_bytes_are_text_or_one_error(data):
    try:
        text = decode(data, "x")
    except InputError:
        return
    assert "\0" not in text


@settings(max_examples=200, deadline=1000)
@given(st.sampled_from([b"\x1f\x8b", b"BZh9", b"\xfd7zXZ\0", b""]), st.binary(max_size=300))
def test_any_file_is_read_or_one_error(tmp_path_factory, magic, data):
    path = tmp_path_factory.mktemp("any") / "file"
    path.write_bytes(magic + data)
    try:
        assert "\0" not in read_text(path)
    except InputError as error:
        where = error.where
    else:
        where = str(path)
    assert where == str(path)
