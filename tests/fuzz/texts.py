"""Parsers of text in memory: logs of every form, options, strings, grids, items."""

import lzma
from functools import cache

from tests.consoles import BOOTS
from tests.fuzz.damage import in_text
from tests.fuzz.target import Target

from xenp2m.diagnosis.diagnose import diagnose
from xenp2m.dom0_mem import from_command_line, parse
from xenp2m.errors import InputError
from xenp2m.kernel import NEWEST, Version
from xenp2m.kernelconfig import read_config
from xenp2m.logs.consolefacts import merge
from xenp2m.logs.consolelog import read_boots, read_log
from xenp2m.logs.consolerules import rule_words
from xenp2m.logs.e820text import FirmwareMemmap, parse_line, unwrap
from xenp2m.logs.pcibars import parse_bars
from xenp2m.logs.redact import Redactor, redacted_log
from xenp2m.logs.textfile import decode
from xenp2m.maps.translate import parse_item
from xenp2m.options import Options
from xenp2m.passthrough import check_bars
from xenp2m.plan import make_plan
from xenp2m.recover import host_of_log
from xenp2m.sizing import size_dom0
from xenp2m.sweep.grid import dom0_mem_values, kernel_values, rules_values
from xenp2m.views.answer import answer
from xenp2m.views.diagnosis_answer import diagnosis_object

__all__ = ["TARGETS"]

_WORDS = (
    *rule_words(),
    "[mem",
    "RAM map:",
    "memory map",
    "BUG",
    "Oops",
    "WARNING",
    "RIP",
    "panic",
    ": BAR ",
    "(usable)",
    "(reserved)",
    "(ACPI",
    "attr=",
)
_TOOLS = """\
total_memory           : 8191
free_memory            : 511
xen_version            : 4.17.7
xen_commandline        : placeholder dom0_mem=1024M,max:1536M
/local/domain/0/memory/target = "1048576"   (n0)
/local/domain/3/memory/static-max = "1048576"   (n3,r0)
MemTotal:        1003832 kB
MemFree:          733320 kB
DirectMap4k:     1572864 kB
"""
_FORMS = """\
Xen: [mem 0x0000000000000000-0x000000000009efff] usable
BIOS-e820: [mem 0x000000007ffcc400-0x000000007ffdbfff] ACPI NVS
modified: [mem 0x0000000000000000-0x0000000000000fff] persistent (type 12)
Xen: [mem 0x0000000000100000-0x000000006007ffff]  System RAM
BIOS-e820: 0000000000000000 - 000000000009f800 (usable)
(XEN)  [0000000000000000, 000000000009fbff] (usable)
(XEN)  0000000000000 - 000000000009fc00 (usable)
(XEN)  0000000000000-000000009ffff type=7 attr=000000000000000f
00000000-00000fff : Reserved
00001000-0009ffff : System RAM
  00090000-0009ffff : Kernel code
fe000000-fe003fff : 0000:00:04.0
/sys/firmware/memmap/0/start:0x0
/sys/firmware/memmap/0/end:0x9fbff
/sys/firmware/memmap/0/type:System RAM
libxl: debug: libxl_x86.c:232:e820_sanitize: :\t[a100 -> 7ffdc] Unusable
> > [    0.000000] BIOS-e820: [mem 0x0000000000100000-0x000000007ffdbfff]
> > usable
2024-01-01T00:00:00+00:00 box kernel: Xen: [mem 0x0000000100000000-0x00000001ffffffff] usable
[    0.000000] [gap 0x80000000-0xbfffffff available for PCI devices]
"""
_LSPCI = """\
00:02.0 VGA compatible controller: Maker Device 1234 (rev 09)
\tMemory at f7800000 (64-bit, non-prefetchable) [size=4M]
\tExpansion ROM at 000c0000 [virtual] [disabled] [size=128K]
0000:03:00.4 Ethernet controller [0200]: Maker Device [1111:2222]
\tRegion 0: Memory at 90004000 (64-bit, prefetchable) [size=16K]
[    4.1] pci 0000:00:01.0: BAR 0 [mem 0xfd000000-0xfdffffff pref]
[    4.1] pci 0000:00:01.0: reg 0x30: [mem 0xfd000000-0xfd00ffff pref]
"""
_CONFIG = """\
# Linux/x86 6.12.43 Kernel Configuration
CONFIG_XEN=y
CONFIG_XEN_PV=y
CONFIG_NODES_SHIFT=10
CONFIG_ISCSI_IBFT_FIND=y
CONFIG_XEN_MEMORY_HOTPLUG_LIMIT=512
# CONFIG_XEN_DEBUG_FS is not set
"""
_DOM0_MEM = (
    "1024M,max:1536M", "min:1G,max:50%", "-512M", "dom0_mem=max:2T", "2G", "1G+25%,max:-1G",
    "dom0_mem=1G dom0_mem=max:2G loglvl=all",
)  # fmt: skip
_GRIDS = ("512M..8G:64M", "1G,max:1G..4G:64M", "512M,1G,2G..8G:1G", "6.1,6.12.92,edges", "seed,3.12,3.18")
_ITEMS = (
    "0x9f",
    "159",
    "mfn:0x1700ff",
    "paddr:0x9f000",
    "2364M",
    "maddr:0x1700ff000",
    "vaddr:0xffffffff81000000",
)


@cache
def _consoles():
    """What matters of each real console, and the forms that none of them has."""
    kept = []
    for path in sorted(BOOTS.glob("*/console.log.xz")):
        lines = lzma.decompress(path.read_bytes()).decode("utf-8", "replace").split("\n")
        told = [line for line in lines if any(word in line for word in _WORDS)]
        kept.append("\n".join(told[:90]).encode())
    return [*kept, *(text.encode() for text in (_TOOLS, _FORMS, _LSPCI))]


def _with_devices():
    return [text + b"\n" + _LSPCI.encode() for text in _consoles()[:-3]]


def _log(data):
    text = decode(data, "input")
    log = read_log(text, "input")
    return sorted(log.lines)


def _map(data):
    memmap, found = FirmwareMemmap(), set()
    for _, line in unwrap(decode(data, "input")):
        parsed = parse_line(line)
        found.add(parsed and parsed.form)
        memmap.feed(line)
    return found


def _plan(data):
    boots, chosen = read_boots(decode(data, "input"), "input")
    host, title = host_of_log(boots[chosen], Options())
    told = answer(make_plan(host), title)
    return sorted(finding["code"] for finding in told["findings"]), "bug" in told


def _diagnose(data):
    text = decode(data, "input")
    redactor = Redactor()
    redactor.learn_from(text)
    log = redacted_log(merge([read_log(text, "input")]), redactor)
    told = diagnosis_object(diagnose(log, Options()), "input")
    redactor.text(text)
    return sorted(finding["code"] for finding in told["findings"])


def _bars(data):
    text = decode(data, "input")
    log, bars = read_log(text, "input"), parse_bars(text)
    result = check_bars(log, log, bars, memory=1 << 20, maxmem=1 << 21, e820_host=None)
    return sorted({finding.code for finding in result.findings})


def _text(data):
    return data.decode("utf-8", "replace")


def _dom0_mem(data):
    text = _text(data)
    outcomes = []
    for work in (
        lambda: parse(text, Version(4, 4)),
        lambda: parse(text, strict=True),
        lambda: from_command_line(text),
        lambda: size_dom0(text, 64 << 30, Version(4, 17), NEWEST),
    ):
        try:
            outcomes.append(type(work()).__name__)
        except InputError as error:
            outcomes.append(error.expected)
    return outcomes


def _config(data):
    config = read_config(decode(data, "input"), "input")
    return config.ibft, config.p2m_limit_gb > 0, config.version is None


def _grid(data):
    text, outcomes = _text(data)[:120], []
    for axis in (dom0_mem_values, kernel_values, rules_values):
        try:
            outcomes.append(len(axis([text])) > 1)
        except InputError as error:
            outcomes.append(error.expected)
    return outcomes


def _item(data):
    return parse_item(_text(data)).space


def _words(*texts):
    return lambda: [text.encode() for text in texts]


TARGETS = {
    "log": Target(_consoles, in_text, _log),
    "log to plan": Target(_consoles, in_text, _plan),
    "log to diagnosis": Target(_consoles, in_text, _diagnose),
    "E820 text": Target(_words(_FORMS), in_text, _map),
    "PCI BARs": Target(_with_devices, in_text, _bars),
    "dom0_mem=": Target(_words(*_DOM0_MEM), in_text, _dom0_mem),
    "kernel config": Target(_words(_CONFIG), in_text, _config),
    "sweep grid": Target(_words(*_GRIDS), in_text, _grid),
    "lookup item": Target(_words(*_ITEMS), in_text, _item),
}
