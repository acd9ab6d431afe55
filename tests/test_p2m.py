"""One interface over runs and over an array; both against a plain list of words."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xenp2m.extents import Run, coalesce
from xenp2m.frames import GEOMETRY_64, UNKNOWN_WORD, Kind
from xenp2m.p2m import P2M
from xenp2m.runtable import RunTable

INVALID = GEOMETRY_64.invalid
IDENTITY = GEOMETRY_64.identity_bit
FOREIGN = GEOMETRY_64.foreign_bit
KINDS_OF_WORDS = (Kind.MFN, Kind.IDENTITY, Kind.MISSING, Kind.FOREIGN, Kind.OTHER)
ERAS = pytest.mark.parametrize("beyond", [Kind.IDENTITY, Kind.MISSING], ids=str)


@st.composite
def words(draw):
    """Raw words, PFN 0 first: stretches that go on, turn, repeat, and lone entries of every kind."""
    found = []
    for _ in range(draw(st.integers(0, 6))):
        kind = draw(st.sampled_from(KINDS_OF_WORDS))
        number = draw(st.integers(0, 40) | st.integers(0, IDENTITY - 50))
        for step in draw(st.lists(st.sampled_from((1, 1, 1, -1, -1, 0, 2)), max_size=8)):
            pfn = len(found)
            if kind is Kind.OTHER:
                found.append(IDENTITY | (number if number != pfn else number + 1))
            else:
                found.append(GEOMETRY_64.encode(kind, pfn, number))
            number = max(0, number + step)
    return found


def array_of(raw):
    return np.array(raw, np.uint64)


def entries_of(raw):
    """One run an entry."""
    runs = []
    for pfn, word in enumerate(raw):
        kind, number = GEOMETRY_64.classify(pfn, word)
        numbered = kind in (Kind.MFN, Kind.FOREIGN, Kind.OTHER)
        runs.append(Run(pfn, pfn + 1, kind, number, 1) if numbered else Run(pfn, pfn + 1, kind))
    return runs


def both(raw, **more):
    """The three forms of one map."""
    runs = coalesce(entries_of(raw))
    return P2M(array_of(raw), **more), P2M(entries_of(raw), **more), P2M(RunTable.of(runs), **more)


def word_at(raw, pfn, beyond):
    if pfn < len(raw):
        return raw[pfn]
    return IDENTITY | pfn if beyond is Kind.IDENTITY else INVALID


# ---- both forms against the list


@given(words())
def test_extents_are_the_single_entries_joined(raw):
    expected = coalesce(entries_of(raw))
    for p2m in both(raw):
        assert p2m.extents() == expected
        assert len(p2m) == len(raw)


@ERAS
@given(raw=words())
def test_lookup(raw, beyond):
    for p2m in both(raw, beyond=beyond):
        for pfn in range(len(raw) + 3):
            kind, number = GEOMETRY_64.classify(pfn, word_at(raw, pfn, beyond))
            assert p2m.lookup(pfn) == (kind, -1 if kind is Kind.MISSING else number)


@ERAS
@given(raw=words(), data=st.data())
def test_translate(raw, beyond, data):
    inside = st.integers(0, len(raw) + 3)
    pfns = data.draw(st.lists(inside | st.sampled_from([1 << 27, (1 << 62) - 1]), max_size=12))
    expected = [word_at(raw, pfn, beyond) for pfn in pfns]
    for p2m in both(raw, beyond=beyond):
        for dtype in (np.uint64, np.int64):
            found = p2m.translate(np.array(pfns, dtype))
            assert found.dtype == np.uint64
            assert found.tolist() == expected


@ERAS
@given(raw=words(), data=st.data())
def test_words_of_a_range(raw, beyond, data):
    start = data.draw(st.integers(0, len(raw) + 5))
    end = data.draw(st.integers(start, len(raw) + 9))
    for p2m in both(raw, beyond=beyond):
        assert p2m.words(start, end).tolist() == [word_at(raw, pfn, beyond) for pfn in range(start, end)]


@given(words())
def test_count(raw):
    kinds = Counter(GEOMETRY_64.classify(pfn, word)[0] for pfn, word in enumerate(raw))
    for p2m in both(raw):
        assert p2m.count() == kinds
        assert sum(p2m.count().values()) == len(raw)


@given(words())
def test_find_and_inverse(raw):
    frames = [word for word in raw if word < IDENTITY]
    wanted = sorted({*frames, *(f + 1 for f in frames), *(max(0, f - 1) for f in frames), 0, 1 << 40})
    for p2m in both(raw):
        for mfn in wanted:
            assert p2m.find(mfn) == [pfn for pfn, word in enumerate(raw) if word == mfn]
        lowest = [next((pfn for pfn, word in enumerate(raw) if word == mfn), -1) for mfn in wanted]
        assert p2m.inverse(np.array(wanted, np.uint64)).tolist() == lowest


@given(words())
def test_run_at(raw):
    for p2m in both(raw):
        for pfn in range(len(raw)):
            run = p2m.run_at(pfn)
            assert run.start <= pfn < run.end
            assert run in p2m.extents()


# ---- forms of the question


def test_any_shape_and_width():
    for p2m in both([10, 11, INVALID, IDENTITY | 3]):
        assert p2m.translate(np.array([[0, 1], [2, 3]], np.uint8)).tolist() == [
            [10, 11],
            [INVALID, IDENTITY | 3],
        ]
        assert p2m.translate(np.array(1, np.int16)).shape == ()
        assert int(p2m.translate(np.array(1, np.int16))) == 11
        assert p2m.translate(np.array([], np.int32)).tolist() == []
        assert p2m.translate(np.arange(8, dtype=np.uint32)[::2]).tolist() == [
            10,
            INVALID,
            IDENTITY | 4,
            IDENTITY | 6,
        ]
        assert p2m.inverse(np.array([[11, 12]])).tolist() == [[1, -1]]


def test_more_pfns_than_one_chunk():
    raw = np.arange(100_000, dtype=np.uint64)[::-1] + np.uint64(7)
    raw[5::1000] = INVALID
    pfns = np.random.default_rng(1).integers(0, 100_050, 200_000)
    expected = np.where(
        pfns < raw.size, raw[np.minimum(pfns, raw.size - 1)], pfns.astype(np.uint64) | np.uint64(IDENTITY)
    )
    array = P2M(raw)
    assert np.array_equal(array.translate(pfns), expected)
    assert np.array_equal(P2M(array.extents()).translate(pfns), expected)


def test_numbers_do_not_wrap_within_a_run():
    p2m = P2M([Run(0, 3, Kind.MFN, 2, -1), Run(3, 1 << 34, Kind.IDENTITY)])
    assert p2m.translate(np.array([0, 1, 2, (1 << 34) - 1], np.uint64)).tolist() == [
        2,
        1,
        0,
        IDENTITY | ((1 << 34) - 1),
    ]


def test_a_range_inside_an_array_is_not_copied():
    raw = array_of([5, 6, 7])
    assert np.shares_memory(P2M(raw).words(1, 3), raw)


def test_of_several_pfns_the_lowest_wins():
    for p2m in both([9, 5, 6, 7, 6, 5]):
        assert p2m.find(6) == [2, 4]
        assert p2m.inverse(np.array([5, 6, 7, 9, 8])).tolist() == [1, 2, 3, 0, -1]


def test_foreign_and_other_frames_are_not_the_guests_own():
    for p2m in both([FOREIGN | 5, IDENTITY | 5, 5]):
        assert p2m.lookup(0) == (Kind.FOREIGN, 5)
        assert p2m.lookup(1) == (Kind.OTHER, IDENTITY | 5)
        assert p2m.find(5) == [2]


def test_an_empty_map():
    for p2m in (P2M([]), P2M(array_of([]))):
        assert len(p2m) == 0
        assert p2m.extents() == []
        assert p2m.lookup(3) == (Kind.IDENTITY, 3)
        assert p2m.words(0, 2).tolist() == [IDENTITY, IDENTITY | 1]
        assert p2m.inverse(np.array([3])).tolist() == [-1]


def test_unknown_entries_are_told_apart():
    raw = array_of([7, 8, 9, UNKNOWN_WORD, UNKNOWN_WORD, INVALID])
    runs = [Run(0, 3, Kind.MFN, 7, 1), Run(3, 5, Kind.UNKNOWN), Run(5, 6, Kind.MISSING)]
    for p2m in (P2M(raw), P2M(runs), P2M(RunTable.of(runs))):
        assert p2m.lookup(3) == (Kind.UNKNOWN, -1)
        assert p2m.count() == {Kind.MFN: 3, Kind.UNKNOWN: 2, Kind.MISSING: 1}
        assert p2m.words(0, 6).tolist() == raw.tolist()
        assert p2m.extents() == runs
    beyond = P2M(raw, beyond=Kind.UNKNOWN)
    assert beyond.lookup(6) == (Kind.UNKNOWN, -1)
    assert beyond.words(5, 7).tolist() == [INVALID, UNKNOWN_WORD]


def test_repr_tells_the_form():
    assert repr(P2M([Run(0, 16, Kind.MISSING)])) == "<P2M of 0x10 PFNs, 1 runs>"
    assert repr(P2M(array_of([1, 2]))) == "<P2M of 0x2 PFNs, words>"


# ---- errors


@pytest.mark.parametrize(
    "runs",
    [
        [Run(1, 2, Kind.MISSING)],
        [Run(0, 2, Kind.MISSING), Run(3, 4, Kind.MISSING)],
        [Run(0, 2, Kind.MISSING), Run(1, 4, Kind.MISSING)],
        [Run(0, 0, Kind.MISSING)],
        [Run(0, 2, Kind.MISSING), Run(2, 1, Kind.MISSING)],
    ],
)
def test_runs_with_a_gap_or_overlap_are_refused(runs):
    with pytest.raises(ValueError, match="expected a run from"):
        P2M(runs)


@pytest.mark.parametrize(
    "array", [np.zeros(3, np.int64), np.zeros(3, np.uint32), np.zeros((2, 2), np.uint64)]
)
def test_arrays_of_another_form_are_refused(array):
    with pytest.raises(ValueError, match="expected one uint64 a PFN"):
        P2M(array)


def test_negative_pfns_are_refused():
    for p2m in both([1, 2, 3]):
        with pytest.raises(IndexError, match="-1"):
            p2m.lookup(-1)
        with pytest.raises(IndexError, match="-5"):
            p2m.translate(np.array([0, -5], np.int8))
        with pytest.raises(IndexError, match="expected 0 <= start <= end"):
            p2m.words(2, 1)
        with pytest.raises(IndexError, match="expected 0 <= start <= end"):
            p2m.words(-1, 1)
