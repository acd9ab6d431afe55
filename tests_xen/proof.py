"""Show that the comparison can fail: ``python -m tests_xen.proof``.

A copy of the project gets one deliberate error after another in its boot arithmetic. The boot that
agrees with the program as it is must differ from each of them. The project itself is not touched.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

TOP = Path(__file__).parent.parent
HOST = ("bytes", "--linux", "bookworm", "--xen", "bookworm")
ERRORS = {
    "nothing": ("", "", ""),
    "holes rounded inward": (
        "src/xenp2m/boot/remap.py",
        "first, last = pfn_down(start), pfn_up(entry.start if is_ram else entry.end)",
        "first, last = pfn_up(start), pfn_down(entry.start if is_ram else entry.end)",
    ),
    "one page too little to grow": (
        "src/xenp2m/boot/guestmap.py",
        "self.extra_pages = extra_pages\n",
        "self.extra_pages = extra_pages - 1\n",
    ),
    "moved frames forgotten": (
        "src/xenp2m/boot/linear_list.py",
        "Run(start, end, Kind.MFN, mfn, step)",
        "Run(start, end, Kind.MISSING)",
    ),
}


def run_with(error: tuple[str, str, str]) -> tuple[int, str]:
    """Exit status and output of the run of a copy with one error in it."""
    with tempfile.TemporaryDirectory(prefix="xenp2m-proof-") as name:
        copy = Path(name)
        for part in ("src", "tests", "tests_xen"):
            shutil.copytree(TOP / part, copy / part, ignore=shutil.ignore_patterns("__pycache__", "boots"))
        path, right, wrong = error
        if path:
            text = (copy / path).read_text()
            if text.count(right) != 1:
                raise SystemExit(f"{path} has changed: proof.py must follow it")
            (copy / path).write_text(text.replace(right, wrong))
        command = [sys.executable, "-m", "tests_xen", *HOST]
        environment = os.environ | {"PYTHONPATH": str(copy / "src")}
        run = subprocess.run(
            command, cwd=copy, env=environment, capture_output=True, text=True, timeout=600, check=False
        )
        return run.returncode, run.stdout + run.stderr


def main() -> int:
    """Run every copy; 0 if the true program passes and every other one fails."""
    good = True
    for name, error in ERRORS.items():
        status, text = run_with(error)
        as_it_should = status == (1 if error[0] else 0)
        good = good and as_it_should
        print(f"{name + ' wrong:':34} {'passes' if status == 0 else 'fails'}", flush=True)
        shown = [line for line in text.splitlines() if line.startswith("    ")]
        for line in shown[:4] if as_it_should else text.splitlines():
            print(line)
    return int(not good)


if __name__ == "__main__":
    sys.exit(main())
