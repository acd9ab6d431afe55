"""What a wheel and an sdist have to contain, and what must not be in them."""

from __future__ import annotations

import email
import re
import tarfile
import zipfile
from pathlib import Path

from release.errors import WrongError

__all__ = ["of_sdist", "of_wheel", "only"]

TOP = Path(__file__).parent.parent
_SDIST = ("src/xenp2m/__init__.py", "tests/conftest.py", "docs/findings.md", "Makefile", "LICENSE")


def only(folder: Path, pattern: str) -> Path:
    """The one file of a pattern.

    Raises:
        WrongError: there is none, or more than one.
    """
    found = list(folder.glob(pattern))
    if len(found) != 1:
        raise WrongError(f"expected one {pattern}, got {len(found)}")
    return found[0]


def of_wheel(path: Path) -> str:
    """Hold a wheel against the tree.

    Raises:
        WrongError: a file of the project is not in it, one of something else is, or it cannot tell its types.
    """
    with zipfile.ZipFile(path) as wheel:
        names = set(wheel.namelist())
        about = next(name for name in names if name.endswith(".dist-info/METADATA"))
        metadata = email.message_from_bytes(wheel.read(about))
    source = TOP / "src"
    files = [each for each in (source / "xenp2m").rglob("*") if each.is_file() and each.suffix != ".pyc"]
    wanted = {each.relative_to(source).as_posix() for each in files}
    inside = {name for name in names if ".dist-info/" not in name}
    if inside != wanted:
        raise WrongError(f"{path.name}: differs from the tree in {sorted(inside ^ wanted)[:5]}")
    if "xenp2m/py.typed" not in inside:
        raise WrongError(f"{path.name}: expected xenp2m/py.typed, got none")
    _links(path.name, str(metadata.get_payload()), metadata.get_all("Project-URL") or [])
    return f"{path.name} {path.stat().st_size // 1024} KiB, {len(inside)} files"


def _links(name: str, text: str, urls: list[str]) -> None:
    """The description is read where the tree is not: a link to a file beside it leads nowhere."""
    if urls:
        raise WrongError(f"{name}: expected no project address, got {urls[0]}")
    beside = re.findall(r"\]\((?!https://)([^)#]+)\)", text)
    if beside:
        raise WrongError(f"{name}: the description links to {beside[0]}, which is not in a wheel")


def of_sdist(path: Path) -> str:
    """Hold an sdist against what one needs to test and build from it.

    Raises:
        WrongError: a file is not in it.
    """
    with tarfile.open(path) as sdist:
        names = {name.partition("/")[2] for name in sdist.getnames()}
    for wanted in _SDIST:
        if wanted not in names:
            raise WrongError(f"{path.name}: expected {wanted}, got none")
    return f"{path.name} {path.stat().st_size // 1024} KiB, {len(names)} files"
