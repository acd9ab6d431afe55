"""Streams of 1 GiB verified, beside Xen's own verify-stream-v2 in the same run; long listings.

The peer is Python from Debian's xen-utils-4.17; it is downloaded and unpacked, not installed.
"""

import os
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.clock import PEAK, best, median
from benchmarks.peers import debian
from xenp2m.checks.stream import check_stream
from xenp2m.extents import Run
from xenp2m.frames import Kind
from xenp2m.p2m import P2M
from xenp2m.sources import mfndump
from xenp2m.sources.stream.wire import PageType, Rec
from xenp2m.sources.synth_stream import StreamSpec, stream_pieces

OURS = (
    "import sys\n"
    "from xenp2m.checks.stream import check_stream\n"
    "for name in sys.argv[1:]:\n"
    "    assert check_stream(name) == []\n" + PEAK
)


def peer(report):
    """The command of verify-stream-v2 and its environment, None with a line about why there is none."""
    roots = debian(report, "verify-stream-v2", "xen-utils-4.17")
    if roots is None:
        return None
    script = next(roots[0].rglob("verify-stream-v2"))
    library = next(path.parent.parent for path in roots[0].rglob("migration/libxc.py"))
    return [sys.executable, str(script)], {"PYTHONPATH": str(library.parent), "PATH": os.environ["PATH"]}


def run(command, environment=None):
    """What a command that succeeds prints."""
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout


def subprocess_of(script, *arguments):
    """What a script of ours prints."""
    return run([sys.executable, "-c", script, *arguments])


def streams(report):
    """Verify streams of many and of few records; read a long listing."""
    report.section(
        "Streams",
        "Guests of zero pages in sparse files; verify-stream-v2 without what its start takes.",
    )
    found = peer(report)
    theirs = Peer(*found) if found else None
    with tempfile.TemporaryDirectory() as folder:
        _growth(report, theirs, Path(folder))
        for batch, least in ((1024, 5), (1, 2)):
            _one_gib(report, theirs, Path(folder) / f"{batch}.save", batch, least)
        listing(report, Path(folder) / "m2p.txt", 100_000 if report.quick else 1_570_000)


class Peer:
    """verify-stream-v2; its start taken off."""

    def __init__(self, command, environment):
        self._command, self._environment = command, environment
        self._start = median(lambda: run([*command, "--help"], environment), 5)

    def seconds(self, path, runs=1):
        """What it takes for one stream."""
        command = [*self._command, "-f", "libxc", "-i", str(path)]
        return max(best(lambda: run(command, self._environment), runs) - self._start, 1e-4)


def write(path, pages, batch):
    """A stream of a guest of `pages` zero pages, `batch` in a record; zeros are left out of the file."""
    p2m = P2M([Run(0, pages, Kind.MFN, 0x100000, 1)])
    with path.open("wb") as file:
        for piece in stream_pieces(p2m, StreamSpec(wrapper="", batch=batch)):
            told = piece.rstrip(b"\0")
            file.write(told)
            file.seek(len(piece) - len(told), os.SEEK_CUR)
        file.truncate()


def write_records(path, count):
    """An HVM guest's stream of `count` page records of one PFN each, of which none carries a page."""
    pieces = list(stream_pieces(P2M([Run(0, 2, Kind.MFN, 0, 1)]), StreamSpec(hvm=True, wrapper="", batch=1)))
    (first, last) = (n for n, piece in enumerate(pieces) if piece[:4] == b"\1\0\0\0" and len(piece) > 4096)
    rows = np.zeros((count, 3), np.uint64)
    rows[:, 0] = Rec.PAGE_DATA | 16 << 32
    rows[:, 1] = 1
    rows[:, 2] = np.arange(2, count + 2, dtype=np.uint64) | np.uint64(PageType.XTAB << 60)
    path.write_bytes(b"".join([*pieces[: last + 1], rows.tobytes(), *pieces[last + 1 :]]))
    assert first < last


def _growth(report, peer, folder):
    rows = []
    for records in (1 << 10, 1 << 13) if report.quick else (1 << 10, 1 << 15, 1 << 20):
        path = folder / "growth.save"
        write_records(path, records)
        ours = best(lambda path=path: check_stream(path), 3)
        theirs = peer.seconds(path) if peer else None
        rows.append([f"{records:,}", ours * 1e3, ours / records * 1e6, theirs and theirs * 1e3])
        rows[-1].append(theirs and theirs / ours)
        path.unlink()
    head = ["records of one PFN", "ms", "µs a record", "ms of verify-stream-v2", "times ours"]
    report.table(head, rows)
    report("time a record, the longest beside the shortest", rows[-1][2] / rows[0][2], "times", 1.5)


def _one_gib(report, peer, path, batch, least):
    pages = 1 << 14 if report.quick else 1 << 18
    write(path, pages, batch)
    ours = median(partial(check_stream, path, contents=False), 3)
    report(f"{pages >> 8:,} MiB stream of {batch}-page records verified, no page read", ours * 1e3, "ms")
    report("  list and tables read as well", median(lambda: check_stream(path), 3) * 1e3, "ms")
    if peer and not report.quick:
        report("  verify-stream-v2 takes longer", peer.seconds(path, 3) / ours, "times", least, at_least=True)
    _memory(report, path, pages, batch)
    path.unlink()


def _memory(report, path, pages, batch):
    """What a process of its own takes at most for the stream, and for one of a quarter as many pages."""
    idle, whole = (int(subprocess_of(OURS, *files)) for files in ((), (str(path),)))
    write(path, pages // 4, batch)
    quarter = int(subprocess_of(OURS, str(path)))
    report("  memory for it", (whole - idle) / 1024, "MiB", 64)
    why = "8 bytes are the guest's own list; what the records say is a row or two for each"
    more = (whole - quarter) * 1024 / (pages - pages // 4)
    report("  memory for each page more, of 4,096 bytes", more, "bytes", 100, why=why)


def listing(report, path, lines):
    """An M2P as xen-mfndump prints it."""
    with path.open("w", encoding="ascii") as file:
        file.write(f" --- Dumping M2P ---\n Max MFN: {lines}\n")
        file.writelines(f"  mfn={mfn:#x} ==> pfn={mfn * 7919 % 1500007:#x}\n" for mfn in range(lines))
        file.write(" --- End of M2P ---\n")
    start = time.perf_counter()
    assert mfndump.read(path).m2p.size == lines
    report(f"xen-mfndump's M2P of {lines:,} lines read", time.perf_counter() - start, "s", 5)
