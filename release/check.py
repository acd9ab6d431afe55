"""``make package-check``: wheel, sdist and zipapp built, compared, installed and tried where nothing else is.

Each step prints a line. What this machine does not have leaves a step out and says so; a package that
is not what it should be ends with status 1.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from release import contents, tried
from release.errors import MissingError, WrongError, is_right
from release.pyz import archive

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["main"]

TOP = Path(__file__).parent.parent


def _built(*arguments: str, into: Path) -> None:
    """Run the build backend, with the versions that are installed."""
    words = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(into), *arguments, str(TOP)]
    try:
        import build  # noqa: F401 (its absence is the question)
        import hatchling  # noqa: F401
    except ImportError as error:
        raise MissingError(f"{error.name} is not installed for {sys.executable}") from None
    run = subprocess.run(words, capture_output=True, text=True, check=False)
    if run.returncode:
        raise WrongError(f"python -m build: {(run.stderr or run.stdout).strip().splitlines()[-1]}")


def _wheel(place: Path) -> str:
    """Wheel and sdist; the wheel made from the tree itself must be the one made from the sdist."""
    _built(into=place / "dist")
    _built("--wheel", into=place / "again")
    wheel, sdist = contents.only(place / "dist", "*.whl"), contents.only(place / "dist", "*.tar.gz")
    if wheel.read_bytes() != contents.only(place / "again", "*.whl").read_bytes():
        raise WrongError(f"{wheel.name} made from the sdist differs from the one made from the tree")
    return f"{contents.of_wheel(wheel)}; {contents.of_sdist(sdist)}; the sdist makes the same wheel"


def _environment(place: Path) -> str:
    """A clean environment with the wheel and what it asks for."""
    wheel = contents.only(place / "dist", "*.whl")
    uv = shutil.which("uv")
    python = place / "clean" / "bin" / "python"
    if uv:
        steps = [[uv, "venv", "-q", "-p", sys.executable, str(place / "clean")]]
        steps += [[uv, "pip", "install", "-q", "-p", str(python), str(wheel)]]
    else:
        steps = [[sys.executable, "-m", "venv", str(place / "clean")]]
        steps += [[str(python), "-m", "pip", "install", "-qq", "--disable-pip-version-check", str(wheel)]]
    for words in steps:
        run = subprocess.run(words, capture_output=True, text=True, check=False)
        if run.returncode:
            said = run.stderr.strip().splitlines() or ["failed without a word"]
            raise MissingError(f"{' '.join(words[:4])}: {said[-1]}")
    return f"installed with its dependencies, Python {tried.version(python)}"


def _installed(place: Path) -> str:
    if not (place / "clean").exists():
        raise MissingError("no clean environment")
    return tried.as_tool([str(place / "clean" / "bin" / "xenp2m")], place)


def _zipapp(place: Path) -> str:
    """The zipapp with numpy alone: the environment's other packages stay out of sight."""
    (place / "xenp2m.pyz").write_bytes(archive())
    words = [sys.executable, "-S", str(place / "xenp2m.pyz")]
    without = tried.without_numpy(words, place)
    numpy = _numpy_alone(place)
    return f"{without}; {tried.as_tool(words, place, {'PYTHONPATH': str(numpy)})}"


def _numpy_alone(place: Path) -> Path:
    """A directory in which numpy and nothing else can be imported."""
    import numpy as np

    here = Path(np.__file__).parents[1]
    alone = place / "numpy-alone"
    alone.mkdir(exist_ok=True)
    for name in ("numpy", "numpy.libs"):
        if (here / name).exists():
            (alone / name).symlink_to(here / name)
    return alone


def _debian(place: Path) -> str:
    """The zipapp with Python and numpy of Debian 12, where this machine runs them."""
    from release.debian import interpreter

    words, environment = interpreter()
    (place / "xenp2m.pyz").write_bytes(archive())
    return tried.as_tool([*words, str(place / "xenp2m.pyz")], place, environment)


_STEPS: dict[str, Callable[[Path], str]] = {
    "wheel and sdist": _wheel,
    "clean environment": _environment,
    "installed tool": _installed,
    "zipapp": _zipapp,
    "zipapp, Debian 12": _debian,
}


def main() -> int:
    """Do every step; return the exit status."""
    os.environ.pop("PYTHONPATH", None)
    steps = [title for title in _STEPS if "Debian" not in title or "--debian" in sys.argv]
    with tempfile.TemporaryDirectory() as name:
        right = [is_right(title, partial(_STEPS[title], Path(name))) for title in steps]
    return int(not all(right))


if __name__ == "__main__":
    sys.exit(main())
