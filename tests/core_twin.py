"""A slow and obvious reader of core dumps, by nothing but `struct` and the document of the format."""

import struct

NONE = (1 << 64) - 1


def slow_core(path):
    """MFN and page of every PFN of a core's own table; of HVM guests the MFN is None."""
    data = path.read_bytes()
    wide = data[4] == 2
    start, word = (40, "Q") if wide else (32, "I")
    (headers,) = struct.unpack_from("<" + word, data, start)
    size, count, names = struct.unpack_from("<3H", data, 58 if wide else 46)
    rows = []
    for at in range(headers, headers + size * count, size):
        name, _kind = struct.unpack_from("<II", data, at)
        _flags, _address, offset, length = struct.unpack_from("<4" + word, data, at + 8)
        rows.append((name, offset, length))
    strings = data[rows[names][1] : rows[names][1] + rows[names][2]]
    named = {strings[name:].split(b"\0")[0].decode(): (offset, length) for name, offset, length in rows}
    pages, _ = named[".xen_pages"]
    pairs = ".xen_p2m" in named
    table, length = named[".xen_p2m" if pairs else ".xen_pfn"]
    found = {}
    for place in range(length // (16 if pairs else 8)):
        page = data[pages + place * 4096 : pages + (place + 1) * 4096]
        if pairs:
            pfn, mfn = struct.unpack_from("<QQ", data, table + place * 16)
        else:
            (pfn,), mfn = struct.unpack_from("<Q", data, table + place * 8), None
        if pfn != NONE:
            found[pfn] = mfn, page
    return found
