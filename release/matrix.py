"""``make matrix``: the main tests with every Python that is here, and with the oldest libraries.

Newest means the pinned versions of ``requirements/dev.txt``, oldest the lower bounds in ``pyproject.toml``
with the extras left out. What cannot be installed here is left out with one line.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import NamedTuple

from release.errors import MissingError, WrongError

__all__ = ["main"]

TOP = Path(__file__).parent.parent
_TESTS = [
    f"tests/test_{name}.py"
    for name in (
        "e820", "extents", "frames", "p2m", "entries", "m2p", "runtable", "plan", "core", "stream_reader",
        "listings", "npz", "account", "mapdiff", "translate", "cli", "cli_maps", "cli_replay", "sweep",
    )
]  # fmt: skip
_FLOOR = (3, 11)
_PACKAGE = re.compile(r"([A-Za-z0-9_.-]+)>=([\d.]+)")


class Try(NamedTuple):
    """One environment: its name, its Python, what to give the installer."""

    name: str
    python: Path
    words: list[str]


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
    """The lower bounds of the dependencies, as versions: `numpy>=1.24` is `numpy==1.24.*`."""
    project = tomllib.loads((TOP / "pyproject.toml").read_text())["project"]
    pairs = [match for match in map(_PACKAGE.fullmatch, project["dependencies"]) if match]
    return [f"{name}=={floor}.*" for name, floor in (match.groups() for match in pairs)]


def tries() -> list[Try]:
    """The newest libraries with each Python, the oldest with the oldest Python."""
    found = pythons()
    pinned = ["--require-hashes", "-r", str(TOP / "requirements/dev.txt")]
    wanted = [Try(f"{major}.{minor}", path, pinned) for (major, minor), path in found.items()]
    tools = ["pytest", "hypothesis", "jsonschema"]
    if _FLOOR in found:
        wanted.insert(0, Try("3.11-oldest", found[_FLOOR], [*oldest(), *tools]))
    return wanted


def _environment(what: Try, place: Path) -> Path:
    """Make an environment.

    Raises:
        MissingError: something cannot be installed here.
    """
    python = place / "bin" / "python"
    uv = shutil.which("uv")
    make = [uv, "venv", "-q", "--clear", "-p"] if uv else [str(what.python), "-m", "venv", "--clear"]
    made = [*make, str(what.python), str(place)] if uv else [*make, str(place)]
    pip = (
        [uv, "pip", "install", "-q", "-p", str(python)]
        if uv
        else [str(python), "-m", "pip", "install", "-qq"]
    )
    for words in (made, [*pip, *what.words]):
        run = subprocess.run([str(word) for word in words], capture_output=True, text=True, check=False)
        if run.returncode:
            said = run.stderr.strip().splitlines() or ["failed without a word"]
            raise MissingError(" ".join(said[-1].split()))
    source = subprocess.run(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        capture_output=True, text=True, check=True,
    ).stdout.strip()  # fmt: skip
    (Path(source) / "xenp2m.pth").write_text(f"{TOP / 'src'}\n")
    return python


def _tested(python: Path, arguments: list[str]) -> str:
    """Run the tests.

    Raises:
        WrongError: one fails.
    """
    words = [str(python), "-m", "pytest", "-p", "no:cacheprovider", *(arguments or _TESTS)]
    run = subprocess.run(words, cwd=TOP, capture_output=True, text=True, check=False)
    lines = run.stdout.strip().splitlines() or run.stderr.strip().splitlines() or ["nothing"]
    if run.returncode:
        failed = [line for line in lines if line.startswith(("FAILED", "ERROR", "E "))]
        raise WrongError("\n  ".join([*failed[:10], lines[-1]]))
    return lines[-1].strip("= ")


def main() -> int:
    """Run them one after the other; return the exit status."""
    from release.tried import version

    wrong = 0
    for what in tries():
        try:
            python = _environment(what, TOP / "build" / "matrix" / what.name)
            print(f"{what.name} ({version(python)}): {_tested(python, sys.argv[1:])}", flush=True)
        except MissingError as error:
            print(f"{what.name}: left out, {error}", flush=True)
        except WrongError as error:
            wrong += 1
            print(f"{what.name}: WRONG, {error}", flush=True)
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
