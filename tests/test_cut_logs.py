"""Logs cut anywhere: what is left is used, and nothing else is stated."""

import re
from dataclasses import fields, replace

import pytest

from consoles import BOOTS, HALTED, console, facts
from xenp2m.diagnosis.diagnose import diagnose
from xenp2m.errors import InputError
from xenp2m.host import Host
from xenp2m.intake import read_hosts
from xenp2m.logs.consolelog import read_log
from xenp2m.logs.oneboot import read_one_boot
from xenp2m.options import Options
from xenp2m.recover import host_of_log
from xenp2m.views.diagnosis_text import diagnosis_lines

ASSUMED = {"release": "Linux [0-9]", "mfn_base": "MFNs ascend", "ibft": "IBFT|Linux [0-9]", "kernel": "kernel",
           "start_info": "start info", "pt": "page tables", "initrd": "ramdisk", "p2m_frames": "P2M list",
           "mem_limit": "no mem=", "nr_pages": "can be given to dom0|no ramdisk|no dom0_mem=",
           "max_res": "no dom0_mem=|can be given to dom0", "e820": "APIC|IOMMU"}  # fmt: skip
"""What the assumptions of a plan say where its host differs from that of the whole log."""
CONSOLES = sorted(path.parent.name for path in BOOTS.glob("*/console.log.xz"))
MEM = "mem-800M-1024_max1536"
NOT_COMPARED = {"name", "boots", "lines", "names", "unended", "printed", "running", "words", "host_map_cut",
                "linux_map_open", "faults", "bugs", "stops", "dom0_end", "linux_version_full",
                "linux_version_from_oops_full"}  # fmt: skip


def of(text):
    return diagnose(read_log(text, "log"), Options())


def shown(diagnosis):
    return "\n".join(diagnosis_lines(diagnosis, "log", width=1000))


@pytest.mark.parametrize("host", CONSOLES)
def test_a_log_cut_at_every_line_says_only_what_is_left(host):
    """At every line of the boot itself; in floods, and of what scripts print later, at every 41st."""
    lines = console(host).split("\n")
    full, host = of("\n".join(lines)), planned("\n".join(lines))
    before = None
    for end in [cut for cut in range(len(lines) + 1) if cut < 300 or cut % 41 == 0]:
        left = "\n".join(lines[:end]) + "\n"
        try:
            log = read_log(left, "log")
            if before is not None and facts(log) == before:
                continue
            before = facts(log)
            if host is not None:
                what_differs_is_assumed(log, host)
            diagnosis = diagnose(log, Options())
        except InputError:
            continue
        only_what_is_left(diagnosis, left, end)
        as_in_the_whole(diagnosis, full)


def planned(text):
    try:
        return host_of_log(read_log(text, "log"), Options())[0]
    except InputError:
        return None


def what_differs_is_assumed(log, whole):
    """A plan of what is left takes nothing for granted without saying so."""
    host, _ = host_of_log(log, Options())
    said = "; ".join(host.assumed)
    for each in fields(Host):
        if each.name != "assumed" and getattr(host, each.name) != getattr(whole, each.name):
            assert re.search(ASSUMED[each.name], said), (each.name, said)


def only_what_is_left(diagnosis, left, end):
    seen = [check.where for check in diagnosis.checks] + [each.where for each in diagnosis.faults]
    seen += [row.where for row in diagnosis.rows if row.how == "printed"]
    for where in seen:
        assert 0 < int(where.rpartition(":")[2]) <= end
    if not any(
        word in left for word in ("kernel BUG", "halted", "WARNING", "conflicts with", "BUG: ", "panic")
    ):
        ends = [c for c in diagnosis.checks if c.name == "end of the boot"]
        assert all(check.printed in ("no end within the log", "is up") for check in ends)
        assert not {"dom0-died", "fault-elsewhere"} & set(diagnosis.known)
        assert set(diagnosis.known.values()) <= {"predicted", "printed"}
    assert all(check.agrees for check in diagnosis.checks), (end, diagnosis.disagreements)
    for name, version, taken in re.findall(
        r"(Xen|Linux) ([\d.]+)( \((?:assumed|inferred)\))?", diagnosis.title
    ):
        assert taken or version in left, (end, name, diagnosis.title)
    text = shown(diagnosis)
    for finding in diagnosis.findings:
        how = diagnosis.known[finding.code]
        assert f"{finding.code}:" in text if how == "printed" else f"{finding.code}, {how}:" in text


def as_in_the_whole(diagnosis, full):
    """A number that is said to be printed is the one that the whole log prints."""
    printed = {row.name: row.kib for row in full.rows if row.how == "printed"}
    assert all(printed[row.name] == row.kib for row in diagnosis.rows if row.how == "printed")
    growing = {"end of the boot", "unavailable ranges", "ranges that found no room"}
    checks = {check.name: check.printed for check in full.checks}
    for check in diagnosis.checks:
        if check.name not in growing and not check.printed.startswith("the first "):
            assert check.printed == checks[check.name]
    if "(" not in diagnosis.title:
        assert diagnosis.known.keys() <= full.known.keys()


def each_fact(log):
    for kind, part in (("", log), ("printed.", log.printed), ("running.", log.running)):
        names = [f.name for f in fields(part) if f.name not in NOT_COMPARED]
        yield from ((kind + name, getattr(part, name)) for name in names)


@pytest.mark.parametrize("host", [HALTED, MEM])
def test_a_log_cut_within_a_line_has_no_number_that_is_not_whole(tmp_path, host):
    """What a cut leaves of a number is not taken for one; words stay."""
    lines = console(host).split("\n")
    path = tmp_path / "cut.txt"
    before = dict(each_fact(read_log("\n".join(lines[:20]) + "\n", "log")))
    for end in range(21, len(lines)):
        whole = dict(each_fact(read_log("\n".join(lines[:end]) + "\n", "log")))
        changed = [name for name in whole if whole[name] != before[name]]
        for cut in range(1, len(lines[end - 1]), 7) if changed else ():
            path.write_text("\n".join([*lines[: end - 1], lines[end - 1][:cut]]))
            left, _ = read_one_boot([str(path)])
            for name, value in each_fact(left):
                short = isinstance(value, tuple) and value == whole[name][: len(value)]
                assert value in (before[name], whole[name]) or short, (end, cut, name)
            assert all(line <= end for line in left.lines.values())
        before = whole


def test_the_last_line_counts_where_it_is_whole(tmp_path):
    path = tmp_path / "log.txt"
    for text, version in (("Xen: [mem 0x0-0x9f", None), ("p2m virtual area at x, size is 40000000", None)):
        path.write_text(f"(XEN) Command line: dom0_mem=1024M\n[    0.000000] {text}")
        log, _ = read_one_boot([str(path)])
        assert log.printed.p2m_area_size is version
    path.write_text(
        "(XEN) Xen version 4.17.5 (x)\n(XEN) Command line: dom0_mem=1024M\n(XEN) Hardware Dom0 halted: h"
    )
    assert read_one_boot([str(path)])[0].printed.dom0_end is not None
    path.write_text("[    0.000000] Linux version 6.1.0\n[    0.000000] Command line: mem=800M\n")
    assert read_one_boot([str(path)])[0].linux_cmdline == "mem=800M"
    path.write_text("[    0.000000] Linux version 6.1.0\n[    0.000000] Command line: mem=80")
    log, _ = read_one_boot([str(path)])
    assert (log.linux_cmdline, log.unended) == (None, 2)


@pytest.mark.parametrize("form", ["0 9f000 usable\n100000 40000000 usable\n100000000 140000000 {}",
                                  "(XEN) Xen-e820 RAM map:\n(XEN)  [0000000000100000, 000000003fffffff] (usable)\n"
                                  "(XEN)  [0000000100000000, 000000013fffffff] ({})"])  # fmt: skip
@pytest.mark.parametrize("words", ["usable", "reserved"])
def test_the_last_range_of_a_map_stays_where_its_type_is_there(tmp_path, form, words):
    path = tmp_path / "map.txt"
    text = form.format(words)
    path.write_text(text)
    (item,) = read_hosts([str(path)], Options(dom0_mem="512M"))
    path.write_text(text + "\n")
    (whole,) = read_hosts([str(path)], Options(dom0_mem="512M"))
    assert item.host == whole.host
    path.write_text(text[: -len(words) - 3])
    (cut,) = read_hosts([str(path)], Options(dom0_mem="512M"))
    assert cut.host is None or cut.host.e820 != whole.host.e820


@pytest.mark.parametrize(
    "word", ["Dom0 alloc.:", "Init. ramdisk:", "Page tables:", "Start info:", "Command line:"]
)
@pytest.mark.parametrize("host", [HALTED, MEM])
def test_a_plan_of_a_log_cut_within_a_line_uses_no_number_that_is_not_whole(tmp_path, host, word):
    """Each line tells where something lies; it is put last, and cut at every character."""
    lines = console(host).split("\n")
    place = next(n for n, line in enumerate(lines) if word in line)
    last = lines.pop(place)
    rest = "\n".join(line for line in lines if line.startswith("(XEN)")) + "\n"
    hosts = (planned(rest), planned(f"{rest}{last}\n"))
    allowed = [replace(each, assumed=()) for each in hosts if each is not None]
    path = tmp_path / "cut.txt"
    for cut in range(last.index(word) + len(word), len(last)):
        path.write_text(rest + last[:cut])
        (item,) = read_hosts([str(path)], Options())
        if item.host is not None:
            assert replace(item.host, assumed=()) in allowed, cut
