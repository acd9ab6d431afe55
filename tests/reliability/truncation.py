"""Real files cut off at every byte: refused in one line, or read as what is left with salvage, and nothing worse."""

import tempfile
from pathlib import Path
from time import perf_counter
from typing import NamedTuple

from tests.consoles import Q35, console
from tests.cores_data import bytes_of
from tests.fuzz.limits import clocked
from tests.guests import unpacked

import xenp2m
from xenp2m import InputError, Kind, Run
from xenp2m.checks.stream import check_stream
from xenp2m.logs.consolelog import read_log
from xenp2m.logs.textfile import decode
from xenp2m.p2m import P2M
from xenp2m.sources.synth_core import CoreSpec, synth_core
from xenp2m.sources.synth_stream import StreamSpec, synth_stream

__all__ = ["CASES", "Cuts", "truncated"]

WHOLE, HEAD, TAIL, STRIDE = 1 << 14, 2048, 512, 8191
"""Bytes of a file; see `places`."""


class Cuts(NamedTuple):
    """What became of one file.

    Attributes:
        name: which file.
        size: its bytes.
        cuts: places at which it was cut.
        refused: of those, refused in one line.
        read: read without an objection.
        salvaged: refused, and read with salvage.
        seconds: all of it.
    """

    name: str
    size: int
    cuts: int
    refused: int
    read: int
    salvaged: int
    seconds: float


def _core(path, salvage):
    source = xenp2m.open(path, salvage=salvage)
    source.p2m.count()


def _made_core(folder):
    synth_core(folder / "made", P2M([Run(0, 2, Kind.MFN, 0x500, 1)]), CoreSpec(hvm=True, gone=1))
    return (folder / "made").read_bytes()


def _made_stream(folder):
    return synth_stream(P2M([Run(0, 2, Kind.MFN, 0x500, 1)]), StreamSpec(hvm=True, wrapper="xl"))


def _stream(path, salvage):
    if salvage:
        xenp2m.open(path, salvage=True).p2m.count()
    elif any(str(finding.severity) == "error" for finding in check_stream(path)):
        raise InputError(str(path), "a whole stream", "findings")


def _console(path, salvage):
    read_log(decode(path.read_bytes(), str(path)), "console")


CASES = {
    "core of a 64-bit guest, linear list": (lambda folder: bytes_of("tiny64-both"), _core),
    "core of a 64-bit guest, tree": (lambda folder: bytes_of("tiny64-classic"), _core),
    "core of a 32-bit guest": (lambda folder: bytes_of("tiny32pae"), _core),
    "saved 64-bit domain": (lambda folder: unpacked("tiny64-both.save", folder).read_bytes(), _stream),
    "saved 32-bit domain": (lambda folder: unpacked("tiny32pae.save", folder).read_bytes(), _stream),
    "made core of two pages": (_made_core, _core),
    "made stream of two pages": (_made_stream, _stream),
    "console of a boot": (lambda folder: console(Q35).encode()[:8192], _console),
}
"""By name: what gives the bytes, and what reads a file of them, with salvage or without."""


def places(size, every=False):
    """Where to cut a file of `size` bytes, the last place first.

    A file of up to `WHOLE` bytes, or with `every` any, is cut at every byte; a longer one at every byte of
    its `HEAD` and `TAIL`, where headers, notes and names are, and at every `STRIDE`-th between, a prime.
    """
    if every or size <= WHOLE:
        return range(size - 1, -1, -1)
    return sorted({*range(HEAD), *range(0, size, STRIDE), *range(size - TAIL, size)}, reverse=True)


def truncated(name, every=False):
    """Cut one file, the longest piece first.

    Raises:
        Exception: whatever is no InputError of one line.
    """
    make, read = CASES[name]
    counts = {"refused": 0, "read": 0, "salvaged": 0}
    start = perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "cut"
        data = make(Path(folder))
        path.write_bytes(data)
        cuts = places(len(data), every)
        for end in cuts:
            with path.open("r+b") as file:
                file.truncate(end)
            if _is_read(read, path, False):
                counts["read"] += 1
            else:
                counts["refused"] += 1
                counts["salvaged"] += _is_read(read, path, True)
    return Cuts(name, len(data), len(cuts), *counts.values(), perf_counter() - start)


def _is_read(read, path, salvage):
    try:
        with clocked():
            read(path, salvage)
    except InputError as error:
        if len(str(error).splitlines()) != 1:
            raise
        return False
    return True
