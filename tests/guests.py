"""The real guests in tests/guests."""

import io
import lzma
from pathlib import Path

import numpy as np

GUESTS = Path(__file__).parent / "guests"


def unpacked(name, folder):
    """A file of tests/guests, unpacked into `folder` once."""
    path = Path(folder) / name
    if not path.exists():
        path.write_bytes(lzma.decompress((GUESTS / f"{name}.xz").read_bytes()))
    return path


def live(name):
    """A list as it was read from the running guest, widened to 64-bit words."""
    words = np.load(io.BytesIO(lzma.decompress((GUESTS / f"{name}.npy.xz").read_bytes())))
    if words.dtype == np.uint64:
        return words
    wide = []
    for word in words.tolist():  # slow and obvious: bit 31 is foreign, bit 30 is identity
        flags = (word >> 30) << 62
        wide.append((1 << 64) - 1 if word == (1 << 32) - 1 else flags | (word & ((1 << 30) - 1)))
    return np.array(wide, np.uint64)
