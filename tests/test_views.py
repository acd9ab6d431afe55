"""What the terminal shows."""

from hosts import MIB, pc, with_range
from xenp2m.plan import make_plan
from xenp2m.views.plan_text import plan_lines
from xenp2m.views.text import rows, size, wrapped
from xenp2m.views.tree_text import branch


def test_sizes():
    shown = {
        0: "0",
        1: "4 KiB",
        97: "388 KiB",
        256: "1 MiB",
        262144: "1 GiB",
        393216: "1536 MiB",
        1 << 28: "1 TiB",
    }
    assert {pages: size(pages) for pages in shown} == shown


def test_rows_align_and_wrap():
    table = [("a", "1", "why"), ("bbb", "22", "a long reason that does not fit into one line of it")]
    lines = list(rows(table, frozenset({1}), 30))
    assert lines[0] == " a     1  why"
    assert lines[1].startswith(" bbb  22  a long")
    assert all(len(line) <= 30 for line in lines)
    assert lines[2].startswith(" " * 10)


def test_rows_whose_last_column_is_empty():
    table = [("item", "pfn", "kind", "note"), ("0x9f", "0x9f", "mfn", ""), ("mfn:0x5", "0x1", "mfn", "")]
    bare = [(*row[:-1], "") for row in table]
    for each in (table, bare):
        for width in range(4, 40):
            lines = "\n".join(rows(each, frozenset(), width)).splitlines()
            assert "".join("".join(lines).split()) == "".join(map("".join, each))
            assert width < 14 or max(map(len, lines)) <= width


def test_rows_of_a_narrow_terminal():
    table = [("frames", "kind", "why"), ("0x0 - 0x9f", "mfn", "a long reason that takes two lines")]
    assert list(rows(table, frozenset(), 24)) == [
        " frames     kind\n   why",
        " 0x0 - 0x9f mfn\n   a long reason that\n   takes two lines",
    ]
    assert list(rows(table, frozenset(), 14))[1].splitlines()[:2] == [" 0x0 - 0x9f", "   mfn  a long"]
    assert list(rows([("ab", "cd")], frozenset(), 7)) == [" ab  cd"]


def test_wrapped_never_breaks_a_word():
    assert wrapped("0x0000000000000000-0x0000000000000fff", 10) == " 0x0000000000000000-0x0000000000000fff"


def test_errors_come_first_and_the_outcome_is_said():
    plan = make_plan(pc(e820=with_range(64 * MIB, 65 * MIB), kernel=(16 * MIB, 74 * MIB)))
    lines = list(plan_lines(plan, "title"))
    assert lines[0] == "title"
    assert lines[2].startswith(" error image-conflict: kernel 0x1000000-0x49fffff")
    assert " outcome: HALTS" in lines


def test_paint_is_used_for_what_matters():
    painted = []
    plan = make_plan(pc(e820=with_range(64 * MIB, 65 * MIB), kernel=(16 * MIB, 74 * MIB)))
    list(plan_lines(plan, "title", paint=lambda text, style: painted.append((text, style)) or text))
    assert ("title", "head") in painted
    assert ("error image-conflict:", "error") in painted
    assert ("HALTS", "error") in painted


def test_the_way_through_the_tree_holds_the_frame():
    plan = make_plan(pc("3.12"))
    entries = plan.host.geometry.entries
    for pfn in (0, 0x9F, 0x123, 0x40000, 0x40061, 0x60000, 0x100000, entries**3 - 1):
        ((top, end, mid, *leaves),) = branch(plan.layout.shape, plan.host.geometry, pfn)
        assert top <= pfn // entries**2 < end
        assert [top, end, mid] in [entry[:3] for entry in plan.layout.shape] or not leaves
        for ((low, high, _),) in leaves:
            assert low <= pfn // entries % entries < high
    assert branch(plan.layout.shape, plan.host.geometry, entries**3) == []


def test_verbose_shows_every_row_and_the_map():
    many = tuple((i * 0x4000, i * 0x4000 + 0x2000, 1) for i in range(60))
    from xenp2m.e820 import Entry

    plan = make_plan(pc(nr_pages=100, e820=tuple(Entry(*e) for e in many)))
    short, full = (list(plan_lines(plan, "t", verbose=verbose)) for verbose in (False, True))
    assert any("more rows" in line for line in short)
    assert not any("more rows" in line for line in full)
    assert sum("[mem " in line for line in full) == len(plan.layout.e820)
