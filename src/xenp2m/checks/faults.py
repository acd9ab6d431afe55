"""Faults of a version's own code: which of them a kernel has, told once for each version."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from xenp2m.checks.stories import STORIES
from xenp2m.findings import Finding
from xenp2m.model.rules import RULES, Edges

if TYPE_CHECKING:
    from xenp2m.boot.layout import Layout
    from xenp2m.host import Host
    from xenp2m.kernel import Release

__all__ = ["kernel_faults"]

_FOREIGN_FIXED = {(5, 10): 18, (5, 4): 100}
"""Patch levels that took the fix of XSA-361 over."""


def kernel_faults(host: Host, layout: Layout) -> tuple[Finding, ...]:
    """Notes about the host's kernel that no map decides, the same for every host of that kernel."""
    return _faults(host.release, host.rules, host.geometry.word)


@lru_cache(maxsize=256)
def _faults(release: Release, rules: str | None, word: int) -> tuple[Finding, ...]:
    version = str(release.version)
    codes = [*_tree_faults(release, rules, word), *_version_faults(release, word)]
    return tuple(Finding(STORIES[code], f"Linux {version}: {STORIES[code].trigger}") for code in codes)


def _tree_faults(release: Release, rules: str | None, word: int) -> list[str]:
    """Of the three-level trees, up to 3.18, and of the series as posted."""
    tree = RULES.get(rules or release.p2m)
    if tree is None:
        return []
    found = ["identity-leaf-store"]
    if tree.edges is Edges.EVERY_MID:
        found.append("missing-mid-scribbled")
    if tree.edges in (Edges.EVERY_MID, Edges.SPLIT):
        found.append("identity-edge-not-split")
    if not tree.late_mfn_tree:
        found.append("tools-tree-race")
    if tree.revectors and not tree.late_mfn_tree and word == 8:
        found.append("tools-tree-revector")
    if tree.name.startswith("seed"):
        found.append("m2p-of-identity")
    return found


def _version_faults(release: Release, word: int) -> list[str]:
    version, linear = release.version, release.version >= (3, 19)
    holds = {
        "extra-end-off-by-one": release.has_one_region,
        "compat-page-tables": word == 4 and version < (3, 7),
        "m2p-range-check": version < (3, 1),
        "last-leaf-unseen": linear and release.list_end == "entry",
        "foreign-map-status": version < (5, 11, 1)
        and version.patch < _FOREIGN_FIXED.get(version[:2], 1 << 16),
        "hole-mapped-cacheable": release.era == "g3" and version < (5, 11),
    }
    return [code for code, held in holds.items() if held]
