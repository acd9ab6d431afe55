"""Rules of a sound map and of the toolstack: each has a map that breaks it and one that just does not."""

from dataclasses import replace

import numpy as np
import pytest

from sources import FOREIGN, IDENTITY, INVALID, source_of
from xenp2m.checks.map import MAX_MFN, m2p_findings, map_findings
from xenp2m.checks.mape820 import e820_findings
from xenp2m.checks.stories import STORIES
from xenp2m.checks.stories.map import MAP
from xenp2m.e820 import Entry
from xenp2m.extents import Run
from xenp2m.findings import Finding
from xenp2m.frames import Kind
from xenp2m.p2m import P2M
from xenp2m.sources.source import Guest, Leaves

LEAVES = Leaves(np.array([5], np.uint64), "mfn")


def codes(source, *rules):
    return [finding.code for finding in map_findings(source, rules or ("map", "save"))]


def listed(*words):
    return P2M(np.array(words, np.uint64), beyond=Kind.MISSING)


CASES = [
    ("map-torn", source_of([5], guest=Guest(generation=3)), source_of([5], guest=Guest(generation=4))),
    ("map-duplicate", source_of([5, 6, 5]), source_of([5, 6, 7])),
    ("map-entry-other", source_of([5, IDENTITY | 7]), source_of([5, IDENTITY | 1])),
    ("map-mfn-implausible", source_of([MAX_MFN]), source_of([MAX_MFN - 1])),
    ("map-past-end", source_of([5, 6], guest=Guest(max_pfn=1)), source_of([5, 6], guest=Guest(max_pfn=2))),
    ("map-listed-disagrees", source_of([5, 6], listed=listed(5, 7)), source_of([5, 6], listed=listed(5, 6))),
    ("map-listed-disagrees", source_of([5, 6], listed=listed(5)), source_of([5, INVALID], listed=listed(5))),
    ("map-foreign", source_of([FOREIGN | 5]), source_of([5])),
    ("map-incomplete", source_of([5], lost=("half of it",)), source_of([5])),
    (
        "save-loses-entries",
        source_of([5, IDENTITY | 1], leaves=LEAVES),
        source_of([5, INVALID], leaves=LEAVES),
    ),
    ("save-refuses-list", source_of([6], leaves=LEAVES), source_of([5], leaves=LEAVES)),
    (
        "save-refuses-list",
        source_of([6, INVALID], leaves=Leaves(np.array([1], np.uint64), "pfn")),
        source_of([6, INVALID], leaves=Leaves(np.array([0], np.uint64), "pfn")),
    ),
]


@pytest.mark.parametrize(("code", "bad", "good"), CASES, ids=[code for code, _, _ in CASES])
def test_a_rule_and_its_nearest_neighbour(code, bad, good):
    assert code in codes(bad)
    assert code not in codes(good)


def test_every_story_of_a_map_is_met():
    met = {code for code, _, _ in CASES} | {"map-m2p-disagrees", "map-overlaps-e820"}
    assert met == {story.code for story in MAP}


def test_rules_are_chosen():
    source = source_of([5, IDENTITY | 1, FOREIGN | 3], leaves=LEAVES)
    assert codes(source, "map") == ["map-foreign"]
    assert codes(source, "save") == ["save-loses-entries"]


def test_identity_by_the_shared_page_survives_a_restore():
    words = [5] * 1 + [INVALID] * 511 + [IDENTITY | pfn for pfn in range(512, 1024)]
    leaves = Leaves(np.array([5, 9], np.uint64), "mfn")
    assert "save-loses-entries" in codes(source_of(words, leaves=leaves))
    assert "save-loses-entries" not in codes(source_of(words, leaves=replace(leaves, identity=9)))


def test_what_the_reader_noticed_comes_along():
    finding = Finding(STORIES["map-torn"], "so the reader says")
    assert map_findings(source_of([5], findings=(finding,))) == [finding]


def test_what_is_unknown_is_held_against_nothing():
    raw = P2M([Run(0, 2, Kind.UNKNOWN)])
    assert codes(replace(source_of([5]), p2m=raw, listed=listed(5, 6))) == []


def test_duplicates_name_every_pfn():
    (finding,) = map_findings(source_of([5, 6, 7, 6, 9, 5]))
    assert finding.pfns == ((0, 2), (3, 4), (5, 6))
    assert "4 frames share 2 machine frames" in finding.what
    assert "mfn 0x5 behind PFNs 0x0, 0x5" in finding.what


def test_m2p():
    m2p = np.full(8, INVALID, np.uint64)
    m2p[[5, 6]] = [0, 1]
    assert m2p_findings(listed(5, 6, INVALID, IDENTITY | 3), m2p) == []
    (finding,) = m2p_findings(listed(5, 6, 7, 200), m2p)
    assert finding.pfns == ((2, 4),)
    (finding,) = m2p_findings(listed(6, 5), m2p)
    assert finding.pfns == ((0, 2),)


def test_e820():
    page = 4096
    ram = [Entry(0, 4 * page, 1), Entry(4 * page, 6 * page, 2), Entry(6 * page, 8 * page + 1, 1)]
    sound = [5, 6, 7, INVALID, IDENTITY | 4, IDENTITY | 5, 8, 9]
    assert e820_findings(listed(*sound, 3, IDENTITY | 9), ram) == []
    over_hole = e820_findings(listed(*sound[:4], 77, INVALID, *sound[6:]), ram)
    assert [f.pfns for f in over_hole] == [((4, 5),), ((5, 6),)]
    over_ram = e820_findings(listed(5, IDENTITY | 1, *sound[2:]), ram)
    assert [f.pfns for f in over_ram] == [((1, 2),)]


def test_the_isa_window_of_a_domu_holds_memory():
    ram = [Entry(0, 0xA0000, 1), Entry(0x100000, 0x200000, 1)]
    words = listed(*range(1000, 1512))
    assert e820_findings(words, ram, dom0=False) == []
    assert [f.pfns for f in e820_findings(words, ram)] == [((0xA0, 0x100),)]
