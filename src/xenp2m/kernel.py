"""Which rules a Linux version boots by: the one table of version edges.

A `Release` is what a version number means to the boot arithmetic. Distributions and stable series
carry some changes to versions that did not have them at first; `Release.of` knows the edges that
were verified, and every rule can be set by hand (``--variant``).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, fields, replace
from typing import NamedTuple

from xenp2m.errors import InputError, UnsupportedError, shorten

__all__ = ["EDGES", "NEWEST", "OLDEST", "Release", "Version"]


class Version(NamedTuple):
    """A Linux version; 6.1 and 6.1.0 are the same."""

    major: int
    minor: int
    patch: int = 0

    @classmethod
    def parse(cls, text: str) -> Version | None:
        """The version at the start of `text` (``6.1.0-56-amd64``, ``v5.10``); None if there is none."""
        match = re.match(r"v?(\d{1,3})\.(\d{1,4})(?!\d)(?:\.(\d{1,5})(?!\d))?(?![\d.]*\w*:)", text.strip())
        return cls(int(match[1]), int(match[2]), int(match[3] or 0)) if match else None

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}" + (f".{self.patch}" if self.patch else "")


OLDEST = Version(2, 6, 39)
NEWEST = Version(7, 3, 4)
"""The newest version whose real boots were compared with this program's answers."""


EDGES = tuple(
    Version(*parts)
    for parts in (
        OLDEST, (3, 0), (3, 0, 4), (3, 2), (3, 5), (3, 7), (3, 11), (3, 16), (3, 18), (3, 19), (4, 3),
        (4, 15), (4, 19, 10), (5, 10, 21), (5, 10, 67), (5, 13), (5, 15), (6, 5), (6, 6, 54), (6, 6, 142),
        (6, 12), (6, 12, 92), (6, 18, 34), (7, 0, 11), (7, 1), NEWEST,
    )
)  # fmt: skip
"""First versions behind the edges of `Release.of`, those of long stable series among them."""


@dataclass(frozen=True, slots=True)
class Release:
    """How one Linux version lays out its memory under Xen PV.

    Attributes:
        version: the version, as far as it is known.
        era: which boot it does, a name of `xenp2m.boot.select.ERAS`.
        p2m: how it edits its P2M, a name of `xenp2m.model.rules.RULES` (a tree, up to 3.18) or of
            `xenp2m.model.linear.LINEAR_RULES` (a list).
        unusable: what dom0 takes UNUSABLE entries of the host's map for: ``ram`` (e201bfcc5c4f, 3.11),
            or a ``hole``.
        leftover: what becomes of RAM entries that get no page: ``discard`` (f5775e0b6116, 4.3, to 4.14,
            and again from 4.20 and 4.19.10), or ``unusable`` (before 4.3, and from b3cf8528bb21, 4.15, to
            its revert 123664101aa2).
        nvs: what happens when an ACPI NVS entry lies under the kernel image, start info or page
            tables: ``conflict``, ``swap`` (be35d91c8880, 6.12, stable 6.11.2, 6.10.13, 6.6.54), or
            ``swap-offset-fault`` (the same before 28e03f78e69c: the in-page offset is subtracted).
        nvs_scan: where the search goes on after a swap: at the ``next`` entry of the changed map, or
            at the ``first`` again (5f8719945244, 7.1).
        checks: ``early`` where those three objects are checked before the map is built and start
            info is among them (c4498ae316da and ba88829706e2, with the swap), else ``late``.
        list_end: how far ``max_pfn`` moves when the list grows: to the end of the leaf ``page``
            ("fix setting of max_pfn in shared_info", 5.15, stable 5.14.6, 5.10.67), or to the
            ``entry`` itself.
        beyond: what a store past the end of the list does: ``fails`` (882213990d32, 5.12, stable
            5.11.4, 5.10.21), or ``bugs``.
        ibft: whether dom0 reserves 0x80000 - 0x100000 for an iBFT where the caller does not say
            (9338c2233b97, 6.5, with CONFIG_ISCSI_IBFT_FIND).
        low_reserve: bytes from address 0 that are taken before the map is built: the first page, or
            64 KiB (``early_reserve_memory``, 5.13; not settled for 5.13 to 5.14.8).
        e820_entries: capacity of the kernel's table, ``E820_MAX_ENTRIES``: 128 and three for each
            possible NUMA node, 3200 in Debian's kernels of today, 320 in those before 4.3.
        fill: identity words of a fresh leaf page of the linear list count from the ``aligned`` start
            of the page, or, in a text of 3.19, from the ``unaligned`` PFN first stored.
    """

    version: Version
    era: str = "g3"
    p2m: str = "linear"
    unusable: str = "ram"
    leftover: str = "discard"
    nvs: str = "conflict"
    nvs_scan: str = "next"
    checks: str = "late"
    list_end: str = "page"
    beyond: str = "fails"
    ibft: bool = False
    low_reserve: int = 0x10000
    e820_entries: int = 3200
    fill: str = "aligned"

    @classmethod
    def of(cls, version: Version) -> Release:
        """The rules of a mainline or stable version.

        Raises:
            UnsupportedError: the version is older than `OLDEST`.
        """
        if version < OLDEST:
            raise UnsupportedError("kernel version", f"Linux {OLDEST} or later", str(version))
        swaps = _has(version, (6, 12), {(6, 11): 2, (6, 10): 13, (6, 6): 54})
        mended = _has(version, (7, 1), {(7, 0): 11, (6, 18): 34, (6, 12): 92, (6, 6): 142})
        nvs = "swap" if mended else "swap-offset-fault"
        page_end = _has(version, (5, 15), {(5, 14): 6, (5, 10): 67})
        fails = _has(version, (5, 12), {(5, 11): 4, (5, 10): 21})
        return cls(
            version=version,
            era=_name(_ERAS, version),
            p2m=_name(_P2M, version) if version < Version(3, 19) else _linear(fails, page_end),
            unusable="ram" if version >= Version(3, 11) else "hole",
            leftover="unusable"
            if version < Version(4, 3) or Version(4, 15) <= version < Version(4, 19, 10)
            else "discard",
            nvs=nvs if swaps else "conflict",
            nvs_scan="first" if version >= Version(7, 1) else "next",
            checks="early" if swaps else "late",
            list_end="page" if page_end else "entry",
            beyond="fails" if fails else "bugs",
            ibft=version >= Version(6, 5),
            e820_entries=3200 if version >= Version(4, 3) else 320,
            low_reserve=0x10000 if version >= Version(5, 13) else 0x1000,
        )

    @property
    def has_one_region(self) -> bool:
        """Whether all extra memory is one region behind the map, and the map is not sorted (up to 3.1)."""
        return self.era in ("g1", "g1-3.0", "g1-3.1")

    def vary(self, text: str, where: str = "--variant") -> Release:
        """Set one rule by hand.

        Args:
            text: ``NAME=VALUE``, a name and a value of the attributes above.
            where: what to call it in an error.

        Raises:
            InputError: no such rule, or no such value.
        """
        name, _, value = text.partition("=")
        name = name.strip().replace("-", "_")
        choices = _CHOICES.get(name)
        if choices is None:
            raise InputError(where, f"one of {', '.join(_CHOICES)} and a value", shorten(text))
        if name == "e820_entries":
            if not re.fullmatch("[0-9]{1,7}", value) or not 1 <= int(value) <= 1 << 20:
                raise InputError(f"{where} {name}", "a number from 1 to 1048576", shorten(value))
            return replace(self, e820_entries=int(value))
        if value not in choices:
            raise InputError(f"{where} {name}", f"one of {', '.join(choices)}", shorten(value))
        if name == "ibft":
            return replace(self, ibft=value == "yes")
        return replace(self, **{name: value})  # type: ignore[arg-type]  # a name of _CHOICES, all of them text

    def described(self) -> dict[str, str]:
        """Every rule as text, for JSON and for people."""
        return {f.name: str(getattr(self, f.name)) for f in fields(self)}


_ERAS = (
    ((3, 0), "g1"),
    ((3, 0, 4), "g1-3.0"),
    ((3, 2), "g1-3.1"),
    ((3, 5), "g1b"),
    ((3, 16), "g2"),
    ((3, 18), "g2-3.16"),
    ((3, 19), "g2r"),
    ((4, 3), "g3a"),
    ((1 << 16, 0), "g3"),
)
"""Name of each era, and the first version that is no longer in it.

3.0.4: Oracle's kernel of September 2011 adds "xen: use maximum reservation to limit amount of usable RAM" to
3.0.3, and trees of late 3.0 stable versions have it; which of the first stable versions took it is taken to
be the next one."""

_P2M = (((3, 5), "2.6.39"), ((3, 7), "3.6"), ((3, 16), "3.12"), ((3, 18), "3.16"), ((3, 19), "3.18"))
"""Rules of the tree, and the first version that no longer has them."""


def _name(edges: tuple[tuple[tuple[int, ...], str], ...], version: Version) -> str:
    return next(name for end, name in edges if version[: len(end)] < end)


def _linear(fails: bool, page_end: bool) -> str:
    """Rules of the linear list: ``beyond`` and ``list_end`` in one name."""
    return "linear" if page_end else "linear-5.12" if fails else "linear-5.10"


_CHOICES: dict[str, tuple[str, ...]] = {
    "leftover": ("discard", "unusable"),
    "nvs": ("conflict", "swap", "swap-offset-fault"),
    "nvs_scan": ("next", "first"),
    "checks": ("early", "late"),
    "list_end": ("page", "entry"),
    "beyond": ("fails", "bugs"),
    "ibft": ("yes", "no"),
    "e820_entries": ("3200", "128"),
    "fill": ("aligned", "unaligned"),
}


def _has(version: Version, mainline: tuple[int, int], stable: dict[tuple[int, int], int]) -> bool:
    """Whether a change is in `version`: from `mainline` on, and in stable series from a patch level on."""
    series = version[:2]
    return series >= mainline or version.patch >= stable.get(series, 1 << 30)
