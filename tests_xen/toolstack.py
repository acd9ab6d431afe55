"""Xen's toolstack for dom0's ramdisk, with the libraries it needs."""

from __future__ import annotations

import re
import subprocess
from functools import cache
from typing import TYPE_CHECKING

from tests_xen.apt import Suite
from tests_xen.errors import UnavailableError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["START", "libraries", "toolstack_files"]

_PROGRAMS = (
    "xl", "xenstored", "xenconsoled", "xen-init-dom0", "xen-mfndump", "libxl-save-helper",
)  # fmt: skip
_OPENED_LATE = ("libgcc_s.so.1",)
"""Libraries that no program names: pthread_cancel opens this one, and xl aborts without it."""

START = """\
mkdir -p /run/xen /run/xenstored /var/lib/xen/dump /var/lib/xenstored /var/log/xen/console
mkdir -p /dev/pts
mount -t devpts devpts /dev/pts
mount -t xenfs xenfs /proc/xen
xenstored --pid-file /run/xen/xenstored.pid
sleep 1
xen-init-dom0
xenconsoled --log=guest --log-dir=/var/log/xen/console --pid-file=/run/xen/xenconsoled.pid
"""
"""Shell lines that start it."""


@cache
def toolstack_files(suite: str) -> dict[str, bytes | str]:
    """Files of dom0's ramdisk with the toolstack of a suite's own Xen.

    Raises:
        UnavailableError: a package lacks what is needed.
    """
    source = Suite(suite)
    utils = source.depends("xen-system-amd64", r"xen-utils-[\d.]+")
    if not utils:
        raise UnavailableError(f"suite {suite}: no toolstack behind xen-system-amd64")
    roots = source.closure(utils[0], "xenstore-utils")
    found = {path.name: path for root in roots for path in root.glob("usr/lib/xen-*/bin/*")}
    found |= {path.name: path for root in roots for path in root.glob("usr/bin/xenstore*")}
    files: dict[str, bytes | str] = {"var/run": "../run", "etc/xen/xl.conf": b""}
    todo = []
    for name in (*_PROGRAMS, "xenstore"):
        if name not in found:
            raise UnavailableError(f"suite {suite}: no {name} among the toolstack's programs")
        root = next(root for root in roots if found[name].is_relative_to(root))
        inside = str(found[name].relative_to(root))
        files[inside] = found[name].read_bytes()
        if not inside.startswith("usr/bin/"):
            files[f"usr/sbin/{name}"] = f"/{inside}"
        todo.append(found[name])
    files["usr/bin/xenstore-write"] = "xenstore"
    return files | libraries(roots, todo)


def libraries(roots: list[Path], todo: list[Path], *named: str) -> dict[str, bytes | str]:
    """The libraries behind some programs, `named` ones, and the loader, in the loader's directories."""
    known: dict[str, Path] = {}
    for root in roots:
        for path in (
            *root.glob("**/lib/x86_64-linux-gnu/**/*.so*"),
            *root.glob("usr/lib/xen-*/lib/**/*.so*"),
        ):
            known.setdefault(path.name, path)
    files: dict[str, bytes | str] = {}
    wanted = [*_OPENED_LATE, *named, "ld-linux-x86-64.so.2"]
    while todo or wanted:
        if todo:
            wanted += _needed(todo.pop())
            continue
        name = wanted.pop()
        place = "lib64" if name.startswith("ld-linux") else "lib/x86_64-linux-gnu"
        if f"{place}/{name}" in files:
            continue
        if name not in known:
            raise UnavailableError(f"no package has {name}, which the toolstack needs")
        files[f"{place}/{name}"] = known[name].read_bytes()
        todo.append(known[name])
    return files


def _needed(path: Path) -> list[str]:
    run = subprocess.run(["objdump", "-p", str(path)], capture_output=True, text=True, check=True)
    return re.findall(r"^\s+NEEDED\s+(\S+)$", run.stdout, re.MULTILINE)
