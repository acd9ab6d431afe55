"""Core dumps: opened, turned round and looked up, beside volatility3 and libkdumpfile in the same run."""

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.clock import PEAK, best
from benchmarks.peers import debian, environment
from xenp2m.p2m import P2M
from xenp2m.sources.core.reader import read
from xenp2m.sources.synth_core import CoreSpec, synth_core

ENTRIES_4G, RUN = 1 << 20, 32
ENTRIES_VOL = 1 << 14
LOOKUPS = 20_000
PACKAGES = ("python3-libkdumpfile", "libkdumpfile10", "liblzo2-2", "libsnappy1v5")


def fragmented(entries, run, *, holes=False):
    """A map of ascending runs of `run` frames each, in random order; with a PFN missing behind each."""
    order = np.random.default_rng(2011).permutation(entries // run).astype(np.uint64)
    words = (order[:, None] * np.uint64(run + 1) + np.arange(run, dtype=np.uint64)).reshape(-1)
    words += np.uint64(1 << 12)
    if holes:
        words[run - 1 :: run] = np.uint64((1 << 64) - 1)
    return P2M(words)


def eager(path):
    """The raw map, the table, the way back and the duplicates."""
    source = read(path)
    assert source.p2m.duplicates().total == 0
    source.p2m.inverse(np.array([1]))
    assert len(source.listed) == len(source.p2m)


def volatility(path):
    """Seconds in which volatility3 loads a core, its description of ``.xen_p2m`` mended first."""
    from volatility3.framework import contexts
    from volatility3.framework.layers import physical, xen
    from volatility3.framework.symbols import intermed

    create = intermed.IntermediateSymbolTable.create.__func__

    def mended(cls, context, config_path, sub_path, filename, **more):
        name = create(cls, context, config_path, sub_path, filename, **more)
        if filename == "xen":
            described = context.symbol_space[name]._delegate._json_object["user_types"]
            entries = described["xen_p2m"]["fields"]["entries"]["type"]
            entries["subtype"] = {"kind": "struct", "name": "xen_pfn_entry"}
        return name

    intermed.IntermediateSymbolTable.create = classmethod(mended)
    try:
        context = contexts.Context()
        context.config["file.location"] = Path(path).as_uri()
        context.add_layer(physical.FileLayer(context, "file", "file"))
        context.config["core.base_layer"] = "file"
        start = time.perf_counter()
        layer = xen.XenCoreDumpLayer(context, "core", "core")
        seconds = time.perf_counter() - start
        assert layer.maximum_address > 0
    finally:
        intermed.IntermediateSymbolTable.create = classmethod(create)
    return seconds


KDUMPFILE = """
import json, sys, time
import addrxlat, kdumpfile
path, pfns, mfns = json.load(sys.stdin)


def rate(call, numbers):
    start = time.perf_counter()
    for number in numbers:
        call(number)
    return len(numbers) / (time.perf_counter() - start)


def page(number):
    return file.read(kdumpfile.KDUMP_KPHYSADDR, number << 12, 4096)


def frame(number):
    return file.read(kdumpfile.KDUMP_MACHPHYSADDR, number << 12, 4096)


def lookup(number, here=addrxlat.KPHYSADDR, there=addrxlat.MACHPHYSADDR):
    address = addrxlat.FullAddress(here, number << 12)
    address.conv(there, context, system)
    return address.addr >> 12


def inverse(number):
    return lookup(number, addrxlat.MACHPHYSADDR, addrxlat.KPHYSADDR)


opens = []
for _ in range(3):
    start = time.perf_counter()
    file = kdumpfile.kdumpfile(path)
    page(0)
    opens.append(time.perf_counter() - start)
context, system = file.get_addrxlat_ctx(), file.get_addrxlat_sys()
assert lookup(pfns[0]) == mfns[0] and inverse(mfns[0]) == pfns[0]
told = {"open": min(opens), "first": rate(page, pfns)}
told |= {"page": rate(page, pfns), "frame": rate(frame, mfns)}
told |= {"lookup": rate(lookup, pfns), "inverse": rate(inverse, mfns)}
print(json.dumps(told))
"""


def kdumpfile(path, pfns, mfns, report):
    """What libkdumpfile from Debian's package does: seconds to open, and how many a second of the rest."""
    given = json.dumps([str(path), pfns, mfns])
    roots = debian(report, "libkdumpfile", *PACKAGES)
    for python in (sys.executable, "/usr/bin/python3") if roots is not None else ():
        run = subprocess.run(
            [python, "-c", KDUMPFILE],
            input=given,
            capture_output=True,
            text=True,
            check=False,
            env=environment(roots),
        )
        if run.returncode == 0:
            return json.loads(run.stdout)
    if roots is not None:
        report.missing("libkdumpfile", (run.stderr.strip().splitlines() or ["it fails"])[-1])
    return None


def forgotten(path):
    """`path`, of which the system keeps no page in memory any more."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    return path


def cores(report):
    """All figures of a core, opened and read page by page."""
    entries = ENTRIES_4G // 16 if report.quick else ENTRIES_4G
    report.section(
        "Cores",
        f"A PV guest of {entries >> 8:,} MiB in {entries // RUN:,} runs; its pages are a sparse file.",
    )
    with tempfile.TemporaryDirectory() as folder:
        _opened(report, Path(folder), entries)
        _by_page(report, Path(folder), entries)


def _opened(report, folder, entries):
    big, small = folder / "big.core", folder / "small.core"
    synth_core(big, fragmented(entries, RUN))
    synth_core(small, fragmented(ENTRIES_VOL, RUN))
    whole = best(lambda: eager(big))
    report("core opened: P2M, M2P, table, duplicates", whole * 1e3, "ms", 250)
    if importlib.util.find_spec("volatility3"):
        theirs = volatility(small) * (entries / ENTRIES_VOL)
        why = (
            "it takes entries one by one in Python; stock it fails, so its description of the table is mended"
        )
        name = "  volatility3 beside it, from 64 MiB"
        report(name, theirs / whole, "times", 60 if report.quick else 1000, at_least=True, why=why)
    else:
        report.missing("volatility3", "pip install volatility3")


def _by_page(report, folder, entries):
    """A map with holes, page by page and frame by frame, and what opening it lazily takes."""
    holed = folder / "holes.core"
    p2m = fragmented(entries, RUN, holes=True)
    synth_core(holed, p2m)
    pfns = np.random.default_rng(5).integers(0, entries // RUN, LOOKUPS) * RUN
    mfns = p2m.translate(pfns).astype(np.int64)
    few = pfns[:500].tolist(), mfns[:500].tolist()
    peer = kdumpfile(forgotten(holed), *few, report)
    ours = _rates(forgotten(holed), pfns, mfns)
    runs = f"{entries // RUN:,} runs"
    report(f"random pages in a map of {runs}", ours["page"], "pages/s", 66_100, at_least=True, why=WHY_661)
    report("  the same by MFN", ours["frame"], "pages/s", 66_100, at_least=True)
    lazy, first = best(lambda: read(holed)), best(lambda: read(holed).memory.page(0))
    report("core opened lazily", lazy * 1e3, "ms", 18)
    if not peer:
        return
    report("  beside libkdumpfile's open", lazy / peer["open"], "times", 1)
    report("  with the first page, beside libkdumpfile's", first / peer["open"], "times", 1)
    report.table(
        ["a second, in " + runs, "xenp2m", "libkdumpfile", "times"],
        [[name, ours[way], peer[way], ours[way] / peer[way]] for way, name in WAYS.items()],
        WHY_KDUMPFILE,
    )
    least = 1 if report.quick else 100
    name = "  pages that were not in memory, beside libkdumpfile's"
    report(name, ours["first"] / peer["first"], "times", least, at_least=True)
    why = "it has no call for many; one of its lookups passes over half of the runs"
    for name, way, least in (
        ("MFNs of random PFNs, many at once, beside libkdumpfile's", "lookup", 5 if report.quick else 100),
        ("  PFNs of random MFNs", "inverse", 2 if report.quick else 20),
    ):
        report(name, ours[f"{way}, bulk"] / peer[way], "times", least, at_least=True, why=why)


WAYS = {
    "first": "pages that were not in memory",
    "page": "the same pages again",
    "frame": "pages by MFN",
    "lookup": "MFN of a PFN",
    "inverse": "PFN of an MFN",
}
WHY_661 = "a hundred times the 661/s that libkdumpfile was once seen to do, on another machine"
WHY_KDUMPFILE = (
    "One at a time in a Python loop on both sides; pages are holes of a sparse file. libkdumpfile maps some "
    "MiB around each page: where those are not in memory, that takes milliseconds, as it did when it was "
    "seen to do 661/s. Its pass over half of 32,768 runs takes about ten microseconds."
)


def _rates(path, pfns, mfns):
    """Pages and lookups a second, by the names of `WAYS`; of a core that is not in memory."""
    source = read(path)
    memory, p2m, few = source.memory, source.p2m, (pfns[:500].tolist(), mfns[:500].tolist())

    def rate(call, numbers, runs=3):
        return len(numbers) / best(lambda: [call(number) for number in numbers], runs)

    told = {"first": rate(memory.page, few[0], 1), "page": rate(memory.page, few[0])}
    assert memory.page(few[0][0]) == memory.frame(few[1][0])
    told |= {"frame": rate(memory.frame, few[1]), "lookup": rate(p2m.lookup, few[0])}
    told["inverse"] = rate(memory.table.pfn_of, few[1])
    many, frames = np.tile(pfns, 50), np.tile(mfns, 50)
    told["lookup, bulk"] = many.size / best(lambda: p2m.translate(many), 3)
    told["inverse, bulk"] = many.size / best(lambda: p2m.inverse(frames), 3)
    assert (p2m.inverse(mfns) == pfns).all()
    return told


SHOW = (
    "import sys, time\n"
    "from xenp2m.cli.app import run\n"
    "start = time.perf_counter()\n"
    "assert run(['show', sys.argv[1]]) == 0\n"
    "print(time.perf_counter() - start)\n" + PEAK
)


def tebibyte(report):
    """A guest of 1 TiB in a sparse file of 7 GB: the command `show` in a process of its own."""
    report.section("A guest of 1 TiB", "Peak memory is all that the process had at most.")
    with tempfile.TemporaryDirectory() as folder:
        for run in (1 << 9, RUN):
            path = Path(folder, f"{run}.core")
            synth_core(path, fragmented(1 << 28, run), CoreSpec(tree=False))
            shown = subprocess.run(
                [sys.executable, "-c", SHOW, str(path)], capture_output=True, text=True, check=True
            )
            *told, seconds, peak = shown.stdout.splitlines()
            assert any("ram 1 TiB (268,435,456)" in line for line in told)
            report(f"1 TiB core in runs of {run} frames, xenp2m show", float(seconds), "s", 60)
            report("  peak memory of that process", int(peak) / (1 << 20), "GiB", 3)
            path.unlink()
