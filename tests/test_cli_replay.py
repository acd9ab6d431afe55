"""``xenp2m replay`` as its user meets it."""

import json

import pytest

from test_cli import one_line, xenp2m  # noqa: F401

THREAD = ("--nr-pages", "1G", "ri:0x93c00-0x100000", "g:0x80000", "rt", "s:0x80000=0x1234", "g:0x80000")


def test_the_seed_over_reaches_and_the_landed_rules_do_not(xenp2m):  # noqa: F811
    status, out, _ = xenp2m("replay", "--rules", "seed", *THREAD)
    assert status == 1
    assert "findings: identity-leaf-store, over-reach-mid" in out
    assert " 1  get_phys_to_machine(0x80000)                0x80000\n" in out
    assert "[2..3]    p2m_mid_identity                                0x80000 - 0x100000" in out
    assert "the shared page p2m_identity was written: entry 0 holds 0x1234" in out
    status, out, _ = xenp2m("replay", "--rules", "2.6.39", *THREAD)
    assert (status, "findings" in out) == (0, False)
    assert " 1  get_phys_to_machine(0x80000)                INVALID\n" in out
    assert " 4  get_phys_to_machine(0x80000)                0x1234\n" in out
    assert "[158..511]  p2m_identity        0x93c00 - 0xc0000" in out
    assert "was written" not in out


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("--entries 2 --rules 3.16 ri:4-8 rt __s:4=1", ["identity-leaf-store"]),
        ("--entries 2 --rules 3.12 rt s:6=identity", ["missing-mid-scribbled", "over-reach-leaf"]),
        ("--entries 2 --rules seed --nr-pages 2 s:3=identity", ["over-reach-leaf"]),
        ("--entries 2 --rules seed s:4=identity", ["over-reach-mid"]),
        ("--entries 2 --rules 3.12 ri:5-6 rt s:5=1 g:4", []),
    ],
)
def test_what_goes_wrong_has_a_code_and_sets_the_status(words, found, xenp2m):  # noqa: F811
    status, out, _ = xenp2m("replay", "--json", *words.split())
    assert json.loads(out)["out"]["findings"] == found
    assert status == bool(found)


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


def rows_file(tmp_path):
    good = {"kernel": "3.12", "in": {"nr_pages": 8, "ops": [["g", 1]]}}
    lines = [json.dumps(good | {"id": "one"}), "", "{", json.dumps(good | {"in": {"nr_pages": 0, "ops": []}}),
             '{"kernel": "3.12", "kernel": "3.6", "nr_pages": 4, "ops": []}', json.dumps(good)]  # fmt: skip
    path = tmp_path / "rows"
    path.write_text("\n".join(lines))
    return path


def test_rows_of_a_file_are_told_apart_and_bad_ones_named(xenp2m, tmp_path):  # noqa: F811
    path = rows_file(tmp_path)
    status, out, err = xenp2m("replay", path)
    assert status == 2
    assert out.startswith(f"{path}:1 · 'one'\n")
    assert f"\n\n{path}:6\n" in out
    assert [line.split()[1] for line in err.splitlines()] == [f"{path}:3:", f"{path}:4:", f"{path}:5:"]
    assert "each key once, got 'kernel' twice" in err
    status, out, err = xenp2m("replay", path, "--json")
    assert (status, err) == (2, "")
    assert ["error" in json.loads(line) for line in out.splitlines()] == [False, True, True, True, False]


def test_long_tables_are_cut_and_shown_whole_on_demand(xenp2m):  # noqa: F811
    many = ["ri:600-5000", "rt", *(f"s:{pfn}=0x999" for pfn in range(0, 500, 2))]
    _, short, _ = xenp2m("replay", "--nr-pages", "512", *many)
    _, whole, _ = xenp2m("replay", "--nr-pages", "512", *many, "--verbose")
    assert "more operations (--verbose)" in short
    assert "more rows (--verbose)" in short
    assert "--verbose" not in whole
    assert len(whole.splitlines()) > 700
    assert len(short.splitlines()) < 100
    assert max(map(len, short.splitlines())) <= 80


def test_a_store_into_a_shared_page_is_told_once(xenp2m):  # noqa: F811
    _, out, _ = xenp2m("replay", "--rules", "seed", *THREAD)
    assert out.count("holds 0x1234\n") == 1
    assert "overwritten" not in out


def test_what_happens_around_the_p2m(xenp2m):  # noqa: F811
    said = [
        "--rules",
        "seed",
        "ri:0x93c00-0x100000",
        "rt",
        "bd:5",
        "fm:7=0x999",
        "m2p:0x999",
        "pte:0x90000",
        "save:0x8",
    ]
    status, out, _ = xenp2m("replay", *said, "bu:0x80000=0x500000", "g:1")
    assert status == 1
    assert "increase_reservation(0x80000, 0x500000)     BUG\n" in out
    assert "BUG: phys_to_machine_mapping_valid; 1 operation not done" in out
    assert "mfn_to_pfn(0x999)                           PFN 0x7\n" in out
    assert "tools read 8 entries: 6 hold a page, 0 look like a race, 1 are no MFN" in out


@pytest.mark.parametrize("word", ["x:1", "get:0x5", "set:5=6", "identity:1-2"])
def test_one_operation_that_does_not_exist_is_not_taken_for_a_file(xenp2m, word):  # noqa: F811
    status, out, err = xenp2m("replay", word)
    assert (status, out) == (2, "")
    assert one_line(err)
    assert "ri:START-END" in err
    assert f"got '{word}'" in err


def test_a_file_may_be_named_like_an_operation(xenp2m, tmp_path, monkeypatch):  # noqa: F811
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x:1").write_text('{"rules": "seed", "entries": 2, "nr_pages": 1, "ops": []}\n')
    assert xenp2m("replay", "x:1")[0] == 0
    assert "a file that can be read" in xenp2m("replay", "rows:2.jsonl")[2]
