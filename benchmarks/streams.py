"""Streams of 1 GiB verified, beside Xen's own verify-stream-v2 in the same run; long listings.

The peer is Python from Debian's xen-utils-4.17; it is downloaded and unpacked, not installed. Times of
the peer are of its process less what ``--help`` takes.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

from tests_xen.apt import Suite
from tests_xen.errors import LabError

from xenp2m.checks.stream import check_stream
from xenp2m.extents import Run
from xenp2m.frames import Kind
from xenp2m.p2m import P2M
from xenp2m.sources import mfndump
from xenp2m.sources.synth_stream import StreamSpec, stream_pieces

OURS = (
    "import resource, sys\n"
    "from xenp2m.checks.stream import check_stream\n"
    "for name in sys.argv[1:]:\n"
    "    assert check_stream(name) == []\n"
    "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)\n"
)


def peer():
    """The command of verify-stream-v2, None with a line about why there is none."""
    try:
        root = Suite("bookworm").unpacked("xen-utils-4.17")
    except LabError as error:
        print(f"verify-stream-v2: not compared ({error})")
        return None
    script = next(root.rglob("verify-stream-v2"))
    library = next(path.parent.parent for path in root.rglob("migration/libxc.py"))
    return [sys.executable, str(script)], {"PYTHONPATH": str(library.parent), "PATH": os.environ["PATH"]}


def median(function, *arguments, runs=5):
    """Median wall clock of some calls, in seconds."""
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        function(*arguments)
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def run(command, environment=None):
    """What a command that succeeds prints."""
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout


def subprocess_of(script, *arguments):
    """What a script of ours prints."""
    return run([sys.executable, "-c", script, *arguments])


def streams(report):
    """Verify streams of 1024-page and of 1-page records."""
    found = peer()
    p2m = P2M([Run(0, 1 << 18, Kind.MFN, 0x100000, 1)])
    with tempfile.TemporaryDirectory() as folder:
        for batch, least in ((1024, 5), (1, 2)):
            path = Path(folder) / f"{batch}.save"
            with path.open("wb") as file:
                for piece in stream_pieces(p2m, StreamSpec(wrapper="", batch=batch)):
                    file.write(piece)
            check_stream(path)
            ours = median(partial(check_stream, path, contents=False))
            name = f"1 GiB stream of {batch}-page records verified"
            report(f"{name}, no page read", ours * 1e3, "ms", 1000)
            report(f"{name}, list and tables read", median(check_stream, path) * 1e3, "ms", 1000)
            idle, busy = (int(subprocess_of(OURS, *files)) for files in ((), (str(path),)))
            report("  memory for it", (busy - idle) / 1024, "MiB", 64)
            if found:
                command, environment = found
                start = median(run, [*command, "--help"], environment)
                theirs = median(run, [*command, "-f", "libxc", "-i", str(path)], environment) - start
                report("  verify-stream-v2 takes longer", theirs / ours, "times", least, at_least=True)
            path.unlink()
        listing(report, Path(folder) / "m2p.txt")


def listing(report, path):
    """An M2P of 1.5M lines as xen-mfndump prints it."""
    with path.open("w", encoding="ascii") as file:
        file.write(" --- Dumping M2P ---\n Max MFN: 1570000\n")
        file.writelines(f"  mfn={mfn:#x} ==> pfn={mfn * 7919 % 1500007:#x}\n" for mfn in range(1570000))
        file.write(" --- End of M2P ---\n")
    start = time.perf_counter()
    assert mfndump.read(path).m2p.size == 1570000
    report("xen-mfndump's M2P of 1.57M lines read", time.perf_counter() - start, "s", 5)
