"""Editing streams: what is not changed stays to the byte."""

import struct

import pytest
from tests.guests import unpacked

from xenp2m import InputError, Kind, Run
from xenp2m.checks.stream import check_stream
from xenp2m.p2m import P2M
from xenp2m.sources.stream.edit import edit_stream, stream_records
from xenp2m.sources.stream.reader import read
from xenp2m.sources.synth_stream import StreamSpec, synth_stream


def test_nothing_changed_is_the_same_file(tmp_path):
    path = unpacked("tiny64-both.save", tmp_path)
    assert edit_stream(path, tmp_path / "copy", lambda record: None) == 0
    assert (tmp_path / "copy").read_bytes() == path.read_bytes()
    # Every body written anew gives the same bytes as well.
    assert edit_stream(path, tmp_path / "copy", lambda record: record.body()) > 10
    assert (tmp_path / "copy").read_bytes() == path.read_bytes()


def test_records_of_a_real_save(tmp_path):
    names = [record.name for record in stream_records(unpacked("tiny64-both.save", tmp_path))]
    assert names[:2] == ["LIBXC_CONTEXT", "X86_PV_INFO"]
    assert names[-2:] == ["END", "END"]
    assert {"STATIC_DATA_END", "X86_PV_P2M_FRAMES", "PAGE_DATA", "SHARED_INFO"} <= set(names)


@pytest.mark.parametrize("batch", [1, 100])
def test_one_record_changed_in_place(tmp_path, batch):
    path = tmp_path / "made.save"
    p2m = P2M([Run(0, 300, Kind.MFN, 0x5000, 1)])
    path.write_bytes(synth_stream(p2m, StreamSpec(batch=batch)))

    def change(record):
        body = record.body()
        if record.name == "PAGE_DATA" and struct.unpack_from("<Q", body, 8)[0] == 200:
            first = 8 + 8 * struct.unpack_from("<I", body)[0]
            return body[:first] + b"\x77" * 4096 + body[first + 4096 :]
        if record.name == "X86_TSC_INFO":
            return []
        return [(record.type, body), (0x80000001, b"note")] if record.name == "X86_PV_INFO" else None

    assert edit_stream(path, path, change) == 3
    assert [p.name for p in tmp_path.iterdir()] == ["made.save"]
    assert check_stream(path) == []
    source = read(path)
    assert [pfn for pfn in range(300) if source.memory.page(pfn) == b"\x77" * 4096] == [200]
    names = [record.name for record in stream_records(path)]
    assert "X86_TSC_INFO" not in names
    assert names[names.index("X86_PV_INFO") + 1] == "type 0x80000001"


def test_nothing_is_left_of_a_failure(tmp_path):
    path = tmp_path / "made.save"
    data = synth_stream(P2M([Run(0, 300, Kind.MFN, 0x5000, 1)]))
    path.write_bytes(data[:-9000])
    with pytest.raises(InputError, match="offset"):
        edit_stream(path, tmp_path / "copy", lambda record: None)
    path.write_bytes(data)

    def fail(record):
        raise KeyError(record.number)

    with pytest.raises(KeyError):
        edit_stream(path, tmp_path / "copy", fail)
    with pytest.raises(InputError, match="a place to write"):
        edit_stream(path, tmp_path / "none" / "copy", lambda record: None)
    assert [p.name for p in tmp_path.iterdir()] == ["made.save"]
    assert path.read_bytes() == data
