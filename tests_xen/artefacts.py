"""Make cores, saved streams and lists of real PV guests, and compare what they tell.

Two guests run under one dom0: a small one of our own, whose files are complete and tiny, and Linux
with ``e820_host=1``. Each is dumped and saved as built, the Linux one again after ballooning, and both
are dumped after a restore, which changes their machine frames. What cores, streams, the lists of
``xen-mfndump`` and the program inside dom0 tell of one guest is compared with each other.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import drgn

import xenp2m
from tests_xen.apt import cache_dir
from tests_xen.compare import Verdict
from tests_xen.guests import failed, files_with_guests
from tests_xen.readout import dumped_pairs
from xenp2m.frames import Kind

if TYPE_CHECKING:
    from pathlib import Path

    from tests_xen.hosts import Host
    from tests_xen.packages import Kernel
    from tests_xen.qemu import Boot
    from xenp2m.p2m import P2M

__all__ = ["SECONDS", "files", "judged"]

SNAPSHOTS = {"small": ("built", "restored"), "linux": ("built", "ballooned", "restored")}
SAVED = {"small": ("built",), "linux": ("built", "ballooned")}
SECONDS = 900.0


def files(host: Host, linux: Kernel) -> dict[str, bytes | str]:
    """Dom0's ramdisk: the toolstack and two guests.

    Raises:
        UnavailableError: a package is not to be had.
    """
    return files_with_guests(host, linux, "artefacts.sh")


def judged(came: Boot) -> Verdict:
    """What the files of a run do not tell alike; they stay in the cache until the next run."""
    place = cache_dir() / "artefacts"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    for name, content in came.files.items():
        (place / name).write_bytes(content)
    if came.files.get("status") != b"0\n":
        return Verdict("-", came.outcome, [], 0, [failed(came)])
    checked = [_differences(place, name) for name in SNAPSHOTS]
    wrong = [line for _, lines in checked for line in lines]
    return Verdict("-", came.outcome, [], sum(count for count, _ in checked), wrong + _banner(place))


def _differences(place: Path, guest: str) -> tuple[int, list[str]]:
    """Entries compared, and what the witnesses of one guest do not tell alike."""
    cores = {tag: xenp2m.open(place / f"{guest}.{tag}.core") for tag in SNAPSHOTS[guest]}
    saved = {tag: xenp2m.open(place / f"{guest}.{tag}.save") for tag in SAVED[guest]}
    wrong = [f"{guest} {tag}: {line}" for tag, core in cores.items() for line in core.lost]
    for tag, core in cores.items():
        listing = place / f"{guest}.{tag}.mfndump"
        frames = {"core": core.p2m, "core's table": core.listed, "list": xenp2m.open(listing).p2m}
        dumped = dumped_pairs(listing.read_bytes())
        wrong += [f"{guest} {tag}: {name} and xen-mfndump differ"
                  for name, p2m in frames.items() if _frames(p2m) != dumped]  # fmt: skip
        maps = {"live": xenp2m.open(place / f"{guest}.{tag}.json").p2m}
        maps |= {"stream": saved[tag].p2m} if tag in saved else {}
        wrong += [f"{guest} {tag}: {name} and core differ"
                  for name, p2m in maps.items() if p2m.extents() != core.p2m.extents()]  # fmt: skip
    last = SAVED[guest][-1]
    wrong += _restored(f"{guest} {last}", _frames(cores[last].p2m), _frames(cores["restored"].p2m))
    return sum(len(core.p2m) for core in cores.values()) + sum(len(one.p2m) for one in saved.values()), wrong


def _restored(name: str, before: dict[int, int], after: dict[int, int]) -> list[str]:
    """A restored guest has the same PFNs on other frames, most of them: Xen gives out freed ones again."""
    kept = sum(after.get(pfn) == mfn for pfn, mfn in before.items())
    if set(after) == set(before) and 2 * kept < len(after):
        return []
    return [f"{name}: {kept} frames are the same after the restore, {len(after)} of {len(before)}"]


def _frames(p2m: P2M | None) -> dict[int, int]:
    """MFN by PFN, page by page: the slow way. Of no map, none."""
    runs = [run for run in p2m.extents() if run.kind is Kind.MFN] if p2m else []
    return {pfn: run.at(pfn) for run in runs for pfn in range(run.start, run.end)}


def _banner(place: Path) -> list[str]:
    """Whether other programs find the kernel's banner in exported images, through its page tables."""
    console = (place / "linux.console").read_text(errors="replace")
    printed = re.search(r"^Linux version [^\r\n]*", console, re.MULTILINE)
    symbol = re.search(r"^([0-9a-f]{16}) \S linux_banner", console, re.MULTILINE)
    if printed is None or symbol is None:
        return ["linux: its console shows no banner"]
    wrong = []
    for name in ("linux.built.core", "linux.ballooned.save"):
        image = place / f"{name}.elf"
        export = ["export", str(place / name), "--to", "elf", "-o", str(image), "--force"]
        subprocess.run([sys.executable, "-m", "xenp2m", *export], check=True, stdout=subprocess.DEVNULL)
        program = drgn.Program()
        program.set_core_dump(image)
        found = program.read(int(symbol[1], 16), len(printed[0]))
        if found != printed[0].encode():
            wrong.append(f"{name}.elf: drgn reads {found[:60]!r}")
    return wrong
