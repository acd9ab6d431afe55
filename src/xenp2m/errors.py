"""The errors of xenp2m: one root, so that a caller needs one ``except``.

::

    XenP2MError
      InputError          an input cannot be used: where, what was expected, what was found
        UnsupportedError  the input is sound, but nothing here models it (an era, a kind of guest)

A hazard that the program finds in a sound input is a `Finding`, never an exception.
"""

from __future__ import annotations

__all__ = ["InputError", "UnsupportedError", "XenP2MError", "shorten"]

_SHOWN = 60


def shorten(value: object, limit: int = _SHOWN) -> str:
    """Return ``repr(value)`` cut to `limit` characters, safe for one line of a terminal.

    Integers too large for a decimal string (`sys.set_int_max_str_digits`) are told by their size.
    """
    if isinstance(value, int) and value.bit_length() > 256:
        return f"a number of {value.bit_length()} bits"
    if isinstance(value, (str, bytes)):
        value = value[: limit + 1]
    text = repr(value)
    return text if len(text) <= limit else text[: limit - 1] + "…"


class XenP2MError(Exception):
    """Root of every error that xenp2m raises on purpose."""


class InputError(XenP2MError):
    """An input cannot be used.

    Attributes:
        where: the place, such as ``host.log:12`` or ``row 3, e820[2]``.
        expected: what would have been usable.
        got: what was there (already shortened for one line), or ``None`` where the place says all.
    """

    def __init__(self, where: str, expected: str, got: str | None = None) -> None:
        self.where = where
        self.expected = expected
        self.got = got
        message = f"{where}: expected {expected}"
        super().__init__(message if got is None else f"{message}, got {got}")


class UnsupportedError(InputError):
    """The input was understood, but the program has no model for it."""
