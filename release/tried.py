"""The command, tried as a stranger has it: outside the tree, with nothing but what it asks for."""

from __future__ import annotations

import lzma
import os
import subprocess
import tempfile
from pathlib import Path

from release.errors import WrongError

__all__ = ["as_tool", "version", "without_numpy"]

TOP = Path(__file__).parent.parent
_CORE = TOP / "tests/cores/tiny64-both.core.xz"
_STREAM = TOP / "tests/guests/tiny64-both.save.xz"
_WORKS = (
    ["plan"],
    ["diagnose", "host.log"],
    ["explain", "0x40010"],
    ["replay", "--rules", "seed", "ri:0x93c00-0x100000"],
    ["sweep", "--dom0-mem", "512M..2G:512K", "--jobs", "2", "-o", "sweep.csv"],
    ["show", "a.core"],
    ["check", "a.save"],
    ["lookup", "a.core", "0x9f"],
    ["diff", "a.core", "a.save"],
    ["export", "a.core", "--to", "elf", "-o", "a.elf"],
)
_EXTRAS = {
    "html": (["report", "-o", "a.html"], "jinja2"),
    "plot": (["plan", "--plot", "a.svg"], "matplotlib"),
    "arrow": (["export", "a.core", "--to", "parquet", "-o", "a.parquet"], "pyarrow"),
    "dask": (["sweep", "--dom0-mem", "1G", "--scheduler", "tcp://127.0.0.1:1"], "distributed"),
}


def version(python: Path) -> str:
    """The version of a Python and of the numpy it has."""
    code = "import sys, numpy; print(sys.version.split()[0] + ', numpy ' + numpy.__version__)"
    return subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def _run(
    words: list[str], place: Path, environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    given = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    given |= {"COLUMNS": "80", "PYTHONIOENCODING": "utf-8", **(environment or {})}
    return subprocess.run(words, cwd=place, env=given, capture_output=True, text=True, check=False)


def _inputs(place: Path) -> None:
    (place / "a.core").write_bytes(lzma.decompress(_CORE.read_bytes()))
    (place / "a.save").write_bytes(lzma.decompress(_STREAM.read_bytes()))
    packed = (TOP / "src/xenp2m/data/host.log.xz").read_bytes()
    (place / "host.log").write_bytes(lzma.decompress(packed))


def as_tool(words: list[str], place: Path, environment: dict[str, str] | None = None) -> str:
    """Run what has to work, and what has to name the extra that it wants.

    Args:
        words: how the command is called.
        place: a directory outside the tree; each call makes one of its own in it.
        environment: variables beside the usual ones.

    Raises:
        WrongError: a command failed, or failed otherwise than with one line.
    """
    place = Path(tempfile.mkdtemp(dir=place))
    _inputs(place)
    for arguments in _WORKS:
        run = _run([*words, *arguments], place, environment)
        if run.returncode > 1 or run.stderr or not run.stdout:
            raise WrongError(f"{' '.join(arguments)}: status {run.returncode}, {run.stderr.strip()[-300:]}")
    for extra, (arguments, library) in _EXTRAS.items():
        run = _run([*words, *arguments], place, environment)
        line = run.stderr.strip()
        if run.returncode != 2 or "\n" in line or library not in line or f"xenp2m[{extra}]" not in line:
            raise WrongError(f"{arguments[0]}: expected one line naming {library}, got {line[-300:]!r}")
    return f"{len(_WORKS)} commands work, {len(_EXTRAS)} name the extra they want"


def without_numpy(words: list[str], place: Path) -> str:
    """Run a plan where there is no numpy, and a command that says so.

    Raises:
        WrongError: it does otherwise.
    """
    place = Path(tempfile.mkdtemp(dir=place))
    _inputs(place)
    plan = _run([*words, "plan"], place)
    if plan.returncode or plan.stderr:
        raise WrongError(f"plan without numpy: status {plan.returncode}, {plan.stderr.strip()[-300:]}")
    show = _run([*words, "show", "a.core"], place)
    if show.returncode != 2 or show.stderr.count("\n") != 1 or "python3-numpy" not in show.stderr:
        raise WrongError(f"show without numpy: status {show.returncode}, {show.stderr.strip()[-300:]}")
    return "plans without numpy, and names it where it is needed"
