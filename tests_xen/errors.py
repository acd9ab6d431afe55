"""The one error of this harness: a line for the person who runs it."""

from __future__ import annotations

__all__ = ["LabError", "UnavailableError"]


class LabError(Exception):
    """Something that the lab needs is missing or went wrong; the message is one line."""


class UnavailableError(LabError):
    """A suite or a package that is not to be had: what needs it is skipped with one line."""
