"""Logs cut anywhere: what is left is used, and nothing else is stated."""

import re
from dataclasses import fields

import pytest

from consoles import BOOTS, HALTED, console, facts
from xenp2m.diagnosis.diagnose import diagnose
from xenp2m.diagnosis.logs import read_one_boot
from xenp2m.errors import InputError
from xenp2m.logs.consolelog import read_log
from xenp2m.options import Options
from xenp2m.views.diagnosis_text import diagnosis_lines

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
    full = of("\n".join(lines))
    before = None
    for end in [cut for cut in range(len(lines) + 1) if cut < 300 or cut % 41 == 0]:
        left = "\n".join(lines[:end]) + "\n"
        try:
            log = read_log(left, "log")
            if before is not None and facts(log) == before:
                continue
            before = facts(log)
            diagnosis = diagnose(log, Options())
        except InputError:
            continue
        only_what_is_left(diagnosis, left, end)
        as_in_the_whole(diagnosis, full)


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
