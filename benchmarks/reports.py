"""Reports of fragmented maps: their size, and how the time grows with the number of extents."""

import time

import numpy as np

from xenp2m.maps.account import account_of
from xenp2m.p2m import P2M
from xenp2m.sources.source import Guest, Origin, Source
from xenp2m.views.page.content import report_of_source
from xenp2m.views.page.html import page
from xenp2m.views.page.picture import inline_svg
from xenp2m.views.plots.canvas import render
from xenp2m.views.plots.sheet import map_figure

PAGES = 1 << 24


def shuffled(run):
    """A map of 64 GiB in extents of `run` frames, in random order."""
    order = np.random.default_rng(2011).permutation(PAGES // run).astype(np.uint64)
    return P2M((order[:, None] * np.uint64(run) + np.arange(run, dtype=np.uint64)).reshape(-1))


def whole(p2m):
    """The page of a map with its pictures, and the seconds of a processor it takes."""
    start = time.process_time()
    source = Source(Origin("vm.core", "xen core, PV"), Guest(), p2m)
    names = ("kinds", "frames", "extents")
    pictures = [(name, inline_svg(render(map_figure(p2m, name), "svg"), name, name)) for name in names]
    return page(report_of_source(source, account_of(source), []), "0", pictures), time.process_time() - start


def reports(report):
    """All figures, told to `report` (name, figure, unit, limit)."""
    report.section("Reports", "One HTML file with pictures, of 64 GiB in extents in random order.")
    whole(P2M(np.arange(64, dtype=np.uint64)))
    some, many = shuffled(84), shuffled(16)
    for p2m in (some, many):
        p2m.table()
    _, least = whole(some)
    written, most = whole(many)
    report("report of 64 GiB in 1M extents, its size", len(written) / (1 << 20), "MiB", 2)
    report("  its time", most, "s", 5)
    report("  beside that of 200k extents", most / least, "times", 4)
