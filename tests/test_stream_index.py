"""The index of a stream's pages against a dictionary: the last word on every PFN wins."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xenp2m.sources.stream import index as module
from xenp2m.sources.stream.events import Pages
from xenp2m.sources.stream.index import PageIndex

XTAB = 15
RECORDS = st.lists(
    st.tuples(
        st.integers(0, 30),  # the first PFN
        st.lists(
            st.tuples(st.sampled_from([1, 1, 1, 2, 5, -3]), st.sampled_from([0, 0, 0, 4, XTAB])), max_size=9
        ),
        st.sampled_from([4096, 4120]),
    ),
    max_size=9,
)


def told(records):
    """Records as a walk hands them on, and what they say in the end."""
    events, last, place = [], {}, 1000
    for pfn, steps, stride in records:
        words, places = [], []
        for step, kind in steps:
            pfn = max(0, pfn + step)
            place += stride
            words.append(pfn | kind << 60)
            places.append(-1 if kind == XTAB else place)
            last[pfn] = kind, places[-1]
        if words:
            whole = np.array(words, np.uint64), np.array(places, np.int64)
            events.append(Pages(0, np.array([place]), np.array([len(words)]), *whole))
    return events, last


@pytest.mark.parametrize("pending", [0, 5, 1 << 18])
def test_the_last_word_wins(pending, monkeypatch):
    monkeypatch.setattr(module, "_PENDING", pending)
    monkeypatch.setattr(module, "_BLOCK", 3)

    @given(RECORDS)
    def check(records):
        events, last = told(records)
        index = PageIndex()
        for event in events:
            index.add(event)
        asked = np.array([*range(80), 1 << 52, (1 << 64) - 1], np.uint64)
        assert index.types_of(asked).tolist() == [last.get(pfn, (-1, -1))[0] for pfn in asked.tolist()]
        assert index.places_of(asked).tolist() == [last.get(pfn, (-1, -1))[1] for pfn in asked.tolist()]
        assert index.told == sum(event.words.size for event in events)
        assert index.below(20) == sum(pfn < 20 for pfn in last)
        listed = [
            pair for block in index.blocks() for pair in zip(*map(np.ndarray.tolist, block), strict=True)
        ]
        assert listed == [(pfn, last[pfn][0]) for pfn in sorted(last)]
        assert index.pfns(index.rows.place >= 0).tolist() == sorted(p for p in last if last[p][1] >= 0)

    check()


def test_pages_in_a_row_are_one_row_or_two():
    index = PageIndex()
    for first in range(0, 8192, 1024):
        words = np.arange(first, first + 1024, dtype=np.uint64)
        places = 4096 * words.astype(np.int64) + 10_000 + 8 * first
        index.add(Pages(0, places[:1], np.array([1024]), words, places))
    assert index.rows.start.size <= 16
