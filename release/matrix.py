"""``make matrix``: the tests with every Python that is here, and with the oldest libraries.

Newest means the pinned versions of ``requirements/dev.txt``, oldest the lower bounds in ``pyproject.toml``,
extras included. What cannot be installed here is left out with one line. ``--document FILE`` writes down what
was tried, unless there are more arguments: those are for pytest, such as names of test files.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tomllib
from functools import partial
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from release.errors import MissingError, WrongError, is_right

__all__ = ["main"]

TOP = Path(__file__).parent.parent
_FLOOR = (3, 11)
_PACKAGE = re.compile(r"([A-Za-z0-9_.-]+)>=([\d.]+)")
_SAME_EVERYWHERE = (
    "documents",
    "explore",
    "explore_steps",
    "fuzz",
    "judge",
    "layering",
    "older_twin",
    "reliability",
)
"""Tests that take long, or look at the tree, and would find nothing more with another library."""
_TOOLS = ["pytest", "hypothesis", "jsonschema", "ipykernel", "nbclient", "nbformat", "playwright"]
_LIBRARIES = ("numpy", "click", "pyelftools", "matplotlib", "jinja2", "pyarrow", "distributed")


class Try(NamedTuple):
    """One environment: its name, its Python, what to give the installer, what to give pytest."""

    name: str
    python: Path
    words: list[str]
    options: list[str]


def pythons() -> dict[tuple[int, int], Path]:
    """Every CPython from 3.11 on, by version: of the PATH, and of pyenv."""
    places = [Path(folder) for folder in ("/usr/bin", "/usr/local/bin")]
    places += [path / "bin" for path in (Path.home() / ".pyenv/versions").glob("*")]
    found = {_FLOOR: Path(sys.executable)} if sys.version_info[:2] == _FLOOR else {}
    for place in places:
        for path in sorted(place.glob("python3.[1-9]*")):
            match = re.fullmatch(r"python3\.(\d+)", path.name)
            if match and (3, int(match[1])) >= _FLOOR:
                found.setdefault((3, int(match[1])), path)
    return dict(sorted(found.items()))


def oldest() -> list[str]:
    """The lower bounds of dependencies and extras, as versions: `numpy>=1.24` is `numpy==1.24`."""
    project = tomllib.loads((TOP / "pyproject.toml").read_text())["project"]
    bounds = [*project["dependencies"], *chain(*project["optional-dependencies"].values())]
    return [f"{match[1]}=={match[2]}" for match in map(_PACKAGE.fullmatch, bounds) if match]


def tries() -> list[Try]:
    """The newest libraries with each Python, the oldest with the oldest Python."""
    found = pythons()
    pinned = ["--require-hashes", "-r", str(TOP / "requirements/dev.txt")]
    wanted = [Try(f"{major}.{minor}", path, pinned, []) for (major, minor), path in found.items()]
    if _FLOOR in found:
        # Old libraries use what newer ones beside them call deprecated.
        given = [*oldest(), *_TOOLS]
        wanted.insert(0, Try("3.11-oldest", found[_FLOOR], given, ["-W", "ignore::DeprecationWarning"]))
    return wanted


def _environment(what: Try, place: Path) -> Path:
    """Make an environment.

    Raises:
        MissingError: something cannot be installed here.
    """
    python = place / "bin" / "python"
    uv = shutil.which("uv")
    if uv:
        made = [uv, "venv", "-q", "--clear", "-p", str(what.python), str(place)]
        pip = [uv, "pip", "install", "-q", "-p", str(python)]
    else:
        made = [str(what.python), "-m", "venv", "--clear", str(place)]
        pip = [str(python), "-m", "pip", "install", "-qq"]
    for words in (made, [*pip, *what.words]):
        run = subprocess.run(words, capture_output=True, text=True, check=False)
        if run.returncode:
            said = run.stderr.strip().splitlines() or ["failed without a word"]
            raise MissingError(" ".join(said[-1].split()))
    code = "import sysconfig; print(sysconfig.get_path('purelib'))"
    run = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True)
    (Path(run.stdout.strip()) / "xenp2m.pth").write_text(f"{TOP / 'src'}\n")
    return python


def _tested(python: Path, options: list[str]) -> str:
    """Run the tests.

    Raises:
        WrongError: one fails.
    """
    words = [str(python), "-m", "pytest", "-p", "no:cacheprovider", *options]
    run = subprocess.run(words, cwd=TOP, capture_output=True, text=True, check=False)
    lines = run.stdout.strip().splitlines() or run.stderr.strip().splitlines() or ["nothing"]
    if run.returncode:
        failed = [line for line in lines if line.startswith(("FAILED", "ERROR", "E "))]
        raise WrongError("\n  ".join([*failed[:10], lines[-1]]))
    return re.sub(r" in [\d.]+s.*", "", lines[-1].strip("= "))


def _versions(python: Path) -> list[str]:
    """The Python's version and those of `_LIBRARIES`."""
    code = "import sys, importlib.metadata as m; print(sys.version.split()[0], *map(m.version, sys.argv[1:]))"
    run = subprocess.run([python, "-c", code, *_LIBRARIES], capture_output=True, text=True, check=True)
    return run.stdout.split()


def _tried(what: Try, arguments: list[str], rows: list[list[str]]) -> str:
    """Make one environment, test in it, add its row."""
    python = _environment(what, TOP / "build" / "matrix" / what.name)
    versions = _versions(python)
    told = _tested(python, [*what.options, *arguments])
    rows.append([*versions, told])
    return f"Python {versions[0]}, numpy {versions[1]}: {told}"


def _document(rows: list[list[str]]) -> str:
    left_out = ", ".join(f"`{name}`" for name in _SAME_EVERYWHERE)
    lines = [
        "# Pythons and libraries\n",
        "Written by `make matrix`: the tests with every Python that the machine had. The first row has the",
        "oldest version of every library that `pyproject.toml` allows, the others the newest. What takes",
        f"long or looks at the tree ({left_out}) is tested with one Python only, by `make test`.\n",
        f"| Python | {' | '.join(_LIBRARIES)} | tests |",
        f"| --- |{' --- |' * (len(_LIBRARIES) + 1)}",
    ]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)]) + "\n"


def main() -> int:
    """Run them one after the other; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m release.matrix", description=__doc__)
    parser.add_argument("--document", type=Path, help="file to write")
    said, arguments = parser.parse_known_args()
    usual = [f"--ignore=tests/test_{name}.py" for name in _SAME_EVERYWHERE]
    rows: list[list[str]] = []
    right = [is_right(what.name, partial(_tried, what, arguments or usual, rows)) for what in tries()]
    if said.document and all(right) and not arguments:
        said.document.write_text(_document(rows), encoding="utf-8")
    return int(not all(right))


if __name__ == "__main__":
    sys.exit(main())
