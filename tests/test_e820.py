"""The E820 map against twins that look at every byte."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from xenp2m.e820 import (
    ACPI,
    NVS,
    RAM,
    RESERVED,
    UNUSABLE,
    Entry,
    contains,
    gaps,
    has_whole_page,
    ram_frames,
    sanitize,
    type_name,
    type_number,
    validated,
)
from xenp2m.errors import InputError

LAST = 30
TYPES = (1, 2, 3, 4, 5, 7, 12, 20, 0xEFFFFFFF)
UNMERGEABLE = (12, 0xEFFFFFFF)


@st.composite
def entries(draw):
    start = draw(st.integers(0, LAST))
    return Entry(start, draw(st.integers(start, LAST)), draw(st.sampled_from(TYPES)))


maps = st.lists(entries(), max_size=7)


def bytes_of(entry):
    return range(entry.start, entry.end)


def sanitized_by_byte(some):
    """The highest type at every byte; a change of type, or any edge below an unmergeable one, cuts."""
    edges = {edge for e in some if e.start < e.end for edge in (e.start, e.end)}
    result = []
    for byte in range(LAST):
        kind = max((e.type for e in some if byte in bytes_of(e)), default=0)
        if not kind:
            continue
        last = result[-1] if result else None
        if last and last.end == byte and last.type == kind and not (kind in UNMERGEABLE and byte in edges):
            result[-1] = last._replace(end=byte + 1)
        else:
            result.append(Entry(byte, byte + 1, kind))
    return result


# ---- sanitize


@given(maps)
@example([Entry(0, 10, 12), Entry(3, 6, 1)])
@example([Entry(0, 5, 12), Entry(5, 10, 12)])
@example([Entry(0, 5, 2), Entry(5, 10, 2), Entry(5, 5, 12)])
def test_sanitize_is_what_every_byte_says(some):
    assert sanitize(some) == (sanitized_by_byte(some) if len(some) > 1 else some)


@given(maps, st.integers(0, 8))
def test_capacity_loses_the_end(some, capacity):
    if len(some) > 1:
        assert sanitize(some, capacity) == sanitize(some)[:capacity]


@given(maps)
def test_order_does_not_matter(some):
    assert sanitize(some) == sanitize(some[::-1]) or len(some) < 2
    if len(some) > 1:
        assert sanitize(sanitize(some)) == sanitize(some)


@given(maps, entries())
def test_a_map_that_wraps_is_left_alone(some, entry):
    wrapped = [*some, Entry(entry.end + 1, entry.start, entry.type)]
    assert sanitize(wrapped) == wrapped


@pytest.mark.parametrize("some", [[], [Entry(5, 5, RAM)], [Entry(3, 9, 12)], [Entry(9, 3, RAM)]])
def test_fewer_than_two_entries_are_left_alone(some):
    assert sanitize(some) == some


def test_a_map_of_empty_entries_becomes_empty():
    assert sanitize([Entry(4, 4, RAM), Entry(9, 9, RAM)]) == []


def test_sanitize_returns_a_new_list():
    some = [Entry(0, 5, RAM)]
    assert sanitize(some) is not some


# ---- questions


@given(maps, st.integers(0, LAST), st.integers(0, LAST + 5))
def test_gaps_are_bytes_without_an_entry(some, low, high):
    found = gaps(some, low, high)
    covered = {byte for entry in some for byte in bytes_of(entry)}
    assert [b for s, e in found for b in range(s, e)] == [b for b in range(low, high) if b not in covered]
    assert all(start < end for start, end in found)


@given(maps, st.integers(0, LAST), st.integers(0, 8))
def test_contains_wants_one_single_ram_entry(some, start, size):
    wanted = set(range(start, start + size))
    assert contains(some, start, size) == (
        not wanted or any(wanted <= set(bytes_of(e)) for e in some if e.type == RAM)
    )


def test_two_neighbours_do_not_hold_what_crosses_them():
    some = [Entry(0, 5, RAM), Entry(5, 9, RAM)]
    assert contains(some, 0, 5)
    assert not contains(some, 4, 2)
    assert contains([], 4, 0)


pages = st.builds(
    lambda start, size, kind: Entry(start, start + size, kind),
    st.integers(0, 0x5000),
    st.integers(0, 0x4000),
    st.sampled_from(TYPES),
)


@given(st.lists(pages, max_size=5))
def test_ram_frames_are_the_whole_pages(some):
    wanted = [
        [page for page in range(16) if e.start <= page << 12 and (page + 1) << 12 <= e.end]
        for e in some
        if e.type == RAM
    ]
    assert [list(range(s, e)) for s, e in ram_frames(some)] == [frames for frames in wanted if frames]


@given(pages)
def test_whole_pages_and_alignment(entry):
    inside = [p for p in range(16) if entry.start <= p << 12 and (p + 1) << 12 <= entry.end]
    assert has_whole_page(entry) == bool(inside)
    assert entry.size == len(bytes_of(entry))


def test_a_negative_size_wraps():
    assert Entry(0x3000, 0x2000, RAM).size == (1 << 64) - 0x1000


# ---- words


@pytest.mark.parametrize(
    ("word", "number"),
    [
        ("usable", RAM),
        ("RAM", RAM),
        ("System RAM", RAM),
        ("reserved", RESERVED),
        ("device reserved", RESERVED),
        ("ACPI data", ACPI),
        ("ACPI Tables", ACPI),
        ("ACPI NVS", NVS),
        ("ACPI_NVS", NVS),
        ("ACPI Non-volatile Storage", NVS),
        ("unusable", UNUSABLE),
        ("Unusable memory", UNUSABLE),
        ("persistent (type 7)", 7),
        ("persistent (type 12)", 12),
        ("type 20", 20),
        ("reserved (type 20)", 20),
        ("soft reserved", 0xEFFFFFFF),
        ("  acpi   data ", ACPI),
        ("PCI Bus 0000:00", None),
        ("", None),
        ("type", None),
        ("type x", None),
        ("type -1", None),
        ("type 99999999999", None),
    ],
)
def test_words_for_types(word, number):
    assert type_number(word) == number


@given(st.integers(1, (1 << 32) - 1))
@example(6)
@example(128)
def test_every_printed_word_is_read_back(number):
    assert type_number(type_name(number)) == number


@given(st.text())
def test_any_text_is_a_type_or_none(text):
    number = type_number(text)
    assert number is None or number >= 0


# ---- validated


def test_a_sound_map_passes_unchanged():
    some = [Entry(5, 9, RAM), Entry(0, 0, 20), Entry(3, (1 << 64) - 1, RESERVED)]
    assert validated(iter(some), "map") == tuple(some)


@pytest.mark.parametrize(
    ("some", "place", "got"),
    [
        ([], "log", "none"),
        ([Entry(0, 5, RAM), Entry(9, 3, RAM)], "log, entry 1", "start 0x9, end 0x3"),
        ([Entry(-1, 5, RAM)], "log, entry 0", "start -0x1, end 0x5"),
        ([Entry(0, 1 << 64, RAM)], "log, entry 0", "end 0x10000000000000000"),
    ],
)
def test_an_impossible_map_is_refused(some, place, got):
    with pytest.raises(InputError) as caught:
        validated(some, "log")
    assert caught.value.where == place
    assert got in str(caught.value)
