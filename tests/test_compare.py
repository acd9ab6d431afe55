"""Pairs of strips: what differs, and nothing else, stands out."""

import lzma
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.colors import to_hex

from xenp2m import P2M, Kind, Run
from xenp2m.cli import main
from xenp2m.maps.mapdiff import compare
from xenp2m.views.compare import changed_parts, compared_end, pair_lines
from xenp2m.views.palette import LOOKS, Part
from xenp2m.views.plots.bars import draw_bars
from xenp2m.views.plots.canvas import panels, render
from xenp2m.views.plots.pair import _bar, pair_figure

BEFORE = P2M([Run(0, 600, Kind.MFN, 1000, 1), Run(600, 1000, Kind.MISSING), Run(1000, 1024, Kind.IDENTITY)])
AFTER = P2M([Run(0, 800, Kind.MFN, 1000, 1), Run(800, 1000, Kind.MISSING), Run(1000, 1024, Kind.IDENTITY)])


def marked(text, style):
    return f"<{style}:{text}>"


def test_only_what_differs_is_coloured():
    diff = compare(BEFORE, AFTER)
    lines = pair_lines((BEFORE, AFTER), diff, ("before", "after"), width=74, paint=marked)
    before, after, marks = lines[1:4]
    # 64 cells of 14 frames: PFNs 600 to 799 lie in cells 42 to 57.
    assert before == f" before <dim:{'█' * 42}><missing:{'·' * 16}><dim:{'·' * 6}>"
    assert after == f" after  <dim:{'█' * 42}><mfn:{'█' * 16}><dim:{'·' * 6}>"
    assert marks == " " * (8 + 42) + "▲" * 16


def test_without_colour_marks_tell():
    lines = pair_lines((BEFORE, AFTER), compare(BEFORE, AFTER), ("before", "after"), width=60, unicode=False)
    assert set(lines[3].strip()) == {"^"}
    assert all(line.isascii() and len(line) <= 60 for text in lines for line in text.splitlines())


def test_maps_that_are_the_same_have_no_marks():
    lines = pair_lines((BEFORE, BEFORE), compare(BEFORE, BEFORE), ("a", "b"), paint=marked)
    assert lines[3] == ""
    assert "<mfn:" not in lines[1] + lines[2]


def test_one_frame_is_enough_for_a_mark():
    runs = [Run(0, 1 << 20, Kind.MFN, 0, 1)]
    other = [
        Run(0, 5000, Kind.MFN, 0, 1),
        Run(5000, 5001, Kind.FOREIGN, 9, 1),
        Run(5001, 1 << 20, Kind.MFN, 5001, 1),
    ]
    maps = P2M(runs), P2M(other)
    lines = pair_lines(maps, compare(*maps), ("a", "b"), width=80)
    assert lines[3].count("▲") == 1
    assert "◆" in lines[2]
    assert "◆" not in lines[1]


def test_long_names_and_narrow_terminals():
    lines = pair_lines((BEFORE, AFTER), compare(BEFORE, AFTER), ("/a/very/long/path", "plan:"), width=40)
    assert all(len(line) <= 40 for text in lines for line in text.splitlines())


@given(st.lists(st.sampled_from([Kind.MISSING, Kind.IDENTITY]), min_size=1, max_size=40),
       st.lists(st.sampled_from([Kind.MISSING, Kind.IDENTITY]), min_size=1, max_size=40))  # fmt: skip
def test_changed_parts_are_what_differs_page_by_page(left, right):
    maps = [P2M([Run(i, i + 1, kind) for i, kind in enumerate(kinds)]) for kinds in (left, right)]
    before, after = changed_parts(compare(*maps), len(left) + len(right))
    for side, p2m in ((before, maps[0]), (after, maps[1])):
        seen = {pfn: part.look for part in side for pfn in range(part.start, part.end)}
        differ = [
            pfn for pfn in range(max(map(len, maps))) if maps[0].lookup(pfn)[0] != maps[1].lookup(pfn)[0]
        ]
        assert seen == {pfn: p2m.lookup(pfn)[0].value for pfn in differ}


def test_the_end_reaches_behind_everything():
    assert compared_end((BEFORE, AFTER), compare(BEFORE, AFTER)) == 896
    far = P2M([Run(0, 600, Kind.MFN, 1000, 1), Run(600, 4000, Kind.MISSING), Run(4000, 4001, Kind.IDENTITY)])
    assert compared_end((BEFORE, far), compare(BEFORE, far)) >= 1024


def test_what_differs_is_drawn_over_what_does_not():
    with panels([2]) as (_, (axes,)):
        draw_bars(axes, [_bar("after", [Part(0, 9, "mfn")], [Part(4, 6, "mfn")])], 9, "")
    colours = [to_hex(each.get_facecolor()[0]) for each in axes.collections]
    assert colours == ["#ececec", LOOKS["mfn"].light]


def test_the_command_shows_the_pair_and_draws_it(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    cores = Path(__file__).parent / "cores"
    names = []
    for packed in ("tiny64-both.core.xz", "tiny32pae.core.xz"):
        names.append(str(tmp_path / packed))
        Path(names[-1]).write_bytes(lzma.decompress((cores / packed).read_bytes()))
    picture = tmp_path / "pair.svg"
    for words, status in (([*names, "--kinds", "--plot", str(picture)], 1), ([names[0]] * 2, 0)):
        with pytest.raises(SystemExit) as stop:
            main(["diff", *words])
        out = capsys.readouterr().out
        assert stop.value.code == status
        assert ("▲" in out) == bool(status)
        assert all(len(line) <= 80 for line in out.splitlines() if str(tmp_path) not in line)
    assert b"What differs" in picture.read_bytes()


def test_a_picture_of_the_pair():
    diff = compare(BEFORE, AFTER)
    for picture, titles in (("all", 5), ("frames", 2), ("extents", 2), ("e820", 1)):
        text = render(pair_figure((BEFORE, AFTER), diff, ("before", "after"), picture), "svg").decode()
        assert len(re.findall(r">(?:before: |after: |What differs)", text)) == titles
    assert "unchanged" in text
