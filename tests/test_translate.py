"""Lookups in bulk against lookups one by one."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sources import FOREIGN, IDENTITY, INVALID, source_of, walkable
from xenp2m.errors import InputError
from xenp2m.frames import Kind
from xenp2m.maps.translate import Item, Translator, parse_item
from xenp2m.p2m import P2M
from xenp2m.sources.source import Guest, Origin, Source


@pytest.mark.parametrize(
    ("text", "space", "number"),
    [
        ("0x9f", "pfn", 0x9F),
        ("159", "pfn", 159),
        ("pfn:159", "pfn", 159),
        ("MFN:0X1700ff", "mfn", 0x1700FF),
        ("mfn=7", "mfn", 7),
        ("2364M", "paddr", 2364 << 20),
        ("addr:0x9f123", "paddr", 0x9F123),
        ("paddr:0x9f123", "paddr", 0x9F123),
        ("maddr:4GiB", "maddr", 4 << 30),
        ("vaddr:0xffffffff81000000", "vaddr", 0xFFFF_FFFF_8100_0000),
    ],
)
def test_items(text, space, number):
    assert parse_item(text) == Item(text, space, number)


@pytest.mark.parametrize(
    "text", ["", "x", "0x", "-1", "mfn:", "gfn:1", "0x9fM", "1e3", "1 2", "0x10000000000000"]
)
def test_what_is_no_item(text):
    with pytest.raises(InputError):
        parse_item(text)


WORDS = st.lists(
    st.sampled_from([INVALID, 1, 2, 3, 4, 5, 6, FOREIGN | 9, IDENTITY | 1, IDENTITY | 2, IDENTITY | 77]),
    min_size=1,
    max_size=9,
)


@given(
    WORDS,
    st.lists(st.tuples(st.sampled_from(["pfn", "mfn", "paddr", "maddr"]), st.integers(0, 12)), max_size=9),
)
def test_answers_are_those_of_single_lookups(words, wanted):
    source = source_of(words)
    items = []
    for space, number in wanted:
        items.append(Item("", space, number << 12 | 5 if space.endswith("addr") else number))
    answers = Translator(source).answers(items)
    assert [answer.item for answer in answers] == items
    for (space, number), answer in zip(wanted, answers, strict=True):
        assert answer.offset == (5 if space.endswith("addr") else None)
        if space in ("pfn", "paddr"):
            assert answer.pfn == number
            assert answer.more == ()
        else:
            own = [pfn for pfn, word in enumerate(words) if word == number]
            foreign = [pfn for pfn, word in enumerate(words) if word == FOREIGN | number]
            same = [number] if number < len(words) and words[number] == IDENTITY | number else []
            pfns = own or foreign or same
            assert answer.pfn == (pfns[0] if pfns else None)
            assert answer.more == (tuple(own[1:]) if own else ())
            if not pfns:
                assert (answer.kind, answer.mfn) == (Kind.UNKNOWN, number)
                continue
        kind, mfn = source.p2m.lookup(answer.pfn)
        assert answer.kind is kind
        assert answer.mfn == (mfn if kind in (Kind.MFN, Kind.FOREIGN, Kind.IDENTITY) else None)


def test_virtual_addresses_of_every_kind_of_page():
    answers = Translator(walkable()).answers([parse_item(f"vaddr:{n << 12 | 1}") for n in (5, 6, 7, 8, 9)])
    assert [(a.pfn, a.kind, a.mfn) for a in answers] == [
        (5, Kind.MFN, 0x105),
        (9, Kind.FOREIGN, 0x900),
        (10, Kind.IDENTITY, 10),
        (None, Kind.UNKNOWN, 0x7777),
        (None, Kind.UNKNOWN, None),
    ]
    assert [bool(a.walk.stopped) for a in answers] == [False, False, False, False, True]
    stream = Translator(walkable(frames="pfn")).answers(
        [parse_item("vaddr:0x5001"), parse_item("vaddr:0x6000")]
    )
    assert [(a.pfn, a.mfn) for a in stream] == [(5, 0x105), (9, 0x900)]


def test_a_machines_m2p():
    m2p = np.array([7, INVALID, 9], np.uint64)
    source = Source(Origin("m2p.txt", "m2p"), Guest(), P2M([]), m2p=m2p)
    answers = Translator(source).answers([parse_item(t) for t in ("mfn:0", "mfn:1", "maddr:0x2010", "mfn:3")])
    assert [(a.pfn, a.mfn) for a in answers] == [(7, 0), (None, 1), (9, 2), (None, 3)]
    assert answers[2].offset == 0x10
    with pytest.raises(InputError, match="M2P"):
        Translator(source).answers([parse_item("0x1")])
