"""A bounded run of the fuzz harness over every parser; the same inputs every time."""

import pytest
from tests.fuzz.harness import Fuzzer
from tests.fuzz.limits import clocked, traced
from tests.fuzz.targets import TARGETS

ROUNDS, MEASURED = 120, 12


@pytest.mark.parametrize("name", TARGETS)
def test_damaged_inputs_are_errors_and_nothing_worse(name):
    fuzzer = Fuzzer(name, TARGETS[name], clocked)
    for seed in range(ROUNDS):
        fuzzer.attack(seed)


@pytest.mark.parametrize("name", TARGETS)
def test_damaged_inputs_take_little_memory(name):
    fuzzer = Fuzzer(name, TARGETS[name], traced)
    for seed in range(ROUNDS, ROUNDS + MEASURED):
        fuzzer.attack(seed)
