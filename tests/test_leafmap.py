"""Shared leaves told apart by what shows it, and maps that are mostly shared leaves."""

import numpy as np
import pytest

from xenp2m.errors import InputError
from xenp2m.extents import Run
from xenp2m.frames import GEOMETRY_64, Kind
from xenp2m.p2m import P2M
from xenp2m.sources.core.reader import read
from xenp2m.sources.leafmap import leaf_map
from xenp2m.sources.leafroles import Views, roles_of
from xenp2m.sources.synth_core import synth_core

OWN, IDENTITY, MISSING, ALSO = 10, 20, 30, 40


def fetch(frames):
    pages = np.zeros((frames.size, 4096), np.uint8)
    for row, frame in enumerate(frames.tolist()):
        pages[row] = 0 if frame == OWN else 0xFF
    return pages, frames != 99


def views(frames, **more):
    tree = more.pop("tree", None)
    return Views(
        np.array(frames, np.uint64),
        more.pop("linear", True),
        None if tree is None else np.array(tree, np.uint64),
        **more,
    )


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        (views([OWN, IDENTITY, MISSING]), (None, None, ())),
        (views([OWN, OWN, OWN]), (None, None, ())),
        (views([OWN, IDENTITY, IDENTITY]), (IDENTITY, None, ())),
        (views([OWN, IDENTITY, IDENTITY], linear=False), (None, None, (IDENTITY,))),
        (views([OWN, IDENTITY, IDENTITY], linear=None), (None, None, (IDENTITY,))),
        (views([OWN, IDENTITY, IDENTITY, ALSO, ALSO]), (None, None, (IDENTITY, ALSO))),
        (views([OWN, MISSING, MISSING], empty_mid=MISSING), (None, MISSING, ())),
        (views([OWN, IDENTITY, IDENTITY], behind=IDENTITY), (IDENTITY, None, ())),
        (views([OWN, IDENTITY], behind=IDENTITY), (IDENTITY, None, ())),
        (views([OWN, MISSING, MISSING, IDENTITY], behind=IDENTITY), (IDENTITY, MISSING, ())),
        (views([OWN, MISSING, MISSING], behind=OWN), (None, None, (MISSING,))),
        (views([OWN, MISSING, MISSING], behind=IDENTITY), (IDENTITY, MISSING, ())),
        (views([IDENTITY, IDENTITY], tree=[MISSING, MISSING]), (IDENTITY, MISSING, ())),
        (
            views([IDENTITY, IDENTITY, ALSO, ALSO], tree=[MISSING, IDENTITY, 0, 1]),
            (None, None, (IDENTITY, ALSO)),
        ),
        (views([IDENTITY, IDENTITY, MISSING, MISSING], linear=False), (None, None, (IDENTITY, MISSING))),
        (
            views([IDENTITY, IDENTITY, MISSING, MISSING], linear=False, empty_mid=MISSING),
            (None, MISSING, (IDENTITY,)),
        ),
    ],
)
def test_what_shows_which_page_is_which(case, expected):
    roles = roles_of(case, fetch)
    assert (roles.identity, roles.missing, roles.unknown) == expected
    assert roles.why
    assert (roles.why == "every leaf page is private") == (expected == (None, None, ()))


def test_entries_of_every_role():
    case = views(
        [OWN, IDENTITY, IDENTITY, ALSO, ALSO, MISSING, 99],
        behind=IDENTITY,
        tree=[OWN, *[MISSING] * 2, ALSO, ALSO, MISSING, 99],
    )
    found = leaf_map(case, fetch, 7 * 512 - 5, GEOMETRY_64, "here")
    assert [(run.end - run.start, run.kind) for run in found.p2m.extents()[512:]] == [
        (1024, Kind.IDENTITY),
        (1024, Kind.UNKNOWN),
        (512, Kind.MISSING),
        (507, Kind.UNKNOWN),
    ]
    assert found.lost == (
        "1 leaf page of the list is not in the input, the first at MFN 0x63 for PFN 0xc00 on: "
        "the entries are unknown",
    )


def test_a_list_of_one_page_with_content_is_refused():
    case = views([OWN] * 20_000)
    with pytest.raises(InputError, match="here: expected leaf pages"):
        leaf_map(case, fetch, 20_000 * 512, GEOMETRY_64, "here")


def test_a_map_of_shared_leaves_takes_no_words(tmp_path):
    runs = [
        Run(0, 3000, Kind.MFN, 5000, 1),
        Run(3000, 5_000_000, Kind.IDENTITY),
        Run(5_000_000, 5_000_100, Kind.MFN, 100, 1),
        Run(5_000_100, 6_000_000, Kind.MISSING),
    ]
    p2m = P2M(runs)
    synth_core(tmp_path / "a", p2m)
    source = read(tmp_path / "a")
    assert source.p2m.extents() == runs
    assert source.p2m.count() == p2m.count()
    assert repr(source.p2m) == "<P2M of 0x5b8d80 PFNs, 4 runs>"
    assert source.p2m.lookup(5_000_007) == (Kind.MFN, 107)


def test_leaves_that_are_not_in_the_input_take_no_words():
    frames = np.arange(100, 40_100, dtype=np.uint64)
    case = Views(frames, True, present=np.arange(40_000) < 3)
    found = leaf_map(case, fetch, 40_000 * 512, GEOMETRY_64, "here")
    assert "words" not in repr(found.p2m)
    assert found.p2m.extents()[-1] == Run(3 * 512, 40_000 * 512, Kind.UNKNOWN)
    assert found.lost[0].startswith(
        "39,997 leaf pages of the list are not in the input, the first at MFN 0x67"
    )
