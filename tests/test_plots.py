"""Pictures: what is drawn is what the map holds, and its size does not grow with the map."""

import subprocess
import sys
from itertools import pairwise
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hosts import MIB, pc, with_range
from xenp2m import P2M, InputError, Kind, Run
from xenp2m.extents import coalesce
from xenp2m.frames import PAGE_SIZE
from xenp2m.plan import make_plan
from xenp2m.views.palette import LOOKS, Part
from xenp2m.views.plots.bars import entries_bar, map_bar
from xenp2m.views.plots.canvas import PICTURES, panels, render
from xenp2m.views.plots.frames import draw_frames, occupied
from xenp2m.views.plots.sheet import balloon_figure, map_figure, memory_end, plan_figure
from xenp2m.views.plots.sizes import sizes

SVG = "{http://www.w3.org/2000/svg}"


@st.composite
def numbered(draw):
    """Runs of frames with holes between them, ascending and descending."""
    edges = sorted(draw(st.sets(st.integers(0, 120), min_size=2, max_size=10)))
    runs = []
    for start, end in pairwise(edges):
        if draw(st.booleans()):
            step = draw(st.sampled_from([1, -1])) if end - start > 1 else 1
            low = draw(st.integers(0, 200))
            runs.append(Run(start, end, Kind.MFN, low if step == 1 else low + end - start - 1, step))
    return runs or [Run(0, 1, Kind.MFN, 7, 1)]


@given(numbered(), st.integers(1, 20), st.integers(1, 20), st.sampled_from([0, 1 << 30]))
def test_cells_are_occupied_as_page_by_page(runs, columns, rows, base):
    runs = [run._replace(mfn=run.mfn + base) for run in runs]
    end, top = runs[-1].end + 3, base + 330
    expected = np.zeros((columns, rows), bool)
    for run in runs:
        for pfn in range(run.start, run.end):
            expected[pfn * columns // end, (run.at(pfn) - base) * rows // 330] = True
    assert (occupied(runs, end, (base, top), columns, rows) == expected).all()


def test_a_cell_that_holds_nothing_stays_empty():
    runs = [Run(0, 10, Kind.MFN, 0, 1), Run(50, 60, Kind.MFN, 90, 1)]
    assert np.argwhere(occupied(runs, 100, (0, 100), 10, 10)).tolist() == [[0, 0], [5, 9]]


def test_sizes_count_extents_and_frames():
    runs = [
        Run(0, 8, Kind.MFN, 1, 1),
        Run(8, 23, Kind.MFN, 50, -1),
        Run(23, 90, Kind.IDENTITY),
        Run(90, 91, Kind.MFN, 9, 1),
    ]
    assert sizes(runs) == ({3: 2, 0: 1}, {3: 23, 0: 1})


def test_bars_hold_every_part():
    bar = map_bar("P2M", [Part(0, 5, "mfn"), Part(5, 9, "other")])
    assert [(box[0], box[1], box[2]) for box in bar.boxes] == [(0, 5, "ram"), (5, 9, "other")]
    plan = make_plan(pc())
    boxes = entries_bar("host", plan.host.e820).boxes
    assert [(box[0] * PAGE_SIZE, box[1] * PAGE_SIZE) for box in boxes] == [e[:2] for e in plan.host.e820]


def scattered(count):
    places = np.random.default_rng(5).permutation(count)
    return P2M(coalesce(Run(i * 8, i * 8 + 8, Kind.MFN, int(p) * 8, 1) for i, p in enumerate(places)))


def test_the_size_of_a_picture_does_not_grow_with_the_map():
    sheets = [render(map_figure(scattered(count)), "svg") for count in (20_000, 80_000)]
    assert len(sheets[1]) < 1.1 * len(sheets[0]) < 1 << 20


def test_the_scale_of_machine_frames_fits_them():
    near = Run(0, 64, Kind.MFN, 1000, 1), Run(64, 128, Kind.MFN, 2000, 1)
    far = Run(0, 64, Kind.MFN, 1 << 20, 1), Run(64, 128, Kind.MFN, (1 << 20) + 999, -1)
    for runs, (least, most) in ((near, (0, 2064)), (far, (1 << 20, (1 << 20) + 1024))):
        with panels([3]) as (_, (axes,)):
            draw_frames(axes, runs, 128)
        low, high = axes.get_ylim()
        assert low == least
        # Room above, so that the highest line is seen whole.
        assert most < high < most + (most - least) / 16


def test_few_runs_are_drawn_as_they_are():
    with panels([3]) as (_, (axes,)):
        draw_frames(axes, [Run(0, 256, Kind.MFN, 512, 1), Run(256, 512, Kind.MFN, 300, -1)], 512)
    (lines,) = axes.collections
    assert [line.tolist() for line in lines.get_segments()] == [
        [[0, 512], [256, 768]],
        [[256, 300], [512, 44]],
    ]


@pytest.mark.parametrize("picture", PICTURES)
def test_every_picture_of_a_plan(picture):
    text = render(plan_figure(make_plan(pc()), picture), "svg").decode()
    titles = [each.text for each in ElementTree.fromstring(text).iter(f"{SVG}text") if each.text]
    heads = {
        "e820": "E820 against",
        "frames": "PFN against",
        "extents": "Extents of",
        "balloon": "The balloon",
    }
    for name, head in heads.items():
        assert any(title.startswith(head) for title in titles) == (picture in ("all", name))


def test_a_boot_without_a_map_shows_its_e820():
    plan = make_plan(pc(e820=with_range(64 * MIB, 65 * MIB), kernel=(16 * MIB, 74 * MIB)))
    assert plan.p2m is None
    assert b"host E820" in render(plan_figure(plan, "frames"), "svg")


def test_two_maps_below_each_other():
    before = P2M([Run(0, 512, Kind.MFN, 100, 1), Run(512, 1024, Kind.MISSING)])
    after = P2M([Run(0, 700, Kind.MFN, 100, 1), Run(700, 1024, Kind.MISSING)])
    assert b">grown<" in render(balloon_figure(before, after, ("small", "grown")), "svg")


def test_where_a_picture_ends():
    assert memory_end(P2M([Run(0, 1000, Kind.MFN, 0, 1), Run(1000, 1 << 27, Kind.IDENTITY)])) == 1024
    assert memory_end(P2M([Run(0, 64, Kind.IDENTITY)])) == 64
    assert memory_end(P2M([])) == 1


def test_the_same_bytes_in_another_process(tmp_path):
    files = [tmp_path / "one.svg", tmp_path / "two.svg"]
    for seed, file in zip("12", files, strict=True):
        subprocess.run(
            [sys.executable, "-m", "xenp2m", "plan", "--plot", str(file)],
            env={"PYTHONHASHSEED": seed, "PATH": "", "HOME": str(tmp_path)}, check=True, capture_output=True,
        )  # fmt: skip
    assert files[0].read_bytes() == files[1].read_bytes()
    assert b"dc:date" not in files[0].read_bytes()


def test_without_matplotlib_one_line_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(InputError, match=r"pip install 'xenp2m\[plot\]'"):
        plan_figure(make_plan(pc()))


def test_patterns_are_known_to_matplotlib():
    from matplotlib.hatch import get_path

    assert all(len(get_path(look.hatch).vertices) for look in LOOKS.values() if look.hatch)
