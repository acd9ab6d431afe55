"""Files that the command writes: whole or not at all, and never over another by accident."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

from xenp2m.errors import InputError

__all__ = ["check_target", "write_file"]


def write_file(name: str, data: bytes, *, force: bool = False) -> None:
    """Write `data` beside the target and move it there; ``-`` is standard output.

    Args:
        name: path of the target.
        data: all of it.
        force: whether a file that is there may be replaced.

    Raises:
        InputError: the target exists and `force` is not set, or its place cannot be written.
    """
    if name == "-":
        sys.stdout.buffer.write(data)
        return
    check_target(name, force=force)
    try:
        _replace(Path(name), data)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(name, "a place that can be written", reason) from None


def check_target(name: str, *, force: bool = False) -> None:
    """Refuse a target before the work is done: a directory, or a file where `force` is not set.

    Raises:
        InputError: it cannot be written to.
    """
    path = Path(name)
    try:
        taken = name != "-" and (path.is_dir() or (path.exists() and not force))
    except (OSError, ValueError) as error:
        raise InputError(name, "the name of a file", getattr(error, "strerror", None) or str(error)) from None
    if taken:
        kind = "a directory" if path.is_dir() else "one that exists (--force replaces it)"
        raise InputError(name, "the name of a new file", kind)


def _replace(path: Path, data: bytes) -> None:
    number, beside = tempfile.mkstemp(prefix=f".{path.name[:40]}.", dir=path.parent)
    try:
        with os.fdopen(number, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(number)
        umask = os.umask(0)
        os.umask(umask)
        Path(beside).chmod(0o666 & ~umask)
        Path(beside).replace(path)
    except BaseException:
        Path(beside).unlink(missing_ok=True)
        raise
