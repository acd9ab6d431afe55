"""Commands that write, killed at random points: the old file or the new one is there, never half of one.

Half of the kills are SIGKILL at moments spread over what the command takes; the other half come from the
kernel as soon as a file of the command grows beyond a random length, in the middle of writing.
"""

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from tests.cores_data import unpack

__all__ = ["COMMANDS", "Killed", "killed", "leaves_nothing"]


class Killed(NamedTuple):
    """What became of one command.

    Attributes:
        name: the command.
        kills: times it was killed.
        before: of those, nothing had been written yet, or what was there before was still there.
        after: the whole new file was there.
        half: anything else was there.
        litter: files left beside.
        seconds: what the command takes when nobody kills it.
    """

    name: str
    kills: int
    before: int
    after: int
    half: int
    litter: int
    seconds: float


COMMANDS = {
    "export --to elf": (["export", "{core}", "--to", "elf", "-o", "{out}"], False),
    "export --to flat": (["export", "{core}", "--to", "flat", "-o", "{out}"], False),
    "export --to npz": (["export", "{core}", "--to", "npz", "-o", "{out}"], False),
    "export --to csv": (["export", "{core}", "--to", "csv", "-o", "{out}"], False),
    "export --to json --force": (["export", "{core}", "--to", "json", "-o", "{out}", "--force"], True),
    "export --to parquet": (["export", "{core}", "--to", "parquet", "-o", "{out}"], False),
    "plan --plot": (["plan", "--plot", "{out}.svg"], False),
    "show --plot": (["show", "{core}", "--plot", "{out}.png"], False),
    "report --force": (["report", "{core}", "-o", "{out}.html", "--force"], True),
    "sweep -o": (["sweep", "--dom0-mem", "512M..2G:16M", "--jobs", "1", "-o", "{out}.csv"], False),
    "sweep --resume": (["sweep", "--dom0-mem", "512M..2G:16M", "--jobs", "1", "--resume", "{out}"], False),
}
"""By name: the arguments, and whether a file is there already."""
_SCRIPT = (
    "import resource, signal, sys\n"
    "longest = int(sys.argv[1])\n"
    "signal.signal(signal.SIGXFSZ, signal.SIG_DFL)\n"
    "resource.setrlimit(resource.RLIMIT_CORE, (0, 0))\n"
    "resource.setrlimit(resource.RLIMIT_FSIZE, (longest, longest))\n"
    "from xenp2m.cli import main\n"
    "main(sys.argv[2:])\n"
)
OLD = b"what was there before\n"


def leaves_nothing(folder):
    """Whether files in `folder` can do without a name until they are whole, so that a kill leaves nothing."""
    try:
        os.close(os.open(folder, os.O_TMPFILE | os.O_WRONLY))
    except (AttributeError, OSError):
        return False
    return Path("/proc/self/fd").exists()


def killed(name, times, seed=2011):
    """Kill one command `times` times, at moments spread over what it takes, and look at what it left."""
    words, there = COMMANDS[name]
    chance = random.Random(seed)
    with tempfile.TemporaryDirectory() as folder:
        core = unpack("tiny64-both", Path(folder))
        place = Path(folder, "out")
        whole, seconds = _once(words, core, place, None, there)
        if not whole:
            raise ValueError(f"{name}: writes no file")
        size = max(map(len, whole.values()))
        counts = {"before": 0, "after": 0, "half": 0, "litter": 0}
        for number in range(times):
            if number % 2:
                left, _ = _once(words, core, place, None, there, chance.randrange(size))
            else:
                left, _ = _once(words, core, place, seconds * chance.uniform(0, 1.05), there)
            counts[_judged(name, left, whole, there)] += 1
            counts["litter"] += sum(path.startswith(".") for path in left)
    return Killed(name, times, *counts.values(), seconds)


def _once(words, core, place, after, there, longest=-1):
    """The files that are in the directory afterwards, by name, and the seconds it took."""
    place.mkdir()
    out = place / "out"
    given = [word.format(core=core, out=out) for word in words]
    target = next(Path(word) for word in given if word.startswith(str(out)))
    if there:
        target.write_bytes(OLD)
    command = [sys.executable, "-c", _SCRIPT, str(longest), *given]
    start = time.perf_counter()
    with Path(os.devnull).open("w") as nowhere:
        process = subprocess.Popen(command, stdout=nowhere, stderr=nowhere)
        try:
            process.wait(after)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
        process.wait()
    seconds = time.perf_counter() - start
    left = {path.name: path.read_bytes() for path in place.iterdir()}
    for path in place.iterdir():
        path.unlink()
    place.rmdir()
    return left, seconds


def _judged(name, left, whole, there):
    (target,) = whole
    data = left.get(target)
    if name == "sweep --resume":
        # Lines are added as chunks are finished; the last one may be cut, and the next run drops it.
        lines = (data or b"").split(b"\n")[:-1]
        sound = all(isinstance(json.loads(line), dict) for line in lines)
        return ("after" if data == whole[target] else "before") if sound else "half"
    if data is None or (there and data == OLD):
        return "before"
    return "after" if _same(data, whole[target]) else "half"


def _same(data, whole):
    """Whether both are the same file; dates inside differ, so the length and the end decide."""
    return len(data) == len(whole) and data[-16:] == whole[-16:]
