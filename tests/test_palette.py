"""Looks stay apart: by character, by pattern, and by colour for eyes that lack a cone."""

from itertools import combinations

import numpy as np
import pytest

from xenp2m.extents import Run
from xenp2m.frames import Kind
from xenp2m.views.palette import LOOKS, Part, joined, parts

# Linear RGB as a dichromat sees it: Viénot, Brettel and Mollon, "Digital video colourmaps for checking
# the legibility of displays by dichromats", Color Research and Application 24, 1999.
SIGHTS = {
    "all cones": np.eye(3),
    "no red cone": [[0.11238, 0.88762, 0], [0.11238, 0.88762, 0], [0.00401, -0.00401, 1]],
    "no green cone": [[0.29275, 0.70725, 0], [0.29275, 0.70725, 0], [-0.02234, 0.02234, 1]],
}
XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])


def lab(colour, sight):
    """CIE L*a*b* of ``#rrggbb`` as seen with `sight`."""
    srgb = np.frombuffer(bytes.fromhex(colour[1:]), np.uint8) / 255
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    seen = np.clip(np.array(SIGHTS[sight]) @ linear, 0, 1)
    x, y, z = np.cbrt(np.maximum(XYZ @ seen / [0.9505, 1, 1.089], 1e-4))
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def test_every_kind_has_a_look():
    assert LOOKS.keys() == {kind.value for kind in Kind} | {"extra"}


@pytest.mark.parametrize("field", ["glyph", "plain", "xterm", "basic", "light", "dark", "text"])
def test_no_two_looks_share(field):
    values = [getattr(look, field) for look in LOOKS.values()]
    assert len(set(values)) == len(values)


def test_a_picture_tells_looks_apart_without_colour():
    assert len({(look.hatch, look.tall) for look in LOOKS.values()}) == len(LOOKS)


@pytest.mark.parametrize("ground", ["light", "dark"])
@pytest.mark.parametrize("sight", SIGHTS)
def test_colours_stay_apart(ground, sight):
    seen = {name: lab(getattr(look, ground), sight) for name, look in LOOKS.items()}
    near = {
        (a, b): round(float(np.linalg.norm(seen[a] - seen[b])))
        for a, b in combinations(seen, 2)
        if np.linalg.norm(seen[a] - seen[b]) < 10
    }
    assert near == {}


def test_red_and_green_do_not_stay_apart():
    apart = np.linalg.norm(lab("#b05030", "no green cone") - lab("#7a7a28", "no green cone"))
    assert apart < 20 < np.linalg.norm(lab("#b05030", "all cones") - lab("#7a7a28", "all cones"))


def test_parts_tell_room_to_grow_from_nothing():
    runs = [Run(0, 10, Kind.MFN, 5, 1), Run(10, 50, Kind.MISSING), Run(50, 60, Kind.IDENTITY)]
    assert list(parts(runs)) == [Part(0, 10, "mfn"), Part(10, 50, "missing"), Part(50, 60, "identity")]
    assert list(parts(runs, [(5, 12), (20, 30)])) == [
        Part(0, 10, "mfn"),
        Part(10, 12, "extra"),
        Part(12, 20, "missing"),
        Part(20, 30, "extra"),
        Part(30, 50, "missing"),
        Part(50, 60, "identity"),
    ]


def test_neighbours_that_look_alike_are_one_part():
    runs = [Run(0, 4, Kind.MFN, 9, 1), Run(4, 6, Kind.MFN, 99, -1), Run(6, 9, Kind.MISSING)]
    assert list(parts(runs)) == [Part(0, 6, "mfn"), Part(6, 9, "missing")]
    apart = [Part(0, 2, "mfn"), Part(3, 4, "mfn")]
    assert list(joined(apart)) == apart
    assert list(joined([])) == []
