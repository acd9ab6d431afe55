"""Make cores, saved streams and lists of real PV guests: ``python -m tests_xen.artefacts DIRECTORY``.

Two guests run under one dom0: a small one of our own, whose files are complete and tiny, and Linux
with ``e820_host=1``. Each is dumped as built, the Linux one again after ballooning, both after a
restore, which changes all their machine frames. What the files tell is compared with each other.
"""

from __future__ import annotations

import gzip
import sys
from pathlib import Path

from tests_xen.apt import install_tools, only_run
from tests_xen.build import GUEST, small_guest
from tests_xen.errors import LabError
from tests_xen.hosts import Host
from tests_xen.initramfs import TOOLSTACK_MODULES, archive, dom0_files
from tests_xen.packages import busybox, hypervisor, kernel
from tests_xen.qemu import boot
from tests_xen.streams import core_pairs, dumped_pairs, saved_pfns
from tests_xen.toolstack import START, toolstack_files

HOST = Host("artefacts", "4G", dom0_mem="2G,max:2G")
SNAPSHOTS = {"small": ("built", "restored"), "linux": ("built", "ballooned", "restored")}
SAVED = {"small": "built", "linux": "ballooned"}
SECONDS = 600.0
_BY_CHANCE = 100
"""One frame in so many may be the same after a restore: what was freed is given out again."""


def make(place: Path) -> list[str]:
    """Boot, bring the files to `place`, and return what they disagree about.

    Raises:
        LabError: the guests did not live to be dumped.
    """
    linux = kernel(HOST.linux)
    job = START + (GUEST / "artefacts.sh").read_text()
    guest = {
        "bin/busybox": busybox(), "init": (GUEST / "domu-init.sh").read_bytes(),
        "dev/": b"", "proc/": b"", "sys/": b"",
    }  # fmt: skip
    files = dom0_files(linux, job, TOOLSTACK_MODULES) | toolstack_files(HOST.xen)
    files |= {
        "guest": small_guest().read_bytes(), "vmlinuz": linux.image.read_bytes(),
        "guest.gz": gzip.compress(archive(guest), 1, mtime=0),
    }  # fmt: skip
    came = boot(HOST, hypervisor(HOST.xen), linux, files, SECONDS)
    place.mkdir(parents=True, exist_ok=True)
    (place / "console.log").write_bytes(came.console)
    for name, content in came.files.items():
        (place / name).write_bytes(content)
    if came.files.get("status") != b"0\n":
        log = came.files.get("job.log", b"").decode(errors="replace").strip().splitlines()
        raise LabError(f"{came.outcome}: {log[-1] if log else 'no word'} (see {place / 'console.log'})")
    return [line for name in SNAPSHOTS for line in _differences(name, came.files)]


def _differences(guest: str, files: dict[str, bytes]) -> list[str]:
    wrong = []
    cores = {tag: core_pairs(files[f"{guest}.{tag}.core"]) for tag in SNAPSHOTS[guest]}
    for tag, pairs in cores.items():
        print(f"{guest:6} {tag:10} {len(pairs):>7,} frames")
        if dumped_pairs(files[f"{guest}.{tag}.mfndump"]) != pairs:
            wrong.append(f"{guest} {tag}: core and list differ")
    before, after = cores[SAVED[guest]], cores["restored"]
    if saved_pfns(files[f"{guest}.save"]) != set(before):
        wrong.append(f"{guest}: core and saved stream differ")
    kept = sum(after.get(pfn) == mfn for pfn, mfn in before.items())
    if set(after) != set(before) or kept * _BY_CHANCE > len(after):
        wrong.append(f"{guest}: {kept} frames are the same after the restore, {len(after)} of {len(before)}")
    return wrong


def main() -> int:
    """Make them; 1 if they disagree, 2 if they could not be made."""
    if len(sys.argv) != 2:
        print("usage: python -m tests_xen.artefacts DIRECTORY", file=sys.stderr)
        return 2
    try:
        install_tools()
        with only_run():
            wrong = make(Path(sys.argv[1]))
    except LabError as error:
        print(f"tests_xen: {error}", file=sys.stderr)
        return 2
    print("\n".join(wrong) or "all files tell the same map")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
