"""Page tables against a slow walk of one address, with large pages, holes and circles."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xenp2m.sources.pagetable import ABSENT, frames_of_range, path_of

PRESENT, LARGE = 1, 0x80
SIZES = {4: {3: 1 << 18, 2: 1 << 9}, 3: {2: 1 << 9}}


class Tables:
    """Some tables by frame, each a few entries; counts how often each is read."""

    def __init__(self, tables):
        self.tables = tables
        self.reads = {}

    def __call__(self, frames):
        pages = np.zeros((frames.size, 4096), np.uint8)
        there = np.zeros(frames.size, bool)
        for row, frame in enumerate(frames.tolist()):
            self.reads[frame] = self.reads.get(frame, 0) + 1
            if frame in self.tables:
                there[row] = True
                words = pages[row].view("<u8")
                for slot, entry in self.tables[frame].items():
                    words[slot] = entry
        return pages, there


def slowly(tables, root, page, levels):
    """Frame behind one page, or "unmapped", or "uncarried"."""
    table = root
    for level in range(levels, 0, -1):
        if table not in tables:
            return "uncarried"
        entry = tables[table].get(page >> 9 * (level - 1) & 511, 0)
        if not entry & PRESENT:
            return "unmapped"
        table = entry >> 12
        size = SIZES[levels].get(level)
        if entry & LARGE and size:
            return table // size * size + page % size
    return table


FRAME = st.integers(1, 6)
ENTRY = st.builds(
    lambda frame, present, large: frame << 12 | present * PRESENT | large * LARGE,
    FRAME | st.integers(1 << 18, 1 << 19),
    st.sampled_from([1, 1, 1, 0]),
    st.sampled_from([0, 0, 0, 1]),
)
SLOT = st.sampled_from([0, 1, 2, 3, 510, 511])


@given(
    tables=st.dictionaries(FRAME, st.dictionaries(SLOT, ENTRY, max_size=6), max_size=6),
    levels=st.sampled_from([4, 3]),
    page=st.tuples(st.integers(0, 3), SLOT, SLOT, SLOT),
    pages=st.sampled_from([1, 2, 511, 513, 1030]),
)
def test_a_range_is_its_single_walks(tables, levels, page, pages):
    top, *rest = page
    first = top if levels == 3 else top % 2 * 510 + top // 2
    for slot in rest[: levels - 1]:
        first = first << 9 | slot
    pages = min(pages, (1 << (36 if levels == 4 else 20)) - first)
    fetch = Tables(tables)
    found = frames_of_range(fetch, 1, first << 12, pages, levels)
    expected = [slowly(tables, 1, number, levels) for number in range(first, first + pages)]
    assert [int(f) if f != ABSENT else None for f in found.frames] == [
        None if isinstance(each, str) else each for each in expected
    ]
    assert found.unmapped == expected.count("unmapped")
    assert found.uncarried == expected.count("uncarried")
    assert max(fetch.reads.values()) <= levels
    for number in (first, first + pages - 1):
        path = path_of(Tables(tables), 1, number << 12 | 5, levels)
        want = slowly(tables, 1, number, levels)
        assert path.frame == (None if isinstance(want, str) else want)
        assert bool(path.why) == isinstance(want, str)


def test_a_list_mapped_by_large_pages():
    tables = {
        1: {511: 2 << 12 | 1},
        2: {3: 0x40000 << 12 | 0x81, 4: 3 << 12 | 1},
        3: {0: 0x9C00 << 12 | 0x81},
    }
    start = 511 << 27 | 3 << 18
    found = frames_of_range(Tables(tables), 1, start << 12, (1 << 18) + 600, 4)
    assert found.frames[[0, 1, (1 << 18) - 1]].tolist() == [0x40000, 0x40001, 0x7FFFF]
    assert found.frames[[1 << 18, (1 << 18) + 511]].tolist() == [0x9C00, 0x9DFF]
    assert (found.frames[(1 << 18) + 512 :] == ABSENT).all()
    assert found.unmapped == 600 - 512
    assert path_of(Tables(tables), 1, start << 12, 4).size == 1 << 30
    assert path_of(Tables(tables), 1, (start + (1 << 18)) << 12, 4).size == 1 << 21


def test_a_range_past_the_end_of_the_address_space():
    with pytest.raises(ValueError, match="address space"):
        frames_of_range(Tables({}), 1, (1 << 32) - 4096, 2, 3)
