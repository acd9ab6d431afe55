"""The strict check of streams: sound ones have nothing, and every fault put into one is found."""

import struct

import pytest
from tests.guests import unpacked

from xenp2m import Entry, InputError, Kind, Run, Severity
from xenp2m.checks.stories.stream import STREAM
from xenp2m.checks.stream import check_stream
from xenp2m.frames import GEOMETRY_32, GEOMETRY_64
from xenp2m.p2m import P2M
from xenp2m.sources.feed import PipeFeed
from xenp2m.sources.synth_stream import StreamSpec, record, synth_stream

PER = 512
SMALL = P2M(
    [
        Run(0, 0x9F, Kind.MFN, 0x5000, 1),
        Run(0x9F, 0x100, Kind.IDENTITY),
        Run(0x100, PER, Kind.MFN, 0x9000, -1),
        Run(PER, 3 * PER, Kind.IDENTITY),
        Run(3 * PER, 3 * PER + 40, Kind.MISSING),
        Run(3 * PER + 40, 3 * PER + 100, Kind.MFN, 0x20000, 1),
    ]
)
BARE = StreamSpec(wrapper="")


def codes(tmp_path, data, **options):
    path = tmp_path / "made.save"
    path.write_bytes(data)
    return [finding.code for finding in check_stream(path, **options)]


def pieces(data):
    """The records of a bare stream as ``[type, body]``, behind its headers of 40 bytes."""
    at, found = 40, []
    while at < len(data):
        kind, length = struct.unpack_from("<II", data, at)
        found.append([kind, bytearray(data[at + 8 : at + 8 + length])])
        at += 8 + (length + 7 & ~7)
    return data[:40], found


def joined(head, records):
    return bytes(head) + b"".join(record(kind, bytes(body)) for kind, body in records)


def made(change, spec=BARE, p2m=SMALL):
    """A sound stream with its records changed by `change(records)`."""
    head, records = pieces(synth_stream(p2m, spec))
    records = change(records) or records
    return joined(head, records)


def first(records, kind):
    return next(each for each in records if each[0] == kind)


def without(kind):
    return lambda records: [each for each in records if each[0] != kind]


def moved(kind, position):
    def change(records):
        chosen = first(records, kind)
        rest = [each for each in records if each is not chosen]
        return [*rest[:position], chosen, *rest[position:]]

    return change


def patched(kind, offset, data):
    def change(records):
        first(records, kind)[1][offset : offset + len(data)] = data

    return change


def cut(kind, count):
    def change(records):
        del first(records, kind)[1][-count:]

    return change


def added(position, kind, body=b""):
    return lambda records: [*records[:position], [kind, body], *records[position:]]


def word(pfn, kind=0):
    return struct.pack("<Q", pfn | kind << 60)


def list_entry(pfn, value):
    """Change an entry of the first list page of a stream of one big PAGE_DATA record."""

    def change(records):
        frames, pages = first(records, 3)[1], first(records, 1)[1]
        leaf = struct.unpack_from("<Q", frames, 8)[0]
        for body in (each[1] for each in records if each[0] == 1):
            count = struct.unpack_from("<I", body)[0]
            words = struct.unpack_from(f"<{count}Q", body, 8)
            carried = [w for w in words if w >> 60 != 15]
            if leaf in carried:
                at = 8 + 8 * count + 4096 * carried.index(leaf) + 8 * pfn
                struct.pack_into("<Q", body, at, value)
        assert pages

    return change


@pytest.mark.parametrize("save", ["tiny64-both.save", "tiny32pae.save", "domu2-s3.save"])
def test_real_saves_have_nothing(tmp_path, save):
    path = unpacked(save, tmp_path)
    assert check_stream(path) == []
    assert check_stream(path, contents=False) == []
    # The same through a pipe, where pages pass by once.
    with path.open("rb") as stream:
        assert check_stream(PipeFeed("pipe", lambda room: stream.readinto(room.data))) == []


@pytest.mark.parametrize("wrapper", ["xl", "libxl", ""])
@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("geometry", [GEOMETRY_32, GEOMETRY_64])
@pytest.mark.parametrize("hvm", [False, True])
def test_made_streams_have_nothing(tmp_path, wrapper, version, geometry, hvm):
    p2m = P2M([Run(0, 3000, Kind.MFN, 0x5000, 1)], geometry=geometry)
    for batch in (1, 1024):
        spec = StreamSpec(version=version, wrapper=wrapper, hvm=hvm, batch=batch)
        assert codes(tmp_path, synth_stream(p2m, spec)) == []


FAULTS = [
    (without(0x10), "stream-order"),
    (moved(0x10, 5), "stream-order"),
    (added(2, 0x10), "stream-order"),
    (without(2), "stream-order"),
    (moved(3, 6), "stream-order"),
    (without(3), "stream-order"),
    (added(3, 9, bytes(8)), "stream-order"),
    (added(3, 0x0F), "stream-order"),
    (added(3, 0x0B), "stream-order"),
    (without(7), "stream-absent"),
    (without(4), "stream-absent"),
    (patched(2, 0, b"\x08\x03"), "stream-guest"),
    (patched(2, 0, b"\x05\x04"), "stream-guest"),
    (patched(2, 5, b"\x01"), "stream-reserved"),
    (patched(8, 20, b"\x01"), "stream-reserved"),
    (patched(0x12, 4, b"\x01"), "stream-reserved"),
    (patched(1, 4, b"\x01"), "stream-reserved"),
    (patched(3, 0, struct.pack("<II", 9, 3)), "stream-frame-list"),
    (patched(3, 4, struct.pack("<I", 5 * PER)), "stream-frame-list"),
    (cut(3, 8), "stream-frame-list"),
    (cut(3, 4), "stream-record-size"),
    (cut(7, 8), "stream-record-size"),
    (cut(4, 8), "stream-record-size"),
    (cut(8, 4), "stream-record-size"),
    (cut(0x11, 8), "stream-record-size"),
    (cut(1, 8), "stream-record-size"),
    (cut(1, 4096), "stream-record-size"),
    (patched(1, 0, struct.pack("<I", 0)), "stream-page-count"),
    (patched(1, 0, struct.pack("<I", 1 << 31)), "stream-page-count"),
    (patched(1, 0, struct.pack("<I", 7)), "stream-record-size"),
    (patched(1, 8, word(0, 5)), "stream-record-size"),
    (patched(1, 8 + 8 * 0x9F, word(0x9F, 5)), "stream-page-type"),
    (patched(1, 8, word(1 << 53)), "stream-page-type"),
    (patched(1, 8, word(1 << 51)), "stream-pfn-range"),
    (patched(1, 8, word(len(SMALL))), "stream-pfn-range"),
    (patched(3, 8, word(len(SMALL))), "stream-pfn-range"),
    (patched(3, 8, word(0x9F)), "stream-list-page"),
    (added(6, 1, struct.pack("<II", 1, 0) + word(3) + bytes(4096)), "stream-pfn-again"),
    (added(6, 1, struct.pack("<II", 1, 0) + word(3, 15)), "stream-map-disagrees"),
    (added(6, 1, struct.pack("<II", 1, 0) + word(0x9F) + bytes(4096)), "stream-map-disagrees"),
    (patched(1, 8 + 8 * 0x9F, word(0xA0, 15)), "stream-pfn-untold"),
    (list_entry(3, 0x5004), "stream-mfn-twice"),
    (list_entry(3, 1 << 45), "stream-mfn-range"),
    (list_entry(3, (1 << 64) - 1), "stream-map-disagrees"),
    (patched(4, 8 + 616, word(1 << 40)), "stream-special-page"),
    (patched(4, 8 + 616, word(0x9F)), "stream-special-page"),
    (added(3, 0x77), "stream-record-type"),
]


@pytest.mark.parametrize(("change", "code"), FAULTS)
def test_every_fault_is_found(tmp_path, change, code):
    found = codes(tmp_path, made(change))
    assert code in found
    assert len(set(found)) <= 4


def test_page_tables_point_into_the_list(tmp_path):
    table = struct.pack("<512Q", *([0x67 | 5 << 12] * 511), 0x66 | 1 << 45)
    spec = StreamSpec(wrapper="", memory={4: table}, types={4: 1})
    assert codes(tmp_path, synth_stream(SMALL, spec)) == []
    bad = struct.pack("<512Q", *([0] * 511), 0x67 | len(SMALL) << 12)
    data = synth_stream(SMALL, StreamSpec(wrapper="", memory={4: bad}, types={4: 9}))
    assert codes(tmp_path, data) == ["stream-pte-range"]
    assert codes(tmp_path, data, contents=False) == []


def test_list_pages_are_no_page_tables(tmp_path):
    top = len(SMALL) - 1 - 3  # the list lies below three special pages
    assert "stream-list-page-type" in codes(
        tmp_path, synth_stream(SMALL, StreamSpec(wrapper="", types={top: 1}))
    )


def test_a_shared_page_in_a_tree_is_noted(tmp_path):
    assert codes(tmp_path, synth_stream(SMALL, StreamSpec(linear=False))) == ["stream-list-shared"]


def test_identity_is_held_against_a_memory_map(tmp_path):
    data = synth_stream(SMALL)
    assert codes(tmp_path, data, e820=[Entry(0, 0x9F000, 1), Entry(0x100000, 0x200000, 1)]) == []
    found = codes(tmp_path, data, e820=[Entry(0, 0x300000, 1)])
    assert found == ["stream-identity-map"]


def test_trailing_bytes_padding_and_headers(tmp_path):
    data = synth_stream(SMALL)
    assert codes(tmp_path, data + b"\0") == ["stream-trailing"]
    assert codes(tmp_path, data[:-1])[0] == "stream-truncated"
    bare = synth_stream(SMALL, BARE)
    for at, value, code in (
        (12, b"\0\0\0\4", "stream-header"),
        (8, b"FEBE", "stream-header"),
        (16, b"\0\1", "stream-header"),
        (16, b"\0\2", "stream-reserved"),
        (20, b"\1", "stream-reserved"),
        (24, b"\3", "stream-header"),
        (28, b"\x0d", "stream-header"),
        (30, b"\1", "stream-reserved"),
    ):
        assert codes(tmp_path, bare[:at] + value + bare[at + len(value) :])[0] == code
    extra = struct.pack("<II", 0x80000001, 3) + b"abc\0\1\0\0\0"
    assert codes(tmp_path, bare[:40] + extra + bare[40:]) == ["stream-padding"]


def test_findings_say_where_and_are_bounded(tmp_path):
    path = tmp_path / "made.save"
    path.write_bytes(made(patched(1, 8, word(1 << 51))))
    finding = next(f for f in check_stream(path) if f.code == "stream-pfn-range")
    assert finding.severity is Severity.ERROR
    head, records = pieces(path.read_bytes())
    number = [kind for kind, _ in records].index(1)
    offset = len(head) + sum(8 + len(body) + -len(body) % 8 for _, body in records[:number]) + 16
    assert f"record {number} (PAGE_DATA), offset {offset:#x}: expected a PFN of at most" in finding.what
    assert finding.what.endswith(f"got {1 << 51:#x}")
    many = made(patched(1, 8, b"".join(word(1 << 51 | n) for n in range(100))))
    path.write_bytes(many)
    found = [f for f in check_stream(path) if f.code == "stream-pfn-range"]
    assert len(found) <= 18


def pages(*words, room=0):
    return struct.pack("<II", len(words), 0) + b"".join(words) + bytes(room)


def headed(at, value):
    """A sound stream with bytes of its headers changed."""
    bare = synth_stream(SMALL, BARE)
    return bare[:at] + value + bare[at + len(value) :]


SOUND = synth_stream(SMALL)
PADDED = struct.pack("<II", 0x80000001, 3) + b"abc" + bytes(5)
MISSING = word(3 * PER, 15)
LAST = len(SMALL) - 1
NEAR_MISSES = {
    # code: a stream that comes as near to it as a sound one can
    "stream-truncated": SOUND,
    "stream-trailing": SOUND,
    "stream-header": headed(28, b"\x0c"),
    "stream-record-type": made(added(3, 0x80000077)),
    "stream-record-size": made(added(6, 1, pages(MISSING))),
    "stream-page-count": made(added(6, 1, pages(word(3), room=4096))),
    "stream-page-type": made(patched(1, 8, word(0, 4))),
    "stream-order": made(added(2, 0x80000077)),
    "stream-absent": made(without(8)),
    "stream-reserved": headed(16, b"\0\0"),
    "stream-padding": headed(40, PADDED + synth_stream(SMALL, BARE)[40:]),
    "stream-guest": made(patched(2, 0, b"\x08\x04")),
    "stream-frame-list": made(patched(3, 0, struct.pack("<II", 0, LAST - 1))),
    "stream-pfn-range": made(patched(1, 8, word(LAST))),
    "stream-list-page": made(added(6, 1, pages(MISSING))),
    "stream-list-page-type": synth_stream(SMALL, StreamSpec(types={LAST - 20: 1})),
    "stream-list-shared": synth_stream(SMALL, StreamSpec(linear=True)),
    "stream-map-disagrees": made(added(6, 1, pages(word(3), room=4096))),
    "stream-mfn-twice": made(list_entry(3, 0x15003)),
    "stream-mfn-range": made(list_entry(3, (1 << 40) - 1)),
    "stream-pte-range": synth_stream(
        SMALL, StreamSpec(memory={4: struct.pack("<512Q", *([0] * 511), 0x67 | 5 << 12)}, types={4: 9})
    ),
    "stream-special-page": SOUND,
    "stream-pfn-again": made(added(6, 0x80000077)),
    "stream-pfn-untold": made(patched(1, 8 + 8 * 0x9F, word(0x9F, 15))),
    "stream-identity-map": SOUND,
}


@pytest.mark.parametrize(("code", "data"), NEAR_MISSES.items(), ids=list(NEAR_MISSES))
def test_a_near_miss_is_none(tmp_path, code, data):
    e820 = [Entry(0, 0x9F000, 1), Entry(0x100000, 0x200000, 1)]
    assert code not in codes(tmp_path, data, e820=e820)


def test_every_code_is_tested():
    tested = {code for _, code in FAULTS} | {
        "stream-pte-range", "stream-list-page-type", "stream-list-shared", "stream-identity-map",
        "stream-trailing", "stream-truncated", "stream-header", "stream-padding",
    }  # fmt: skip
    assert tested == {story.code for story in STREAM} == set(NEAR_MISSES)


def test_no_stream_at_all(tmp_path):
    with pytest.raises(InputError):
        codes(tmp_path, b"no stream")
