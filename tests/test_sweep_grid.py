"""Axes of a sweep, from words."""

from itertools import pairwise

import pytest

from xenp2m.errors import InputError
from xenp2m.kernel import EDGES, Release, Version
from xenp2m.sweep.grid import dom0_mem_values, kernel_values, rules_values


@pytest.mark.parametrize(
    ("texts", "values"),
    [
        (["1G"], ["1G"]),
        (["512M..1G:256M"], ["512M", "768M", "1024M"]),
        (["512M..600M:64m"], ["512M", "576M"]),
        (["1M..2M:512K"], ["1M", "1536K", "2M"]),
        (["1G..1G"], ["1024M"]),
        (["1G..1152M"], ["1024M", "1088M", "1152M"]),
        (["512M,1G"], ["512M", "1G"]),
        (["512M,1G..2G:1G"], ["512M", "1024M", "2048M"]),
        (["1G,max:2G"], ["1G,max:2G"]),
        (["1G,max:1G..2G:512M"], ["1G,max:1024M", "1G,max:1536M", "1G,max:2048M"]),
        (["1G..2G:1G,max:2G..3G:1G"], ["1024M,max:2048M", "1024M,max:3072M", "2048M,max:2048M", "2048M,max:3072M"]),
        (["max:-1G..2G:512M"], ["max:-1024M", "max:-1536M", "max:-2048M"]),
        (["1G", "1G", "2G"], ["1G", "2G"]),
        ([], []),
    ],
)  # fmt: skip
def test_dom0_mem_values(texts, values):
    assert dom0_mem_values(texts) == values


@pytest.mark.parametrize(
    "text",
    ["", ",", "1G,", "1..2", "1G..2", "..", "1G..", "2G..1G", "1G..2G:0M", "1G..2G:x", "1K..4T:1K", "a..b", "1G..2G:-1M", "1G...2G"],
)  # fmt: skip
def test_bad_ranges(text):
    with pytest.raises(InputError, match="--dom0-mem") as error:
        dom0_mem_values([text])
    assert "\n" not in str(error.value)


def test_too_many_values_are_refused_before_they_are_made():
    with pytest.raises(InputError, match="at most 1,000,000"):
        dom0_mem_values(["1M..999M:1M,max:1M..9999M:1M"])


def test_kernels():
    assert kernel_values(["6.1,5.10", "6.1"]) == [Version(6, 1), Version(5, 10)]
    assert kernel_values(["edges"]) == list(EDGES)
    for bad in ("banana", "2.4", "6.1,", ""):
        with pytest.raises(InputError):
            kernel_values([bad])


def test_edges_are_in_order_and_each_changes_a_rule():
    """An edge inside a stable series differs from the patch before it, the others from the edge before."""

    def rules(version):
        return {name: value for name, value in Release.of(version).described().items() if name != "version"}

    assert list(EDGES) == sorted(set(EDGES))
    for last, edge in pairwise(EDGES[:-1]):
        before = edge._replace(patch=edge.patch - 1) if edge.patch else last
        assert rules(before) != rules(edge), str(edge)


def test_rules():
    assert rules_values(["seed,3.12"]) == ["seed", "3.12"]
    with pytest.raises(InputError, match="--rules"):
        rules_values(["seeds"])
