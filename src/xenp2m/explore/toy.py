"""One guest of toy size, run by `xenp2m.model` itself, and the state behind each top entry as text.

The *unit* of a top entry is a string. Its first character tells whether tools have a page of MFNs
there (``0`` or ``1``, ``-`` while they have no tree). Then comes ``M`` or ``I`` for a shared missing or
identity mid page, or ``P`` and one character for every frame: ``m`` and ``i`` where the leaf page is
shared, ``.`` ``=`` ``#`` for a missing, identity or machine frame in a private one, ``?`` for any other
word. Which pages are shared and what private ones hold is all that the rules look at; names of pages
and of machine frames are forgotten.
"""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING

import numpy as np

from xenp2m.explore.eras import kernel_of
from xenp2m.explore.operations import IDENTITY, INVALID, MFN
from xenp2m.model.alloc import Origin, Pages
from xenp2m.model.balloon import balloon_up, driver_of
from xenp2m.model.linear import LinearP2M, LinearRules
from xenp2m.model.mfn_tree import MfnTree
from xenp2m.model.phys_to_machine import PhysToMachine
from xenp2m.model.rules import Edges, Rules
from xenp2m.model.tree import FIRST, Tree
from xenp2m.model.tree import IDENTITY as IDENTITY_ROW
from xenp2m.model.tree import MISSING as MISSING_ROW

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from xenp2m.explore.operations import Config, Op, Scope

__all__ = ["Toy", "pages_of"]

_LIST_BASE, _FRESH_BASE = 1 << 20, 1 << 21


def pages_of(unit: str, entries: int) -> int:
    """Pages behind a top entry: mid page, page of MFNs, private leaf pages."""
    told = unit[0] == "1"
    if unit[1] != "P":
        return told
    return told + 1 + sum(unit[2 + at] not in "mi" for at in range(0, entries**2, entries))


class Toy:
    """Makes toy guests, brings them into any state, and does operations on them.

    Attributes:
        scope: what is explored.
        entries: entries a page.
        span: frames behind a top entry.
        end: frames in all.
    """

    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self.entries = scope.geometry.entries
        self.span, self.end = self.entries**2, self.entries**3
        self._templates: dict[tuple[Config, bool], PhysToMachine | LinearP2M] = {}

    def start(self, config: Config, runtime_limit: int | None = None) -> PhysToMachine | LinearP2M:
        """A guest as the builder leaves it."""
        rules, geometry = self.scope.rules, self.scope.geometry
        mfns = range(_LIST_BASE, _LIST_BASE + config.nr_pages)
        if isinstance(rules, Rules):
            return PhysToMachine(rules, geometry, mfns, runtime_limit)
        p2m = LinearP2M(rules, geometry, mfns, runtime_limit)
        if config.extra_end:
            p2m.set_extra([(config.extra_start, config.extra_end)])
        return p2m

    def list_end(self, config: Config) -> int:
        """Behind the last frame of the builder's list, filled up to a whole leaf page."""
        return -(-config.nr_pages // self.entries) * self.entries

    def may_set_early(self, config: Config, pfn: int) -> bool:
        """Whether an early linear list has an entry to set: past its end a set is a BUG by intent."""
        return pfn < self.list_end(config)

    def load(
        self, config: Config, late: bool, units: Mapping[int, str], runtime_limit: int | None = None
    ) -> PhysToMachine | LinearP2M:
        """A guest in a chosen state; top entries that are not named are as good as untouched.

        Args:
            config: where it started.
            late: whether the page allocator is up.
            units: the state behind some top entries.
            runtime_limit: pages that its allocator has left.
        """
        if self.scope.is_linear and not late:
            return self._early_list(config, units)
        p2m = copy(self._template(config, late))
        p2m.pages = Pages(runtime_limit=runtime_limit)
        rules = self.scope.rules
        void = IDENTITY_ROW if isinstance(rules, LinearRules) or rules.void_identity else MISSING_ROW
        p2m.tree = Tree(self.scope.geometry, void)
        p2m.mfn_tree = None if p2m.mfn_tree is None else MfnTree(self.entries)
        for top, unit in units.items():
            self._put(p2m, top, unit)
        return p2m

    def _template(self, config: Config, late: bool) -> PhysToMachine | LinearP2M:
        if (config, late) not in self._templates:
            p2m = self.start(config)
            if late:
                self.end_early(p2m)
            self._templates[config, late] = p2m
        return self._templates[config, late]

    def _put(self, p2m: PhysToMachine | LinearP2M, top: int, unit: str) -> None:
        tree, entries = p2m.tree, self.entries
        if unit[0] == "1":
            assert p2m.mfn_tree is not None
            p2m.mfn_tree.add(top, Origin.RUNTIME)
        if unit[1] != "P":
            tree.set_mid(top, MISSING_ROW if unit[1] == "M" else IDENTITY_ROW)
            return
        row = tree.mids.add(MISSING_ROW, Origin.RUNTIME)
        tree.set_mid(top, row)
        for mid in range(entries):
            at = mid * entries
            leaf = unit[2 + at : 2 + at + entries]
            if leaf[0] in "mi":
                tree.mids.rows[row, mid] = MISSING_ROW if leaf[0] == "m" else IDENTITY_ROW
                continue
            new = tree.leaves.add(p2m.geometry.invalid, Origin.RUNTIME)
            tree.mids.rows[row, mid] = new
            tree.leaves.rows[new] = self._words(p2m, top * self.span + at, leaf)

    def _words(self, p2m: PhysToMachine | LinearP2M, pfn: int, symbols: str) -> Any:  # noqa: ANN401
        invalid = p2m.geometry.invalid
        words = [
            invalid if s == "." else p2m.identity(pfn + i) if s == "=" else _LIST_BASE + pfn + i
            for i, s in enumerate(symbols)
        ]
        return np.array(words, p2m.tree.leaves.rows.dtype)

    def _early_list(self, config: Config, units: Mapping[int, str]) -> LinearP2M:
        """The builder's list with other words in it: its leaf pages follow each other."""
        p2m = self.start(config)
        assert isinstance(p2m, LinearP2M)
        flat = p2m.tree.leaves.rows[FIRST:].reshape(-1)
        for top, unit in units.items():
            first = top * self.span
            count = min(p2m.size - first, self.span)
            if count > 0:
                flat[first : first + count] = self._words(p2m, first, unit[2 : 2 + count])
        return p2m

    def unit(self, p2m: PhysToMachine | LinearP2M, top: int) -> str:
        """The state behind a top entry."""
        tree, entries = p2m.tree, self.entries
        told = "-" if p2m.mfn_tree is None else "01"[p2m.mfn_tree.has(top)]
        row = int(tree.top[top]) if top < len(tree.top) else IDENTITY_ROW
        if row < FIRST:
            return told + "MI"[row]
        parts = [told, "P"]
        for mid, leaf in enumerate(tree.mids.rows[row].tolist()):
            if leaf < FIRST:
                parts.append("mi"[leaf] * entries)
                continue
            pfn = top * self.span + mid * entries
            words = tree.leaves.rows[leaf].tolist()
            parts += [self.symbol(p2m, pfn + i, word) for i, word in enumerate(words)]
        return "".join(parts)

    def units(self, p2m: PhysToMachine | LinearP2M) -> tuple[str, ...]:
        """The whole state."""
        return tuple(self.unit(p2m, top) for top in range(self.entries))

    def symbol(self, p2m: PhysToMachine | LinearP2M, pfn: int, word: int) -> str:
        """One character for a word: ``.`` ``=`` ``#`` or ``?``."""
        if word == p2m.geometry.invalid:
            return "."
        if word == p2m.identity(pfn):
            return "="
        return "#" if word in (_LIST_BASE + pfn, _FRESH_BASE + pfn) else "?"

    def reads(self, p2m: PhysToMachine | LinearP2M) -> list[int]:
        """Every frame as the kernel reads it."""
        if isinstance(p2m, PhysToMachine):
            words: list[int] = p2m.gather(np.arange(self.end)).tolist()
            return words
        return [p2m.get(pfn) for pfn in range(self.end)]

    def word(self, p2m: PhysToMachine | LinearP2M, op: Op) -> int:
        """The word that an operation stores."""
        if op.value == IDENTITY or op.name == "ri":
            return p2m.identity(op.pfn)
        return p2m.geometry.invalid if op.value == INVALID else _FRESH_BASE + op.pfn

    def end_early(self, p2m: PhysToMachine | LinearP2M) -> None:
        """The page allocator is up; a linear list then reaches over all of the toy (memory hotplug)."""
        if isinstance(p2m, LinearP2M):
            p2m.end_early(self.end)
        else:
            p2m.end_early()

    @property
    def stops_on_valid(self) -> bool:
        """Whether the balloon driver of the era stops at a frame that is not missing (up to 3.11)."""
        return driver_of(kernel_of(self.scope.rules)).stops_on_valid

    @property
    def has_early_set(self) -> bool:
        """Whether there is a way to set a frame that takes ``extend_brk`` pages."""
        rules = self.scope.rules
        return isinstance(rules, Rules) and (rules.early_set or rules.edges is Edges.HOISTED)

    def apply(self, p2m: PhysToMachine | LinearP2M, op: Op) -> int | None:
        """Do one operation; returns what the kernel returns, None where it stops with a BUG."""
        if op.name == "ri":
            return p2m.set_range_identity(op.pfn, op.end)
        if op.name == "rt":
            self.end_early(p2m)
            return 0
        word = self.word(p2m, op)
        if op.name == "bu":
            done = balloon_up(p2m, [(op.pfn, word)], stops_on_valid=self.stops_on_valid)
            return None if done.bug_pfn is not None else done.filled
        if op.name == "es" and isinstance(p2m, PhysToMachine):
            return int(p2m.early_set(op.pfn, word) if p2m.rules.early_set else p2m.set(op.pfn, word))
        assert op.value in (MFN, IDENTITY, INVALID)
        return int(p2m.set(op.pfn, word) if op.name == "s" else p2m.store(op.pfn, word))
