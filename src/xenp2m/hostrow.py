"""Hosts as JSON: from a row (or its ``in`` fields alone) to a `Host`.

Integers are decimal. Byte ranges of the map are ``[start, end_exclusive, type]``; ``kernel`` is
``[start, end)``, ``pt`` and ``initrd`` are ``[start, size]`` in bytes, ``p2m_frames`` is
``[pfn, count]``. What a row leaves out takes a default, and the host says which.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from xenp2m.e820 import Entry, type_number, validated
from xenp2m.errors import InputError, shorten
from xenp2m.frames import GEOMETRY_32, GEOMETRY_64, Geometry
from xenp2m.host import UNLIMITED, Host
from xenp2m.kernel import NEWEST, Release, Version

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["host_of_row"]

_IGNORED = frozenset({"cls", "name"})
_ROW_KEYS = frozenset({"id", "kernel", "bits", "in", "out"}) | _IGNORED
_TABLE_64, _TABLE_32 = 320, 131
"""Ranges that the E820 table of kernels before 4.3 holds, by word size."""
_NAMED_VERSIONS = {"g3a": "4.2"}
"""Names that stand for versions: the era whose vectors follow no single release."""
_NAMED_VARIANTS = {"aligned-fill": "fill=aligned", "unaligned-identity-fill": "fill=unaligned"}
_MOST_ENTRIES = 10_000
"""Entries of a map: more than any table of Xen or Linux holds."""
_LIMIT = 1 << 52
"""Bound of page counts and frame numbers: the frames of a 64-bit address space."""

_DEFAULTS: dict[str, Any] = {
    "dom": "dom0",
    "max_res": UNLIMITED,
    "e820": None,
    "mfn_base": 1 << 20,
    "mfn_desc": False,
    "p2m_limit_gb": 512,
    "ibft": False,
}
_TREES = ("g1", "g1-3.0", "g1-3.1", "g1b", "g2", "g2-3.16", "g2r")
_NOT_ASKED = {"p2m_limit_gb": _TREES, "ibft": (*_TREES, "g3a")}
"""Eras in which a field changes nothing, so that its default is no assumption."""
_OBJECTS = frozenset({"kernel", "start_info", "pt", "initrd", "p2m_frames", "virt_p2m_4tools", "variant"})
_FIELDS = frozenset(_DEFAULTS) | _OBJECTS | {"nr_pages"}


def host_of_row(row: object, where: str) -> Host:
    """Build the host that one JSON object describes.

    Args:
        row: a row with ``in``, or the fields of ``in`` themselves.
        where: what to call it in an error.

    Raises:
        InputError: not an object, an unknown key, or a value that cannot be.
    """
    if not isinstance(row, dict):
        raise InputError(where, "a JSON object", shorten(row))
    assumed: list[str] = []
    if "in" in row:
        _known(row, _ROW_KEYS, where)
        fields, version = row["in"], row.get("kernel")
        if not isinstance(fields, dict):
            raise InputError(f"{where}, in", "a JSON object", shorten(fields))
    else:
        fields = {k: v for k, v in row.items() if k not in {"id", "bits"}}
        version = fields.pop("kernel") if isinstance(fields.get("kernel"), str) else None
    _known(fields, _FIELDS | _IGNORED, where)
    release = _release(version, fields.get("variant"), where, assumed)
    geometry = _bits(row.get("bits"), release, where, assumed)
    if geometry is GEOMETRY_32 and release.e820_entries == _TABLE_64:
        release = replace(release, e820_entries=_TABLE_32)
    return replace(_host(fields, release, where, assumed), geometry=geometry)


def _known(fields: Mapping[str, Any], known: frozenset[str], where: str) -> None:
    for key in fields:
        if key not in known:
            raise InputError(where, f"no key but {', '.join(sorted(known))}", shorten(key))


def _bits(bits: object, release: Release, where: str, assumed: list[str]) -> Geometry:
    if bits is None:
        assumed.insert(0, "bits 64")
    elif bits == 32 and release.era != "g3":
        return GEOMETRY_32
    elif bits != 64 or isinstance(bits, bool):
        expected = "64, the only word size of Linux 4.3 and later here"
        raise InputError(f"{where}, bits", expected if release.era == "g3" else "32 or 64", shorten(bits))
    return GEOMETRY_64


def _release(version: object, variant: object, where: str, assumed: list[str]) -> Release:
    if version is None:
        assumed.append(f"kernel {NEWEST}")
        release = Release.of(NEWEST)
    else:
        text = _NAMED_VERSIONS.get(version, version) if isinstance(version, str) else None
        parsed = Version.parse(text) if text is not None else None
        if parsed is None:
            raise InputError(f"{where}, kernel", "a Linux version such as 6.1", shorten(version))
        try:
            release = Release.of(parsed)
        except InputError as error:
            raise InputError(f"{where}, kernel", error.expected, error.got) from None
    if variant is not None:
        if not isinstance(variant, str):
            raise InputError(f"{where}, variant", "NAME=VALUE", shorten(variant))
        for part in variant.split(","):
            release = release.vary(_NAMED_VARIANTS.get(part, part), f"{where}, variant")
    return release


def _host(fields: Mapping[str, Any], release: Release, where: str, assumed: list[str]) -> Host:
    for key, default in _DEFAULTS.items():
        if key not in fields and release.era not in _NOT_ASKED.get(key, ()):
            shown = "unlimited" if key == "max_res" else "none given" if default is None else default
            assumed.append(f"{key} {str(shown).lower() if isinstance(shown, bool) else shown}")
    value = {**_DEFAULTS, **fields}
    read = _Reader(value, where)
    dom = value["dom"]
    if dom not in ("dom0", "domU"):
        raise InputError(f"{where}, dom", "dom0 or domU", shorten(dom))
    e820 = read.e820("e820")
    if e820 is None and dom == "dom0":
        raise InputError(f"{where}, e820", "a map (only a domU boots without one)", "none")
    return Host(
        release=release,
        nr_pages=read.integer("nr_pages", 1, 1 << 40),
        e820=e820,
        dom=dom,
        max_res=read.integer("max_res", -1 << 31, _LIMIT) if value["max_res"] is not None else None,
        mfn_base=read.integer("mfn_base", 0, _LIMIT),
        mfn_desc=read.boolean("mfn_desc"),
        p2m_limit_gb=read.integer("p2m_limit_gb", 0, 1 << 20),
        ibft=read.boolean("ibft"),
        kernel=read.range("kernel", sized=False),
        start_info=read.integer("start_info", 0, 1 << 60) if value.get("start_info") is not None else None,
        pt=read.range("pt", sized=True),
        initrd=read.range("initrd", sized=True),
        p2m_frames=read.frames("p2m_frames"),
        virt_p2m_4tools=bool(read.integer("virt_p2m_4tools", 0, 1)) if "virt_p2m_4tools" in value else False,
        assumed=tuple(assumed),
    )


class _Reader:
    """Typed access to the fields of one host; every refusal names the field."""

    def __init__(self, fields: Mapping[str, Any], where: str) -> None:
        self._fields = fields
        self._where = where

    def _refuse(self, key: str, expected: str, got: object) -> InputError:
        return InputError(f"{self._where}, {key}", expected, shorten(got))

    def integer(self, key: str, low: int, high: int) -> int:
        """A whole number in ``[low, high]``; JSON's true and false count as 1 and 0."""
        if key not in self._fields:
            raise self._refuse(key, "a number", None)
        return self._whole(key, self._fields[key], low, high)

    def _whole(self, key: str, value: object, low: int, high: int) -> int:
        if not isinstance(value, int) or not low <= value <= high:
            raise self._refuse(key, f"a whole number from {low} to {high}", value)
        return int(value)

    def boolean(self, key: str) -> bool:
        """One of true and false, or 1 and 0."""
        return bool(self.integer(key, 0, 1))

    def _pair(self, key: str) -> tuple[int, int] | None:
        value = self._fields.get(key)
        if value is None:
            return None
        if not isinstance(value, list) or len(value) != 2:
            raise self._refuse(key, "two numbers", value)
        return self._whole(key, value[0], 0, 1 << 60), self._whole(key, value[1], 0, 1 << 60)

    def range(self, key: str, *, sized: bool) -> tuple[int, int] | None:
        """A byte range, given as ``[start, size]`` or ``[start, end)``."""
        pair = self._pair(key)
        if pair is None:
            return None
        start, end = pair[0], pair[0] + pair[1] if sized else pair[1]
        if end < start:
            raise self._refuse(key, "start <= end", list(pair))
        return start, end

    def frames(self, key: str) -> tuple[int, int] | None:
        """``[first PFN, count]``."""
        pair = self._pair(key)
        if pair is not None and sum(pair) > _LIMIT:
            raise self._refuse(key, f"frames below {_LIMIT:#x}", list(pair))
        return pair

    def e820(self, key: str) -> tuple[Entry, ...] | None:
        """The map; types are numbers or names."""
        value = self._fields.get(key)
        if value is None:
            return None
        if not isinstance(value, list):
            raise self._refuse(key, "a list of [start, end, type] or null", value)
        if len(value) > _MOST_ENTRIES:
            raise self._refuse(key, f"at most {_MOST_ENTRIES:,} entries", len(value))
        return validated(
            (self._entry(f"{key}[{i}]", e) for i, e in enumerate(value)), f"{self._where}, {key}"
        )

    def _entry(self, key: str, value: object) -> Entry:
        if not isinstance(value, list) or len(value) != 3:
            raise self._refuse(key, "[start, end, type]", value)
        kind = type_number(value[2]) if isinstance(value[2], str) else value[2]
        if kind is None:
            raise self._refuse(key, "an E820 type or its name", value[2])
        return Entry(
            self._whole(key, value[0], 0, (1 << 64) - 1),
            self._whole(key, value[1], 0, (1 << 64) - 1),
            self._whole(key, kind, 1, (1 << 32) - 1),
        )
