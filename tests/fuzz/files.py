"""Maps and texts in files: cores, streams, listings, archives, packings, a sweep's own file."""

import atexit
import bz2
import gzip
import io
import lzma
import shutil
import tempfile
from functools import cache
from pathlib import Path

from tests.fuzz.damage import in_bytes, in_text
from tests.fuzz.target import Target

import xenp2m
from xenp2m import InputError, Kind, Run
from xenp2m.checks.map import map_findings
from xenp2m.checks.stream import check_stream
from xenp2m.frames import GEOMETRY_32
from xenp2m.hostrow import host_of_row
from xenp2m.kernel import Version
from xenp2m.logs.longlog import read_long
from xenp2m.maps.translate import Translator, parse_item
from xenp2m.p2m import P2M
from xenp2m.sources import npz
from xenp2m.sources.feed import PipeFeed
from xenp2m.sources.source import Guest, Origin, Source
from xenp2m.sources.stream.reader import read as read_stream
from xenp2m.sources.synth_core import CoreSpec, synth_core
from xenp2m.sources.synth_stream import StreamSpec, synth_stream
from xenp2m.sweep.cases import Sweep
from xenp2m.sweep.ledger import Ledger

__all__ = ["TARGETS"]

_RUNS = [
    Run(0, 20, Kind.MFN, 0x500, 1),
    Run(20, 512, Kind.IDENTITY),
    Run(512, 1536, Kind.IDENTITY),
    Run(1536, 1550, Kind.MFN, 0x900, -1),
]
_ITEMS = [parse_item(text) for text in ("0x9f", "3", "mfn:0x501", "paddr:0x3000", "vaddr:0xffffffff81000000")]


@cache
def _folder():
    """A directory of this process, in memory where the system has one; gone when it ends."""
    shm = Path("/dev/shm")
    folder = Path(tempfile.mkdtemp(prefix="xenp2m-fuzz.", dir=shm if shm.is_dir() else None))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def _streams():
    return [
        synth_stream(P2M(_RUNS)),
        synth_stream(P2M(_RUNS), StreamSpec(version=2, wrapper="", batch=1)),
        synth_stream(P2M(_RUNS, geometry=GEOMETRY_32), StreamSpec(wrapper="libxl", batch=5, checkpoints=1)),
        synth_stream(P2M(_RUNS), StreamSpec(hvm=True, wrapper="")),
    ]


def _cores():
    path = _folder() / "sound.core"
    found = []
    for geometry, spec in (
        (None, CoreSpec()),
        (None, CoreSpec(linear=False, gone=2)),
        (GEOMETRY_32, CoreSpec(elf=32)),
        (None, CoreSpec(hvm=True)),
    ):
        synth_core(path, P2M(_RUNS, geometry=geometry) if geometry else P2M(_RUNS), spec)
        found.append(path.read_bytes())
    return found


def _p2m_listings():
    lines = [f"  pfn={n:#x} ==> mfn={n + 7:#x} (type 0x0)\n" for n in range(40)]
    head = " --- Dumping P2M for domain 1 ---\n Guest Width: 8, PT Levels: 4 P2M size: = 40\n"
    m2p = b" --- Dumping M2P ---\n  mfn=0x0 ==> pfn=0x5\n  mfn=0x1 ==> pfn=0xffffffffffffffff\n"
    return [(head + "".join(lines) + " --- End of P2M for domain 1 ---\n").encode(), m2p]


def _debugfs():
    return [
        b" [0x0->0x9f] pfn\n [0x9f->0x100] identity\n [0x100->0x200] missing\n [0x200->0x300] level top\n"
    ]


def _archives():
    path = _folder() / "sound.npz"
    with path.open("wb") as file:
        npz.save(Source(Origin("a", "b"), Guest(), P2M(_RUNS)), file)
    return [path.read_bytes()]


def _packed():
    text = b"(XEN) Xen version 4.17.7\n[    0.0] Linux version 6.1.0\n" * 3
    return [
        gzip.compress(text),
        bz2.compress(text),
        lzma.compress(text),
        text.decode().encode("utf-16"),
        text,
    ]


@cache
def _sweep():
    e820 = [[0, 0x9F000, 1], [0x100000, 1 << 30, 1]]
    host = host_of_row({"nr_pages": 1 << 16, "max_res": 1 << 17, "e820": e820}, "row")
    return Sweep([("a", host)], (Version(6, 1),), values=("128M", "256M"), findings=False)


def _ledgers():
    path = _folder() / "sound.ledger"
    ledger = Ledger(str(path), _sweep(), 1)
    ledger.add(0, _sweep().chunk(0, 1))
    ledger.close()
    return [path.read_bytes()]


def _outcomes(data, *readers):
    """What each of the readers makes of a file with these bytes."""
    path = _folder() / "input"
    path.write_bytes(data)
    told = []
    for read in readers:
        try:
            told.append(read(path))
        except InputError as error:
            if "\n" in str(error):
                raise ValueError("an error of more than one line") from error
            told.append(error.expected)
    return told


def _opened(path):
    source = xenp2m.open(path)
    kinds = tuple(kind for kind, pages in source.p2m.count().items() if pages)
    codes = sorted({finding.code for finding in map_findings(source)})
    if source.memory is not None:
        source.memory.page(3)
    return kinds, codes


def _salvaged(path):
    source = xenp2m.open(path, salvage=True)
    source.p2m.table()
    if source.listed is not None:
        source.listed.count()
    Translator(source).answers(_ITEMS)
    return len(source.lost)


def _piped(path):
    stream = io.BytesIO(path.read_bytes())
    return len(read_stream(PipeFeed("pipe", lambda room: stream.readinto(room.data)), salvage=True).lost)


def _checked(path):
    return sorted({finding.code for finding in check_stream(path)})


def _resumed(path):
    ledger = Ledger(str(path), _sweep(), 1)
    ledger.close()
    return len(ledger.done)


def _reads(*readers):
    return lambda data: _outcomes(data, *readers)


TARGETS = {
    "core": Target(_cores, in_bytes, _reads(_opened, _salvaged)),
    "stream": Target(_streams, in_bytes, _reads(_opened, _salvaged, _piped, _checked)),
    "mfndump": Target(_p2m_listings, in_text, _reads(_opened, _salvaged)),
    "debugfs": Target(_debugfs, in_text, _reads(_opened, _salvaged)),
    "npz": Target(_archives, in_bytes, _reads(_opened)),
    "packed text": Target(_packed, in_bytes, _reads(lambda path: len(read_long(path).text) > 0)),
    "sweep ledger": Target(_ledgers, in_text, _reads(_resumed)),
}
