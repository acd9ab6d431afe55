"""Files that the command writes: whole or not at all, and never over another by accident."""

from __future__ import annotations

import os
import secrets
import sys
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from xenp2m.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

__all__ = ["check_target", "write_file", "written"]


def write_file(name: str, data: bytes, *, force: bool = False) -> None:
    """Write `data` whole or not at all; ``-`` is standard output.

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
    """A new file that takes the place of `name` when the block ends well.

    Whatever goes wrong inside, `name` stays as it was and nothing is left beside it. Where there are files
    without a name (Linux on ext4, xfs, btrfs, tmpfs) that goes for a program that is killed, too: the file
    gets its name when it is whole. Elsewhere it grows beside `name`, as ``.NAME.`` and a random word.

    A file that is replaced hands down who may read and write it, and a link stays one: what it names is
    replaced.

    Args:
        name: path of the target.
        force: whether a file that is there may be replaced.

    Raises:
        InputError: the target exists and `force` is not set, is no file, or its place cannot be written.
    """
    path = Path(os.path.realpath(name)) if force and "\0" not in name else Path(name)
    beside = path.parent / f".{path.name[:40]}.{secrets.token_hex(4)}"
    try:
        check_target(name, force=force)
        number, named = _opened(beside)
        try:
            with os.fdopen(number, "wb") as file:
                _permit_as(path, number)
                yield file
                file.flush()
                os.fsync(number)
                check_target(name, force=force)
                if not named:
                    # Linking replaces nothing, so that a file to be replaced is whole beside it for a moment.
                    _link(number, beside if force else path)
            if named or force:
                beside.replace(path)
        except BaseException:
            beside.unlink(missing_ok=True)
            raise
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(name, "a place that can be written", reason) from None


def _opened(beside: Path) -> tuple[int, bool]:
    """A new file in the directory of `beside`, and whether it has that name already."""
    if hasattr(os, "O_TMPFILE"):
        with suppress(OSError):
            number = os.open(beside.parent, os.O_TMPFILE | os.O_WRONLY, 0o666)
            if Path(f"/proc/self/fd/{number}").exists():
                return number, False
            os.close(number)
    return os.open(beside, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666), True


def _permit_as(path: Path, number: int) -> None:
    """Whoever may read and write what lies at `path` may do so with the file that replaces it."""
    if path.exists():
        os.fchmod(number, path.stat().st_mode & 0o777)


def _link(number: int, path: Path) -> None:
    """Give a file without a name one that is free."""
    folder = os.open(path.parent, os.O_PATH)
    try:
        # With a directory given, Python follows the link in /proc (linkat); without one it does not.
        os.link(f"/proc/self/fd/{number}", path.name, dst_dir_fd=folder)
    finally:
        os.close(folder)


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
