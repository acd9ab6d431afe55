"""Read running domains with the program inside a booted dom0, and compare with other witnesses.

Dom0's own map is held against the kernel's memory, the maps of two guests against
``xen-mfndump``. The program runs with Debian's own Python and numpy.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from tests_xen.compare import Verdict
from tests_xen.guests import failed, files_with_guests
from tests_xen.readout import FOREIGN, IDENTITY, INVALID, dumped_pairs, read_p2m

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tests_xen.hosts import Host
    from tests_xen.packages import Kernel
    from tests_xen.qemu import Boot

__all__ = ["SECONDS", "files", "judged"]

SECONDS = 600.0


def files(host: Host, linux: Kernel) -> dict[str, bytes | str]:
    """Dom0's ramdisk: the toolstack, Python, the program, two guests.

    Raises:
        UnavailableError: a package is not to be had.
    """
    return files_with_guests(host, linux, "live.sh")


def judged(came: Boot) -> Verdict:
    """What the program read inside, against the other witnesses."""
    if came.files.get("status") != b"0\n":
        return Verdict("-", came.outcome, [], 0, [failed(came)])
    checked = [_own(came.files), *(_guest(came.files, name) for name in ("small", "linux"))]
    wrong = [line for _, lines in checked for line in lines]
    if _map(came.files["linux.running.json"]).size != _map(came.files["linux.json"]).size:
        wrong.append("linux: the map of the running guest has another size than that of the paused one")
    if b"no such domain" not in came.files["nobody"]:
        wrong.append(f"live:999: {came.files['nobody'].decode(errors='replace').strip()}")
    return Verdict("-", came.outcome, [], sum(count for count, _ in checked), wrong)


def _own(files: dict[str, bytes]) -> tuple[int, list[str]]:
    """Dom0's own map against the kernel's memory, read before and after; either is right."""
    found = _map(files["self.json"])
    differing = [int(np.count_nonzero(found != _kernel(files[f"p2m{tag}.txt"], found.size)))
                 for tag in (".before", "")]  # fmt: skip
    wrong = [] if 0 in differing else [f"self: {min(differing)} of {found.size} entries differ"]
    return found.size, wrong


def _guest(files: dict[str, bytes], name: str) -> tuple[int, list[str]]:
    found = _map(files[f"{name}.json"])
    pairs = dumped_pairs(files[f"{name}.mfndump"])
    expected = np.full(found.size, INVALID, np.uint64)
    expected[np.array(list(pairs), np.int64)] = np.array(list(pairs.values()), np.uint64)
    own = found < np.uint64(IDENTITY)
    wrong = int(np.count_nonzero(np.where(own, found, np.uint64(INVALID)) != expected))
    return found.size, [f"{name}: {wrong} of {found.size} entries differ"] if wrong else []


def _map(text: bytes) -> NDArray[np.uint64]:
    """The words of a map of ``xenp2m show --json``."""
    answer: dict[str, Any] = json.loads(text)
    words = np.full(answer["p2m"][-1][1], INVALID, np.uint64)
    for start, end, kind, *number in answer["p2m"]:
        if kind == "identity":
            words[start:end] = _ascending(start | IDENTITY, end - start, 1)
        elif kind != "missing":
            first, step = (*number, 1)[:2]
            words[start:end] = _ascending(first | (FOREIGN if kind == "foreign" else 0), end - start, step)
    return words


def _kernel(text: bytes, size: int) -> NDArray[np.uint64]:
    """The words of dom0's list as its kernel has them, up to `size`."""
    readout = read_p2m(text.decode())
    words = np.full(max(size, readout.read), INVALID, np.uint64)
    for start, end, kind in readout.kinds:
        if kind == "identity" and start < size:
            words[start:end] = _ascending(start | IDENTITY, min(end, words.size) - start, 1)
    for start, count, value, step in readout.words:
        words[start : start + count] = _ascending(value, count, step)
    return words[:size]


def _ascending(first: int, count: int, step: int) -> NDArray[np.uint64]:
    """`count` words from `first` on, `step` apart, modulo 2^64."""
    return np.uint64(first) + np.arange(count, dtype=np.uint64) * np.uint64(step % (1 << 64))
