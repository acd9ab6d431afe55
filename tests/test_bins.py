"""Maps of many runs as few parts, against a count page by page."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from xenp2m import P2M, Kind, Run
from xenp2m.runtable import RunTable
from xenp2m.views.bins import binned, few_parts
from xenp2m.views.palette import parts

PAGES = st.lists(st.sampled_from([None, *Kind]), min_size=1, max_size=90)


def table(pages):
    """Single pages as runs; None is a gap."""
    return RunTable.of([Run(n, n + 1, kind) for n, kind in enumerate(pages) if kind is not None])


@given(PAGES, st.integers(1, 40), st.integers(0, 30))
def test_a_cell_shows_what_most_of_its_pages_are(pages, number, past):
    end = len(pages) + past
    shown = {
        pfn: part.look for part in binned(table(pages), end, number) for pfn in range(part.start, part.end)
    }
    for cell in range(number):
        inside = [pfn for pfn in range(end) if pfn * number // end == cell]
        weight = Counter(pages[pfn].value for pfn in inside if pfn < len(pages) and pages[pfn])
        looks = {shown[pfn] for pfn in inside if pfn in shown}
        if not weight:
            assert not looks
        elif "other" in weight:
            assert looks == {"other"}
        else:
            (look,) = looks
            assert weight[look] == max(weight.values())


@given(PAGES)
def test_as_many_cells_as_pages_lose_nothing(pages):
    found = binned(table(pages), len(pages), len(pages))
    shown = {pfn: part.look for part in found for pfn in range(part.start, part.end)}
    assert shown == {pfn: kind.value for pfn, kind in enumerate(pages) if kind}


def test_few_runs_stay_as_they_are():
    runs = [
        Run(n * 3, n * 3 + 3, (Kind.MFN, Kind.MISSING)[n % 2], 7 * n * (1 - n % 2), 1 - n % 2)
        for n in range(90)
    ]
    assert few_parts(P2M(runs), 270, 90) == list(parts(runs))
    assert len(few_parts(P2M(runs), 270, 89)) <= 89


def test_a_map_without_entries_has_no_parts():
    assert few_parts(P2M([]), 1) == []
    assert binned(RunTable.of([]), 8, 4) == []
