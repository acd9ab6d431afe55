"""The catalogue as a whole: every code is reported somewhere, fired by a test, and says when."""

import re
from functools import cache
from pathlib import Path

import pytest

from consoles import Q35, console
from test_checks_boot import CASES as BOOTED
from test_checks_map import CASES as MAPPED
from test_checks_stream import NEAR_MISSES as STREAMED
from test_passthrough import CASES as BARRED
from xenp2m.checks.stories import STORIES
from xenp2m.checks.stories.explore import EXPLORE
from xenp2m.checks.stories.faults import UNRELEASED
from xenp2m.diagnosis.diagnose import diagnose
from xenp2m.explore.eras import RULE_SETS, varied
from xenp2m.explore.operations import MFN, Config, Op, Scope
from xenp2m.explore.search import search
from xenp2m.explore.toy import Toy
from xenp2m.explore.verdict import judge
from xenp2m.frames import Geometry
from xenp2m.logs.consolelog import read_log
from xenp2m.options import Options

TOP = Path(__file__).parent.parent
SOURCES = {path: path.read_text() for path in (TOP / "src").rglob("*.py") if path.parent.name != "stories"}
TESTS = {path: path.read_text() for path in (TOP / "tests").glob("test_*.py")}
UNREPORTED = {story.code for story in UNRELEASED}
BUILT = {"p2m-relocated", "initrd-relocated"}
"""Codes that are put together from an object's name where they are reported."""

EXPLORED = [
    # code, rules that show it, their nearest neighbour that does not
    ("over-reach-mid", ("3.18", (), "all"), ("3.12", (), "all")),
    ("over-reach-leaf", ("3.12", (), "all"), ("3.12", (), "boot")),
    ("missing-leaf-scribbled", ("3.12", ("guard=off",), "boot"), ("3.12", (), "boot")),
    ("map-differs", ("3.18", ("swap=off",), "boot"), ("3.18", (), "boot")),
    ("empty-range-allocates", ("3.18", (), "boot"), ("linear", (), "boot")),
]


def fault(version, function):
    """A BUG of some kernel, as it is printed."""
    return (
        f"[    9.1] kernel BUG at arch/x86/xen/p2m.c:1!\n[    9.2] CPU: 0 PID: 1 Comm: a Not tainted {version} #1\n"
        f"[    9.3] RIP: e030:{function}+0x1/0x2"
    )


LOGGED = [
    # code, what stands behind a sound log, and its nearest neighbour that is nothing
    ("messages-lost", "** 12 printk messages dropped **", "** printk messages dropped **"),
    ("iomem-zeroed", "00000000-00000000 : Reserved\n00000000-00000000 : System RAM",
     "00000000-00000fff : Reserved\n00001000-0009efff : System RAM"),
    ("balloon-refused", "[    1.0] Extra pages underflow current target", "[    1.0] Extra pages"),
    ("dom0-died", "(XEN) Hardware Dom0 crashed: rebooting machine in 5 seconds.",
     "(XEN) Hardware Dom0 shutdown: rebooting machine"),
    ("fault-beyond-p2m-area", fault("6.1.192", "xen_alloc_p2m_entry"), fault("6.1.192", "ttm_bo_validate")),
    ("fault-elsewhere", fault("6.1.192", "ttm_bo_validate"), fault("6.1.192", "xen_alloc_p2m_entry")),
]  # fmt: skip


@cache
def codes(name, changes, ops):
    return {one.code for one in search(Scope(varied(RULE_SETS[name], changes), Geometry(8, 2), ops, 2)).found}


@pytest.mark.parametrize(("code", "shown", "not_shown"), EXPLORED, ids=[case[0] for case in EXPLORED])
def test_rules_that_show_it_and_their_neighbour(code, shown, not_shown):
    assert code in codes(*shown)
    assert code not in codes(*not_shown)


def test_an_early_set_without_a_place_is_told_though_the_map_is_sound():
    toy = Toy(Scope(RULE_SETS["3.6"], Geometry(8, 2), "boot", 1))
    p2m = toy.start(Config(2))
    reads, op = toy.reads(p2m), Op("es", 5, value=MFN)
    assert judge(toy, p2m, op, 0, reads, reads) == "early-set-refused"
    assert judge(toy, p2m, op, 1, reads, reads) is None


def test_every_code_of_exploration_has_a_case():
    assert {case[0] for case in EXPLORED} | {"early-set-refused"} == {story.code for story in EXPLORE}


@pytest.mark.parametrize(("code", "line", "sound"), LOGGED, ids=[case[0] for case in LOGGED])
def test_a_line_of_a_log_and_its_neighbour(code, line, sound):
    text = re.sub(r"(?m)^ *[0-9a-f]+-[0-9a-f]+ : .*\n", "", console(Q35))
    for behind, told in ((line, True), (sound, False)):
        found = diagnose(read_log(f"{text}\n{behind}\n", "log"), Options()).findings
        assert (code in {one.code for one in found}) == told


def test_a_sum_that_is_broken_and_one_that_is_not():
    text = console(Q35)
    broken = text.replace("(228429 pages to be allocated)", "(328429 pages to be allocated)")
    assert broken != text
    assert "log-sum-broken" in {one.code for one in diagnose(read_log(broken, "log"), Options()).findings}
    assert "log-sum-broken" not in {one.code for one in diagnose(read_log(text, "log"), Options()).findings}


def test_a_count_that_differs_from_the_prediction():
    text = console(Q35)
    other = re.sub(r"Remapped 97 page", "Remapped 98 page", text)
    assert other != text
    for told, differs in ((other, True), (text, False)):
        found = {one.code for one in diagnose(read_log(told, "log"), Options()).findings}
        assert ("log-disagrees" in found) == differs


@pytest.mark.parametrize(("function", "grew"), [("alloc_p2m", True), ("ttm_bo_validate", False)])
def test_a_tree_that_grows_is_a_fault_of_its_own(function, grew):
    found = diagnose(read_log(fault("3.4.12", function), "log"), Options()).findings
    assert ("fault-tree-grown" in {one.code for one in found}) == grew


PAIRED = {
    # codes of which a test elsewhere shows one that has it and one that just has not
    "early-set-refused": "test_an_early_set_without_a_place_is_told_though_the_map_is_sound",
    "log-sum-broken": "test_a_sum_that_is_broken_and_one_that_is_not",
    "log-disagrees": "test_a_count_that_differs_from_the_prediction",
    "fault-tree-grown": "test_a_tree_that_grows_is_a_fault_of_its_own",
    "map-m2p-disagrees": "test_m2p",
    "map-overlaps-e820": "test_e820",
    "struct-page-cost": "test_what_struct_pages_cost",
    "dom0-mem-ignored": "test_what_is_passed_over_or_misread",
    "dom0-mem-misread": "test_what_is_passed_over_or_misread",
    "dom0-mem-no-max": "test_what_is_passed_over_or_misread",
}


@pytest.mark.parametrize("code", STORIES)
def test_every_code_has_a_near_miss(code):
    """A new story needs a row in one of the tables, each of which holds what has it against what has not."""
    tables = (BOOTED, MAPPED, EXPLORED, LOGGED)
    shown = {row[0] for table in tables for row in table} | set(STREAMED) | set(PAIRED)
    barred = {code for *_, codes in BARRED for code in codes}
    assert (code in shown | barred) == (code not in UNREPORTED)
    assert code not in PAIRED or any(f"def {PAIRED[code]}(" in text for text in TESTS.values())


@pytest.mark.parametrize("code", STORIES)
def test_every_code_is_reported_and_has_a_test(code):
    quoted = re.compile(rf"[\"']{re.escape(code)}[\"']")
    assert any(map(quoted.search, SOURCES.values())) == (code not in UNREPORTED | BUILT)
    assert any(map(quoted.search, TESTS.values())) == (code not in UNREPORTED)


@pytest.mark.parametrize("story", STORIES.values(), ids=lambda s: s.code)
def test_every_story_says_when(story):
    assert story.trigger
    assert story.trigger != story.title
    assert story.fixed or story.about == "host" or "explored" in story.trigger
