"""Images of real guests: what is made of a core against what Xen's own save made of the same guest."""

import io
import lzma
from pathlib import Path

import numpy as np
import pytest

from guests import unpacked
from xenp2m.export.images import write_flat
from xenp2m.export.pagetables import PageTables
from xenp2m.sources import detect

CORES = Path(__file__).parent / "cores"
PAGE = 4096


def image(path):
    """Pages of the flat image that are not all zero, by PFN."""
    file = io.BytesIO()
    write_flat(detect.open(path), file)
    words = np.frombuffer(file.getvalue(), np.uint64).reshape(-1, PAGE // 8)
    return {int(pfn): words[pfn] for pfn in np.flatnonzero(words.any(axis=1))}


@pytest.fixture
def pair(tmp_path, request):
    """A core and the stream that was saved of the same paused guest."""
    core, stream = request.param
    path = tmp_path / core
    path.write_bytes(lzma.decompress((CORES / f"{core}.xz").read_bytes()))
    return path, unpacked(stream, tmp_path)


@pytest.mark.parametrize("pair", [("s2-balloon100.core", "domu2-s3.save")], indirect=True)
def test_an_image_of_a_core_is_that_of_the_saved_guest(pair):
    """Xen knows every page table by its type and puts it into pseudo-physical form when it saves."""
    core, saved = image(pair[0]), image(pair[1])
    assert core.keys() == saved.keys()
    assert [hex(pfn) for pfn in core if (core[pfn] != saved[pfn]).any()] == []


@pytest.mark.parametrize(
    "pair", [("tiny64-both.core", "tiny64-both.save"), ("tiny32pae.core", "tiny32pae.save")], indirect=True
)
def test_complete_guests_differ_where_they_ran_on(pair):
    """The guest's stack, the MFNs in start_info that a save turns into PFNs, and a dirty bit."""
    core, saved = image(pair[0]), image(pair[1])
    assert core.keys() == saved.keys()
    other = {pfn: np.flatnonzero(core[pfn] != saved[pfn]) for pfn in core if (core[pfn] != saved[pfn]).any()}
    assert len(other) == 3
    assert all(words.size <= 3 for words in other.values())
    tables = set(PageTables(detect.open(pair[0])).levels)
    (changed,) = other.keys() & tables
    assert core[changed][other[changed][0]] ^ saved[changed][other[changed][0]] == 0x40
