"""A report as one HTML file: no address is loaded, no markup comes from the input."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from importlib import resources
from typing import TYPE_CHECKING, Any

from xenp2m.errors import InputError
from xenp2m.views.palette import LOOKS
from xenp2m.views.text import plural, size

if TYPE_CHECKING:
    from collections.abc import Sequence

    from xenp2m.views.page.content import Report

__all__ = ["page"]

_STATIC_ROWS = 60
_CONTROLS = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)


def page(report: Report, version: str, pictures: Sequence[tuple[str, str]] = (), note: str = "") -> bytes:
    """The file.

    Args:
        report: what to say.
        version: of the program.
        pictures: caption and inline SVG of each.
        note: why there are no pictures, where there are none.

    Raises:
        InputError: jinja2 is not installed.
    """
    try:
        import jinja2
    except ImportError:
        raise InputError("a report", "jinja2 (pip install 'xenp2m[html]')", "none installed") from None
    style, script = _asset("report.css") + _colours(), _asset("report.js")
    environment = jinja2.Environment(
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=_clean,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    text = environment.from_string(_asset("report.html")).render(
        report=report,
        version=version,
        looks=LOOKS,
        style=style,
        script=script,
        policy=_policy(style, script),
        data=_data(report),
        pictures=pictures,
        note=note,
        static=[] if report.rows is None else report.rows.rows[:_STATIC_ROWS],
        reasons=report.rows is not None and any(row.why for row in report.rows.rows[:_STATIC_ROWS]),
        size=size,
        plural=plural,
    )
    return text.encode("utf-8", "backslashreplace")


def _asset(name: str) -> str:
    return resources.files("xenp2m.views.page").joinpath("templates", name).read_text("utf-8")


def _colours() -> str:
    """The palette as custom properties, and the way back from a picture's colours to them."""
    light = "".join(f"--{name}:{look.light};" for name, look in LOOKS.items())
    dark = "".join(f"--{name}:{look.dark};" for name, look in LOOKS.items())
    swaps = "".join(
        f'svg [fill="{look.light}"]{{fill:var(--{name})}}svg [stroke="{look.light}"]{{stroke:var(--{name})}}'
        for name, look in LOOKS.items()
    )
    keys = "".join(f".k-{name}{{--k:var(--{name})}}" for name in LOOKS)
    scheme = "@media (prefers-color-scheme: dark)"
    return f":root{{{light}}}\n{scheme}{{@media screen{{:root{{{dark}}}}}}}\n{swaps}\n{keys}\n"


def _policy(style: str, script: str) -> str:
    """Forbids every load; allows the one style sheet and the one script of the file, by their hashes."""
    return (
        f"default-src 'none'; style-src {_hash(style)}; script-src {_hash(script)}; "
        "base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _clean(value: object) -> object:
    """A value of the template without control characters and changes of direction."""
    return _CONTROLS.sub("\ufffd", value) if type(value) is str else value


def _data(report: Report) -> str:
    """The data of the page's script as JSON that cannot end its block."""
    rows = report.rows
    content: dict[str, Any] = {
        "shown": report.shown,
        "beyond": report.beyond,
        "looks": [[name, look.text, look.tall] for name, look in LOOKS.items()],
        "lanes": [[lane.name, lane.entries] for lane in report.lanes],
        "findings": [[f.code, str(f.severity), list(f.pfns)] for f in report.findings if f.pfns],
        "reasons": [] if rows is None else [_clean(why) for why in rows.reasons()],
        "rows": [] if rows is None else rows.listed(),
    }
    text = json.dumps(content, separators=(",", ":"), ensure_ascii=True)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
