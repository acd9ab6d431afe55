"""Frames: rounding, geometry, and the encoding of one P2M entry."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xenp2m.frames import (
    GEOMETRY_32,
    GEOMETRY_64,
    PAGE_SIZE,
    UNKNOWN_WORD,
    Kind,
    page_down,
    page_up,
    pfn_down,
    pfn_up,
)

GEOMETRIES = pytest.mark.parametrize("geometry", [GEOMETRY_32, GEOMETRY_64], ids=["32", "64"])


@given(st.integers(0, 1 << 64))
def test_rounding_brackets_the_address(address):
    assert pfn_down(address) * PAGE_SIZE <= address < (pfn_down(address) + 1) * PAGE_SIZE
    assert (pfn_up(address) - 1) * PAGE_SIZE < address <= pfn_up(address) * PAGE_SIZE
    assert page_down(address) == pfn_down(address) * PAGE_SIZE
    assert page_up(address) == pfn_up(address) * PAGE_SIZE


@pytest.mark.parametrize(
    ("address", "down", "up"),
    [(0, 0, 0), (1, 0, 1), (0xFFF, 0, 1), (0x1000, 1, 1), (0x1001, 1, 2), (0x9FC00, 0x9F, 0xA0)],
)
def test_rounding_of_single_addresses(address, down, up):
    assert (pfn_down(address), pfn_up(address)) == (down, up)


def test_constants_of_both_word_sizes():
    assert (GEOMETRY_64.bits, GEOMETRY_64.entries, GEOMETRY_64.max_p2m_pfn) == (64, 512, 1 << 27)
    assert (GEOMETRY_32.bits, GEOMETRY_32.entries, GEOMETRY_32.max_p2m_pfn) == (32, 1024, 1 << 30)
    assert GEOMETRY_64.invalid == 0xFFFF_FFFF_FFFF_FFFF
    assert GEOMETRY_32.invalid == 0xFFFF_FFFF
    assert (GEOMETRY_64.foreign_bit, GEOMETRY_64.identity_bit) == (1 << 63, 1 << 62)
    assert (GEOMETRY_32.foreign_bit, GEOMETRY_32.identity_bit) == (1 << 31, 1 << 30)


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ((1 << 64) - 1, (Kind.MISSING, (1 << 64) - 1)),
        (0, (Kind.MFN, 0)),
        (7, (Kind.MFN, 7)),
        ((1 << 62) - 1, (Kind.MFN, (1 << 62) - 1)),
        (1 << 62 | 7, (Kind.IDENTITY, 7)),
        (1 << 62 | 8, (Kind.OTHER, 1 << 62 | 8)),
        (1 << 62, (Kind.OTHER, 1 << 62)),
        (1 << 63 | 7, (Kind.FOREIGN, 7)),
        (1 << 63, (Kind.FOREIGN, 0)),
        (3 << 62 | 7, (Kind.FOREIGN, 7)),
        ((1 << 64) - 2, (Kind.UNKNOWN, (1 << 64) - 2)),
        ((1 << 64) - 3, (Kind.FOREIGN, (1 << 62) - 3)),
    ],
)
def test_what_a_word_of_pfn_7_means(word, expected):
    assert GEOMETRY_64.classify(7, word) == expected


def test_invalid_is_tested_before_the_flags():
    assert GEOMETRY_32.classify(0x3FFFFFFF, 0xFFFFFFFF)[0] is Kind.MISSING
    assert GEOMETRY_32.classify(0x3FFFFFFF, 0x7FFFFFFF) == (Kind.IDENTITY, 0x3FFFFFFF)
    assert GEOMETRY_32.classify(1, 0xFFFFFFFE)[0] is Kind.FOREIGN


@GEOMETRIES
@given(data=st.data())
def test_encode_inverts_classify(geometry, data):
    pfn = data.draw(st.integers(0, geometry.max_p2m_pfn - 1))
    word = data.draw(
        st.integers(0, geometry.invalid)
        | st.sampled_from([pfn, pfn | geometry.identity_bit, pfn | geometry.foreign_bit, geometry.invalid])
    )
    kind, number = geometry.classify(pfn, word)
    if kind is Kind.FOREIGN:
        # The bit below is not kept: both spellings are a frame of another domain.
        assert geometry.encode(kind, pfn, number) == word & ~geometry.identity_bit
    else:
        assert geometry.encode(kind, pfn, number) == word


@GEOMETRIES
@given(data=st.data())
def test_classify_inverts_encode(geometry, data):
    pfn = data.draw(st.integers(0, geometry.max_p2m_pfn - 1))
    mfn = data.draw(st.integers(0, geometry.identity_bit - 1))
    assert geometry.classify(pfn, geometry.encode(Kind.MFN, pfn, mfn)) == (Kind.MFN, mfn)
    assert geometry.classify(pfn, geometry.encode(Kind.FOREIGN, pfn, mfn)) == (Kind.FOREIGN, mfn)
    assert geometry.classify(pfn, geometry.encode(Kind.IDENTITY, pfn, 0)) == (Kind.IDENTITY, pfn)
    assert geometry.classify(pfn, geometry.encode(Kind.MISSING, pfn, 0))[0] is Kind.MISSING


def test_unknown_has_a_word_of_its_own_in_64_bits_only():
    assert GEOMETRY_64.encode(Kind.UNKNOWN, 5, 0) == UNKNOWN_WORD
    assert GEOMETRY_64.classify(5, UNKNOWN_WORD)[0] is Kind.UNKNOWN
    assert GEOMETRY_64.classify(5, UNKNOWN_WORD - 1)[0] is Kind.FOREIGN
    with pytest.raises(ValueError, match="unknown"):
        GEOMETRY_32.encode(Kind.UNKNOWN, 0, 0)


def test_the_list_of_kinds_is_closed():
    assert [str(kind) for kind in Kind] == ["mfn", "identity", "missing", "foreign", "other", "unknown"]
