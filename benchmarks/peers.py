"""Peers that are not Python packages: C compiled on the spot, Debian packages unpacked and not installed."""

import ctypes
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from tests_xen.apt import Suite
from tests_xen.errors import LabError

__all__ = ["c_library", "debian", "environment"]


def c_library(name, report):
    """``benchmarks/NAME.c`` compiled and loaded; None, said in one line, where that cannot be."""
    compiler = shutil.which("cc")
    if compiler is None:
        report.missing("C", "no cc on PATH (apt install gcc)")
        return None
    with tempfile.TemporaryDirectory() as folder:
        library = Path(folder) / f"{name}.so"
        source = Path(__file__).parent / f"{name}.c"
        run = subprocess.run(
            [compiler, "-O2", "-shared", "-fPIC", "-o", library, source],
            capture_output=True,
            text=True,
            check=False,
        )
        if run.returncode:
            report.missing("C", f"cc fails: {(run.stderr.strip().splitlines() or ['without a word'])[0]}")
            return None
        return ctypes.CDLL(str(library))


def debian(report, peer, *packages, suite="bookworm"):
    """Directories of unpacked Debian packages; None, said in one line, where they cannot be had."""
    try:
        return [Suite(suite).unpacked(package) for package in packages]
    except (LabError, OSError) as error:
        report.missing(peer, str(error).splitlines()[0])
        return None


def environment(roots):
    """This environment, with the libraries and Python modules of unpacked packages."""
    libraries = [
        str(path)
        for root in roots
        for path in (*root.glob("usr/lib/*-linux-gnu"), *root.glob("lib/*-linux-gnu"))
    ]
    modules = [str(path) for root in roots for path in root.glob("usr/lib/python3/dist-packages")]
    return os.environ | {"LD_LIBRARY_PATH": ":".join(libraries), "PYTHONPATH": ":".join(modules)}
