"""How values show themselves in a notebook: the one place that reaches up to a view, by its name.

Notebooks ask the object (``_repr_html_``), not a view, and objects know no view. So the view is named
here and loaded when a notebook asks.
"""

from __future__ import annotations

from importlib import import_module

__all__ = ["Displayed"]

_VIEW = "xenp2m.views.notebook"


class Displayed:
    """A value that a notebook can show."""

    __slots__ = ()

    def _repr_html_(self) -> str:
        """A small piece of HTML without script, everything in it escaped."""
        return str(import_module(_VIEW).html_of(self))
