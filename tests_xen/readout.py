"""A P2M as other witnesses tell it: the kernel's own memory, Xen's ``xen-mfndump``."""

from __future__ import annotations

import re
from dataclasses import dataclass

from tests_xen.errors import LabError

__all__ = ["FOREIGN", "IDENTITY", "INVALID", "Readout", "dumped_pairs", "read_p2m"]

LEAF = 512
INVALID = (1 << 64) - 1
FOREIGN, IDENTITY = 1 << 63, 1 << 62
_HIGHEST_MFN = 1 << 40
_RUN = re.compile(r"^(leaf|word) ([0-9a-f]+) (\d+) ([0-9a-f]+) (-?\d+)$", re.MULTILINE)


@dataclass(frozen=True)
class Readout:
    """What was read from one dom0.

    Attributes:
        words: start PFN, count, first word and step of every run of words, as they are in the list.
        kinds: start PFN, end PFN and kind over the whole list, an identity leaf resolved by the
            frame behind it.
        read: PFNs up to the end of the last leaf page that is not shared: those were read word by
            word.
        size: entries of the list.
        own_leaves: leaf pages that are not shared.
        tables: page tables of the list that are not shared.
        nr_pages: pages that dom0 began with.
        last_pfn: the end of the list as tools are told it (``shared_info.arch.max_pfn``).
    """

    words: list[tuple[int, int, int, int]]
    kinds: list[tuple[int, int, str]]
    read: int
    size: int
    own_leaves: int
    tables: int
    nr_pages: int
    last_pfn: int


def read_p2m(text: str) -> Readout:
    """The text of guest/p2mlist.c.

    Raises:
        LabError: it is not complete.
    """
    if not text.endswith("\nend\n"):
        raise LabError(f"the list of dom0 was not read to its end: {text[-80:]!r}")
    size = int(_number(text, r"symbol xen_p2m_size ([0-9a-f]+)"), 16)
    shared = {int(_number(text, rf"shared {name} ([0-9a-f]+)"), 16): name for name in ("missing", "identity")}
    runs: list[tuple[int, int, str]] = []
    words = []
    own = read = 0
    for what, start_hex, count_text, value_hex, step_text in _RUN.findall(text):
        start, count, value = int(start_hex, 16), int(count_text), int(value_hex, 16)
        if what == "word":
            words.append((start, count, value, int(step_text)))
            runs.append((start, start + count, _kind(*words[-1])))
            continue
        hits = {(mfn - value) * int(step_text) for mfn in shared} if step_text != "0" else set()
        if any(0 <= hit < count for hit in hits):
            raise LabError(f"a shared page inside a run of leaf pages at {start:#x}")
        if value in shared:
            runs.append((start * LEAF, (start + count) * LEAF, shared[value]))
        else:
            own += count
            read = max(read, (start + count) * LEAF)
    kinds = _joined(sorted(runs))
    if not kinds or kinds[0][0] != 0 or kinds[-1][1] != size:
        raise LabError("the runs of dom0's list do not cover it")
    return Readout(
        words=words,
        kinds=kinds,
        read=read,
        size=size,
        own_leaves=own,
        tables=int(_number(text, r"tables \d+ \d+ (\d+)")),
        nr_pages=int(_number(text, r"symbol nr_pages ([0-9a-f]+)"), 16),
        last_pfn=int(_number(text, r"symbol xen_p2m_last_pfn ([0-9a-f]+)"), 16),
    )


def _number(text: str, pattern: str) -> str:
    match = re.search(f"^{pattern}$", text, re.MULTILINE)
    if match is None:
        raise LabError(f"the list of dom0 lacks {pattern.split()[1]}")
    return match[1]


def _kind(start: int, count: int, value: int, step: int) -> str:
    if value == INVALID and (step == 0 or count == 1):
        return "missing"
    if value & FOREIGN:
        return "foreign"
    if value & IDENTITY:
        right = value & ~IDENTITY == start and (step == 1 or count == 1)
        return "identity" if right else "other"
    return "mfn"


def _joined(runs: list[tuple[int, int, str]]) -> list[tuple[int, int, str]]:
    joined: list[tuple[int, int, str]] = []
    for start, end, kind in runs:
        if joined and joined[-1][1] != start:
            raise LabError(f"the runs of dom0's list have a gap or overlap at {start:#x}")
        if joined and joined[-1][2] == kind:
            start = joined.pop()[0]
        joined.append((start, end, kind))
    return joined


def dumped_pairs(text: bytes) -> dict[int, int]:
    """MFN by PFN of ``xen-mfndump dump-p2m``, without entries that are no frame of the guest."""
    found = re.findall(rb"pfn=0x([0-9a-f]+) ==> mfn=0x([0-9a-f]+)", text)
    pairs = {int(pfn, 16): int(mfn, 16) for pfn, mfn in found}
    return {pfn: mfn for pfn, mfn in pairs.items() if mfn < _HIGHEST_MFN}
