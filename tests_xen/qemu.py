"""Boot one host in QEMU's software emulation, within a time limit, and bring its results out."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import tarfile
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tests_xen.apt import scratch_dir
from tests_xen.build import shim
from tests_xen.hosts import map_records
from tests_xen.initramfs import ramdisk

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests_xen.hosts import Host
    from tests_xen.packages import Hypervisor, Kernel

__all__ = ["Boot", "boot"]

_HALTED = rb"Dom0 halted: halting machine"
_CRASHED = rb"Dom0 crashed|Kernel panic - not syncing"
_NOT_BUILT = rb"Panic on CPU \d+:"
_DEATHS = {_CRASHED: "dom0 panic/crash", _HALTED: "dom0 halted", _NOT_BUILT: "no dom0"}
_WORDS = re.compile(
    rb"(?:kernel BUG at [^\r\n]*|Kernel panic - not syncing: [^\r\n]*|Xen hypervisor allocated [^\r\n]*"
    rb"|BUG: unable to handle [^\r\n]*|BUG: kernel NULL [^\r\n]*)"
)
_GRACE_SECONDS = 2.0
_MOST_LOG = 64 << 20


@dataclass(frozen=True)
class Boot:
    """What came of one boot.

    Attributes:
        outcome: ``booted``, ``dom0 halted``, ``dom0 panic/crash``, ``no dom0`` (Xen
            itself dies) or ``no end`` (time limit).
        console: the complete serial console.
        files: what the job left in /out, by name.
        seconds: wall time.
    """

    outcome: str
    console: bytes
    seconds: float
    files: dict[str, bytes] = field(default_factory=dict)

    @property
    def last_words(self) -> str:
        """What a dom0 that died gave as its reason, as far as it said one."""
        if self.outcome == "booted":
            return ""
        found = _WORDS.findall(self.console)
        return found[0].decode(errors="replace").strip() if found else "(nothing)"

    @property
    def why_not(self) -> str:
        """One line about a boot that handed nothing over."""
        lines = self.console.decode(errors="replace").strip().splitlines() or ["(nothing)"]
        return f"{self.outcome} in {self.seconds:.0f} seconds, after: {lines[-1].strip()}"


def boot(
    host: Host, xen: Hypervisor, kernel: Kernel, files: Mapping[str, bytes | str], limit: float = 150.0
) -> Boot:
    """Boot a host and wait for its end; nothing of it is left running.

    Args:
        host: the machine.
        xen: its hypervisor.
        kernel: dom0's kernel.
        files: dom0's initial ramdisk.
        limit: seconds after which QEMU is ended.
    """
    scratch_dir().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=scratch_dir()) as name:
        place = Path(name)
        disk = place / "out.img"
        with disk.open("wb") as empty:
            empty.truncate(2 << 30)
        initrd = ramdisk(place / "initrd.gz", files)
        words = _command(host, xen, kernel, initrd, place)
        began = time.monotonic()
        outcome, console = _watched(words, place / "console.log", limit)
        seconds = time.monotonic() - began
        return Boot(outcome, console, seconds, _handed_over(disk))


def _command(host: Host, xen: Hypervisor, kernel: Kernel, initrd: Path, place: Path) -> list[str]:
    linux = f"{kernel.image_for(xen)} {host.kernel_args}".replace(",", ",,")
    modules = [linux, str(initrd)]
    image = xen.elf
    if host.map is not None:
        (place / "map.bin").write_bytes(map_records(host.map))
        modules = [str(xen.elf), str(place / "map.bin"), *modules]
        image = shim()
    return [
        "setpriv", "--pdeathsig", "KILL", "qemu-system-x86_64",
        "-machine", host.qemu_machine, "-m", host.memory, "-smp", "1",
        "-display", "none", "-monitor", "none", "-serial", "stdio", "-nic", "none", "-no-reboot",
        "-drive", f"file={place / 'out.img'},format=raw,if=virtio,cache=unsafe",
        "-kernel", str(image), "-append", host.xen_args, "-initrd", ",".join(modules),
    ]  # fmt: skip


def _watched(words: list[str], log: Path, limit: float) -> tuple[str, bytes]:
    """Run QEMU until it ends, its log shows that dom0 did, or the time is over."""
    deadline = time.monotonic() + limit
    with log.open("wb") as output:
        process = subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            while process.poll() is None and time.monotonic() < deadline and log.stat().st_size < _MOST_LOG:
                if _death(log.read_bytes()):
                    with contextlib.suppress(subprocess.TimeoutExpired):
                        process.wait(_GRACE_SECONDS)
                    break
                time.sleep(0.25)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            status = process.wait()
    console = log.read_bytes()
    return _outcome(console, status), console


def _death(console: bytes) -> str | None:
    for pattern, outcome in _DEATHS.items():
        if re.search(pattern, console):
            return outcome
    return None


def _outcome(console: bytes, status: int) -> str:
    death = _death(console)
    if death:
        return death
    return "booted" if status == 0 and b"LAB handed over" in console else "no end"


def _handed_over(disk: Path) -> dict[str, bytes]:
    """The files of the archive at the beginning of the disk."""
    with disk.open("rb") as file:
        if not any(file.read(512)):
            return {}
        file.seek(0)
        try:
            with tarfile.open(fileobj=file) as tar:
                members = [(m.name.removeprefix("./"), tar.extractfile(m)) for m in tar if m.isfile()]
                return {name: content.read() for name, content in members if content is not None}
        except tarfile.TarError:
            return {}
