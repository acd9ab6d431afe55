"""Our own file: what is saved is what is loaded, and nothing else."""

import io
import json
import zipfile
from dataclasses import fields

import numpy as np
import pytest
from tests.guests import live

import xenp2m
from xenp2m import Finding, InputError, Kind, Run
from xenp2m.checks.stories import STORIES
from xenp2m.frames import GEOMETRY_32
from xenp2m.p2m import P2M
from xenp2m.sources import npz
from xenp2m.sources.source import Guest, Leaves, Origin, Source


def sources():
    words = live("tiny64-both.a.live")
    scattered = np.random.default_rng(3).permutation(5000).astype(np.uint64)
    runs = [Run(0, 9, Kind.MFN, 90, -1), Run(9, 40, Kind.IDENTITY), Run(40, 1 << 30, Kind.UNKNOWN)]
    guest = Guest(max_pfn=2460, form="linear list", p2m_cr3=1 << 60, generation=3, cr3=(5, -1), xen="4.17")
    leaves = Leaves(np.arange(5, dtype=np.uint64), "pfn", identity=3, why="it recurs")
    yield Source(
        Origin("a", "b", 7, "00"), guest, P2M(words), leaves=leaves, lost=("x",), inferred=("y", "z")
    )
    found = (Finding(STORIES["stream-trailing"], "what", "why", ((1, 5),)),)
    yield Source(Origin("a", "b"), Guest(), P2M([]), findings=found)
    yield Source(Origin("a", "b"), Guest(), P2M(scattered, beyond=Kind.UNKNOWN), listed=P2M(runs))
    yield Source(Origin("a", "b"), Guest(geometry=GEOMETRY_32), P2M(runs, geometry=GEOMETRY_32))
    yield Source(Origin("a", "b"), Guest(), P2M([]), m2p=np.arange(9, dtype=np.uint64))


def save(source, path):
    with path.open("wb") as file:
        npz.save(source, file)


def same(left, right):
    for field in fields(Source):
        one, other = getattr(left, field.name), getattr(right, field.name)
        if isinstance(one, P2M):
            assert one.extents() == other.extents()
            assert (one.geometry, one.beyond) == (other.geometry, other.beyond)
        elif isinstance(one, Leaves):
            assert one.frames.tolist() == other.frames.tolist()
            assert (one.space, one.identity, one.missing, one.why) == (
                other.space, other.identity, other.missing, other.why
            )  # fmt: skip
        elif isinstance(one, np.ndarray):
            assert one.tolist() == other.tolist()
        else:
            assert one == other


@pytest.mark.parametrize("number", range(5))
def test_there_and_back(tmp_path, number):
    source = list(sources())[number]
    save(source, tmp_path / "map.npz")
    save(source, tmp_path / "again.npz")
    same(source, xenp2m.open(tmp_path / "map.npz"))
    assert (tmp_path / "map.npz").read_bytes() == (tmp_path / "again.npz").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["again.npz", "map.npz"]
    with np.load(tmp_path / "map.npz", allow_pickle=False) as archive:
        assert "xenp2m.about" in archive


def test_every_truncation_is_an_error(tmp_path):
    save(next(sources()), tmp_path / "map.npz")
    data = (tmp_path / "map.npz").read_bytes()
    for size in range(0, len(data), 13):
        (tmp_path / "cut.npz").write_bytes(data[:size])
        with pytest.raises(InputError):
            npz.read(tmp_path / "cut.npz")


def test_salvage_of_a_part_says_that_there_is_none(tmp_path):
    save(next(sources()), tmp_path / "map.npz")
    (tmp_path / "cut.npz").write_bytes((tmp_path / "map.npz").read_bytes()[:-30])
    with pytest.raises(InputError, match="nothing of a part can be salvaged"):
        xenp2m.open(tmp_path / "cut.npz", salvage=True)
    with pytest.raises(InputError) as error:
        xenp2m.open(tmp_path / "cut.npz")
    assert "salvaged" not in str(error.value)


def test_progress_ends_with_all(tmp_path):
    save(next(sources()), tmp_path / "map.npz")
    told = []
    xenp2m.open(tmp_path / "map.npz", progress=lambda done, total: told.append((done, total)))
    assert told == sorted(told)
    assert told[-1][0] == told[-1][1] > 0


def test_every_damaged_byte_is_an_error_or_changes_nothing(tmp_path):
    source = next(sources())
    save(source, tmp_path / "map.npz")
    data = (tmp_path / "map.npz").read_bytes()
    refused = 0
    for at in range(0, len(data), 5):
        (tmp_path / "bad.npz").write_bytes(data[:at] + bytes([data[at] ^ 0x55]) + data[at + 1 :])
        try:
            same(source, npz.read(tmp_path / "bad.npz"))
        except InputError:
            refused += 1
    assert refused > len(data) // 10


def rewritten(path, **changes):
    """The archive with some members replaced by raw bytes or arrays."""
    with zipfile.ZipFile(path) as archive:
        members = {info.filename: archive.read(info) for info in archive.infolist()}
    for name, value in changes.items():
        if isinstance(value, np.ndarray):
            stream = io.BytesIO()
            np.lib.format.write_array(stream, value, version=(1, 0))
            value = stream.getvalue()
        members[name.replace("_", ".") + ".npy"] = value
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, value in members.items():
            archive.writestr(name, value)


@pytest.mark.parametrize(
    "changes",
    [
        {"xenp2m_about": np.frombuffer(b"{}", np.uint8)},
        {"xenp2m_about": np.frombuffer(b"[" * 50, np.uint8)},
        {"p2m_kind": np.full(3, 9, np.int8)},
        {"p2m_step": np.full(3, 3, np.int8)},
        {"p2m_start": np.array([0, 5, 40])},
        {"p2m_start": np.array([0.0, 9.0, 40.0])},
        {"p2m_end": np.array([9])},
        {"p2m_words": np.zeros(3, np.int8)},
        {"p2m_words": np.zeros(1 << 28, np.uint8)},
        {
            "p2m_mfn": b"\x93NUMPY\x01\x00v\x00{'descr': '<i8', 'fortran_order': False, 'shape': (1099511627776,), }"
        },
        {"p2m_mfn": b"nonsense"},
    ],
)
def test_what_no_save_wrote_is_refused(tmp_path, changes):
    path = tmp_path / "map.npz"
    save(list(sources())[3], path)
    rewritten(path, **changes)
    with pytest.raises(InputError):
        npz.read(path)


@pytest.mark.parametrize(
    ("part", "key", "value"),
    [
        ("guest", "max_pfn", "many"),
        ("guest", "max_pfn", True),
        ("guest", "p2m_vaddr", 1 << 64),
        ("guest", "p2m_vaddr", 1.5),
        ("guest", "cr3", ["5"]),
        ("guest", "cr3", 5),
        ("guest", "vcpus", -2),
        ("guest", "colour", 1),
        ("origin", "name", 5),
        ("origin", "sha256", []),
        ("origin", "name", "x" * 5000),
        ("", "lost", ["x" * 5000]),
        ("", "lost", "abc"),
        ("", "inferred", [5]),
        ("", "findings", [["map-foreign", 5, "", []]]),
        ("", "findings", [["map-foreign", "", "", [["a", "b"]]]]),
    ],
)
def test_facts_of_another_type_are_refused(tmp_path, part, key, value):
    path = tmp_path / "map.npz"
    save(list(sources())[3], path)
    with zipfile.ZipFile(path) as archive, archive.open("xenp2m.about.npy") as member:
        about = json.loads(np.load(io.BytesIO(member.read())).tobytes())
    (about[part] if part else about)[key] = value
    rewritten(path, xenp2m_about=np.frombuffer(json.dumps(about).encode(), np.uint8))
    with pytest.raises(InputError, match="the arrays of an"):
        npz.read(path)


def test_pickles_are_never_loaded(tmp_path):
    path = tmp_path / "map.npz"
    save(list(sources())[3], path)
    stream = io.BytesIO()
    np.lib.format.write_array(stream, np.array([{}], object), version=(1, 0), allow_pickle=True)
    rewritten(path, p2m_words=stream.getvalue())
    with pytest.raises(InputError):
        npz.read(path)


@pytest.mark.parametrize("field", [20, 24])
def test_a_member_that_claims_more_than_there_can_be_is_refused_unread(tmp_path, field):
    path = tmp_path / "a.npz"
    save(Source(Origin("a", "b"), Guest(), P2M([Run(0, 20, Kind.MFN, 0x500, 1)])), path)
    data = bytearray(path.read_bytes())
    at = data.rindex(b"PK\x01\x02") + field
    data[at : at + 4] = (0x0A000000).to_bytes(4, "little")
    path.write_bytes(data)
    with pytest.raises(InputError, match="members of at most"):
        npz.read(path)
