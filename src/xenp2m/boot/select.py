"""Which boot a kernel does: the one list of eras."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from xenp2m.boot import g1, g2, g2r, g3, g3a
from xenp2m.errors import InputError, shorten

if TYPE_CHECKING:
    from collections.abc import Callable

    from xenp2m.boot.layout import Layout
    from xenp2m.host import Host

__all__ = ["ERAS", "Era", "boot"]


class Era(NamedTuple):
    """Kernels that lay out their memory the same way.

    Attributes:
        boot: replays one boot.
        verified: whether their own source was compared with vectors or real boots.
    """

    boot: Callable[[Host], Layout]
    verified: bool


ERAS = {
    "g1": Era(g1.boot, True),
    "g1-3.0": Era(g1.boot, False),
    "g1-3.1": Era(g1.boot, False),
    "g1b": Era(g2.boot, False),
    "g2": Era(g2.boot, True),
    "g2-3.16": Era(g2.boot, False),
    "g2r": Era(g2r.boot, True),
    "g3a": Era(g3a.boot, False),
    "g3": Era(g3.boot, True),
}
"""Every era by its name in `Release.era`, oldest first.

2.6.39, 3.0 to 3.0.3, 3.0.4 to 3.1, 3.2 to 3.4, 3.5 to 3.15, 3.16 and 3.17, 3.18, 3.19 to 4.2 (composed: the
memory setup of its time, a later list), and 4.3 to today.
"""


def boot(host: Host) -> Layout:
    """Replay one boot with the rules of the host's kernel. Cost is in entries of the map, not pages.

    Raises:
        InputError: the host asks for what its kernel does not have: other rules where it keeps no tree,
            contiguous extra memory after 3.1, or 32 bits from 4.3 on.
    """
    era, version = host.release.era, str(host.release.version)
    if host.rules is not None and era in ("g3a", "g3"):
        raise InputError(f"--rules {shorten(host.rules)}", "a kernel up to 3.18, which keeps a tree", version)
    if host.extra != "behind" and not host.release.has_one_region:
        raise InputError(f"--extra {host.extra}", "a kernel up to 3.1, which has one extra region", version)
    if host.geometry.word == 4 and era == "g3":
        raise InputError("--bits 32", "a kernel before 4.3", version)
    return ERAS[host.release.era].boot(host)
