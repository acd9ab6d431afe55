"""Hold one prediction against what one real boot did."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.judge import E820_WORDS, OUTCOMES, answers, boot_differences

from tests_xen.errors import LabError
from tests_xen.readout import LEAF, Readout, read_p2m

if TYPE_CHECKING:
    from pathlib import Path

    from tests_xen.packages import Kernel
    from tests_xen.qemu import Boot

__all__ = ["Verdict", "compare"]

_MAP_LINE = re.compile(rb"Xen: \[mem 0x([0-9a-f]+)-0x([0-9a-f]+)\] +(\S[^\r\n]*)")
_SEVEN = {
    "System RAM": "usable", "device reserved": "reserved", "Unusable memory": "unusable",
    "persistent RAM (type 7)": "persistent (type 7)", "persistent RAM (type 12)": "persistent (type 12)",
}  # fmt: skip
"""Words of Linux 7.0 and later for types that had others before."""
_CHUNK = LEAF * LEAF
_SHARED_PAGES = 4
_TOOLS_TREE_PAGES = 3


@dataclass(frozen=True)
class Verdict:
    """The two sides of one boot.

    Attributes:
        predicted: how the boot was to end, ``unsettled`` where the program does not claim to know.
        real: how it ended.
        findings: codes of what the program warned of.
        pfns: entries of the list that were read word by word and compared.
        differences: what the program got wrong.
    """

    predicted: str
    real: str
    findings: list[str]
    pfns: int
    differences: list[str]


def compare(boot: Boot, console: Path, kernel: Kernel) -> Verdict:
    """Plan the boot from its own console, and compare.

    Args:
        boot: what came of it.
        console: its console in a file, for the program to read.
        kernel: named to the program where the console does not show it.
    """
    version = [] if b"Linux version" in boot.console else ["--kernel", kernel.version]
    (answer,) = answers("plan", [str(console), *version])
    readout, wrong = _read(boot)
    wrong += _differences(answer, boot, readout)
    warned = [f["code"] for f in answer.get("findings", ()) if f["severity"] != "note"]
    return Verdict(
        answer.get("outcome", "refused"), boot.outcome, warned, readout.read if readout else 0, wrong
    )


def _read(boot: Boot) -> tuple[Readout | None, list[str]]:
    """Dom0's list; what dom0 should have handed over and did not counts as a difference."""
    if boot.outcome != "booted":
        return None, []
    try:
        return read_p2m(boot.files.get("p2m.txt", b"").decode()), []
    except LabError as error:
        job = boot.files.get("job.log", b"").decode(errors="replace").strip()
        return None, [f"not compared: {error}. {job}".strip()]


def _differences(answer: dict[str, Any], boot: Boot, readout: Readout | None) -> list[str]:
    expected = {
        "outcome": boot.outcome,
        "dom0_e820": _printed_map(boot.console),
        "kinds": readout.kinds if readout else None,
        "remapped": _number(boot.console, rb"Remapped (\d+) page"),
    }
    if boot.outcome not in OUTCOMES:
        return [f"nothing to compare: {boot.why_not}"]
    if answer.get("outcome") == "unsettled":
        answer = answer | {"outcome": min(OUTCOMES[boot.outcome])}
    wrong = _worded(boot_differences(answer, expected), answer, expected)
    if "p2m" not in answer:
        return wrong
    real = {"released": _number(boot.console, rb"Released (\d+) page")}
    if "initrd_moved" in answer:
        real["initrd_moved"] = _number(boot.console, rb"RAMDISK: \[mem 0x([0-9a-f]+)-", 16)
    if readout is not None:
        real |= {
            "p2m_size": readout.size,
            "shared_max_pfn": readout.last_pfn,
            "alloc_p2m_pages": _list_pages(readout),
        }
    return wrong + [
        f"{name} {answer[name]}, was {was}"
        for name, was in real.items()
        if was is not None and answer[name] != was
    ]


def _worded(wrong: list[str], answer: dict[str, Any], expected: dict[str, Any]) -> list[str]:
    """The differences, of two maps only the entries that are not the same."""
    predicted = {(a, b, t) for a, b, t in answer.get("e820", ())}
    real = {(a, b, E820_WORDS[word]) for a, b, word in expected["dom0_e820"]}
    words: list[str] = []
    for line in wrong:
        if not line.startswith("e820 "):
            words.append(line)
            continue
        words += [f"e820 {a:#x}-{b:#x} of type {t}, was not" for a, b, t in sorted(predicted - real)]
        words += [f"e820 without {a:#x}-{b:#x} of type {t}" for a, b, t in sorted(real - predicted)]
    return words


def _printed_map(console: bytes) -> list[list[int | str]]:
    """The map that dom0's kernel printed, the end of each entry not included."""
    entries: list[list[int | str]] = []
    for start, last, word in _MAP_LINE.findall(console):
        name = word.decode().strip()
        entry: list[int | str] = [int(start, 16), int(last, 16) + 1, _SEVEN.get(name, name)]
        if entry not in entries:
            entries.append(entry)
    return entries


def _number(console: bytes, pattern: bytes, base: int = 10) -> int | None:
    match = re.search(pattern, console)
    return int(match[1], base) if match else None


def _list_pages(readout: Readout) -> int:
    """Pages that the kernel allocated for its P2M, reckoned from what is there.

    Four shared pages; each leaf page that is not shared; page tables, but those that the area came
    with for the builder's list; a top page, a missing middle page and its twin for the tools, and
    one middle page for each page table.
    """
    built = -(-readout.nr_pages // LEAF) * LEAF
    first = {
        chunk
        for start, end, kind in readout.kinds
        if kind != "identity" and start < built
        for chunk in range(start // _CHUNK, (min(end, built) - 1) // _CHUNK + 1)
    }
    return _SHARED_PAGES + readout.own_leaves + _TOOLS_TREE_PAGES + 2 * readout.tables - len(first)
