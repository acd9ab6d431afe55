"""Damaged inputs for every reader: whatever happens, it is an `InputError`, soon, and in little memory.

``python -m tests.fuzz_sources [SECONDS [SEED]]`` runs until the time is over and prints the seed of
what breaks. A reader joins by an entry in `TARGETS`.
"""

import random
import struct
import sys
import tempfile
import time
import tracemalloc
from pathlib import Path

import xenp2m
from xenp2m import InputError, Kind, Run
from xenp2m.checks.stream import check_stream
from xenp2m.frames import GEOMETRY_32
from xenp2m.p2m import P2M
from xenp2m.sources import npz
from xenp2m.sources.feed import PipeFeed
from xenp2m.sources.source import Guest, Origin, Source
from xenp2m.sources.stream.reader import read as read_stream
from xenp2m.sources.synth_stream import StreamSpec, synth_stream

NUMBERS = (0, 1, 2, 0x7FFFFFFF, 1 << 31, (1 << 32) - 1, 1 << 40, (1 << 63) - 1, 1 << 63, (1 << 64) - 1)
MEMORY = 96 << 20
"""Bytes that reading one of these small inputs may take at most."""


def _map():
    return [
        Run(0, 20, Kind.MFN, 0x500, 1),
        Run(20, 512, Kind.IDENTITY),
        Run(512, 1536, Kind.IDENTITY),
        Run(1536, 1550, Kind.MFN, 0x900, -1),
    ]


def _streams():
    yield synth_stream(P2M(_map()))
    yield synth_stream(P2M(_map()), StreamSpec(version=2, wrapper="", batch=1))
    yield synth_stream(P2M(_map(), geometry=GEOMETRY_32), StreamSpec(wrapper="libxl", batch=5, checkpoints=1))
    yield synth_stream(P2M(_map()), StreamSpec(hvm=True, wrapper=""))


def _listings():
    lines = [f"  pfn={n:#x} ==> mfn={n + 7:#x} (type 0x0)\n" for n in range(40)]
    head = " --- Dumping P2M for domain 1 ---\n Guest Width: 8, PT Levels: 4 P2M size: = 40\n"
    yield (head + "".join(lines) + " --- End of P2M for domain 1 ---\n").encode()
    yield b" --- Dumping M2P ---\n  mfn=0x0 ==> pfn=0x5\n  mfn=0x1 ==> pfn=0xffffffffffffffff\n"
    yield b" [0x0->0x9f] pfn\n [0x9f->0x100] identity\n [0x100->0x200] missing\n"


def _archives():
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "map.npz"
        npz.save(Source(Origin("a", "b"), Guest(), P2M(_map())), path)
        yield path.read_bytes()


def _pipe(path):
    with path.open("rb") as stream:
        read_stream(PipeFeed("pipe", lambda room: stream.readinto(room.data)), salvage=True)


def _open(path):
    source = xenp2m.open(path)
    source.p2m.count()
    if source.memory is not None:
        source.memory.page(3)


def _salvage(path):
    source = xenp2m.open(path, salvage=True)
    source.p2m.table()
    if source.listed is not None:
        source.listed.count()


TARGETS = {
    "stream": (_streams, (_open, _salvage, _pipe, check_stream)),
    "listing": (_listings, (_open, _salvage)),
    "npz": (_archives, (_open,)),
}
"""By name: what makes sound inputs, and what reads a damaged one from its path."""


def damage(data, chance):
    """`data` with one to three things wrong."""
    data = bytearray(data)
    for _ in range(chance.randrange(1, 4)):
        at = chance.randrange(len(data) + 1)
        if chance.random() < 0.5:
            at = min(at, chance.randrange(1, 1 << 12))
        match chance.randrange(7):
            case 0:
                del data[at:]
            case 1:
                data[at : at + 8] = struct.pack("<Q", chance.choice(NUMBERS))
            case 2:
                data[at & ~3 : (at & ~3) + 4] = struct.pack("<Q", chance.choice(NUMBERS))[:4]
            case 3:
                data[at & ~7 : (at & ~7) + 8] = struct.pack("<Q", chance.choice(NUMBERS))
            case 4:
                data[at : at + 1] = bytes([chance.randrange(256)])
            case 5:
                other = chance.randrange(len(data) + 1)
                data[at:at] = data[other : other + chance.randrange(64)]
            case 6:
                del data[at : at + chance.randrange(1, 64)]
        if not data:
            break
    return bytes(data)


def attack(name, seed, path):
    """One damaged input through everything that reads its kind.

    Raises:
        Exception: whatever is no InputError.
        MemoryError: it took more than `MEMORY`.
    """
    make, readers = TARGETS[name]
    chance = random.Random(seed)
    path.write_bytes(damage(chance.choice(CORPUS.setdefault(name, list(make()))), chance))
    for read in readers:
        tracemalloc.start()
        try:
            read(path)
        except InputError as error:
            if "\n" in str(error):
                raise ValueError("an error of more than one line") from error
        finally:
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
        if peak > MEMORY:
            raise MemoryError(f"{peak:#x} bytes for an input of {path.stat().st_size:#x}")


CORPUS = {}


def main(seconds=60, seed=0):
    """Attack every target in turn until the time is over."""
    end = time.monotonic() + float(seconds)
    seed = int(seed)
    with tempfile.TemporaryDirectory() as folder:
        while time.monotonic() < end:
            for name in TARGETS:
                try:
                    attack(name, seed, Path(folder) / "input")
                except Exception:
                    print(f"{name}, seed {seed}", file=sys.stderr)
                    raise
            seed += 1
    print(f"{seed} seeds, nothing broke")


if __name__ == "__main__":
    main(*sys.argv[1:])
