"""Listings as text: xen-mfndump and debugfs."""

import lzma

import numpy as np
import pytest
from tests.guests import GUESTS, live

import xenp2m
from xenp2m import InputError, Kind, Run
from xenp2m.sources import debugfs, mfndump

DEBUGFS = " [0x0->0x9f] pfn\n [0x9f->0x100] identity\n [0x100->0x300] missing\n [0x300->0x400] abnormal\n"


def put(tmp_path, text):
    path = tmp_path / "listing.txt"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def real(name):
    return lzma.decompress((GUESTS / f"{name}.mfndump-p2m.txt.xz").read_bytes())


def p2m_lines(words, begin=0, width=8):
    yield " --- Dumping P2M for domain 7 ---\n"
    yield f" Guest Width: {width}, PT Levels: 4 P2M size: = {len(words)}\n"
    for pfn, word in enumerate(words[begin:], begin):
        kind, tail = ("0xf", " invalid") if word >> 62 else ("0x0", "")
        yield f"  pfn={pfn:#x} ==> mfn={word:#x} (type {kind}){tail}\n"
    yield " --- End of P2M for domain 7 ---\n"


@pytest.mark.parametrize("name", ["tiny64-both.a", "tiny32pae.a"])
def test_a_listing_of_a_real_guest_is_its_list(tmp_path, name):
    source = xenp2m.open(put(tmp_path, real(name)))
    words = live(f"{name}.live")
    per = source.guest.geometry.entries
    assert source.guest.max_pfn == words.size
    told = source.p2m.words(0, len(source.p2m))
    for low in range(0, words.size, per):
        leaf = words[low : low + per]
        if (leaf == (1 << 64) - 1).all():
            assert source.p2m.lookup(low)[0] is Kind.UNKNOWN
        else:
            assert (told[low : low + per] == leaf).all()
    assert source.listed.count()[Kind.MISSING] == sum(word >> 62 != 0 for word in words.tolist())
    assert source.listed.count()[Kind.IDENTITY] == 0


def test_whole_pages_of_all_ones_are_unknown(tmp_path):
    words = [0x1000 + n for n in range(512)] + [(1 << 64) - 1] * 512 + [(1 << 64) - 1] * 5 + [7]
    source = mfndump.read(put(tmp_path, "".join(p2m_lines(words))))
    assert source.p2m.extents()[1] == Run(512, 1024, Kind.UNKNOWN)
    assert source.p2m.lookup(1024)[0] is Kind.MISSING
    assert source.listed.lookup(600)[0] is Kind.MISSING
    assert "1 list pages" in source.inferred[0]


def test_prefixes_and_quotes_do_not_matter(tmp_path):
    words = [5, 6, 1 << 62 | 2, 1 << 63 | 9]
    text = "".join("> Nov 22 10:00:00 host root: " + line for line in p2m_lines(words))
    source = mfndump.read(put(tmp_path, text))
    assert source.p2m.words(0, 4).tolist() == words


def test_a_listing_that_breaks_off(tmp_path):
    lines = list(p2m_lines(list(range(1, 100))))
    for cut in (3, 50, len(lines) - 1):
        path = put(tmp_path, "".join(lines[:cut]))
        with pytest.raises(InputError, match="a whole listing"):
            mfndump.read(path)
        source = mfndump.read(path, salvage=True)
        assert source.lost
        assert len(source.p2m) == min(cut - 2, 99)
    path = put(tmp_path, "".join(p2m_lines(list(range(1, 100)), begin=40)))
    assert mfndump.read(path, salvage=True).p2m.extents()[0] == Run(0, 40, Kind.UNKNOWN)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("".join(p2m_lines([1])) * 2, "one listing"),
        ("  pfn=0xfffffffffffffff0 ==> mfn=0x1 (type 0x0)\n", "without large gaps"),
        (" Guest Width: 5, PT Levels: 4 P2M size: = 1\n  pfn=0x0 ==> mfn=0x1 (type 0x0)\n", "width"),
        ("  pfn=0x0 ==> mfn=0x1 (type 0x0)\n" + "y" * (1 << 21), "lines of at most"),
        (" --- Dumping M2P ---\n", "lines of xen-mfndump"),
    ],
)
def test_bad_listings(tmp_path, text, match):
    with pytest.raises(InputError, match=match):
        mfndump.read(put(tmp_path, text))


def test_the_machines_way_back(tmp_path):
    lines = [" --- Dumping M2P ---\n", " Max MFN: 4\n"]
    lines += [f"  mfn={mfn:#x} ==> pfn={pfn:#x}\n" for mfn, pfn in enumerate([9, 8, (1 << 64) - 1, 3])]
    source = xenp2m.open(put(tmp_path, "".join([*lines, " --- End of M2P ---\n"])))
    assert source.m2p.tolist() == [9, 8, (1 << 64) - 1, 3]
    assert len(source.p2m) == 0
    with pytest.raises(InputError, match="a whole listing"):
        xenp2m.open(put(tmp_path, "".join(lines[:-1])))


def test_debugfs_tells_kinds_and_no_numbers(tmp_path):
    source = xenp2m.open(put(tmp_path, DEBUGFS))
    assert source.p2m.extents() == [
        Run(0, 0x9F, Kind.UNKNOWN),
        Run(0x9F, 0x100, Kind.IDENTITY),
        Run(0x100, 0x300, Kind.MISSING),
        Run(0x300, 0x400, Kind.UNKNOWN),
    ]
    older = DEBUGFS.replace("\n [0x100", "\n [0x0->0x200] level middle\n [0x100")
    assert debugfs.read(put(tmp_path, older)).p2m.extents() == source.p2m.extents()
    logged = "".join(f"[   12.0{n}] {line}\n" for n, line in enumerate(DEBUGFS.splitlines()))
    assert debugfs.read(put(tmp_path, logged)).p2m.extents() == source.p2m.extents()


def test_debugfs_with_gaps_and_overlaps(tmp_path):
    gap = DEBUGFS.replace(" [0x9f->0x100] identity\n", "")
    with pytest.raises(InputError, match="without a gap"):
        debugfs.read(put(tmp_path, gap))
    source = debugfs.read(put(tmp_path, gap), salvage=True)
    assert source.p2m.lookup(0xA0)[0] is Kind.UNKNOWN
    assert source.lost == ("no line for the PFNs 0x9f to 0xff",)
    for bad in ("[0x10->0x10] pfn", "[0x10->0x5] pfn", "[0x0->0xffffffffffffffff] pfn"):
        with pytest.raises(InputError, match="a range"):
            debugfs.read(put(tmp_path, bad))
    with pytest.raises(InputError, match="a range"):
        debugfs.read(put(tmp_path, DEBUGFS * 2))


def test_a_long_listing_is_parsed_in_pieces(tmp_path):
    words = np.arange(0x100000, 0x100000 + 60_000)
    source = mfndump.read(put(tmp_path, "".join(p2m_lines(words.tolist()))))
    assert (source.p2m.words(0, 60_000) == words).all()
