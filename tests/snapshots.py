"""What the terminal shows, held in ``snapshots/``: ``make snapshots`` writes the files anew.

Look at what changed (``git diff tests/snapshots``) before it goes in.
"""

from __future__ import annotations

import atexit
import lzma
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

from terminals import on_a_terminal

HERE = Path(__file__).parent
FOLDER = HERE / "snapshots"
_DIFF = "diff before.core after.core"
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
    "diff-colour": (_DIFF, {"TERM": "xterm-256color"}),
    "diff-colour-16": (_DIFF, {"TERM": "xterm"}),
    "plan-colour": ("plan", {"TERM": "xterm-256color"}),
    "show-colour": ("show after.core", {"TERM": "xterm-256color"}),
} | {
    name + suffix: (words, {"COLUMNS": "40"} if suffix else {})
    for name, words in {
        "bars": "bars --host host.log --guest guest.log",
        "check": "check after.core",
        "diagnose": "diagnose bug.log",
        "diff": _DIFF,
        "dom0-mem": "dom0-mem 2G,max:50% --ram 16G",
        "explore": "explore seed --ops boot",
        "lookup": "lookup after.core 0x9f 0x7d8 mfn:0x79200",
        "show": "show after.core",
        "sweep": "sweep --dom0-mem 1G..3G:1G --kernel 3.12,6.1",
    }.items()
    for suffix in ("", "-40")
}  # fmt: skip
"""File name without suffix: the command's words, and what differs in its environment.

``TERM`` in it makes the output a terminal; escapes stand as ``^[``.
"""

_FILES = {
    "before.core": "cores/tiny64-classic.core.xz",
    "after.core": "cores/tiny64-both.core.xz",
    "bug.log": "boots/grub-kernelhole-4g-1024/console.log.xz",
    "guest.log": "boots/domu2/console.log.xz",
    "host.log": "boots/q35-4g-1024_max1536/console.log.xz",
}
"""What the commands find where they run: from files beside this one."""


def shown(name: str) -> str:
    """What one command prints, its words in the first line."""
    words, variables = COMMANDS[name]
    environment = os.environ | {"COLUMNS": "80", "PYTHONIOENCODING": "utf-8", "NO_COLOR": "1"} | variables
    told = " ".join(f"{key}={value}" for key, value in variables.items())
    head = f"$ {told} xenp2m {words}\n".replace("$  ", "$ ")
    if "TERM" in variables:
        printed = on_a_terminal(*shlex.split(words), cwd=_folder(), environment=variables, errors=False)[1]
        return head + printed.replace("\r\n", "\n").replace("\x1b", "^[")
    run = subprocess.run(
        [sys.executable, "-m", "xenp2m", *shlex.split(words)],
        capture_output=True, cwd=_folder(), env=environment, check=False,
    )  # fmt: skip
    assert not run.stderr, run.stderr
    return head + run.stdout.decode()


@cache
def _folder() -> str:
    """A place with the inputs, while this process lives."""
    place = tempfile.mkdtemp(prefix="snapshots-")
    atexit.register(shutil.rmtree, place)
    for name, packed in _FILES.items():
        Path(place, name).write_bytes(lzma.decompress((HERE / packed).read_bytes()))
    return place


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
