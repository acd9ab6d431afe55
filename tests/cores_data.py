"""The real cores of `tests/cores`, unpacked once, and what was read from the running guests."""

import io
import lzma
from functools import cache
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent / "cores"
TINY = ("tiny64-both", "tiny64-classic", "tiny32pae")
LINUX = ("s2-balloon100", "e1")
ALL = (*TINY, *LINUX)


@cache
def bytes_of(name):
    return lzma.decompress((HERE / f"{name}.core.xz").read_bytes())


def unpack(name, folder):
    """The core as a sparse file."""
    path = folder / f"{name}.core"
    if not path.exists():
        with path.open("wb") as file:
            data = bytes_of(name)
            for low in range(0, len(data), 1 << 16):
                part = data[low : low + (1 << 16)]
                if part.strip(b"\0"):
                    file.seek(low)
                    file.write(part)
            file.truncate(len(data))
    return path


def live(name):
    """The list as 64-bit words, and the frames of its pages."""
    words, frames = (
        np.load(io.BytesIO(lzma.decompress((HERE / f"{name}.{what}.npy.xz").read_bytes())))
        for what in ("live", "listpages")
    )
    if words.dtype == np.uint32:
        wide = [
            (1 << 64) - 1 if word == 0xFFFFFFFF else (word >> 30) << 62 | (word & 0x3FFFFFFF)
            for word in words.tolist()
        ]
        words = np.array(wide, np.uint64)
    return words, frames
