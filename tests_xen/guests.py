"""Dom0's ramdisk for jobs with guests: the toolstack, Python with the program, and two PV guests."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING

from tests_xen.build import GUEST, small_guest
from tests_xen.initramfs import TOOLSTACK_MODULES, archive, dom0_files
from tests_xen.packages import busybox
from tests_xen.python import python_files
from tests_xen.toolstack import START, toolstack_files

if TYPE_CHECKING:
    from tests_xen.hosts import Host
    from tests_xen.packages import Kernel
    from tests_xen.qemu import Boot

__all__ = ["failed", "files_with_guests"]


def files_with_guests(host: Host, linux: Kernel, job: str) -> dict[str, bytes | str]:
    """Everything that a job of guest/ finds in dom0.

    Args:
        host: whose suite of Xen the toolstack is of.
        linux: the kernel of dom0 and of the guest.
        job: file of the job.

    Raises:
        UnavailableError: a package is not to be had.
    """
    script = START + (GUEST / "guests.sh").read_text() + (GUEST / job).read_text()
    ramdisk = {
        "bin/busybox": busybox(), "init": (GUEST / "domu-init.sh").read_bytes(),
        "dev/": b"", "proc/": b"", "sys/": b"",
    }  # fmt: skip
    guests: dict[str, bytes | str] = {
        "guest": small_guest().read_bytes(), "vmlinuz": linux.image.read_bytes(),
        "guest.gz": gzip.compress(archive(ramdisk), 1, mtime=0),
    }  # fmt: skip
    # The newest C library comes last: Python's suite is never older than the toolstack's.
    tools = toolstack_files(host.xen) | python_files(host.xen)
    return dom0_files(linux, script, TOOLSTACK_MODULES) | tools | guests


def failed(came: Boot) -> str:
    """The last words of a job that did not end well."""
    log = came.files.get("job.log", b"").decode(errors="replace").strip().splitlines()
    return " / ".join(log[-3:]) or came.why_not
