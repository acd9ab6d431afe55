"""The operations that exploration combines, and the scope within which it does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from xenp2m.model.linear import LinearRules

if TYPE_CHECKING:
    from xenp2m.frames import Geometry
    from xenp2m.model.rules import Rules

__all__ = ["IDENTITY", "INVALID", "MFN", "NOTHING", "VIA", "Config", "Op", "Scope"]

NOTHING, MFN, IDENTITY, INVALID = "", "mfn", "identity", "invalid"
"""What is stored. One MFN stands for all of them and for every foreign frame: no rule looks at it."""

VIA = {
    "ri": "an identity range",
    "es": "an early set",
    "s": "a run-time set",
    "__s": "a set without allocation",
    "rt": "the end of the early phase",
    "bu": "the balloon, going up",
    "bd": "the balloon, going down",
}
"""Every operation by its name; the first five are those of `xenp2m.replay`."""


class Op(NamedTuple):
    """One operation.

    Attributes:
        name: a key of `VIA`.
        pfn: the frame, or the first of a range.
        end: behind the last frame of a range.
        value: `MFN` (another one than is there), `IDENTITY` or `INVALID`, where it stores.
    """

    name: str
    pfn: int = 0
    end: int = 0
    value: str = NOTHING


class Config(NamedTuple):
    """Where a sequence starts.

    Attributes:
        nr_pages: pages of the builder's list.
        extra_start: first frame of the extra region (linear lists only).
        extra_end: behind its last one; the same frame where there is none.
    """

    nr_pages: int
    extra_start: int = 0
    extra_end: int = 0

    def meets_extra(self, start: int, end: int) -> bool:
        """Whether frames ``[start, end)`` reach into the extra region."""
        return start < self.extra_end and end > self.extra_start < self.extra_end


@dataclass(frozen=True, slots=True)
class Scope:
    """What is explored.

    Attributes:
        rules: of a tree or of a linear list.
        geometry: the toy: few entries a page.
        ops: ``boot`` or ``all``.
        bound: operations in the longest sequence.
        runtime_pages: pages that the page allocator has.
        early_pages: pages that ``extend_brk`` has beside those of the builder's tree; None for what
            p2m.c reserves.
    """

    rules: Rules | LinearRules
    geometry: Geometry
    ops: str
    bound: int
    runtime_pages: int = 4
    early_pages: int | None = None

    @property
    def is_linear(self) -> bool:
        """Whether the P2M is a linear list."""
        return isinstance(self.rules, LinearRules)

    def configs(self) -> list[Config]:
        """Every start, long lists first; for linear lists with each extra region, too.

        Under ``all`` that region lies right behind the list.
        """
        end = self.geometry.max_p2m_pfn
        found: list[Config] = []
        for pages in range(end, 0, -1):
            found.append(Config(pages))
            if self.is_linear:
                starts = range(pages, end) if self.ops == "boot" else range(pages, min(pages + 1, end))
                found += [Config(pages, low, high) for low in starts for high in range(low + 1, end + 1)]
        return found
