"""The ``dom0_mem=`` grammar, and what the hypervisor makes of it.

::

    dom0_mem = item {"," item}                  item = ["min:" | "max:"] ["-"] amount
    amount   = SIZE | PERCENT "%" | SIZE "+" PERCENT "%"     (before Xen 4.12: SIZE)

A SIZE is decimal, octal (leading 0) or hexadecimal (0x), with one letter of T, G, M, K, B in either
case; KiB without. A minus stands for "all that is available, less ...". The option may be repeated:
what comes last counts, for each of plain, min and max by itself. Page counts are of 4 KiB.

Sources: ``parse_dom0_mem``, ``parse_amt``, ``parse_size_and_unit``, ``parse_params`` and
``dom0_compute_nr_pages`` (4.14, 4.17, 4.20; the older form in 4.3 and 4.11).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from xenp2m.e820 import RAM
from xenp2m.errors import InputError, shorten
from xenp2m.extents import union
from xenp2m.frames import PAGE_SHIFT, pfn_down, pfn_up
from xenp2m.hypervisor import XenRelease

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from xenp2m.e820 import Entry
    from xenp2m.kernel import Version

__all__ = ["Amount", "Available", "Dom0Mem", "estimate_available", "from_command_line", "parse"]

_WORD = (1 << 64) - 1
_LONG_MAX = (1 << 63) - 1
_UINT_MAX = 0xFFFFFFFF
_DEFAULT_KEPT = 32768
"""Pages that the default leaves to the hypervisor at most: 128 MiB."""
_OPTION_LENGTH = 127
"""Characters of one option that the hypervisor reads, its name among them (``MAX_PARAM_SIZE``)."""

_NUMBER = re.compile(r"0[xX][0-9a-fA-F]+|0[0-7]*|[1-9][0-9]*")
_SHIFTS = {"B": 0, "K": 10, "M": 20, "G": 30, "T": 40}
_SIZE = "a size such as 1024M, a percentage such as 10%, or 512M+10%"
_LOOSE_SIZE = "a size such as 1024M"


class Amount(NamedTuple):
    """One item's value.

    Attributes:
        pages: whole pages of the size.
        percent: percentage of what is available.
        minus: whether the sum of both is taken off what is available.
    """

    pages: int = 0
    percent: int = 0
    minus: bool = False

    def of(self, available: int) -> int:
        """Pages that the amount comes to, of `available` pages.

        Unsigned 64-bit: what is taken off more than there is becomes a huge number.

        Source: ``get_memsize`` (4.12 to 4.20); the older signed arithmetic comes to the same.
        """
        pages = (self.pages + (self.percent * available & _WORD) // 100) & _WORD
        return (available - pages) & _WORD if self.minus else pages


@dataclass(frozen=True, slots=True)
class Dom0Mem:
    """What the hypervisor understood.

    Attributes:
        plain: the amount without a word before it; None where it was not given or was bad.
        min: ``min:``.
        max: ``max:``.
        loose: whether it was read by the rules before Xen 4.12.
        options: values of the options in the order found; empty where there was none.
        ignored: what was passed over and why, one line each.
        remarks: what was understood differently than it looks, one line each.
    """

    plain: Amount | None = None
    min: Amount | None = None
    max: Amount | None = None
    loose: bool = False
    options: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()

    def pages(self, available: int) -> tuple[int, int]:
        """Pages of dom0, in the hypervisor's own order of clamping.

        The plain amount (where it is 0: all but a sixteenth, at most 128 MiB) is raised to min, cut
        to max, cut to `available`. The maximum is not raised in turn: it can be below min.

        Args:
            available: pages the hypervisor has to give (`estimate_available`).

        Returns:
            ``nr_pages``, and the maximum reservation (0xffffffff: unlimited).

        Source: ``dom0_compute_nr_pages`` (4.11 to 4.20), without its last step for kernels that
        lack the ``INIT_P2M`` note.
        """
        nr_pages = self._plain_pages(available)
        max_pages = _LONG_MAX if self.max is None else self.max.of(available)
        if self.min is not None:
            nr_pages = max(nr_pages, self.min.of(available))
        return min(nr_pages, max_pages, available), min(max_pages, _UINT_MAX)

    def _plain_pages(self, available: int) -> int:
        kept = min(available // 16, _DEFAULT_KEPT)
        plain = self.plain or Amount()
        if not self.loose:
            return plain.of(available) or available - kept
        # Here 0 is replaced before the subtraction, and nothing kept stays nothing at all.
        if plain.pages:
            return plain.of(available)
        return available - kept if kept else 0


def parse(text: str, xen: Version | None = None, *, strict: bool = False) -> Dom0Mem:
    """Read ``dom0_mem=`` from a value, from an option, or from a whole command line.

    Args:
        text: ``1024M,max:1536M``, or ``dom0_mem=1024M,max:1536M``, or the command line of Xen.
        xen: the hypervisor's version; None for the newest rules.
        strict: refuse what the hypervisor would pass over in silence.

    Returns:
        The meaning, with what was ignored.

    Raises:
        InputError: only if `strict`: nothing given, or an item is bad.
    """
    reader = _Reader(XenRelease.of(xen).amounts == "loose", strict)
    text = text.strip()
    if re.search(r"[\s=]", text) or text in {"", "dom0_mem", "no-dom0_mem"}:
        reader.command_line(text)
        if strict and not reader.options:
            raise InputError("dom0_mem", f"dom0_mem= with {reader.expected}", shorten(text))
    else:
        reader.option(text)
    return reader.result()


def from_command_line(line: str, xen: Version | None = None) -> Dom0Mem:
    """Read the ``dom0_mem=`` options of Xen's command line as Xen does. Never raises.

    Args:
        line: the command line; what follows a `` -- `` belongs to dom0's kernel.
        xen: the hypervisor's version; None for the newest rules.

    Source: ``parse_params`` (4.14 to 4.20), ``__start_xen``.
    """
    reader = _Reader(XenRelease.of(xen).amounts == "loose", strict=False)
    reader.command_line(line)
    return reader.result()


class _Reader:
    """Reads options one after the other; later items replace earlier ones of the same word."""

    def __init__(self, loose: bool, strict: bool) -> None:
        self.loose, self.strict = loose, strict
        self.expected = _LOOSE_SIZE if loose else _SIZE
        self.items: dict[str, Amount] = {}
        self.options: list[str] = []
        self.ignored: list[str] = []
        self.remarks: list[str] = []

    def result(self) -> Dom0Mem:
        return Dom0Mem(
            **self.items,
            loose=self.loose,
            options=tuple(self.options),
            ignored=tuple(self.ignored),
            remarks=tuple(self.remarks),
        )

    def command_line(self, line: str) -> None:
        """Read every ``dom0_mem`` option of a command line."""
        for word in line.split(" -- ", 1)[0].split():
            name, sign, value = word.partition("=")
            if name == "dom0_mem":
                self.option(value)
            elif name == "no-dom0_mem" and not (sign and value):
                self.option("no")
            elif name == "no-dom0_mem":
                self.options.append(value)
                self._pass_over(word, "dom0_mem=, which has no negative form", "ignored")

    def option(self, value: str) -> None:
        """Read the value of one option."""
        room = _OPTION_LENGTH - len("dom0_mem=")
        self.options.append(value[:room])
        if len(value) > room:
            self._pass_over(value[room:], f"at most {room} characters", "Xen reads no further")
            value = value[:room]
        position: int | None = 0
        while position is not None:
            position = self._item(value, position)

    def _item(self, value: str, position: int) -> int | None:
        """Read the item at `position`. Return where the next starts, or None after the last."""
        word = next((w for w in ("min:", "max:") if value.startswith(w, position)), "")
        start = position + len(word)
        try:
            amount, end = _loose_amount(value, start) if self.loose else _amount(value, start)
        except ValueError as error:
            self._pass_over(value[position:], str(error) or self.expected, "ignored with all that follows")
            return None
        self.items[word.rstrip(":") or "plain"] = amount
        self.remarks += _remarks(value[start:end].lstrip("-"), amount)
        if not _NUMBER.match(value, start + value.startswith("-", start)):
            self._pass_over(value[position:], self.expected, "read as 0")
        elif end < len(value) and value[end] != ",":
            more = " (percentages came with Xen 4.12)" if value[end] in "%+" else ""
            self._pass_over(value[end:], f"a comma or the end behind {value[start:end]!r}{more}", "ignored")
        return end + 1 if value.startswith(",", end) else None

    def _pass_over(self, text: str, expected: str, what: str) -> None:
        if self.strict:
            raise InputError("dom0_mem=", expected, shorten(text))
        self.ignored.append(f"{shorten(text)}: expected {expected}; {what}")


def _size(value: str, position: int, *, percent: bool = False) -> tuple[int, int]:
    """Read a number and its letter: bytes modulo 2^64, and where they end.

    Where `percent` is allowed, a number in front of ``%`` counts by itself.
    """
    match = _NUMBER.match(value, position)
    digits = match[0] if match else ""
    end = position + len(digits)
    # Digits further left are multiples of 2^64 in each of the three bases.
    base = 16 if digits[:2].lower() == "0x" else 8 if digits.startswith("0") else 10
    number = int((digits[2:] if base == 16 else digits)[-64:] or "0", base) & _WORD
    letter = value[end : end + 1]
    if letter and letter in "TtGgMmKkBb":
        return number << _SHIFTS[letter.upper()] & _WORD, end + 1
    return (number if percent and letter == "%" else number << 10 & _WORD), end


def _loose_amount(value: str, position: int) -> tuple[Amount, int]:
    """Read an amount by the rules before 4.12. No number at all is a 0 like any other."""
    minus = value.startswith("-", position)
    size, end = _size(value, position + minus)
    pages = size >> PAGE_SHIFT
    return Amount(pages, 0, minus and pages > 0), end


def _amount(value: str, position: int) -> tuple[Amount, int]:
    """Read an amount by the rules of 4.12 and later, up to a comma or the end.

    Raises:
        ValueError: it is bad; the text says what was expected where that is not a size.
    """
    begin, minus = position, value.startswith("-", position)
    position += minus
    pages = percent = 0
    for part in (0, 1):
        if not _NUMBER.match(value, position):
            raise ValueError
        size, position = _size(value, position, percent=True)
        if value.startswith("%", position):
            if size >= 100:
                raise ValueError("a percentage below 100%")
            percent, position = size, position + 1
            break
        if part:
            raise ValueError("a percentage behind the plus, such as 512M+10%")
        pages = size >> PAGE_SHIFT
        if not value.startswith("+", position):
            break
        position += 1
    if position < len(value) and value[position] != ",":
        raise ValueError(f"a comma or the end behind {value[begin:position]!r}")
    return Amount(pages, percent, minus), position


def _remarks(text: str, amount: Amount) -> Iterator[str]:
    """What is easily misread in an amount's `text` (without its sign)."""
    size = text.partition("+")[0]
    if re.fullmatch(r"0[0-7]+[A-Za-z]?", size):
        yield f"{text}: a leading 0 makes it octal, {amount.pages * 4} KiB"
    elif re.fullmatch(r"[1-9][0-9]*", size):
        yield f"{text}: without a unit it is in KiB, {amount.pages} pages"


class Available(NamedTuple):
    """An estimate of what the hypervisor has to give, in pages.

    Attributes:
        pages: the estimate.
        low: what is left on a large machine, or with an IOMMU where that is not known.
        high: what is left if the hypervisor itself took nothing.
        why: the estimate in words.
    """

    pages: int
    low: int
    high: int
    why: str


_OWN_PAGES = 850
"""The hypervisor's image, heap and processors: 731 pages were seen with 4.1, 941 with 4.17."""
_SPREAD = 4096
"""Pages it may take more than that on a large machine: 16 MiB."""


def estimate_available(
    host: Iterable[Entry], *, iommu: bool | None = None, vcpus: int = 1, compat: bool = False
) -> Available:
    """Estimate the pages from which ``dom0_mem=`` is worked out.

    Taken off the host's RAM: 32 bytes a page in groups of 256 MiB (frame table), 8 bytes a page by
    the GiB (M2P; 4 more with 32-bit guests), some 3 MiB for the hypervisor itself, a page for each
    further processor of dom0, and with an IOMMU its page tables as Xen reckons them.

    Args:
        host: Xen's own map, in bytes.
        iommu: whether Xen uses an IOMMU for dom0; None where that is not known, then none is.
        vcpus: processors of dom0 ("Dom0 has maximum ... VCPUs").
        compat: whether Xen runs 32-bit PV guests ("Xen  kernel: 64-bit, lsb, compat32").

    Returns:
        The estimate with its bounds. Two real boots that used the default: 91 pages too many on
        Xen 4.17 with 4 GiB, 119 too few on 4.1 with 2 GiB.

    Source: ``dom0_compute_nr_pages``, ``init_frametable``, ``paging_init`` (4.14 to 4.20).
    """
    ram = union((pfn_up(e.start), pfn_down(e.end)) for e in host if e.type == RAM)
    total = sum(end - start for start, end in ram)
    top = ram[-1][1] if ram else 0
    tables = 512 * (_groups(ram, 16) + _groups(ram, 18) + (_groups(ram, 19) if compat else 0))
    reckoned = sum(top >> shift for shift in range(9, 64, 9))
    packed = sum(total >> shift for shift in range(9, 64, 9))
    kept = tables + max(vcpus - 1, 0) + (reckoned if iommu else 0)
    pages = max(0, total - kept - _OWN_PAGES)
    low = pages - _SPREAD - (reckoned if iommu is None else 0)
    why = (
        f"about {pages} of the host's {total} pages can be given to dom0:"
        f" Xen keeps {kept + _OWN_PAGES} for its tables and itself (estimated)"
    )
    high = total - kept + 512 + (reckoned - packed if iommu else 0)
    return Available(pages, max(0, low), max(0, min(high, total)), why)


def _groups(ram: Iterable[tuple[int, int]], shift: int) -> int:
    """Number of aligned groups of ``2**shift`` frames that hold RAM."""
    return sum(end - start for start, end in union((s >> shift, (e - 1 >> shift) + 1) for s, e in ram))
