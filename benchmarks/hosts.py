"""Made-up hosts for the benchmarks, the same ones on every run."""

import random

MIB = 1 << 20
GIB = 1 << 30


def big_host(size, entries=2000):
    """A host of `size` bytes whose RAM is cut by `entries` // 2 reserved ranges, a quarter of it dom0's."""
    piece = size // (entries // 2)
    e820 = []
    for index in range(entries // 2):
        start = index * piece
        e820.append([start, start + piece - 64 * 1024, 1])
        e820.append([start + piece - 64 * 1024, start + piece, 2])
    return {"nr_pages": size >> 14, "e820": e820, "max_res": size >> 13, "ibft": True}


def holey_host(size, entries=2000):
    """A host of `size` bytes with RAM in every other half of a step, half of it dom0's."""
    step = size // entries
    e820 = [[i * step, i * step + step // 2, 1] for i in range(entries)]
    return {"nr_pages": size >> 14, "max_res": size >> 14, "e820": e820}


def pc_hosts(count):
    """Rows like those of personal computers and servers: 4 to 128 GiB, 8 to 14 entries."""
    chance = random.Random(2011)
    for index in range(count):
        top = chance.choice((4, 8, 16, 32, 64, 128)) * GIB
        low = 0x80000000 - chance.randrange(0, 64) * MIB
        e820 = [[0, 0x9FC00, 1], [0x9FC00, 0xA0000, 2], [0xF0000, 0x100000, 2], [0x100000, low, 1]]
        for _ in range(chance.randrange(2, 6)):
            start = low + chance.randrange(0, 256) * 64 * 1024
            e820.append([start, start + chance.randrange(1, 32) * 4096, chance.choice((2, 3, 4))])
        e820 += [[0xFEC00000, 0xFEC01000, 2], [0xFEE00000, 0xFEE01000, 2], [4 * GIB, 2 * GIB + top, 1]]
        pages = chance.choice((1, 2, 3, 4)) * GIB >> 12
        fields = {"nr_pages": pages, "max_res": pages + chance.randrange(0, 1 << 18), "e820": e820}
        kernel = chance.choice(("5.10", "6.1", "6.12.107", "7.2.13"))
        yield {"id": index, "kernel": kernel, "bits": 64, "in": fields}
