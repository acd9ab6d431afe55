"""A sizing as text and as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from xenp2m.findings import Severity
from xenp2m.host import UNLIMITED
from xenp2m.views.answer import SCHEMA, finding_object
from xenp2m.views.text import Paint, plain, rows, size, wrapped

if TYPE_CHECKING:
    from collections.abc import Iterator

    from xenp2m.sizing import Sizing

__all__ = ["sizing_lines", "sizing_object"]


def sizing_lines(sizing: Sizing, title: str, width: int, paint: Paint = plain) -> Iterator[str]:
    """Lines about one value."""
    yield paint(wrapped(title, width, "", "  "), "head")
    yield ""
    limited = sizing.max_pages != UNLIMITED
    doubt = "" if sizing.low == sizing.high else f" (estimated: {size(sizing.low)} to {size(sizing.high)})"
    start = sizing.nr_pages << 2
    share = 100 * sizing.struct_kib / start
    table = [("", "pages", "size", "")]
    table.append(
        ("the hypervisor can give", f"{sizing.available.pages:,}", size(sizing.available.pages), "estimated")
    )
    table.append(("dom0 starts with", f"{sizing.nr_pages:,}", size(sizing.nr_pages), doubt.strip()))
    most = (f"{sizing.max_pages:,}", size(sizing.max_pages)) if limited else ("", "")
    table.append(("maximum reservation", *most, "" if limited else "none: all of the host"))
    cap = "" if not sizing.capped else f"ten times the start; max allows {size(sizing.capped)} more"
    table.append(("headroom: extra memory", f"{sizing.extra:,}", size(sizing.extra), cap))
    pages = sizing.struct_kib >> 2
    table.append(("struct pages", f"{pages:,}", size(pages), f"{share:.1f} percent of the start"))
    table.append(
        (
            "P2M",
            f"{sizing.plan.layout.map_pages:,}",
            size(sizing.plan.layout.map_pages),
            "beside the builder's list",
        )
    )
    lines = iter(rows(table, frozenset({1, 2}), width))
    yield paint(next(lines), "dim")
    yield from lines
    yield ""
    for finding in sizing.findings:
        label = f"{finding.severity} {finding.code}:"
        text = wrapped(f"{label} {finding.what}", width, " ", "   ")
        yield text.replace(label, paint(label, str(finding.severity)), 1)
        if finding.severity is not Severity.NOTE:
            yield wrapped(finding.story.fix, width, "   ", "   ")
    yield wrapped("assumed: a PC with up to 3 GiB of its RAM below 4 GiB", width, " ", "   ")


def sizing_object(sizing: Sizing) -> dict[str, Any]:
    """One value as a JSON object; all numbers are pages but the KiB of struct pages."""
    return {
        "schema": SCHEMA,
        "dom0_mem": sizing.text,
        "kernel": str(sizing.plan.host.release.version),
        "available": [sizing.available.low, sizing.available.pages, sizing.available.high],
        "nr_pages": sizing.nr_pages,
        "nr_pages_range": [sizing.low, sizing.high],
        "max_pages": None if sizing.max_pages == UNLIMITED else sizing.max_pages,
        "extra": sizing.extra,
        "capped": sizing.capped,
        "struct_page_kib": sizing.struct_kib,
        "p2m_pages": sizing.plan.layout.map_pages,
        "ignored": list(sizing.meaning.ignored),
        "remarks": list(sizing.meaning.remarks),
        "outcome": str(sizing.plan.outcome),
        "findings": [finding_object(finding) for finding in sizing.findings],
    }
