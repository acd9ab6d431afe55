"""Real files cut off at every byte: refused in one line, or read as what is left with salvage, and nothing worse.

A place inside the contents of a page differs from others only by its place in the page and by the number of pages
before it. So there one page is cut at every byte, the last too, and the rest at every `STRIDE`-th.
"""

import tempfile
from pathlib import Path
from time import perf_counter
from typing import NamedTuple

from elftools.elf.elffile import ELFFile
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
from xenp2m.sources.stream.edit import stream_records
from xenp2m.sources.synth_core import CoreSpec, synth_core
from xenp2m.sources.synth_stream import StreamSpec, synth_stream

__all__ = ["CASES", "Cuts", "truncated"]

PAGE, STRIDE = 4096, 8191
"""Bytes; the second is a prime."""


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


def _core_pages(path):
    with path.open("rb") as file:
        pages = ELFFile(file).get_section_by_name(".xen_pages")
        return [(pages["sh_offset"], pages["sh_offset"] + pages["sh_size"])]


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


def _stream_pages(path):
    found = []
    for record in stream_records(path):
        if record.name == "PAGE_DATA":
            body = record.offset + 8
            found.append((body + 8 + 8 * int.from_bytes(record.body()[:4], "little"), body + record.length))
    return found


def _console(path, salvage):
    read_log(decode(path.read_bytes(), str(path)), "console")


def _no_pages(path):
    return []


CASES = {
    "core of a 64-bit guest, linear list": (lambda folder: bytes_of("tiny64-both"), _core, _core_pages),
    "core of a 64-bit guest, tree": (lambda folder: bytes_of("tiny64-classic"), _core, _core_pages),
    "core of a 32-bit guest": (lambda folder: bytes_of("tiny32pae"), _core, _core_pages),
    "saved 64-bit domain": (
        lambda folder: unpacked("tiny64-both.save", folder).read_bytes(),
        _stream,
        _stream_pages,
    ),
    "saved 32-bit domain": (
        lambda folder: unpacked("tiny32pae.save", folder).read_bytes(),
        _stream,
        _stream_pages,
    ),
    "made core of two pages": (_made_core, _core, _core_pages),
    "made stream of two pages": (_made_stream, _stream, _stream_pages),
    "console of a boot": (lambda folder: console(Q35).encode()[:8192], _console, _no_pages),
}
"""By name: what gives the bytes, what reads a file of them, with salvage or without, and where its pages lie."""


def places(size, pages):
    """Where to cut a file of `size` bytes, the last place first: everywhere but in the middle of `pages`."""
    skipped = set()
    for start, end in pages:
        skipped |= set(range(start + PAGE, end - PAGE)) - set(range(start, end, STRIDE))
    return [end for end in range(size - 1, -1, -1) if end not in skipped]


def truncated(name):
    """Cut one file, the longest piece first.

    Raises:
        Exception: whatever is no InputError of one line.
    """
    make, read, pages = CASES[name]
    counts = {"refused": 0, "read": 0, "salvaged": 0}
    start = perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "cut"
        data = make(Path(folder))
        path.write_bytes(data)
        cuts = places(len(data), pages(path))
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
