"""Ballooning and foreign frames on a tree."""

import pytest

from xenp2m.errors import InputError
from xenp2m.frames import GEOMETRY_64
from xenp2m.model.balloon import (
    BalloonUp,
    ForeignFrames,
    balloon_down,
    balloon_up,
    driver_of,
    is_mapping_valid,
)
from xenp2m.model.linear import LINEAR_RULES, LinearP2M
from xenp2m.model.phys_to_machine import PhysToMachine
from xenp2m.model.rules import RULES

INVALID, FOREIGN = GEOMETRY_64.invalid, GEOMETRY_64.foreign_bit
MFNS = range(5000, 5010)


@pytest.fixture(params=["tree", "linear"])
def p2m(request):
    if request.param == "tree":
        made = PhysToMachine(RULES["3.12"], GEOMETRY_64, MFNS)
        made.set_range_identity(1000, 1010)
        made.end_early()
        return made
    made = LinearP2M(LINEAR_RULES["linear"], GEOMETRY_64, MFNS)
    made.set_extra([(512, 1000), (1010, 2000)])
    made.end_early()
    return made


def m2p(mfn):
    return mfn - 5000 if mfn in MFNS else None


def test_down_and_up_again(p2m):
    assert balloon_down(p2m, [3, 4]) == 2
    assert not is_mapping_valid(p2m, 3)
    assert balloon_up(p2m, [(4, 70), (3, 71), (600, 72)]) == BalloonUp(3)
    assert [p2m.get(pfn) for pfn in (3, 4, 600)] == [71, 70, 72]


def test_up_stops_where_a_frame_is_in_use_or_identity(p2m):
    assert balloon_up(p2m, [(600, 1), (5, 2)]) == BalloonUp(1, bug_pfn=5)
    assert balloon_up(p2m, [(1005, 2)]) == BalloonUp(0, bug_pfn=1005)
    assert balloon_up(p2m, [(5, 2)], stops_on_valid=False) == BalloonUp(1)


@pytest.mark.parametrize(
    ("version", "stops", "scratch", "override"),
    [((2, 6, 39), True, False, True), ((3, 11, 10), True, False, True), ((3, 12, 0), False, True, True),
     ((3, 19, 8), False, True, True), ((4, 0, 0), False, False, False), ((7, 3, 4), False, False, False)],
)  # fmt: skip
def test_the_driver_of_each_release(version, stops, scratch, override):
    assert driver_of(version) == (stops, scratch, override)


def test_a_scratch_page_makes_frames_look_in_use(p2m):
    """Why the BUG_ON went in 3.12: a frame given back reads as the scratch page's MFN."""
    assert balloon_down(p2m, [3, 4], scratch_mfn=5009) == 2
    assert [p2m.get(pfn) for pfn in (3, 4)] == [5009, 5009]
    assert balloon_up(p2m, [(3, 70)]).bug_pfn == 3
    assert balloon_up(p2m, [(3, 70)], stops_on_valid=False) == BalloonUp(1)


def test_up_fails_without_pages():
    made = PhysToMachine(RULES["3.12"], GEOMETRY_64, MFNS, runtime_limit=1)
    made.end_early()
    assert balloon_up(made, [(600, 1), (5000, 2)]) == BalloonUp(1, failed_pfn=5000)


def test_foreign_frames_keep_what_was_there(p2m):
    frames = ForeignFrames(p2m, m2p)
    assert frames.map(3, 900)
    assert frames.map(700, 901)
    assert [p2m.get(pfn) for pfn in (3, 700)] == [900 | FOREIGN, 901 | FOREIGN]
    assert frames.mfn_to_pfn(900) == 3
    assert frames.unmap(3)
    assert frames.unmap(700)
    assert [p2m.get(pfn) for pfn in (3, 700)] == [5003, INVALID]
    assert not frames.unmap(3)
    assert frames.mfn_to_pfn(900) is None


def test_a_page_shared_with_oneself_answers_with_the_mapping(p2m):
    frames = ForeignFrames(p2m, m2p)
    assert frames.mfn_to_pfn(5004) == 4
    frames.map(700, 5004)
    assert p2m.get(4) == 5004 | FOREIGN
    frames.map(701, 5004)
    assert frames.mfn_to_pfn(5004) == 701
    frames.unmap(701)
    assert (frames.mfn_to_pfn(5004), p2m.get(4)) == (700, 5004 | FOREIGN)
    frames.unmap(700)
    assert (frames.mfn_to_pfn(5004), p2m.get(4)) == (4, 5004)


def test_a_device_frame_is_its_own_pfn(p2m):
    assert ForeignFrames(p2m, m2p).mfn_to_pfn(1005) == 1005


def test_a_frame_in_use_is_refused(p2m):
    frames = ForeignFrames(p2m, m2p)
    frames.map(3, 900, override=False)
    with pytest.raises(InputError, match="not in use, got PFN 0x3"):
        frames.map(3, 901)
