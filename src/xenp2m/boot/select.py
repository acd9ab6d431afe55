"""Which boot a kernel does: the one list of eras.

``verified`` is False for an era whose own source was not compared on vectors.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from xenp2m.boot import g1

if TYPE_CHECKING:
    from collections.abc import Callable

    from xenp2m.boot.layout import Layout
    from xenp2m.host import Host
    from xenp2m.kernel import Version


def boot(host):
    from xenp2m.boot import g2,g2r
    v=host.release.version
    return g1.boot(host) if v<(3,2,0) else g2.boot(host) if v<(3,18,0) else g2r.boot(host)
