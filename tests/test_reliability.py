"""A short run of what `make reliability` measures."""

import pytest
from tests.reliability.kills import killed, leaves_nothing
from tests.reliability.truncation import truncated


def test_a_stream_that_ends_anywhere_is_refused():
    cuts = truncated("made stream of two pages")
    assert (cuts.cuts, cuts.refused) == (cuts.size, cuts.size)
    assert cuts.salvaged > cuts.size / 2


@pytest.mark.parametrize("name", ["export --to csv", "sweep --resume"])
def test_a_killed_command_leaves_no_half_file(name, tmp_path):
    told = killed(name, 4)
    assert told.half == 0
    assert told.litter == 0 or not leaves_nothing(tmp_path)
    assert told.before + told.after == 4
    assert told.before >= 1
