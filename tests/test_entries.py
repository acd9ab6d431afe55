"""Arrays of raw words, block by block, against single entries."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xenp2m import entries
from xenp2m.entries import count_words, find_word, kinds_of, runs_of, table_of
from xenp2m.extents import Run, coalesce, count
from xenp2m.frames import GEOMETRY_64, UNKNOWN_WORD, Kind
from xenp2m.runtable import KINDS

NUMBERED = (Kind.MFN, Kind.FOREIGN, Kind.OTHER)
WORD = st.sampled_from(
    [0, 1, 2, 3, 4, 1 << 62, (1 << 62) | 1, (1 << 62) | 7, (1 << 63) | 1, (1 << 63) | 2, (3 << 62) | 3]
) | st.sampled_from([(1 << 64) - 1, UNKNOWN_WORD, (1 << 62) - 1])


def single(pfn, word):
    kind, number = GEOMETRY_64.classify(pfn, word)
    return Run(pfn, pfn + 1, kind, number, 1) if kind in NUMBERED else Run(pfn, pfn + 1, kind)


@pytest.fixture(params=[2, 3, 7, 1 << 18])
def block(request, monkeypatch):
    monkeypatch.setattr(entries, "_BLOCK", request.param)
    return request.param


def test_blocks_join_as_single_entries_do(block):
    @given(st.lists(st.tuples(WORD, st.sampled_from([-1, 0, 1]), st.integers(1, 9)), max_size=12))
    def check(pieces):
        raw = [max(0, word + i * step) % (1 << 64) for word, step, n in pieces for i in range(n)]
        alone = [single(pfn, word) for pfn, word in enumerate(raw)]
        words = np.array(raw, np.uint64)
        assert runs_of(table_of(words)) == coalesce(alone)
        assert count_words(words) == count(alone)
        assert [KINDS[k] for k in kinds_of(words)] == [run.kind for run in alone]

    check()


def test_long_runs_cross_many_blocks(block):
    up = np.arange(5, 105, dtype=np.uint64)
    gone = np.full(90, UNKNOWN_WORD, np.uint64)
    same = np.arange(190, 250, dtype=np.uint64) | np.uint64(1 << 62)
    foreign = np.arange(40, 0, -1, dtype=np.uint64) | np.uint64(1 << 63)
    words = np.concatenate((up, gone, same, foreign))
    assert runs_of(table_of(words)) == [
        Run(0, 100, Kind.MFN, 5, 1),
        Run(100, 190, Kind.UNKNOWN),
        Run(190, 250, Kind.IDENTITY),
        Run(250, 290, Kind.FOREIGN, 40, -1),
    ]
    assert find_word(words, 50) == [45]
    assert find_word(words, UNKNOWN_WORD) == list(range(100, 190))


def test_kinds_know_the_first_pfn():
    word = np.array([1 << 62 | 9], np.uint64)
    assert KINDS[kinds_of(word, 9)[0]] is Kind.IDENTITY
    assert KINDS[kinds_of(word)[0]] is Kind.OTHER
