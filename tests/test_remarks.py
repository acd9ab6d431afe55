"""A source that says very much about itself is told in few lines."""

import numpy as np

from xenp2m.maps.account import account_of
from xenp2m.p2m import P2M
from xenp2m.sources.source import Guest, Origin, Source
from xenp2m.views.map_text import map_lines
from xenp2m.views.page.content import report_of_source


def test_many_lost_lines_are_counted():
    p2m = P2M(np.arange(5, 25, dtype=np.uint64))
    lost = tuple(f"gap {number}" for number in range(10_000))
    source = Source(Origin("made", "test", None, None), Guest(max_pfn=20), p2m, lost=lost)
    account = account_of(source)
    lines = [line for line in map_lines(source, account, []) if "lost:" in line]
    assert "gap 0" in lines[0]
    shown, left = len(lines) - 1, int(lines[-1].split()[1].replace(",", ""))
    assert shown < 100
    assert shown + left == len(lost)
    remarks = [text for heading, text in report_of_source(source, account, []).remarks if heading == "lost"]
    assert remarks[0] == "gap 0"
    assert len(remarks) - 1 + int(remarks[-1].split()[0].replace(",", "")) == len(lost)
    assert len(remarks) < 1000
