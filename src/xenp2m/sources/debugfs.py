"""What ``/sys/kernel/debug/xen/mmu/p2m`` shows: ranges of PFNs and what their entries are.

Only kinds are shown, no frame numbers: a range called ``pfn`` has frames, of the guest or of others,
whose numbers are unknown. Kernels before 3.19 add lines about the level of the tree; they are passed
over. Source: ``p2m_dump_show``, arch/x86/xen/p2m.c, 2.6.39 to 7.3 (CONFIG_XEN_DEBUG_FS).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from xenp2m.errors import InputError
from xenp2m.extents import Run
from xenp2m.frames import Kind
from xenp2m.p2m import P2M
from xenp2m.sources.feed import FileFeed, open_feed
from xenp2m.sources.source import Guest, Origin, Source
from xenp2m.sources.textfeed import line_pieces

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from xenp2m.sources.feed import Feed

    Progress = Callable[[int, int | None], None]

__all__ = ["read", "sniff"]

_LINE = re.compile(rb"\[0x([0-9a-f]{1,16})->0x([0-9a-f]{1,16})\] (pfn|identity|missing|abnormal)\b")
_KINDS = {
    b"identity": Kind.IDENTITY,
    b"missing": Kind.MISSING,
    b"pfn": Kind.UNKNOWN,
    b"abnormal": Kind.UNKNOWN,
}
_MOST = 1 << 52


def sniff(head: bytes) -> bool:
    """Whether `head` has a line of that file."""
    return bool(_LINE.search(head))


def read(path: Path | str | Feed, *, salvage: bool = False, progress: Progress | None = None) -> Source:
    """Read the ranges, whatever stands before and behind them.

    Args:
        path: a file, a FIFO, ``-`` for standard input, or a feed at its beginning.
        salvage: take ranges that leave gaps; what lies between is unknown.
        progress: called with bytes read and bytes in all (None of a pipe).

    Raises:
        InputError: no ranges, one upside down, or a gap or overlap and `salvage` is not set.
    """
    runs: list[Run] = []
    lost: list[str] = []
    frames = False
    with open_feed(path) as feed:
        for piece in line_pieces(feed):
            for low, high, name in _LINE.findall(piece):
                start, end = int(low, 16), int(high, 16)
                position = runs[-1].end if runs else 0
                if not start < end <= _MOST or start < position:
                    text = f"a range of PFNs from {position:#x} on"
                    raise InputError(feed.name, text, f"[{start:#x}, {end:#x})")
                if start > position:
                    lost.append(f"no line for the PFNs {position:#x} to {start - 1:#x}")
                    runs.append(Run(position, start, Kind.UNKNOWN))
                runs.append(Run(start, end, _KINDS.get(name, Kind.UNKNOWN)))
                frames |= name == b"pfn"
            if progress:
                progress(feed.position, feed.size)
        origin = Origin(feed.name, "debugfs listing", feed.size if isinstance(feed, FileFeed) else None)
    if not runs:
        raise InputError(origin.name, "lines such as ' [0x0->0x100] pfn'", "none")
    if lost and not salvage:
        raise InputError(origin.name, "ranges without a gap", lost[0])
    inferred = ("ranges called pfn have frames whose numbers are unknown",) if frames else ()
    p2m = P2M(runs, beyond=Kind.UNKNOWN)
    return Source(origin, Guest(), p2m, lost=tuple(lost), inferred=inferred)
