"""What would help: another ``dom0_mem=``, kernel or load address, each verified by planning it.

Nothing is suggested that was not planned. The nearest change comes first: the one that moves the
start size and the maximum least.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from xenp2m.arrangement import list_frames
from xenp2m.boot.placement import placement_of
from xenp2m.dom0_mem import estimate_available
from xenp2m.e820 import RAM
from xenp2m.findings import Outcome, Severity
from xenp2m.frames import PAGE_SHIFT
from xenp2m.host import UNLIMITED
from xenp2m.kernel import EDGES, Release
from xenp2m.plan import make_plan

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from xenp2m.host import Host
    from xenp2m.plan import Plan

__all__ = ["Suggestion", "dom0_mem_text", "suggestions"]

_MIB = 256
"""Pages of a MiB."""
_MOST_PLANS = 600
_LIST_VADDR = 2 << 39


class Suggestion(NamedTuple):
    """One change, and the plan that says what comes of it.

    Attributes:
        kind: ``dom0_mem``, ``kernel``, ``load_address`` or ``mem``.
        value: what to set it to: a ``dom0_mem=`` value, a version, a byte address, or nothing.
        plan: the host's plan with the change.
    """

    kind: str
    value: str | int | None
    plan: Plan

    @property
    def clean(self) -> bool:
        """Whether nothing worse than a note is left."""
        return all(finding.severity is Severity.NOTE for finding in self.plan.findings)


def suggestions(plan: Plan) -> list[Suggestion]:
    """Changes with which a host boots, at most one of each kind; nothing where nothing is wrong.

    A change after which no finding is worse than a note is preferred to one that merely boots.
    Costs at most some 600 plans for each kind.
    """
    if all(finding.severity is Severity.NOTE for finding in plan.findings):
        return []
    host = plan.host
    kinds = (_without_mem(host), _sizes(host), _kernels(host), _load_addresses(host))
    found = (_best(candidates, plan) for candidates in kinds)
    return [suggestion for suggestion in found if suggestion is not None]


def _best(candidates: Iterable[tuple[str, str | int | None, Host]], plan: Plan) -> Suggestion | None:
    """The first clean one, else the first that boots where the plan itself does not."""
    second = None
    for count, (kind, value, host) in enumerate(candidates):
        if count == _MOST_PLANS:
            break
        tried = Suggestion(kind, value, make_plan(host))
        if tried.clean:
            return tried
        if second is None and tried.plan.outcome is Outcome.BOOTS is not plan.outcome:
            second = tried
    return second


def dom0_mem_text(nr_pages: int, max_pages: int | None) -> str:
    """A ``dom0_mem=`` value for pages; no maximum where it is None or unlimited."""
    start = _size(nr_pages)
    return start if max_pages is None or max_pages >= UNLIMITED else f"{start},max:{_size(max_pages)}"


def _size(pages: int) -> str:
    return f"{pages // _MIB}M" if pages % _MIB == 0 else f"{pages * 4}K"


def _without_mem(host: Host) -> Iterator[tuple[str, str | int | None, Host]]:
    if host.mem_limit is not None:
        yield "mem", None, replace(host, mem_limit=None)


def _sizes(host: Host) -> Iterator[tuple[str, str | int | None, Host]]:
    """Start sizes and maxima of whole MiB, nearest first."""
    if not host.is_dom0 or host.e820 is None:
        return
    top = estimate_available(host.e820).low
    now, limit = host.nr_pages, UNLIMITED if host.max_res is None else host.max_res
    most = limit if limit < UNLIMITED else top
    sizes = _near(host, top)
    pairs = {(size, limit) for size in sizes if size <= limit}
    pairs |= {(size, size + more * _MIB) for size in sizes for more in (0, 64, 256)}
    pairs |= {(now, size) for size in sizes if size >= now}
    pairs.discard((now, limit))

    def moved(pair: tuple[int, int]) -> tuple[int, tuple[int, int]]:
        ceiling = top if pair[1] >= UNLIMITED else pair[1]
        return abs(pair[0] - now) + abs(ceiling - most), pair

    for size, ceiling in sorted(pairs, key=moved):
        frames = host.p2m_frames
        if frames is not None:
            frames = frames[0], list_frames(_LIST_VADDR, size)
        changed = replace(host, nr_pages=size, max_res=ceiling, p2m_frames=frames)
        yield "dom0_mem", dom0_mem_text(size, ceiling), changed


def _near(host: Host, top: int) -> set[int]:
    """Sizes to try, in pages: every 64 MiB, and whole MiB about the edges of RAM."""
    sizes = set(range(64 * _MIB, min(top, host.nr_pages * 2 + 4096 * _MIB) + 1, 64 * _MIB))
    for entry in host.e820 or ():
        if entry.type == RAM:
            for edge in (entry.start, entry.end):
                pages = (edge >> PAGE_SHIFT) // _MIB * _MIB
                sizes |= {pages + step * _MIB for step in (-16, -2, -1, 0, 1)}
    sizes.add(host.nr_pages)
    return {size for size in sizes if 64 * _MIB <= size <= max(top, 64 * _MIB)}


def _kernels(host: Host) -> Iterator[tuple[str, str | int | None, Host]]:
    for version in EDGES:
        release = Release.of(version)
        if version > host.release.version and (host.geometry.word == 8 or release.era != "g3"):
            yield "kernel", str(version), replace(host, release=release, rules=None, extra="behind")


def _load_addresses(host: Host) -> Iterator[tuple[str, str | int | None, Host]]:
    """First and last address of every stretch that has room for kernel, start info and page tables."""
    if host.kernel is None:
        return
    load = host.kernel[0]
    ends = {address for stretch in placement_of(host).loads for address in stretch}
    for address in sorted(ends, key=lambda at: abs(at - load)):
        shift = address - load
        changed = replace(
            host,
            kernel=(address, host.kernel[1] + shift),
            start_info=None if host.start_info is None else host.start_info + shift,
            pt=None if host.pt is None else (host.pt[0] + shift, host.pt[1] + shift),
        )
        if shift:
            yield "load_address", address, changed
