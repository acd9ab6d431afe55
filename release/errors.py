"""What ends one step of a release check: a fault of the package, or something this machine does not have."""

from __future__ import annotations

__all__ = ["MissingError", "WrongError"]


class WrongError(Exception):
    """A package is not what it should be; the check fails."""


class MissingError(Exception):
    """This machine lacks something; the step is left out with one line and the rest goes on."""
