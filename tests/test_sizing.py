import json
from itertools import pairwise

import pytest

from test_cli_diagnose import asked, validator
from xenp2m.errors import InputError
from xenp2m.kernel import Version
from xenp2m.sizing import common_map, size_dom0

GIB = 1 << 18
NEW = Version(6, 12)


def codes(sizing):
    return {finding.code for finding in sizing.findings}


def test_repeated_options_and_the_clamp():
    """min:1024M alone leaves the start to the default; max cuts it to 4 GiB."""
    sizing = size_dom0("dom0_mem=min:1024M dom0_mem=max:4096M", 40873 << 20, None, NEW)
    assert (sizing.nr_pages, sizing.max_pages, sizing.extra) == (4 * GIB, 4 * GIB, 0)
    assert sizing.struct_kib == 66 << 10  # 33 sections: the frames of the hole lie above the last whole one


@pytest.mark.parametrize(
    ("text", "nr", "most", "extra"),
    [
        ("2G,max:2G", 2 * GIB, 2 * GIB, 0),
        ("2G,max:6G", 2 * GIB, 6 * GIB, 4 * GIB),
        ("1G,max:32G", GIB, 32 * GIB, 10 * GIB - 97),
    ],
)
def test_start_maximum_and_headroom(text, nr, most, extra):
    sizing = size_dom0(text, 64 << 30, None, NEW)
    assert (sizing.nr_pages, sizing.max_pages, sizing.extra) == (nr, most, extra)
    assert sizing.capped == max(0, most - nr - 10 * nr)


def test_what_struct_pages_cost():
    assert "struct-page-cost" in codes(size_dom0("1G,max:32G", 64 << 30, None, NEW))
    assert "struct-page-cost" not in codes(size_dom0("8G,max:32G", 64 << 30, None, NEW))
    assert size_dom0("2G,max:18G", 64 << 30, None, NEW).struct_kib // (18 << 20 >> 6) == 1


def test_what_is_passed_over_or_misread():
    assert "dom0-mem-ignored" in codes(size_dom0("2G,max=4G", 64 << 30, None, NEW))
    assert "dom0-mem-misread" in codes(size_dom0("2097152,max:2G", 64 << 30, None, NEW))
    assert "dom0-mem-no-max" in codes(size_dom0("2G", 64 << 30, None, NEW))
    assert codes(size_dom0("2G,max:2G", 64 << 30, None, NEW)) <= {"ibft-window"}
    assert "dom0-mem-ignored" in codes(size_dom0("10%,max:2G", 64 << 30, Version(4, 11), NEW))


def test_a_map_for_every_size():
    for ram in (64 << 20, 1 << 30, 3 << 30, 4 << 30, 1 << 46):
        entries = common_map(ram)
        assert all(a.end <= b.start for a, b in pairwise(entries))
    for ram in (0, 1 << 20, 1 << 47):
        with pytest.raises(InputError):
            common_map(ram)


def test_the_command(capsys):
    code, out, err = asked(
        capsys, "dom0-mem", "2G,max:2G", "--ram", "64G", "--xen", "4.17", "--kernel", "6.1"
    )
    assert (code, err) == (0, "")
    assert "524,288" in out
    assert max(map(len, out.splitlines())) <= 80
    code, out, _ = asked(capsys, "dom0-mem", "512M", "--ram", "64G", "--json")
    assert code == 1
    validator("dom0-mem.schema.json").validate(json.loads(out))
    for words in (("", "--ram", "64G"), ("2G", "--ram", "1K"), ("console=vga quiet", "--ram", "4G"), ("2G",)):
        code, out, err = asked(capsys, "dom0-mem", *words)
        assert (code, out, err.count("\n")) == (2, "", 1)
