"""Which boot a kernel does: the one list of eras."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from xenp2m.boot import g1, g2, g2r, g3, g3a

if TYPE_CHECKING:
    from collections.abc import Callable

    from xenp2m.boot.layout import Layout
    from xenp2m.host import Host
    from xenp2m.kernel import Version

__all__ = ["ERAS", "Era", "boot", "era_of"]


class Era(NamedTuple):
    """Kernels that lay out their memory the same way.

    Attributes:
        name: its name in the documents.
        end: first version (major, minor) that is no longer in it.
        verified: whether its own source was compared with vectors or real boots.
        boot: replays one boot.
    """

    name: str
    end: tuple[int, int]
    verified: bool
    boot: Callable[[Host], Layout]


ERAS = (
    Era("g1", (3, 0), True, g1.boot),
    Era("g1-3.1", (3, 2), False, g1.boot),
    Era("g1b", (3, 5), False, g2.boot),
    Era("g2", (3, 16), True, g2.boot),
    Era("g2-3.16", (3, 18), False, g2.boot),
    Era("g2r", (3, 19), True, g2r.boot),
    Era("g3a", (4, 3), False, g3a.boot),
    Era("g3", (1 << 16, 0), True, g3.boot),
)
"""Every era, oldest first. ``g3a`` is composed: the memory setup of its time, a later list."""


def era_of(version: Version) -> Era:
    """The era of a Linux version of 2.6.39 or later."""
    return next(era for era in ERAS if version[:2] < era.end)


def boot(host: Host) -> Layout:
    """Replay one boot with the rules of the host's kernel. Cost is in entries of the map, not pages."""
    return era_of(host.release.version).boot(host)
