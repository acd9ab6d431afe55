"""Files that the command writes: whole or not at all, and never over another by accident."""

from __future__ import annotations

import os
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from xenp2m.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

__all__ = ["check_target", "write_file", "written"]


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
    with written(name, force=force) as file:
        file.write(data)


@contextmanager
def written(name: str, *, force: bool = False) -> Iterator[BinaryIO]:
    """A new file beside `name` that takes its place when the block ends well.

    Whatever goes wrong inside, `name` stays as it was and nothing is left beside it.

    Args:
        name: path of the target.
        force: whether a file that is there may be replaced.

    Raises:
        InputError: the target exists and `force` is not set, is no file, or its place cannot be written.
    """
    path = Path(name)
    try:
        check_target(name, force=force)
        number, beside = tempfile.mkstemp(prefix=f".{path.name[:40]}.", dir=path.parent)
        try:
            with os.fdopen(number, "wb") as file:
                yield file
                file.flush()
                os.fsync(number)
            check_target(name, force=force)
            umask = os.umask(0)
            os.umask(umask)
            Path(beside).chmod(0o666 & ~umask)
            Path(beside).replace(path)
        except BaseException:
            Path(beside).unlink(missing_ok=True)
            raise
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
        taken = name != "-" and path.exists() and not (force and path.is_file())
    except (OSError, ValueError) as error:
        raise InputError(name, "the name of a file", getattr(error, "strerror", None) or str(error)) from None
    if taken:
        kind = "one that exists (--force replaces it)" if path.is_file() else "a directory, pipe or device"
        raise InputError(name, "the name of a new file", kind)
