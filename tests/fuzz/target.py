"""What a target of the fuzz harness is."""

from collections.abc import Callable
from typing import NamedTuple

__all__ = ["Target"]


class Target(NamedTuple):
    """One parser, or one chain of them.

    Attributes:
        sound: makes inputs that are accepted, a few KiB each.
        damage: spoils one (input, another one, `random.Random`).
        run: reads an input; what it returns tells one outcome from another.
    """

    sound: Callable[[], list[bytes]]
    damage: Callable[..., bytes]
    run: Callable[[bytes], object]
