"""A file of finished chunks: a sweep that is interrupted goes on where it stopped.

JSON Lines: a head with the fingerprint of the sweep, then one line for each chunk. A line is written by
one call and forced to the disk; a line cut off by a crash is dropped when the file is read.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from xenp2m.errors import InputError, shorten
from xenp2m.sweep.cases import Row

if TYPE_CHECKING:
    from xenp2m.sweep.cases import Sweep

__all__ = ["Ledger"]

_FIELDS = [type(field) for field in Row("", "")]
_EXPECTED = "the file of an earlier sweep over the same hosts and grid, or a new name"


class Ledger:
    """Finished chunks of one sweep, in memory and in a file.

    Attributes:
        size: cases of a chunk; that of the file where it exists.
        done: rows by the chunk's number.
    """

    def __init__(self, path: str, sweep: Sweep, size: int) -> None:
        """Read what is there, or begin anew.

        Raises:
            InputError: the file is of another sweep, is something else, or cannot be written.
        """
        self.done: dict[int, list[Row]] = {}
        self.size = size
        self._path = path
        head = {"schema": 1, "sweep": sweep.fingerprint(), "cases": len(sweep), "chunk": size}
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
        except (OSError, ValueError) as error:
            raise self._unusable(error) from None
        try:
            kept = self._read(head)
            os.ftruncate(self._file, kept)
            if not kept:
                self._write(head)
        except (OSError, ValueError) as error:
            self.close()
            raise self._unusable(error) from None
        except InputError:
            self.close()
            raise

    def _unusable(self, error: Exception) -> InputError:
        reason = getattr(error, "strerror", None) or str(error)
        return InputError(f"--resume {self._path}", "a file that can be read and written", reason)

    def _read(self, head: dict[str, Any]) -> int:
        """Take over finished chunks; return the bytes that hold whole lines."""
        with os.fdopen(os.dup(self._file), "rb") as file:
            lines = file.read().split(b"\n")
        whole, cut = lines[:-1], lines[-1]
        if not whole:
            if cut and not cut.startswith(b'{"schema": 1, "sweep": '[: len(cut)]):
                raise InputError(f"--resume {self._path}", _EXPECTED, shorten(cut))
            return 0
        first = self._object(whole[0])
        if first | {"chunk": 0} != head | {"chunk": 0} or not isinstance(first.get("chunk"), int):
            raise InputError(f"--resume {self._path}", _EXPECTED, shorten(whole[0]))
        self.size = max(1, first["chunk"])
        for line in whole[1:]:
            told = self._object(line)
            number, rows = told.get("chunk"), told.get("rows")
            if type(number) is not int or not isinstance(rows, list) or not all(map(_is_row, rows)):
                raise InputError(f"--resume {self._path}", _EXPECTED, shorten(line))
            self.done[number] = [Row(*row) for row in rows]
        return sum(len(line) + 1 for line in whole)

    def _object(self, line: bytes) -> dict[str, Any]:
        try:
            told = json.loads(line)
        except (ValueError, RecursionError):
            told = None
        if not isinstance(told, dict):
            raise InputError(f"--resume {self._path}", _EXPECTED, shorten(line))
        return told

    def add(self, number: int, rows: list[Row]) -> None:
        """Keep a finished chunk.

        Raises:
            InputError: the disk takes no more.
        """
        self._write({"chunk": number, "rows": rows})
        self.done[number] = rows

    def _write(self, told: dict[str, Any]) -> None:
        line = json.dumps(told).encode() + b"\n"
        try:
            written = os.write(self._file, line)
            if written != len(line):
                raise OSError(None, "the disk is full")
            os.fsync(self._file)
        except OSError as error:
            raise InputError(f"--resume {self._path}", "a file that can be written", error.strerror) from None

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)


def _is_row(given: object) -> bool:
    """Whether a value out of JSON has the fields of a `Row`."""
    return isinstance(given, list) and [type(field) for field in given] == _FIELDS
