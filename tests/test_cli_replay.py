"""``xenp2m replay`` as its user meets it."""

import json

import pytest

from test_cli import one_line, xenp2m  # noqa: F401

THREAD = ("--nr-pages", "1G", "ri:0x93c00-0x100000", "g:0x80000", "rt", "s:0x80000=0x1234", "g:0x80000")


def test_the_seed_over_reaches_and_the_landed_rules_do_not(xenp2m):  # noqa: F811
    status, out, _ = xenp2m("replay", "--rules", "seed", *THREAD)
    assert status == 0
    assert " 1  get_phys_to_machine(0x80000)                0x80000\n" in out
    assert "[2..3]    p2m_mid_identity                                0x80000 - 0x100000" in out
    assert "the shared page p2m_identity was written: entry 0 holds 0x1234" in out
    _, out, _ = xenp2m("replay", "--rules", "2.6.39", *THREAD)
    assert " 1  get_phys_to_machine(0x80000)                INVALID\n" in out
    assert " 4  get_phys_to_machine(0x80000)                0x1234\n" in out
    assert "[158..511]  p2m_identity        0x93c00 - 0xc0000" in out
    assert "was written" not in out


def test_a_toy_geometry_and_words(xenp2m):  # noqa: F811
    status, out, _ = xenp2m(
        "replay",
        "--entries",
        "3",
        "--kernel",
        "3.18",
        "ri:7-20",
        "rt",
        "s:25=foreign:3",
        "s:26=INVALID",
        "g:8",
    )
    assert status == 0
    assert "3 entries a page" in out
    assert "0x19 - 0x1a  foreign   0x3" in out
    assert "identity 0x8" in out


def test_rows_in_and_out(xenp2m):  # noqa: F811
    good = {
        "id": 1,
        "kernel": "3.12",
        "bits": 64,
        "in": {"nr_pages": 1000, "ops": [["ri", 2000, 3000], ["g", 2500]]},
    }
    rows = [json.dumps(good), "{", json.dumps(good | {"in": {"nr_pages": 1, "ops": [["fly", 1]]}})]
    status, out, err = xenp2m("replay", "--json", "-", stdin="\n".join(rows))
    first, second, third = (json.loads(line) for line in out.splitlines())
    assert (status, err) == (2, "")
    assert first["out"]["ret"] == [1000, 2500 | 1 << 62]
    assert "error" in second
    assert "error" in third


def test_a_scrambled_list(xenp2m):  # noqa: F811
    status, out, _ = xenp2m(
        "replay", "--nr-pages", "64", "--mfns", "scrambled", "--seed", "3", "ri:70-80", "g:5"
    )
    assert status == 0
    assert (
        out
        != xenp2m("replay", "--nr-pages", "64", "--mfns", "scrambled", "--seed", "4", "ri:70-80", "g:5")[1]
    )


def test_a_bug_sets_the_status(xenp2m):  # noqa: F811
    status, out, _ = xenp2m("replay", "--kernel", "3.12", "rt", "s:0x8000000=0x1", "g:0")
    assert status == 1
    assert "BUG: store-beyond-p2m-end; 1 operation not done" in out


@pytest.mark.parametrize(
    "arguments",
    [
        ["ri:5"], ["g:"], ["rt:5"], ["s:5"], ["s:5=moon"], ["ri:5-x"], ["fly:5", "g:1"], ["/nonexistent"],
        ["--rules", "none", "g:1"], ["--kernel", "2.4", "g:1"], ["--entries", "1", "g:1"], ["g:" + "9" * 30],
        ["rt", "ri:1-2"], ["--rules", "2.6.39", "es:1=2"], ["--kernel", "6.1", "--bits", "32", "g:1"],
    ],
)  # fmt: skip
def test_bad_operations_get_one_line(xenp2m, arguments):  # noqa: F811
    status, out, err = xenp2m("replay", *arguments)
    assert (status, out) == (2, "")
    assert one_line(err)
