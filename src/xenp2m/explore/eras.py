"""Which kernel stands for a rule set, and rule sets with one rule changed by hand."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

from xenp2m.errors import InputError, shorten
from xenp2m.kernel import Version
from xenp2m.model.linear import LINEAR_RULES, LinearRules
from xenp2m.model.rules import RULES, Edges, Rules

__all__ = ["RULE_SETS", "kernel_of", "varied"]

RULE_SETS: dict[str, Rules | LinearRules] = {**RULES, **LINEAR_RULES}
"""Every rule set, oldest first: trees, then linear lists."""

_KERNELS = {
    "2.6.39": Version(2, 6, 39),
    "3.6": Version(3, 6),
    "3.12": Version(3, 12),
    "3.16": Version(3, 16),
    "3.18": Version(3, 18),
    "linear-3.19": Version(3, 19),
    "linear-5.10": Version(5, 10),
    "linear-5.12": Version(5, 12),
    "linear": Version(6, 1),
}
_LONG_NAMES = {"unaligned-identity-fill": "fill_unaligned"}
_FLAGS = {"on": True, "true": True, "yes": True, "off": False, "false": False, "no": False}


def kernel_of(rules: Rules | LinearRules) -> Version:
    """The release that a rule set was read in; for the thread's, the first one that has a tree."""
    return _KERNELS.get(rules.name, Version(2, 6, 39))


def varied(rules: Rules | LinearRules, changes: tuple[str, ...]) -> Rules | LinearRules:
    """A rule set with some rules changed.

    Args:
        rules: to start from; its name stays.
        changes: ``NAME=VALUE``: a switch such as ``guard=off``, ``edges=ignored``, or
            ``unaligned-identity-fill`` alone for a linear list.

    Raises:
        InputError: no rule of that name in this rule set, or a value it cannot have.
    """
    known = {
        f.name.replace("_", "-"): f.name
        for f in fields(rules)
        if isinstance(getattr(rules, f.name), (bool, Edges)) and f.name not in ("verified", "by_value")
    } | {long: name for long, name in _LONG_NAMES.items() if hasattr(rules, name)}
    said: dict[str, Any] = {}
    for change in changes:
        name, sign, value = change.partition("=")
        if name not in known:
            raise InputError(f"--variant {shorten(change)}", f"one of {', '.join(sorted(known))}")
        said[known[name]] = _value(change, known[name], value if sign else "on")
    return replace(rules, **said)


def _value(change: str, field: str, text: str) -> bool | Edges:
    if field == "edges":
        try:
            return Edges(text)
        except ValueError:
            raise InputError(f"--variant {shorten(change)}", f"edges={'|'.join(Edges)}") from None
    if text not in _FLAGS:
        raise InputError(f"--variant {shorten(change)}", "on or off", shorten(text))
    return _FLAGS[text]
