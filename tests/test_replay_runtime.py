"""What happens around the P2M, replayed: balloon, foreign frames, page tables, tools."""

import pytest

from xenp2m.frames import GEOMETRY_64
from xenp2m.replay import replay_row

INVALID, BIT, FOREIGN = GEOMETRY_64.invalid, GEOMETRY_64.identity_bit, GEOMETRY_64.foreign_bit
BASE = 1 << 20
IOMAP = 1 << 10


def answer(ops, kernel="3.10", pages=600, **more):
    row = {"kernel": kernel, "in": {"nr_pages": pages, "ops": ops}, **more}
    return replay_row(row)


def rets(ops, **how):
    return answer(ops, **how)["out"]["ret"]


@pytest.mark.parametrize(("kernel", "reads"), [("3.10", INVALID), ("3.13", BASE + 599), ("3.18", BASE + 599),
                                               ("3.19", BASE + 599), ("4.4", INVALID), ("6.1", INVALID)])  # fmt: skip
def test_a_frame_given_back_reads_as_the_drivers_era_has_it(kernel, reads):
    """INVALID, or from 3.12 to 3.19 the MFN of the scratch page, here the last of the list."""
    assert rets([["rt"], ["bd", 5], ["g", 5], ["bd", 5]], kernel=kernel) == [0, 1, reads, 0]


@pytest.mark.parametrize(
    ("kernel", "stops"), [("2.6.39", True), ("3.11", True), ("3.12", False), ("6.1", False)]
)
def test_the_balloon_stops_at_a_valid_entry_up_to_3_11(kernel, stops):
    out = answer([["rt"], ["bd", 5], ["bu", 5, 77], ["bu", 6, 78], ["g", 6]], kernel=kernel)["out"]
    if stops:
        assert (out["bug"], out["at"], out["ret"]) == ("phys_to_machine_mapping_valid", 3, [0, 1, 1])
    else:
        assert out["ret"] == [0, 1, 1, 1, 78]


def test_after_3_11_a_page_over_shared_identity_is_never_seen():
    """The store succeeds in the shared page; the frame goes on as identity (the thread's fear, later)."""
    ops = [["ri", 1024, 2048], ["rt"], ["bu", 1500, 77], ["g", 1500]]
    out = answer(ops, kernel="3.15")["out"]
    assert out["ret"] == [1024, 0, 1, 1500 | BIT]
    assert out["scribbled"] == [["identity", 1500 % 512, 77]]


def test_foreign_frames_and_the_way_back():
    ops = [
        ["rt"],
        ["fm", 7, 999],
        ["g", 7],
        ["m2p", 999],
        ["m2p", BASE + 7],
        ["fu", 7],
        ["g", 7],
        ["fu", 7],
        ["m2p", 999],
    ]
    assert rets(ops) == [0, 1, 999 | FOREIGN, 7, INVALID, 1, BASE + 7, 0, INVALID]
    # without the override nothing finds the frame by its MFN
    assert rets(ops[:4], kernel="4.4") == [0, 1, 999 | FOREIGN, INVALID]


def test_an_identity_mfn_is_its_own_frame():
    assert rets([["ri", 1024, 2048], ["m2p", 1500], ["m2p", 3000], ["m2p", BASE + 3]]) == [
        1024,
        1500,
        INVALID,
        3,
    ]


@pytest.mark.parametrize(
    ("kernel", "flag"), [("2.6.39", IOMAP), ("3.15", IOMAP), ("3.16", 0), ("3.18", 0), ("6.1", 0)]
)
def test_page_tables_mark_identity_up_to_3_15(kernel, flag):
    ops = [["ri", 520, 530], ["pte", 3], ["pte", 525], ["bd", 3], ["pte", 700]]
    ops.insert(3, ["rt"])
    first, identity = rets(ops, kernel=kernel)[1:3]
    assert first == BASE + 3 << 12 | 1
    assert identity == 525 << 12 | 1 | flag


def test_an_empty_entry_for_a_missing_frame():
    assert rets([["pte", 700], ["rt"], ["bd", 9], ["pte", 9]]) == [0, 0, 1, 0]


@pytest.mark.parametrize(("kernel", "races"), [("3.10", []), ("3.15", [[5, 6]])])
def test_tools_take_a_scratch_page_for_a_race(kernel, races):
    """Many PFNs behind one dummy MFN look like a race (A6)."""
    out = answer([["rt"], ["bd", 5], ["save", 0]], kernel=kernel)["out"]
    assert out["ret"][-1] == len(races)
    (found,) = out["save"]
    assert (found["at"], found["pages"], found["races"], found["bogus"]) == (2, 599, races, [])


def test_tools_see_shared_identity_as_missing_and_refuse_it_in_private_pages():
    ops = [["ri", 700, 2048], ["rt"], ["save", 2048]]
    (found,) = answer(ops)["out"]["save"]
    assert found["bogus"] == [[700, 1024]]
    assert found["list"][-1] == [1024, 2048, "missing"]
    # by value, as the seed has it, identity is an MFN that does not come back: a race
    (seed,) = replay_row({"rules": "seed", "in": {"nr_pages": 1024, "ops": [["ri", 700, 800], ["save", 0]]}})[
        "out"
    ]["save"]
    assert (seed["races"], seed["bogus"], seed["pages"]) == ([[700, 800]], [], 924)


def test_tools_follow_what_the_balloon_changed():
    ops = [
        ["rt"],
        *[["bd", pfn] for pfn in range(10, 20)],
        *[["bu", pfn, 5000 + pfn] for pfn in range(10, 15)],
        ["save", 0],
    ]
    (found,) = answer(ops)["out"]["save"]
    assert (found["pages"], found["races"], found["bogus"]) == (595, [], [])


@pytest.mark.parametrize(
    ("ops", "says"),
    [
        ([["bu", 5, 7]], "bu after the end of the early phase"),
        ([["fm", 5, 7]], "fm after the end of the early phase"),
        ([["rt"], ["fm", 5, 7], ["fm", 5, 8]], "a frame without a foreign page"),
        ([["rt"], ["bu", 5, BIT]], "ops[1]"),
        ([["save"]], "save and 1 numbers"),
    ],
)
def test_what_cannot_be_done_is_one_line(ops, says):
    assert says in answer(ops)["error"]


@pytest.mark.parametrize(
    ("change", "says"),
    [({"rules": "seed", "kernel": "x"}, "row, kernel"), ({"rules": "seed", "kernel": "2.4"}, "2.6.39 or later"),
     ({"in": {"nr_pages": 1 << 23, "ops": []}}, "0x400000"), ({"bit": 64}, "no key but"), ({"bits": 64.0}, "32 or 64"), ({"ops": []}, "no key but"),
     ({"in": {"nr_pages": 4, "ops": [], "mfn": 3}}, "row, in: expected no key but"),
     ({"in": {"nr_pages": 4, "ops": [], "mfns": "ascending", "mfn_desc": True}}, "not both"),
     ({"in": {"nr_pages": 4, "ops": [], "mfns": ["ascending"]}}, "one of ascending"),
     ({"in": {"nr_pages": 4, "ops": [], "mfn_list": [1]}}, "not both")],
)  # fmt: skip
def test_keys_that_say_nothing_are_refused(change, says):
    found = replay_row({"kernel": "3.12", "in": {"nr_pages": 4, "ops": []}} | change)
    assert says in found["error"]
