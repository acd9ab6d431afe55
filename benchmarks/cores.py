"""Core dumps: opened, turned round and looked up, beside volatility3 and libkdumpfile in the same run."""

import importlib.util
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.clock import best
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


def kdumpfile(path, pfns, report):
    """Seconds to open, and page reads a second, of libkdumpfile from Debian's package."""
    script = (
        "import json, sys, time, kdumpfile\n"
        "path, pfns = json.load(sys.stdin)\n"
        "opens = []\n"
        "for _ in range(3):\n"
        "    start = time.perf_counter()\n"
        "    file = kdumpfile.kdumpfile(path)\n"
        "    file.read(kdumpfile.KDUMP_KPHYSADDR, 0, 4096)\n"
        "    opens.append(time.perf_counter() - start)\n"
        "start = time.perf_counter()\n"
        "for pfn in pfns:\n"
        "    file.read(kdumpfile.KDUMP_KPHYSADDR, pfn << 12, 4096)\n"
        "print(json.dumps([min(opens), len(pfns) / (time.perf_counter() - start)]))\n"
    )
    given = json.dumps([str(path), pfns[:500]])
    roots = debian(report, "libkdumpfile", *PACKAGES)
    for python in (sys.executable, "/usr/bin/python3") if roots is not None else ():
        run = subprocess.run(
            [python, "-c", script],
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
    """A map with holes, page by page, and what opening it lazily takes."""
    holed = folder / "holes.core"
    p2m = fragmented(entries, RUN, holes=True)
    synth_core(holed, p2m)
    pfns = np.random.default_rng(5).integers(0, entries // RUN, LOOKUPS) * RUN
    memory, mfns = read(holed).memory, p2m.translate(pfns).tolist()
    pfns = pfns.tolist()
    assert memory.page(pfns[0]) == memory.frame(mfns[0])
    rate = LOOKUPS / best(lambda: [memory.page(pfn) for pfn in pfns], 3)
    by_mfn = LOOKUPS / best(lambda: [memory.frame(mfn) for mfn in mfns], 3)
    report(f"random pages in a map of {entries // RUN:,} runs", rate, "pages/s", 20_000, at_least=True)
    report("  the same by MFN", by_mfn, "pages/s", 20_000, at_least=True)
    lazy, first = best(lambda: read(holed)), best(lambda: read(holed).memory.page(0))
    report("core opened lazily", lazy * 1e3, "ms", 18)
    peer = kdumpfile(holed, pfns, report)
    if peer:
        report("  beside libkdumpfile's open", lazy / peer[0], "times", 1)
        report("  with the first page, beside libkdumpfile's", first / peer[0], "times", 1)
        report("  pages a second beside libkdumpfile's", rate / peer[1], "times", 1, at_least=True)


def tebibyte(report):
    """A guest of 1 TiB in a sparse file of 7 GB: opened and accounted by a process of its own."""
    script = (
        "import json, sys, time\n"
        "from xenp2m.sources.core.reader import read\n"
        "start = time.perf_counter()\n"
        "source = read(sys.argv[1])\n"
        "kinds = {str(kind): n for kind, n in source.p2m.count().items()}\n"
        "status = open('/proc/self/status').read()\n"
        "peak = int(status.split('VmHWM:')[1].split()[0])\n"
        "print(json.dumps([time.perf_counter() - start, peak, kinds]))\n"
    )
    report.section("A guest of 1 TiB")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "1t.core")
        synth_core(path, fragmented(1 << 28, 1 << 9), CoreSpec(tree=False))
        run = subprocess.run(
            [sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=True
        )
        seconds, peak, kinds = json.loads(run.stdout)
        assert kinds == {"mfn": 1 << 28}
        report("1 TiB core opened and accounted", seconds, "s", 60)
        report("  peak memory of that process", peak / (1 << 20), "GiB", 3)
