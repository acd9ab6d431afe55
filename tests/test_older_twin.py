"""Boots on runs against boots frame by frame, on made-up maps with odd edges."""

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from older_twin import OlderTwin
from xenp2m.boot.select import boot
from xenp2m.e820 import Entry
from xenp2m.host import UNLIMITED, Host
from xenp2m.kernel import Release, Version
from xenp2m.model.shape import runs, shape

PAGE = 4096


@st.composite
def maps(draw):
    """Up to eight entries from 0 on, with gaps, overlaps and ends inside pages."""
    entries, position = [], 0
    for _ in range(draw(st.integers(1, 8))):
        odd = st.sampled_from([0, 0, 0, 0x400, 0xC00, 0xFFF])
        position += draw(st.sampled_from([0, 0, 0, 1, 40, 300])) * PAGE + draw(odd)
        size = draw(st.sampled_from([1, 3, 100, 256, 511, 512, 513, 900, 1500])) * PAGE + draw(odd)
        kind = draw(st.sampled_from([1, 1, 1, 1, 2, 2, 3, 4, 5]))
        entries.append(Entry(position, position + size, kind))
        position = max(0, position + size - draw(st.sampled_from([0, 0, 0, 0, 0x500, 5 * PAGE])))
    if draw(st.booleans()):
        entries.append(Entry(1 << 32, (1 << 32) + draw(st.integers(1, 2000)) * PAGE, 1))
    return tuple(draw(st.permutations(entries)) if draw(st.integers(0, 4)) == 0 else entries)


@st.composite
def hosts(draw, version):
    nr_pages = draw(st.integers(1, 3000))
    return Host(
        release=replace(Release.of(Version.parse(version)), e820_entries=320),
        nr_pages=nr_pages,
        e820=draw(maps()),
        dom=draw(st.sampled_from(["dom0", "dom0", "domU"])),
        max_res=draw(st.sampled_from([None, UNLIMITED, nr_pages, nr_pages + 50, nr_pages + 2000])),
        mfn_base=draw(st.sampled_from([0, 1, 700, 1 << 20])),
        mfn_desc=draw(st.booleans()),
    )


def has_odd_ram(host):
    """RAM entries without a whole page end in states that make no sense: judged by the vectors alone."""
    return any(e.type == 1 and -(-e.start // PAGE) >= e.end // PAGE for e in host.e820)


def pages_of(tree_shape):
    return [(t[:3], [(s, e, k.lower()) for s, e, k in t[3]] if len(t) > 3 else None) for t in tree_shape]


@pytest.mark.parametrize("version", ["2.6.39", "3.6", "3.18"])
def test_a_boot_equals_its_twin(version):
    @settings(max_examples=250, deadline=None, suppress_health_check=list(HealthCheck))
    @given(hosts(version))
    def compare(host):
        if has_odd_ram(host):
            return
        layout, twin = boot(host), OlderTwin(host)
        assert layout.bug is None
        assert layout.e820 == twin.e820
        assert layout.extra_bytes == twin.extra
        assert layout.released == twin.released
        assert layout.freed == twin.freed
        assert layout.populated == twin.populated
        assert layout.runs == runs(twin.p2m)
        assert layout.shared_max_pfn == twin.end_pfn
        assert layout.brk_pages == twin.p2m.pages.brk
        assert [a for a, _ in pages_of(layout.shape)] == [a for a, _ in pages_of(shape(twin.p2m.tree))]

    compare()
