"""Values on the command line: numbers, sizes, ranges and versions, each refused in one line."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import click

from xenp2m.errors import shorten
from xenp2m.host import UNLIMITED
from xenp2m.kernel import Version

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["ADDRESS", "FRAMES", "GIB", "MAX_PAGES", "PAGES", "SIZED", "SPAN", "VERSION"]

_UNITS = {"K": 10, "M": 20, "G": 30, "T": 40}
_NUMBER = re.compile(r"(0x[0-9a-f]{1,16}|\d{1,20})(?:([kmgt])(?:i?b)?)?", re.IGNORECASE)


class _Value(click.ParamType):  # type: ignore[type-arg]  # generic from click 8.4 on
    """A parameter whose reader raises `ValueError` with what was expected."""

    def __init__(self, name: str, read: Callable[[str], Any], expected: str) -> None:
        self.name = name
        self._read = read
        self._expected = expected

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:  # noqa: ANN401
        if not isinstance(value, str):
            return value
        try:
            return self._read(value.strip())
        except ValueError:
            self.fail(f"expected {self._expected}, got {shorten(value)}", param, ctx)


def _number(text: str, *, unit: bool) -> int:
    """A decimal or 0x number; with `unit`, a size in bytes."""
    match = _NUMBER.fullmatch(text)
    if match is None or (match[2] and not unit):
        raise ValueError(text)
    number = int(match[1], 0) if match[1][:2].lower() == "0x" else int(match[1])
    return number << _UNITS[match[2].upper()] if match[2] else number


def _pages(text: str) -> int:
    pages = _number(text, unit=True)
    if text[-1:].isalpha() and not text.lower().startswith("0x"):
        pages >>= 12
    if not 1 <= pages <= 1 << 40:
        raise ValueError(text)
    return pages


def _max_pages(text: str) -> int:
    return UNLIMITED if text.lower() == "unlimited" else min(_pages(text), UNLIMITED)


def _address(text: str) -> int:
    address = _number(text, unit=True)
    if address >= 1 << 60:
        raise ValueError(text)
    return address


def _span(text: str) -> tuple[int, int]:
    start, _, end = text.partition("-")
    span = _address(start.strip()), _address(end.strip())
    if span[0] >= span[1]:
        raise ValueError(text)
    return span


def _sized(text: str) -> tuple[int, int]:
    start, sign, size = text.partition("+")
    if not sign:
        return _span(text)
    first = _address(start.strip())
    return first, first + _address(size.strip())


def _frames(text: str) -> tuple[int, int]:
    first, _, count = text.partition("+")
    frames = _number(first.strip(), unit=False), _number(count.strip(), unit=False)
    if sum(frames) > 1 << 52:
        raise ValueError(text)
    return frames


def _version(text: str) -> Version:
    version = Version.parse(text)
    if version is None:
        raise ValueError(text)
    return version


def _gib(text: str) -> int:
    number = _number(text, unit=False)
    if number > 1 << 20:
        raise ValueError(text)
    return number


GIB = _Value("GIB", _gib, "a number of GiB from 0 to 1048576")
PAGES = _Value("PAGES", _pages, "a number of pages, or a size such as 1024M")
MAX_PAGES = _Value("PAGES", _max_pages, 'a number of pages, a size such as 1536M, or "unlimited"')
ADDRESS = _Value("ADDRESS", _address, "a byte address or size below 2^60, such as 0x4a00000 or 2048M")
SPAN = _Value("START-END", _span, "START-END in bytes, the end not included, such as 0x1000000-0x4a00000")
SIZED = _Value("START+SIZE", _sized, "START+SIZE or START-END in bytes, such as 0x8000000+3860K")
FRAMES = _Value("PFN+COUNT", _frames, "PFN+COUNT, such as 0x83b4+514")
VERSION = _Value("VERSION", _version, "a version such as 6.12 or 6.12.107")
