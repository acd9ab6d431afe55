"""Rows for the replay, checked as a whole before anything is done with them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from xenp2m.errors import InputError, shorten
from xenp2m.frames import GEOMETRY_32, GEOMETRY_64, Geometry
from xenp2m.kernel import Release, Version
from xenp2m.model.builder import ORDERS, mfn_list
from xenp2m.model.linear import LINEAR_RULES, LinearRules
from xenp2m.model.rules import RULES, Rules

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["OPERATIONS", "RUNTIME_OPERATIONS", "Operation", "Request", "parse_row"]

OPERATIONS = {
    "ri": 2, "es": 2, "rt": 0, "__s": 2, "s": 2, "g": 1,
    "bu": 2, "bd": 1, "fm": 2, "fu": 1, "m2p": 1, "pte": 1, "save": 1,
}  # fmt: skip
"""Names of the operations and how many numbers each needs."""
RUNTIME_OPERATIONS = frozenset({"bu", "bd", "fm", "fu", "m2p", "pte", "save"})
"""Those that need more than the P2M: Xen's M2P, the balloon driver, page tables, tools."""
_BEFORE_RT = ("ri", "es")
_AFTER_RT = ("bu", "bd", "fm", "fu")
_ROW_KEYS = frozenset({"id", "kernel", "rules", "bits", "entries", "in", "out", "cls", "name"})
_IN_KEYS = frozenset({"nr_pages", "mfn_base", "mfn_desc", "mfns", "seed", "mfn_list", "ops", "cls", "name"})
_MOST_PAGES = 1 << 22
"""Pages of a list: 16 GiB of guest, which cost 300 MiB here at most."""
_PFN_LIMIT = 1 << 52


class Operation(NamedTuple):
    """One operation and its two numbers (0 where it needs none)."""

    name: str
    first: int = 0
    second: int = 0


class Request(NamedTuple):
    """A row, understood.

    Attributes:
        rules: rules of the tree; None for a linear list.
        linear: rules of the linear list; None for a tree.
        geometry: word size and entries per page.
        mfn_list: the builder's list.
        ops: what is to be done.
        version: the kernel named; None where only rules are.
    """

    rules: Rules | None
    linear: LinearRules | None
    geometry: Geometry
    mfn_list: NDArray[np.int64]
    ops: list[Operation]
    version: Version | None = None


def parse_row(row: object) -> Request:
    """Understand one row.

    Raises:
        InputError: something in it cannot be used; nothing was done.
    """
    if not isinstance(row, dict):
        raise InputError("row", "an object", shorten(row))
    inner = row.get("in", row)
    if not isinstance(inner, dict):
        raise InputError("row, in", "an object", shorten(inner))
    _known(row, _ROW_KEYS if "in" in row else _ROW_KEYS | _IN_KEYS, "row")
    if "in" in row:
        _known(inner, _IN_KEYS, "row, in")
    rules, linear = _rules(row)
    geometry = _geometry(row)
    if linear is not None and geometry.word == 4 and not _had_32_bit(row, linear):
        raise InputError("row, bits", "64: Linux 5.9 and later have no 32-bit PV", "32")
    given = _mfn_list(inner, geometry)
    ops = _operations(inner.get("ops"), geometry, rules)
    version = Version.parse(row["kernel"]) if isinstance(row.get("kernel"), str) else None
    return Request(rules, linear, geometry, given, ops, version)


def _known(given: dict[str, Any], known: frozenset[str], where: str) -> None:
    for key in given:
        if key not in known:
            raise InputError(where, f"no key but {', '.join(sorted(known))}", shorten(key))


def _rules(row: dict[str, Any]) -> tuple[Rules | None, LinearRules | None]:
    name, kernel = row.get("rules"), row.get("kernel")
    version = Version.parse(kernel) if isinstance(kernel, str) else None
    if version is None and (kernel is not None or name is None):
        raise InputError("row, kernel", "a Linux version or a rule set in rules", shorten(kernel))
    chosen = None if version is None else Release.of(version).p2m
    if name is not None:
        if isinstance(name, str) and name in RULES:
            return RULES[name], None
        if isinstance(name, str) and name in LINEAR_RULES:
            return None, LINEAR_RULES[name]
        raise InputError("row, rules", f"one of {', '.join([*RULES, *LINEAR_RULES])}", shorten(name))
    assert chosen is not None
    return (RULES[chosen], None) if chosen in RULES else (None, LINEAR_RULES[chosen])


def _had_32_bit(row: dict[str, Any], linear: LinearRules) -> bool:
    """Whether kernels with these rules still ran as 32-bit PV guests (up to 5.8)."""
    version = Version.parse(str(row.get("kernel", "")))
    return version < (5, 9, 0) if version is not None else linear.beyond_bugs


def _number(value: object, where: str, low: int, high: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise InputError(where, f"a number from {low} to {high:#x}", shorten(value))
    return value


def _geometry(row: dict[str, Any]) -> Geometry:
    bits = row.get("bits", 64)
    if bits not in (32, 64) or not isinstance(bits, int):
        raise InputError("row, bits", "32 or 64", shorten(bits))
    whole = GEOMETRY_64 if bits == 64 else GEOMETRY_32
    if "entries" not in row:
        return whole
    return Geometry(whole.word, _number(row["entries"], "row, entries", 2, whole.entries))


def _mfn_list(inner: dict[str, Any], geometry: Geometry) -> NDArray[np.int64]:
    """The builder's list: given, or made from ``mfn_base`` on in the order of ``mfns``."""
    top = geometry.identity_bit - 1
    given = inner.get("mfn_list")
    if "mfns" in inner and "mfn_desc" in inner:
        raise InputError("row, mfns", "mfns or mfn_desc, not both", shorten(inner["mfns"]))
    if given is not None:
        beside = [key for key in ("nr_pages", "mfn_base", "mfn_desc", "mfns", "seed") if key in inner]
        if beside:
            raise InputError("row, mfn_list", f"a list, or {beside[0]}, not both", "both")
        if not isinstance(given, list) or not 1 <= len(given) <= min(_MOST_PAGES, geometry.max_p2m_pfn):
            raise InputError("row, mfn_list", "a list of 1 or more MFNs that fit the tree", shorten(given))
        return np.array([_number(mfn, f"row, mfn_list[{i}]", 0, top) for i, mfn in enumerate(given)])
    pages = _number(inner.get("nr_pages"), "row, nr_pages", 1, min(_MOST_PAGES, geometry.max_p2m_pfn))
    base = _number(inner.get("mfn_base", 1 << 20), "row, mfn_base", 0, top - pages)
    descending = inner.get("mfn_desc", False)
    if not isinstance(descending, bool):
        raise InputError("row, mfn_desc", "true or false", shorten(descending))
    order = inner.get("mfns", "descending" if descending else "ascending")
    if not isinstance(order, str) or order not in ORDERS:
        raise InputError("row, mfns", f"one of {', '.join(ORDERS)}", shorten(order))
    return mfn_list(pages, base, order, _number(inner.get("seed", 0), "row, seed", 0, 1 << 32))


def _operations(given: object, geometry: Geometry, rules: Rules | None) -> list[Operation]:
    if not isinstance(given, list):
        raise InputError("row, ops", "a list of operations", shorten(given))
    early = True
    ops: list[Operation] = []
    mapped: set[int] = set()
    for index, item in enumerate(given):
        where = f"row, ops[{index}]"
        op = _operation(item, where, geometry)
        if op.name == "es" and (rules is None or not rules.early_set):
            raise InputError(where, "an operation of this era, which has no early set", "es")
        if op.name in _BEFORE_RT and not early:
            raise InputError(where, f"{op.name} before the end of the early phase (rt)", "one after it")
        if op.name in _AFTER_RT and early:
            raise InputError(where, f"{op.name} after the end of the early phase (rt)", "one before it")
        if op.name == "fm" and op.first in mapped:
            raise InputError(where, "a frame without a foreign page", f"PFN {op.first:#x}")
        (mapped.add if op.name == "fm" else mapped.discard)(op.first if op.name in ("fm", "fu") else -1)
        early = early and op.name != "rt"
        ops.append(op)
    return ops


def _operation(item: object, where: str, geometry: Geometry) -> Operation:
    if not isinstance(item, (list, tuple)) or not item:
        raise InputError(where, "[name, number, number]", shorten(item))
    name = item[0]
    if not isinstance(name, str) or name not in OPERATIONS:
        raise InputError(where, f"one of {', '.join(OPERATIONS)}", shorten(name))
    wanted = OPERATIONS[name]
    if not wanted < len(item) <= 3:
        raise InputError(where, f"{name} and {wanted} numbers", shorten(item))
    limit = min(geometry.invalid, _PFN_LIMIT)
    limits = (limit, geometry.identity_bit - 1 if name in ("bu", "fm") else geometry.invalid)
    numbers = [_number(value, where, 0, top) for value, top in zip(item[1:], limits, strict=False)]
    return Operation(name, *numbers[:wanted])
