"""Debian's own Python with numpy for dom0's ramdisk, and this project's source beside it."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from tests_xen.apt import Suite
from tests_xen.packages import SUITES
from tests_xen.toolstack import libraries

__all__ = ["python_files"]

_OLDEST = "bookworm"
"""The first suite whose Python is new enough."""
_PACKAGES = ("python3-numpy", "python3-click", "python3-pyelftools")
_LEFT_OUT = {
    "test", "tests", "idlelib", "lib2to3", "ensurepip", "distutils", "turtledemo", "tkinter", "__pycache__",
    "config-3.11-x86_64-linux-gnu", "f2py",
}  # fmt: skip
"""Directories that nothing here needs; they are half of the size."""
_OF_ONE_LIBC = ("libpthread.so.0", "libdl.so.2", "librt.so.1", "libutil.so.1")
"""Parts of the C library that an older toolstack still names: they must be of the same age as the rest."""
_SOURCE = Path(__file__).parents[1] / "src" / "xenp2m"


@cache
def python_files(suite: str) -> dict[str, bytes | str]:
    """Files of dom0's ramdisk with Python of a suite, or of bookworm where the suite's is too old.

    Raises:
        UnavailableError: a package is not to be had.
    """
    source = Suite(max(suite, _OLDEST, key=SUITES.index))
    roots = source.closure("python3-minimal", *_PACKAGES)
    files: dict[str, bytes | str] = {}
    extensions = []
    for root in roots:
        for pattern in ("usr/bin/python3*", "usr/lib/python3*/**/*"):
            for path in root.glob(pattern):
                inside = path.relative_to(root)
                if _LEFT_OUT & set(inside.parts[:-1]) or path.is_dir():
                    continue
                files[str(inside)] = str(path.readlink()) if path.is_symlink() else path.read_bytes()
                if path.suffix == ".so" or (inside.parts[1] == "bin" and not path.is_symlink()):
                    extensions.append(path)
    programs = [path for path in extensions if path.read_bytes()[:4] == b"\x7fELF"]
    files |= libraries(roots, programs, *_OF_ONE_LIBC)
    for path in _SOURCE.rglob("*"):
        if path.is_file() and path.parent.name != "__pycache__":
            inside = path.relative_to(_SOURCE.parent)
            files[f"usr/lib/python3/dist-packages/{inside}"] = path.read_bytes()
    return files
