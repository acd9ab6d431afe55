"""The option ``--plot``, shared by the verbs that have something to draw."""

from __future__ import annotations

from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from xenp2m.cli.outfile import write_file
from xenp2m.errors import InputError
from xenp2m.views.plots.canvas import FORMATS, PICTURES, render

if TYPE_CHECKING:
    from collections.abc import Callable

    from matplotlib.figure import Figure

__all__ = ["Drawing", "plot_options"]


class Drawing(NamedTuple):
    """What ``--plot`` asks for.

    Attributes:
        name: of the file.
        picture: one of `PICTURES`.
        force: whether a file that exists may be replaced.
    """

    name: str
    picture: str
    force: bool

    @property
    def form(self) -> str:
        """The format that the name asks for."""
        return Path(self.name).suffix.lower().removeprefix(".")

    def write(self, figure: Figure) -> None:
        """Write `figure` to the file."""
        write_file(self.name, render(figure, self.form), force=self.force)


def plot_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--plot``, ``--picture`` and ``--force`` to a click command, which gets ``drawing``.

    `command` is called with a keyword argument more: ``drawing``, a `Drawing` or None.
    """

    @wraps(command)
    def with_drawing(*given: object, plot: str | None, picture: str, force: bool, **said: object) -> object:
        drawing = None if plot is None else Drawing(plot, picture, force)
        if drawing is not None and drawing.form not in FORMATS:
            raise InputError(f"--plot {plot}", "a name that ends in .png or .svg")
        return command(*given, drawing=drawing, **said)

    options = (
        click.option("--plot", metavar="FILE", help="Draw a picture, too: FILE.png or FILE.svg."),
        click.option("--picture", type=click.Choice(PICTURES), default="all", help="Which. [default: all]"),
        click.option("--force", is_flag=True, help="Let --plot replace a file."),
    )
    wrapped: Callable[..., Any] = with_drawing
    for option in reversed(options):
        wrapped = option(wrapped)
    return wrapped
