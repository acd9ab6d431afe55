"""Hexadecimal numbers of many equal lines at once, without a Python object for each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["hex_columns"]

_DIGITS = 16
_NIBBLE = np.full(256, 255, np.uint8)
_NIBBLE[np.frombuffer(b"0123456789abcdef", np.uint8)] = np.arange(16)


def hex_columns(piece: bytes, before: Sequence[bytes]) -> NDArray[np.uint64] | None:
    """Read numbers that stand in lines such as ``pfn=0x1 ==> mfn=0x2``.

    Args:
        piece: the lines, among others without ``0x``.
        before: what stands before each number of a line, up to and with its ``0x``; between two
            numbers of a line nothing else stands.

    Returns:
        One row a line, None where the lines are not all like that.
    """
    text = np.frombuffer(piece + b"\n" * (_DIGITS + 2), np.uint8)
    starts = np.flatnonzero((text[:-1] == ord("0")) & (text[1:] == ord("x"))) + 2
    if not starts.size or starts.size % len(before) or starts[0] < len(before[0]):
        return None
    values, ends = _numbers(text, starts)
    if values is None:
        return None
    at, stop = starts.reshape(-1, len(before)), ends.reshape(-1, len(before))
    for column, words in enumerate(before):
        first = at[:, column] - len(words)
        for offset, byte in enumerate(words):
            if not (text[first + offset] == byte).all():
                return None
        if column and not (first == stop[:, column - 1]).all():
            return None
    return values.reshape(-1, len(before))


def _numbers(
    text: NDArray[np.uint8], starts: NDArray[np.int64]
) -> tuple[NDArray[np.uint64] | None, NDArray[np.int64]]:
    """The number that starts at each place, and where it ends; None where one is empty or too long."""
    values, ends = np.zeros(starts.size, np.uint64), starts.copy()
    for place in range(_DIGITS):
        digit = _NIBBLE[text[ends]]
        alive = (digit < 16) & (ends - starts == place)
        if not alive.any():
            break
        values = np.where(alive, values << np.uint64(4) | digit, values)
        ends += alive
    sound = (ends > starts).all() and (_NIBBLE[text[ends]] == 255).all()
    return (values if sound else None), ends
