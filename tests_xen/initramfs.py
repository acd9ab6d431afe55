"""The initial ramdisk of dom0: a cpio archive (newc) of busybox, modules, /init and a job."""

from __future__ import annotations

import gzip
import stat
from typing import TYPE_CHECKING

from tests_xen.build import GUEST, reader
from tests_xen.packages import busybox

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from tests_xen.packages import Kernel

__all__ = ["READ_P2M", "TOOLSTACK_MODULES", "archive", "dom0_files", "ramdisk"]

DISK_MODULES = ("virtio_pci", "virtio_blk")
TOOLSTACK_MODULES = ("xen_privcmd", "xen_evtchn", "xen_gntdev", "xen_gntalloc", "xenfs")
_DIRECTORIES = ("dev", "proc", "sys", "run", "tmp", "sbin", "usr/bin", "usr/sbin")
READ_P2M = "exec /p2mlist > /out/p2m.txt\n"


def archive(files: Mapping[str, bytes | str]) -> bytes:
    """A cpio archive.

    Args:
        files: content by path without leading slash; text is the target of a symbolic link. Files
            of content are executable; directories are made as needed, one that has nothing in it
            is named with a slash at its end.
    """
    entries: dict[str, tuple[int, bytes]] = {}
    for path, content in files.items():
        parts = path.rstrip("/").split("/")
        for depth in range(1, len(parts) + path.endswith("/")):
            entries.setdefault("/".join(parts[:depth]), (stat.S_IFDIR | 0o755, b""))
        if isinstance(content, str):
            entries[path] = (stat.S_IFLNK | 0o777, content.encode())
        elif not path.endswith("/"):
            entries[path] = (stat.S_IFREG | 0o755, content)
    parts_of_file = [_entry(n, path, *entry) for n, (path, entry) in enumerate(entries.items(), 1)]
    return b"".join([*parts_of_file, _entry(0, "TRAILER!!!", 0, b"")])


def _entry(number: int, path: str, mode: int, content: bytes) -> bytes:
    name = path.encode() + b"\0"
    fields = (number, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name), 0)
    head = b"070701" + b"".join(b"%08x" % field for field in fields) + name
    return _padded(head) + _padded(content)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)


def dom0_files(kernel: Kernel, job: str, modules: Iterable[str] = ()) -> dict[str, bytes | str]:
    """Everything dom0 needs to run a shell job and hand over what it leaves in /out.

    Args:
        kernel: whose modules are loaded.
        job: text of /job.sh.
        modules: loaded besides those of the disk.
    """
    files: dict[str, bytes | str] = {f"{path}/": b"" for path in _DIRECTORIES}
    loaded = kernel.module_files(*modules, *DISK_MODULES)
    files |= {f"lib/modules/{name}.ko": content for name, content in loaded}
    files["lib/modules/order"] = "".join(f"{name}\n" for name, _ in loaded).encode()
    files["bin/busybox"] = busybox()
    files["init"] = (GUEST / "init.sh").read_bytes()
    files["job.sh"] = job.encode()
    files["p2mlist"] = reader().read_bytes()
    return files


def ramdisk(path: Path, files: Mapping[str, bytes | str]) -> Path:
    """Write a compressed archive to `path`."""
    path.write_bytes(gzip.compress(archive(files), 1, mtime=0))
    return path
