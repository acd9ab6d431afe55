"""One file for offline dom0s: ``make zipapp`` writes ``build/xenp2m.pyz``.

click and pyelftools are inside, numpy comes from the system (Debian: ``apt install python3-numpy``).
The same tree and the same dependencies give the same bytes.
"""

from __future__ import annotations

import importlib.metadata
import io
import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["BUNDLED", "archive", "main"]

TOP = Path(__file__).parent.parent
BUNDLED = ("click", "pyelftools")
"""Pure Python dependencies. numpy has compiled parts, which cannot be loaded from inside a zip."""
_EPOCH = (2020, 1, 1, 0, 0, 0)
_START = """\
import sys

if sys.version_info < (3, 11):
    sys.exit("xenp2m needs Python 3.11 or newer, this is %d.%d" % sys.version_info[:2])

from xenp2m.cli import main

if __name__ == "__main__":
    main()
"""
"""The part that an older Python can still read, so that it can say what is wrong."""


def _own() -> Iterator[tuple[str, bytes]]:
    source = TOP / "src"
    for path in (source / "xenp2m").rglob("*"):
        if path.is_file() and path.suffix != ".pyc":
            yield str(path.relative_to(source)), path.read_bytes()
    yield "LICENSE", (TOP / "LICENSE").read_bytes()


def _bundled(name: str) -> Iterator[tuple[str, bytes]]:
    """The modules and the licence of an installed distribution.

    Raises:
        SystemExit: it is not installed, or has compiled parts.
    """
    try:
        files = importlib.metadata.files(name) or []
    except importlib.metadata.PackageNotFoundError:
        sys.exit(f"make zipapp: {name} is not installed for {sys.executable}")
    for file in files:
        inside = file.as_posix()
        if inside.endswith((".so", ".pyd")):
            sys.exit(f"make zipapp: {inside} is compiled and cannot be loaded from a zip")
        about = ".dist-info/" in inside
        licence = about and "license" in inside.lower()
        if inside.startswith("..") or (about and not licence) or inside.endswith(".pyc"):
            continue
        yield inside, Path(str(file.locate())).read_bytes()


def archive() -> bytes:
    """The zipapp, with a first line that makes it run by its own name.

    Raises:
        SystemExit: what is to be bundled is not installed.
    """
    members = {"__main__.py": _START.encode(), **dict(_own())}
    for name in BUNDLED:
        members |= dict(_bundled(name))
    buffer = io.BytesIO(b"#!/usr/bin/env python3\n")
    buffer.seek(0, io.SEEK_END)
    with zipfile.ZipFile(buffer, "a", zipfile.ZIP_DEFLATED, compresslevel=9) as file:
        for inside in sorted(members):
            info = zipfile.ZipInfo(inside, _EPOCH)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = 0o644 << 16
            file.writestr(info, members[inside])
    return buffer.getvalue()


def main(target: Path) -> None:
    """Write the file, whole or not at all, and say how large it is."""
    data = archive()
    target.parent.mkdir(exist_ok=True)
    beside = target.with_name(target.name + ".partial")
    beside.write_bytes(data)
    beside.chmod(0o755)
    beside.rename(target)
    print(f"{target}: {len(data) / 1024:.0f} KiB; python3 {target} plan")


if __name__ == "__main__":
    main(Path(*sys.argv[1:2] or ["build/xenp2m.pyz"]))
