"""What ends one step of a release check: a fault of the package, or something this machine does not have."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["MissingError", "WrongError", "is_right"]


class WrongError(Exception):
    """A package is not what it should be; the check fails."""


class MissingError(Exception):
    """This machine lacks something; the step is left out with one line and the rest goes on."""


def is_right(title: str, step: Callable[[], str]) -> bool:
    """Do one step, print its line, and say whether nothing was wrong."""
    try:
        line, right = step(), True
    except MissingError as error:
        line, right = f"left out, {error}", True
    except WrongError as error:
        line, right = f"WRONG, {error}", False
    print(f"{title}: {line}", flush=True)
    return right
