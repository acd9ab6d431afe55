"""Compile what runs on the booted machine: the shim before Xen and the reader inside dom0."""

from __future__ import annotations

import hashlib
import subprocess
from functools import cache
from pathlib import Path

from tests_xen.apt import cache_dir
from tests_xen.errors import LabError

__all__ = ["GUEST", "reader", "shim", "small_guest"]

GUEST = Path(__file__).parent / "guest"
_BARE = [
    "-Os", "-ffreestanding", "-nostdlib", "-static", "-fno-pic", "-no-pie", "-fno-stack-protector",
    "-fcf-protection=none", "-fno-asynchronous-unwind-tables", "-fno-tree-loop-distribute-patterns",
    "-Wl,--build-id=none,-z,noexecstack,--no-warn-rwx-segments",
]  # fmt: skip
_SHIM = ["-m32", "-march=i486", *_BARE]
_DOMU = ["-m64", "-mcmodel=kernel", "-mno-red-zone", "-mgeneral-regs-only", *_BARE]


def _compiled(name: str, flags: list[str], sources: list[Path], linker_script: Path | None = None) -> Path:
    """A program, compiled where its sources or flags have changed."""
    inputs = [*sources, *([linker_script] if linker_script else [])]
    state = b"\0".join([" ".join(flags).encode(), *(path.read_bytes() for path in inputs)])
    target = cache_dir() / "built" / f"{name}-{hashlib.sha256(state).hexdigest()[:12]}"
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        script = [f"-Wl,-T,{linker_script}"] if linker_script else []
        command = [
            "gcc",
            *flags,
            *script,
            "-Wall",
            "-Wextra",
            "-Werror",
            "-o",
            str(target),
            *map(str, sources),
        ]
        run = subprocess.run(command, capture_output=True, text=True, check=False)
        if run.returncode:
            raise LabError(f"gcc cannot build {name}: {(run.stderr.strip().splitlines() or ['?'])[0]}")
    return target


@cache
def reader() -> Path:
    """The static program that prints dom0's P2M list."""
    return _compiled("p2mlist", ["-O2", "-static"], [GUEST / "p2mlist.c"])


@cache
def shim() -> Path:
    """The multiboot program that gives Xen a memory map of our own."""
    return _compiled("shim", _SHIM, [GUEST / "entry.S", GUEST / "shim.c"], GUEST / "shim.ld")


@cache
def small_guest() -> Path:
    """The PV guest that does nothing but own a P2M."""
    return _compiled("domu", _DOMU, [GUEST / "domu.S", GUEST / "domu.c"], GUEST / "domu.ld")
