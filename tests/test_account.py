"""Accounting: contiguity and superpages against entries one by one."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from xenp2m.extents import Run
from xenp2m.frames import Kind
from xenp2m.maps.account import account_of, contiguity, leaf_pages
from xenp2m.p2m import P2M
from xenp2m.sources.source import Guest, Leaves, Origin, Source

INVALID = (1 << 64) - 1


def slow_aligned(words, size):
    """Frames in blocks of `size` PFNs, both sides on a boundary, MFNs in a row."""
    total = 0
    for start in range(0, len(words) - size + 1, size):
        block = words[start : start + size]
        if block[0] % size == 0 and block == list(range(block[0], block[0] + size)):
            total += size
    return total


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 600), st.integers(1, 1300)), min_size=1, max_size=5)
)
def test_superpages_are_those_of_a_slow_count(parts):
    words, next_mfn = [], 1 << 20
    for gap, shift, length in parts:
        words += [INVALID] * gap
        next_mfn = (next_mfn | 511) + 1 + shift
        words += range(next_mfn, next_mfn + length)
        next_mfn += length
    found = contiguity(P2M(np.array(words, np.uint64)))
    assert found.pages_2m == slow_aligned(words, 512)
    assert found.pages_1g == 0
    assert sum(row.pages for row in found.lengths) == sum(length for _, _, length in parts)
    assert found.longest.pages >= max(length for _, _, length in parts)


def test_one_gibibyte_needs_both_sides_on_its_boundary():
    size = 1 << 18
    assert contiguity(P2M([Run(0, 3 * size, Kind.MFN, size, 1)])).pages_1g == 3 * size
    assert contiguity(P2M([Run(0, 3 * size, Kind.MFN, size + 512, 1)])).pages_1g == 0
    shifted = [Run(0, 5, Kind.MISSING), Run(5, 3 * size, Kind.MFN, 7 * size + 5, 1)]
    assert contiguity(P2M(shifted)).pages_1g == 2 * size


def test_lengths_are_classes_of_powers_of_two():
    found = contiguity(P2M(np.array([9, INVALID, 20, 21, 22, INVALID, 8, 7, 6, 5], np.uint64)))
    assert [(row.order, row.runs, row.pages) for row in found.lengths] == [(0, 1, 1), (1, 1, 3)]
    assert (found.runs, found.descending) == (3, 1)
    assert found.longest == Run(2, 5, Kind.MFN, 20, 1)
    nothing = contiguity(P2M([]))
    assert (nothing.runs, nothing.longest, nothing.lengths, nothing.pages_2m) == (0, None, (), 0)


def test_pages_of_the_list():
    frames = np.array([10, 11, 7, 7, 7, INVALID, 12, 12], np.uint64)
    pages = leaf_pages(Leaves(frames, "mfn", identity=7))
    assert (pages.entries, pages.absent, pages.distinct, pages.identity, pages.missing) == (8, 1, 4, 3, 0)
    assert pages.shared == ((12, 2),)


def test_a_source_is_counted():
    p2m = P2M(np.array([5, 1 << 62 | 1, INVALID, 1 << 63 | 9], np.uint64))
    account = account_of(Source(Origin("x", "test"), Guest(), p2m))
    assert account.entries == 4
    assert account.kinds == {Kind.MFN: 1, Kind.IDENTITY: 1, Kind.MISSING: 1, Kind.FOREIGN: 1}
    assert account.leaves is None
