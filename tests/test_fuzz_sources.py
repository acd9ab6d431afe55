"""A bounded run of the fuzz harness; the same inputs every time."""

import pytest
from tests.fuzz_sources import TARGETS, attack

ROUNDS = 60


@pytest.mark.parametrize("name", TARGETS)
def test_damaged_inputs_are_errors_and_nothing_worse(tmp_path, name):
    for seed in range(ROUNDS):
        attack(name, seed, tmp_path / "input")
