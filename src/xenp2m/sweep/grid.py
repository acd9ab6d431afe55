"""The axes of a sweep: ranges of ``dom0_mem=``, lists of kernels and of rules, from a user's words."""

from __future__ import annotations

import re
from itertools import product
from math import prod
from typing import TYPE_CHECKING

from xenp2m.errors import InputError, shorten
from xenp2m.kernel import EDGES, Release, Version
from xenp2m.model.rules import RULES

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["MOST_VALUES", "dom0_mem_values", "kernel_values", "rules_values"]

MOST_VALUES = 1_000_000
"""Values on one axis."""

_SIZE = r"(\d{1,12})([KMGT])i?B?"
_RANGE = re.compile(rf"((?:min:|max:)?-?){_SIZE}\.\.{_SIZE}(?::{_SIZE})?", re.IGNORECASE)
_UNITS = {"K": 0, "M": 10, "G": 20, "T": 30}
_STEP = 64 << 10
"""KiB between two values where no step is said: 64 MiB."""
_EXPECTED = "sizes with a unit, or a range FIRST..LAST:STEP of them, such as 512M..8G:64M"


def dom0_mem_values(texts: Iterable[str]) -> list[str]:
    """Values of ``dom0_mem=`` in the order given, each once.

    A text is a value as Xen takes it, in which any size may be a range (``1G,max:1G..4G:64M``), or a
    list of plain sizes and ranges (``512M,1G,2G..8G:1G``).

    Raises:
        InputError: a range that is none, runs backwards, has no step, or more than `MOST_VALUES`.
    """
    values: dict[str, None] = {}
    for text in texts:
        parts = [part.strip() for part in text.split(",")]
        plain = [part for part in parts if ":" not in part.partition("..")[0]]
        several = len(parts) > 1 and len(plain) == len(parts)
        for chosen in ([part] for part in parts) if several else [parts]:
            sizes = [_expanded(part, text) for part in chosen]
            if len(values) + prod(map(len, sizes)) > MOST_VALUES:
                raise _too_many("--dom0-mem", text)
            values |= dict.fromkeys(map(",".join, product(*sizes)))
    return list(values)


def _too_many(where: str, text: str) -> InputError:
    return InputError(where, f"at most {MOST_VALUES:,} values", shorten(text))


def _expanded(part: str, text: str) -> list[str]:
    if ".." not in part:
        if not part:
            raise InputError("--dom0-mem", _EXPECTED, shorten(text))
        return [part]
    match = _RANGE.fullmatch(part)
    if match is None:
        raise InputError("--dom0-mem", _EXPECTED, shorten(part))
    first, last = _kib(match[2], match[3]), _kib(match[4], match[5])
    step = _kib(match[6], match[7]) if match[6] else _STEP
    if first > last or not step:
        raise InputError("--dom0-mem", "a range that goes up, by a step above 0", shorten(part))
    if (last - first) // step >= MOST_VALUES:
        raise _too_many("--dom0-mem", part)
    return [f"{match[1]}{_spoken(size)}" for size in range(first, last + 1, step)]


def _kib(number: str, unit: str) -> int:
    return int(number) << _UNITS[unit.upper()]


def _spoken(kib: int) -> str:
    return f"{kib >> 10}M" if kib % 1024 == 0 else f"{kib}K"


def kernel_values(texts: Iterable[str]) -> list[Version]:
    """Linux versions of comma lists; ``edges`` stands for the first version behind every rule's edge.

    Raises:
        InputError: a word that is no version.
        UnsupportedError: a version older than 2.6.39.
    """
    found: dict[Version, None] = {}
    for text in texts:
        for word in text.split(","):
            version = Version.parse(word)
            if word.strip() == "edges":
                found |= dict.fromkeys(EDGES)
            elif version is None:
                raise InputError("--kernel", "versions such as 6.1,6.12.92, or edges", shorten(word))
            else:
                found[Release.of(version).version] = None
    return list(found)


def rules_values(texts: Iterable[str]) -> list[str]:
    """Rule sets of comma lists.

    Raises:
        InputError: a name that is none.
    """
    found: dict[str, None] = {}
    for text in texts:
        for word in (part.strip() for part in text.split(",")):
            if word not in RULES:
                raise InputError("--rules", f"names among {', '.join(RULES)}", shorten(word))
            found[word] = None
    return list(found)
