"""The loop: pick, damage, run, judge; what behaves in a new way becomes an input to damage further."""

import random
import re
from time import perf_counter
from typing import NamedTuple

from tests.fuzz.limits import clocked

from xenp2m import XenP2MError

__all__ = ["BrokenError", "Fuzzer"]

_MOST_KEPT, _MOST_BYTES = 1000, 8 << 20
_SHAPE = re.compile(r"0x[0-9a-f]+|\d+|'[^']*'|\"[^\"]*\"|b'.*")


class BrokenError(Exception):
    """An input that brought out something else than an `XenP2MError`, or too much of it."""

    def __init__(self, target, data, seed):
        super().__init__(f"{target}, seed {seed}: {len(data):,} bytes")
        self.target, self.data, self.seed = target, data, seed


class Told(NamedTuple):
    """Numbers of one target so far."""

    inputs: int = 0
    refused: int = 0
    seconds: float = 0.0
    slowest: float = 0.0
    kept: int = 0


class Fuzzer:
    """One target under attack.

    The guide is what comes out: the words of the error with its numbers taken out, or what the target
    tells of its result. It costs nothing, where tracing lines costs most of the speed.

    Attributes:
        told: the numbers.
    """

    def __init__(self, name, target, guard=clocked):
        self.name, self.target, self._guard = name, target, guard
        self.told = Told()
        self._corpus = list(target.sound())
        self._seen = set()
        self._bytes = 0
        if all(self._is_refused(data) for data in self._corpus):
            raise ValueError(f"{name}: no sound input is accepted")

    def _is_refused(self, data):
        try:
            self.target.run(data)
        except XenP2MError:
            return True
        return False

    def attack(self, seed):
        """One damaged input.

        Raises:
            BrokenError: with the input, from whatever came out of it.
        """
        chance = random.Random(f"{self.name} {seed}")
        data = self.target.damage(chance.choice(self._corpus), chance.choice(self._corpus), chance)
        start, refused = perf_counter(), False
        try:
            with self._guard():
                outcome = self.target.run(data)
        except XenP2MError as error:
            if len(str(error).splitlines()) > 1:
                raise BrokenError(self.name, data, seed) from ValueError("an error of more than one line")
            outcome, refused = _SHAPE.sub("N", getattr(error, "expected", str(error))), True
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            raise BrokenError(self.name, data, seed) from error
        self._note(perf_counter() - start, refused, repr(outcome), data)

    def _note(self, seconds, refused, outcome, data):
        told = self.told
        room = len(self._corpus) < _MOST_KEPT and self._bytes + len(data) < _MOST_BYTES
        new = room and outcome not in self._seen
        if new:
            self._seen.add(outcome)
            self._corpus.append(data)
            self._bytes += len(data)
        self.told = Told(
            told.inputs + 1,
            told.refused + refused,
            told.seconds + seconds,
            max(told.slowest, seconds),
            told.kept + new,
        )
