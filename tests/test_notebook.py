"""What notebooks show, and that the example notebook runs."""

from html.parser import HTMLParser
from pathlib import Path

import pytest

from hosts import MIB, pc, with_range
from xenp2m import P2M, Finding, Kind, Run, Severity
from xenp2m.findings import Story
from xenp2m.plan import make_plan
from xenp2m.sources.source import Guest, Origin, Source
from xenp2m.views.notebook import html_of

NOTEBOOK = Path(__file__).parent.parent / "docs" / "notebook.ipynb"
EVIL = "<script>alert(1)</script><img src=x onerror=1>\"'&"


class Reader(HTMLParser):
    """Tags that are open, all tags, and the text."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.text = [], set(), ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.open.append(tag)
        self.tags.add(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def shown(value):
    reader = Reader(value._repr_html_())
    assert reader.open == []
    assert reader.tags <= {"div", "b", "code", "span", "table", "thead", "tbody", "tr", "th", "td"}
    return reader.text


def test_a_plan_shows_its_stretches_and_findings():
    plan = make_plan(pc())
    text = shown(plan)
    assert str(plan.outcome) in text
    for part in plan.stretches[:12]:
        assert f"{part.start:#x} - {part.end:#x}" in text
        assert part.why in text
    for finding in plan.findings:
        assert finding.what in text


def test_a_boot_without_a_map_still_shows():
    plan = make_plan(pc(e820=with_range(64 * MIB, 65 * MIB), kernel=(16 * MIB, 74 * MIB)))
    assert "image-conflict" in shown(plan)


def test_a_map_shows_a_few_rows():
    p2m = P2M([Run(i, i + 1, Kind.MFN, 100 + 3 * i, 1) for i in range(50)])
    text = shown(p2m)
    assert "50 PFNs in 50 extents" in text
    assert "38 more rows" in text
    assert len(p2m._repr_html_()) < 20_000
    assert "0 PFNs" in shown(P2M([]))


def test_hostile_words_are_escaped():
    finding = Finding(Story(EVIL, Severity.WARNING, EVIL, EVIL, EVIL, EVIL), EVIL, EVIL)
    source = Source(Origin(EVIL, EVIL), Guest(), P2M([Run(0, 1, Kind.OTHER, 1 << 62, 1)]), lost=(EVIL,))
    for value in (finding, source):
        assert EVIL in shown(value)


def test_only_our_values_are_shown():
    with pytest.raises(TypeError, match="got str"):
        html_of("text")


def outputs(notebook):
    """Kind and content of what the cells show, pictures left out: another matplotlib draws them otherwise."""
    for output in (each for cell in notebook.cells for each in cell.get("outputs", [])):
        shown = output.get("data", {"text": output.get("text")})
        yield from ((kind, text) for kind, text in shown.items() if kind in ("text", "text/html"))


def test_the_example_notebook_runs_and_shows_what_is_stored():
    nbclient = pytest.importorskip("nbclient")
    nbformat = pytest.importorskip("nbformat")
    stored, notebook = (nbformat.read(NOTEBOOK, as_version=4) for _ in range(2))
    nbclient.NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    told = list(outputs(notebook))
    assert told == list(outputs(stored))
    assert [kind for kind, _ in told].count("text/html") == 3
    assert any("image/svg+xml" in each.get("data", {}) for each in stored.cells[-1].outputs)
    printed = "".join(text for kind, text in told if kind == "text")
    assert "PFN 0x40010 is mfn, MFN 0x1700af; the PFN behind that MFN: 0x40010" in printed
    assert printed.count("GiB: boots") == 4
