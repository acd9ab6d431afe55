"""The command on a terminal, as a person sees it."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def on_a_terminal(
    *words: str, cwd: Path | str, environment: Mapping[str, str] | None = None, errors: bool = True
) -> tuple[int, str]:
    """What a verb writes to a terminal of 80 columns with 256 colours, and its status.

    `errors` puts the other stream, with its bars of progress, on the terminal as well.
    """
    master, slave = pty.openpty()
    variables = os.environ | {"TERM": "xterm-256color", "COLUMNS": "80", "PYTHONIOENCODING": "utf-8"}
    for name in ("NO_COLOR", "COLORTERM"):
        variables.pop(name, None)
    with subprocess.Popen(
        [sys.executable, "-m", "xenp2m", *words],
        stdin=slave, stdout=slave, stderr=slave if errors else subprocess.DEVNULL, cwd=cwd, env=variables | (environment or {}),
    ) as run:  # fmt: skip
        os.close(slave)
        told = b""
        while True:
            try:
                piece = os.read(master, 1 << 16)
            except OSError:
                break
            if not piece:
                break
            told += piece
    os.close(master)
    return run.returncode, told.decode()
