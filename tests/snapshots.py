"""What the terminal shows, held in ``snapshots/``: ``make snapshots`` writes the files anew.

Look at what changed (``git diff tests/snapshots``) before it goes in.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
FOLDER = HERE / "snapshots"
_OLD = "plan --kernel 3.12 --dom0-mem 1G"
_TREE = "replay --rules seed --nr-pages 1G ri:0x93c00-0x100000 g:0x80000"

COMMANDS = {
    "plan": ("plan", {}),
    "plan-40": ("plan", {"COLUMNS": "40"}),
    "plan-60": ("plan", {"COLUMNS": "60"}),
    "plan-120": ("plan --verbose", {"COLUMNS": "120"}),
    "plan-ascii": ("plan", {"PYTHONIOENCODING": "ascii:replace"}),
    "plan-older": (_OLD, {}),
    "plan-error": ("plan --image 0x7f000000-0x80000000", {}),
    "explain-pfn": ("explain 0x40010", {}),
    "explain-pfn-40": ("explain 0x40010", {"COLUMNS": "40"}),
    "explain-tree": ("explain 0x40010 --kernel 3.12", {}),
    "explain-code": ("explain map-overflow", {"COLUMNS": "60"}),
    "replay": (_TREE, {}),
    "replay-40": (_TREE, {"COLUMNS": "40"}),
}
"""File name without suffix: the command's words, and what differs in its environment."""


def shown(name: str) -> str:
    """What one command prints, its words in the first line."""
    words, variables = COMMANDS[name]
    environment = os.environ | {"COLUMNS": "80", "PYTHONIOENCODING": "utf-8", "NO_COLOR": "1"} | variables
    run = subprocess.run(
        [sys.executable, "-m", "xenp2m", *shlex.split(words)],
        capture_output=True, cwd=HERE, env=environment, check=False,
    )  # fmt: skip
    assert not run.stderr, run.stderr
    told = " ".join(f"{key}={value}" for key, value in variables.items())
    return f"$ {told} xenp2m {words}".replace("$  ", "$ ") + "\n" + run.stdout.decode()


def main() -> None:
    """Write every file, and remove those that no command writes."""
    FOLDER.mkdir(exist_ok=True)
    for path in FOLDER.glob("*.txt"):
        if path.stem not in COMMANDS:
            path.unlink()
    for name in COMMANDS:
        (FOLDER / f"{name}.txt").write_text(shown(name), encoding="utf-8")


if __name__ == "__main__":
    main()
