"""Lines in which Linux tells of memory beside its P2M: reserved, ramdisk, swiotlb, balloon.

Sources: ``mem_init_print_info`` (``mem_init`` up to 3.10), ``init_unavailable_mem`` and its successors,
``swiotlb_print_info``, ``xen_setup``'s messages, ``balloon_add_regions``; 2.6.39 to 7.3.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from xenp2m.logs.consolefacts import Pages, Span

if TYPE_CHECKING:
    from xenp2m.logs.readboot import Action, Boot, Rule

__all__ = ["MEMORY"]

_MEM = r"\[mem (?:0x)?([0-9a-f]{1,16})-(?:0x)?([0-9a-f]{1,16})\]"
_PFN = r"([0-9a-f]{1,13})"


def _number(fact: str) -> Action:
    return lambda boot, match, number: boot.put(f"printed.{fact}", int(match[1]), number)


def _chunk(boot: Boot, match: re.Match[str], number: int) -> None:
    """2.6.39 to 3.1 print every gap they look at, most of them empty."""
    pages = Pages(int(match[1], 16), int(match[2], 16), int(match[3]))
    if pages.pages:
        boot.add("printed.freeing", pages, number)


def _one_to_one(boot: Boot, match: re.Match[str], number: int) -> None:
    boot.add("printed.one_to_one", Span(int(match[1], 16), int(match[2], 16)), number)


def _unavailable(boot: Boot, match: re.Match[str], number: int) -> None:
    """Equal counts of two ranges both count."""
    kept = boot.facts.setdefault("printed.unavailable", [])
    boot.lines.setdefault("printed.unavailable", number)
    if len(kept) < 1000:
        kept.append(int(match[1]))


def _ramdisk(boot: Boot, match: re.Match[str], number: int) -> None:
    boot.put("printed.ramdisk", Span(int(match[1], 16), int(match[2], 16) + 1), number)


def _swiotlb(boot: Boot, match: re.Match[str], number: int) -> None:
    boot.put("printed.swiotlb", int(match[1]) << 20, number)


_PART = re.compile(r"(\d{1,12})[kK] (?:kernel code|rwdata|rodata|data|init|bss)\b")


def _kernel(boot: Boot, match: re.Match[str], number: int) -> None:
    boot.put("printed.memory_kernel", sum(int(size) for size in _PART.findall(match[0])), number)


def _underflow(boot: Boot, match: re.Match[str], number: int) -> None:
    boot.put("printed.balloon_underflow", True, number)


def _rules(*rules: tuple[str, str, Action]) -> tuple[Rule, ...]:
    return tuple((key, re.compile(pattern), action) for key, pattern, action in rules)


MEMORY = _rules(
    (
        "xen_release_chunk",
        rf"xen_release_chunk: looking at area pfn {_PFN}-{_PFN}: (\d{{1,18}}) pages freed",
        _chunk,
    ),
    ("1-1 mapping on", rf"(?:xen: )?1-1 mapping on {_PFN}->{_PFN}", _one_to_one),
    ("unavailable ranges", r".{0,80}: (\d{1,18}) pages in unavailable ranges", _unavailable),
    ("RAMDISK:", rf"RAMDISK: {_MEM}", _ramdisk),
    ("software IO TLB", r"(?:.{0,40})?software IO TLB: mapped \[mem .{1,60}\] \((\d{1,9})MB\)", _swiotlb),
    ("software IO TLB", r"(?:.{0,40})?software IO TLB .{0,60}\((\d{1,9})MB\)", _swiotlb),
    ("software IO TLB", r"Placing (\d{1,9})MB software IO TLB", _swiotlb),
    ("k reserved", r"Memory: .{1,160}?(\d{1,18})k reserved", _number("memory_reserved")),
    ("K reserved", r"Memory: .{1,160}?(\d{1,18})K reserved", _number("memory_reserved")),
    ("kernel code", r"Memory: .{1,300}", _kernel),
    ("k absent", r"Memory: .{1,160}?(\d{1,18})k absent", _number("memory_absent")),
    ("underflow current", r".{0,40}Extra pages underflow current target", _underflow),
)  # fmt: skip
