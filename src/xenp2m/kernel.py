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

__all__ = ["NEWEST", "OLDEST", "Release", "Version"]


class Version(NamedTuple):
    """A Linux version; 6.1 and 6.1.0 are the same."""

    major: int
    minor: int
    patch: int = 0

    @classmethod
    def parse(cls, text: str) -> Version | None:
        """The version at the start of `text` (``6.1.0-56-amd64``, ``v5.10``); None if there is none."""
        match = re.match(r"v?(\d{1,3})\.(\d{1,4})(?:\.(\d{1,5}))?(?![\d.]*\w*:)", text.strip())
        return cls(int(match[1]), int(match[2]), int(match[3] or 0)) if match else None

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}" + (f".{self.patch}" if self.patch else "")


OLDEST = Version(4, 3)
NEWEST = Version(7, 3, 4)
"""The newest version whose real boots were compared with this program's answers."""


@dataclass(frozen=True, slots=True)
class Release:
    """How one Linux version lays out its memory under Xen PV.

    Attributes:
        version: the version, as far as it is known.
        leftover: what becomes of RAM entries that get no page: ``discard`` (4.3 to 4.14, and again
            from 4.20), or ``unusable`` (b3cf8528bb21 in 4.15, reverted by 123664101aa2 in 4.20).
        nvs: what happens when an ACPI NVS entry lies under the kernel image, start info or page
            tables: ``conflict``, ``swap`` (d05208cf7f05, 6.12), or ``swap-offset-fault`` (the same
            with the in-page offset subtracted, mended by 28e03f78e69c).
        checks: ``early`` where those three objects are checked before the map is built and start
            info is among them (6.12), else ``late``.
        list_end: ``page`` where the list grows to the end of the leaf page (5.11), else ``entry``.
        beyond: what a store past the end of the list does: ``fails`` (5.11), or ``bugs``.
        ibft: whether dom0 reserves 0x80000 - 0x100000 for an iBFT where the caller does not say
            (9338c2233b97, 6.5, with CONFIG_ISCSI_IBFT_FIND).
        e820_entries: capacity of the kernel's table, ``E820_MAX_ENTRIES`` (128 without CONFIG_EFI).
    """

    version: Version
    leftover: str = "discard"
    nvs: str = "conflict"
    checks: str = "late"
    list_end: str = "page"
    beyond: str = "fails"
    ibft: bool = False
    e820_entries: int = 3200

    @classmethod
    def of(cls, version: Version) -> Release:
        """The rules of a mainline or stable version.

        Raises:
            UnsupportedError: the version is older than `OLDEST`.
        """
        if version < OLDEST:
            raise UnsupportedError("kernel version", f"Linux {OLDEST} or later", str(version))
        return cls(
            version=version,
            leftover="unusable" if Version(4, 15) <= version < Version(4, 19, 12) else "discard",
            nvs=_nvs(version),
            checks="early" if version >= Version(6, 12) else "late",
            list_end="page" if version >= Version(5, 11) else "entry",
            beyond="fails" if version >= Version(5, 11) else "bugs",
            ibft=version >= Version(6, 5),
        )

    def vary(self, text: str) -> Release:
        """Set one rule by hand.

        Args:
            text: ``NAME=VALUE``, a name and a value of the attributes above.

        Raises:
            InputError: no such rule, or no such value.
        """
        name, _, value = text.partition("=")
        name = name.strip().replace("-", "_")
        choices = _CHOICES.get(name)
        if choices is None:
            raise InputError("--variant", f"one of {', '.join(_CHOICES)} and a value", shorten(text))
        if name == "e820_entries":
            if not value.isdecimal() or not 1 <= int(value[:9]) <= 1 << 20:
                raise InputError(f"--variant {name}", "a number from 1 to 1048576", shorten(value))
            return replace(self, e820_entries=int(value))
        if value not in choices:
            raise InputError(f"--variant {name}", f"one of {', '.join(choices)}", shorten(value))
        return replace(self, **{name: value == "yes" if name == "ibft" else value})

    def described(self) -> dict[str, str]:
        """Every rule as text, for JSON and for people."""
        return {f.name: str(getattr(self, f.name)) for f in fields(self)}


_CHOICES: dict[str, tuple[str, ...]] = {
    "leftover": ("discard", "unusable"),
    "nvs": ("conflict", "swap", "swap-offset-fault"),
    "checks": ("early", "late"),
    "list_end": ("page", "entry"),
    "beyond": ("fails", "bugs"),
    "ibft": ("yes", "no"),
    "e820_entries": ("3200", "128"),
}


def _nvs(version: Version) -> str:
    if version < Version(6, 12):
        return "conflict"
    mended = {(6, 12): 94, (7, 2): 0, (7, 3): 0}
    patch = mended.get(version[:2])
    if patch is None:
        return "swap" if version > Version(7, 3) else "swap-offset-fault"
    return "swap" if version.patch >= patch else "swap-offset-fault"
