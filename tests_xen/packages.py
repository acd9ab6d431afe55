"""What a boot is made of: hypervisors, kernels, busybox and the toolstack, each from a Debian suite."""

from __future__ import annotations

import gzip
import lzma
import re
import struct
import subprocess
from dataclasses import dataclass
from functools import cache, wraps
from typing import TYPE_CHECKING, TypeVar

from tests_xen.apt import Suite, cache_dir
from tests_xen.errors import LabError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["SUITES", "Hypervisor", "Kernel", "busybox", "hypervisor", "kernel"]

SUITES = ("bullseye", "bookworm", "trixie", "sid")
"""Oldest first: what each has is asked of its package lists at run time."""


@dataclass(frozen=True)
class Hypervisor:
    """A hypervisor that QEMU can load.

    Attributes:
        version: of the package, without Debian's revision.
        elf: the uncompressed image.
    """

    version: str
    elf: Path

    def older_than(self, major: int, minor: int) -> bool:
        """Whether this is a release before `major`.`minor`."""
        numbers = [int(part) for part in re.findall(r"\d+", self.version)[:2]]
        return numbers < [major, minor]


@dataclass(frozen=True)
class Kernel:
    """A Linux kernel with its modules.

    Attributes:
        version: of the package, without Debian's revision, such as ``6.12.107``.
        image: vmlinuz.
        modules: directory of the modules.
    """

    version: str
    image: Path
    modules: Path

    def image_for(self, xen: Hypervisor) -> Path:
        """The image to hand to a hypervisor.

        Xen before 4.15 does not unpack zstd, in which kernels from 6.12 on are packed; it gets the
        ELF file inside.
        """
        data = self.image.read_bytes()
        (sectors,) = struct.unpack_from("<B", data, 0x1F1)
        offset, length = struct.unpack_from("<II", data, 0x248)
        payload = data[(sectors + 1) * 512 + offset :][:length]
        if not payload.startswith(b"\x28\xb5\x2f\xfd") or not xen.older_than(4, 15):
            return self.image
        elf = cache_dir() / "built" / f"vmlinux-{self.image.parent.name}-{self.version}"
        if not elf.exists():
            run = subprocess.run(["zstd", "-dcq"], input=payload[:-4], capture_output=True, check=False)
            if not run.stdout.startswith(b"\x7fELF"):
                raise LabError(f"zstd cannot unpack {self.image}: {run.stderr.decode().strip()}")
            elf.write_bytes(run.stdout)
        return elf

    def module_files(self, *wanted: str) -> list[tuple[str, bytes]]:
        """Modules and what they depend on, in the order in which they must be loaded.

        Args:
            wanted: names; one that is built in or unknown is left out.

        Returns:
            Name and uncompressed content of each.
        """
        ordered: dict[str, bytes] = {}
        for name in wanted:
            self._add(name.replace("-", "_"), ordered)
        return list(ordered.items())

    def _add(self, name: str, ordered: dict[str, bytes]) -> None:
        path = _modules(self.modules).get(name)
        if path is None or name in ordered:
            return
        content = lzma.decompress(path.read_bytes()) if path.suffix == ".xz" else path.read_bytes()
        needs = re.search(rb"\0depends=([^\0]*)\0", content)
        for dependency in (needs[1].decode() if needs else "").split(","):
            self._add(dependency.replace("-", "_"), ordered)
        ordered[name] = content


@cache
def _modules(directory: Path) -> dict[str, Path]:
    """Every module by its name as the kernel spells it."""
    return {path.name.split(".")[0].replace("-", "_"): path for path in directory.rglob("*.ko*")}


def _upstream(version: str) -> str:
    """A package's version without epoch and Debian's revision."""
    return version.split(":")[-1].rpartition("-")[0]


_Thing = TypeVar("_Thing")


def _once(make: Callable[[str], _Thing]) -> Callable[[str], _Thing]:
    """Ask once for each suite, and remember a refusal as well."""
    known: dict[str, _Thing | UnavailableError] = {}

    @wraps(make)
    def made(suite: str) -> _Thing:
        if suite not in known:
            try:
                known[suite] = make(suite)
            except UnavailableError as error:
                known[suite] = error
        result = known[suite]
        if isinstance(result, UnavailableError):
            raise result
        return result

    return made


@_once
def hypervisor(suite: str) -> Hypervisor:
    """The hypervisor of a suite.

    Raises:
        UnavailableError: it is not to be had.
    """
    source = Suite(suite)
    names = source.depends("xen-system-amd64", r"xen-hypervisor-[\d.]+-amd64")
    if not names:
        raise UnavailableError(f"suite {suite}: no hypervisor behind xen-system-amd64")
    root = source.unpacked(names[0])
    elf = cache_dir() / "built" / f"{root.name}.elf"
    if not elf.exists():
        (packed,) = root.glob("boot/xen-*-amd64.gz")
        elf.parent.mkdir(parents=True, exist_ok=True)
        elf.write_bytes(gzip.decompress(packed.read_bytes()))
    return Hypervisor(_upstream(source.show(names[0])["Version"]), elf)


@_once
def kernel(suite: str) -> Kernel:
    """The kernel of a suite; from 7.0 on it is spread over several packages.

    Raises:
        UnavailableError: it is not to be had.
    """
    source = Suite(suite)
    names = source.depends("linux-image-amd64", r"linux-image-\d.*")
    if not names:
        raise UnavailableError(f"suite {suite}: no kernel behind linux-image-amd64")
    names += source.depends(names[0], r"linux-(binary|modules)-\d.*")
    roots = [source.unpacked(name) for name in names]
    images = [path for root in roots for path in _kernel_images(root)]
    modules = [path for root in roots for path in root.glob("**/lib/modules/*/kernel")]
    if not images or not modules:
        raise UnavailableError(f"suite {suite}: no vmlinuz or no modules in {', '.join(names)}")
    return Kernel(_upstream(source.show(names[0])["Version"]), images[0], modules[0])


def _kernel_images(root: Path) -> list[Path]:
    return [*root.glob("boot/vmlinuz-*"), *root.glob("**/lib/modules/*/vmlinuz")]


@cache
def busybox() -> bytes:
    """The shell and tools of the initial ramdisk, one static program."""
    root = Suite("bookworm").unpacked("busybox-static")
    (path,) = (path for path in root.glob("**/bin/busybox"))
    return path.read_bytes()
