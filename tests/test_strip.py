"""The strip of an address space."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from xenp2m.views.palette import LOOKS, Part
from xenp2m.views.strip import cell_count, cells, legend, painted, scale, strip


def test_strip_shows_what_most_frames_are():
    shown = [Part(0, 100, "mfn"), Part(100, 150, "extra"), Part(150, 400, "identity")]
    _, line, said = strip(shown, 400, 80, unicode=False)
    assert line == " " + "#" * 18 + "+" * 9 + "-" * 45
    assert said == " # ram   + room to grow   - identity"
    assert strip(shown, 400, 20)[1].count("█") == 6


def test_strip_of_nothing_and_of_more_than_it_shows():
    assert strip([], 100, 40)[1].strip() == ""
    assert strip([Part(0, 1 << 40, "mfn")], 1 << 18, 40, unicode=False)[1].strip() == "#" * 32


def test_what_no_sound_map_holds_is_never_hidden():
    assert cells([Part(0, 999, "mfn"), Part(999, 1000, "other")], 1000, 4) == ["mfn"] * 3 + ["other"]
    assert cells([Part(0, 999, "mfn"), Part(999, 1000, "foreign")], 1000, 4) == ["mfn"] * 4


@st.composite
def maps(draw):
    edges = sorted(draw(st.sets(st.integers(1, 300), min_size=1, max_size=8)) | {0})
    names = st.sampled_from(sorted(LOOKS.keys() - {"other"}))
    return [Part(a, b, draw(names)) for a, b in pairwise(edges)]


@given(maps(), st.integers(1, 300), st.integers(1, 40))
def test_cells_are_counted_as_page_by_page(shown, end, number):
    pages = [[] for _ in range(number)]
    for part in shown:
        for pfn in range(part.start, min(part.end, end)):
            pages[pfn * number // end].append(part.look)
    for seen, inside in zip(cells(shown, end, number), pages, strict=True):
        assert (seen == "") == (not inside)
        if inside:
            assert inside.count(seen) == max(map(inside.count, inside))


def test_paint_colours_each_stretch_once():
    told = []
    line = painted(["mfn", "mfn", "", "extra"], paint=lambda text, style: told.append((text, style)) or text)
    assert line == "██ ▒"
    assert told == [("██", "mfn"), ("▒", "extra")]


def test_the_legend_names_what_is_there_and_wraps():
    assert legend({"identity", "mfn"}, 80) == [" █ ram   ─ identity"]
    lines = legend(LOOKS, 40)
    assert len(lines) > 1
    assert all(len(line) <= 40 for line in lines)
    assert all(f"{look.glyph} {look.text}" in "".join(lines) for look in LOOKS.values())


def test_the_strip_fits():
    for width in range(40, 121):
        assert width - 10 < cell_count(width) + 1 < width
        assert len(scale(1 << 20, cell_count(width))) <= cell_count(width) + 1
