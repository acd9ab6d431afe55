"""A figure and its bytes: the one place that loads matplotlib, and the scale that all pictures share."""

from __future__ import annotations

from contextlib import contextmanager
from io import BytesIO
from typing import TYPE_CHECKING, Any

from xenp2m.errors import InputError
from xenp2m.views.text import size

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["FORMATS", "PICTURES", "address_axis", "panels", "render"]

FORMATS = ("png", "svg")
"""What `render` writes."""

PICTURES = ("all", "e820", "frames", "extents", "balloon")
"""Names of the pictures: all of them on one sheet, or one alone."""

_STYLE = {
    "font.family": "sans-serif",
    "font.size": 9.0,
    "axes.titlesize": 10.0,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.8,
    "hatch.linewidth": 0.6,
    "legend.frameon": False,
    "figure.constrained_layout.h_pad": 0.12,
    "figure.constrained_layout.w_pad": 0.1,
    "svg.fonttype": "none",
    "svg.hashsalt": "xenp2m",
}


@contextmanager
def panels(heights: Sequence[float], width: float = 8.0) -> Iterator[tuple[Figure, list[Axes]]]:
    """A figure of panels one below the other, to be drawn on within the block.

    Args:
        heights: of each panel, in inches.
        width: of all, in inches.

    Raises:
        InputError: matplotlib is not installed.
    """
    try:
        import matplotlib as mpl
        from matplotlib.figure import Figure
    except ImportError:
        raise InputError("a picture", "matplotlib (pip install 'xenp2m[plot]')", "none installed") from None
    with mpl.rc_context(_style()):
        figure = Figure(figsize=(width, sum(heights)), layout="constrained")
        axes = figure.subplots(len(heights), 1, squeeze=False, gridspec_kw={"height_ratios": list(heights)})
        yield figure, [row[0] for row in axes]


def _style() -> Any:  # noqa: ANN401 (matplotlib types its keys as one literal of hundreds)
    import matplotlib as mpl

    return dict(mpl.rcParamsDefault) | _STYLE | {"backend": "agg"}


def render(figure: Figure, form: str) -> bytes:
    """The figure as a file: PNG at 150 dots an inch, or SVG without date and with stable names.

    Args:
        figure: what `panels` made.
        form: one of `FORMATS`.
    """
    import matplotlib as mpl

    target = BytesIO()
    metadata = {"Date": None, "Creator": None} if form == "svg" else {"Software": None}
    with mpl.rc_context(_style()):
        figure.savefig(target, format=form, dpi=150, metadata=metadata)
    return target.getvalue()


def address_axis(axes: Axes, end: int, which: str = "x", label: str = "", start: int = 0) -> None:
    """Scale an axis of frames, with ticks at round sizes (binary units).

    Args:
        axes: the panel.
        end: one past the last frame.
        which: ``x`` or ``y``.
        label: what the frames are.
        start: first frame.
    """
    step = 1 << max(0, (-(-(end - start) // 8) - 1).bit_length())
    ticks = list(range(-(-start // step) * step, end + 1, step))
    axis = axes.xaxis if which == "x" else axes.yaxis
    axis.set_ticks(ticks, [size(tick) for tick in ticks])
    (axes.set_xlim if which == "x" else axes.set_ylim)(start, end)
    if label:
        axis.set_label_text(label)
