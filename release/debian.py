"""Python and numpy of Debian 12, as they are in a dom0: unpacked beside the system, never installed."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from release.errors import MissingError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["interpreter"]

_SUITE = "bookworm"


def interpreter() -> tuple[list[str], dict[str, str]]:
    """How to call Debian 12's python3.11 with Debian's numpy 1.24.2, and the variables that it needs.

    Its dynamic loader is named outright, so that the C library of the machine does not matter.

    Raises:
        MissingError: the packages are not to be had, or do not run here.
    """
    from tests_xen.apt import Suite
    from tests_xen.errors import LabError

    try:
        roots = Suite(_SUITE).closure("python3-minimal", "python3-numpy")
    except (LabError, OSError, subprocess.SubprocessError) as error:
        raise MissingError(f"packages of Debian 12: {error}") from None
    python = _first(roots, "usr/bin/python3.11")
    loader = _first(roots, "lib64/ld-linux-x86-64.so.2", "lib/x86_64-linux-gnu/ld-linux-x86-64.so.2")
    folders = [place for root in roots for place in _libraries(root)]
    words = [str(loader), "--library-path", ":".join(map(str, folders)), str(python), "-S"]
    home = _first(roots, "usr/lib/python3.11/os.py").parents[2]
    names = ("usr/lib/python3.11", "usr/lib/python3.11/lib-dynload", "usr/lib/python3/dist-packages/numpy")
    modules = [root / name for name in names for root in roots if (root / name).is_dir()]
    modules[-1] = modules[-1].parent
    environment = {"PYTHONHOME": str(home), "PYTHONPATH": ":".join(map(str, modules))}
    probe = [*words, "-c", "import numpy; print(numpy.__version__)"]
    run = subprocess.run(probe, env=environment, capture_output=True, text=True, check=False)
    if run.returncode:
        raise MissingError(f"{python} does not run here: {run.stderr.strip()[-200:]}")
    return words, environment


def _first(roots: list[Path], *names: str) -> Path:
    for root in roots:
        for name in names:
            if (root / name).exists():
                return root / name
    raise MissingError(f"no {names[0]} in the packages of Debian 12")


def _libraries(root: Path) -> list[Path]:
    names = ("lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu")
    inner = ("", "blas", "lapack")
    return [root / name / part for name in names for part in inner if (root / name / part).is_dir()]
