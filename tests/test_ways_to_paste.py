"""One boot, pasted in every way that loggers, terminals and mail clients have: the answer is the same."""

import quopri
import re
import textwrap

import pytest

from consoles import HALTED, Q35, console
from xenp2m.diagnosis.diagnose import diagnose
from xenp2m.logs.longlog import Text
from xenp2m.logs.oneboot import one_boot
from xenp2m.logs.pasted import unfolded
from xenp2m.options import Options

MEM = "mem-800M-1024_max1536"
STAMP = re.compile(r"^\[ *(\d+)\.(\d+)\] ")


def plainly(host):
    """A console without escape sequences and without what a script printed later, which has no prefix."""
    text = re.sub(r"\x1b(?:c|\[[?0-9;]*[a-zA-Z])", "", console(host)).replace("\r", "")
    return "\n".join(line for line in text.split("\n") if "MemTotal" not in line)


def by_line(change):
    return lambda text: "\n".join(change(line) for line in text.split("\n"))


def of_linux(change):
    return by_line(lambda line: line if line.startswith("(XEN)") else change(line))


def wrapped(width, mark=""):
    def wrap(line):
        return "\n".join(mark + part for part in textwrap.wrap(line, width, break_on_hyphens=False) or [""])

    return by_line(wrap)


def folded(width):
    return by_line(lambda line: "\n".join(re.findall(f".{{1,{width}}}", line) or [""]))


WAYS = {
    "dmesg --time-format iso": of_linux(lambda line: STAMP.sub(r"2026-11-22T15:00:01,\2+01:00 ", line)),
    "a collector's stamp on every line": by_line(lambda line: f"2026-11-22T15:00:01,123456+01:00 {line}"),
    "ts": by_line(lambda line: f"Nov 22 15:00:01 {line}"),
    "journalctl -k": of_linux(lambda line: f"Nov 22 15:00:01 srv-07.example.org kernel: {STAMP.sub('', line)}"),
    "journalctl -o short-iso": of_linux(lambda line: f"2026-11-22T15:00:01+0100 srv07 kernel: {STAMP.sub('', line)}"),
    "journalctl -o short-monotonic": of_linux(lambda line: STAMP.sub(r"[    \1.\2] srv07 kernel: ", line)),
    "busybox syslogd": of_linux(lambda line: f"Nov 22 15:00:01 srv07 kern.info kernel: {line}"),
    "dmesg -T": of_linux(lambda line: STAMP.sub("[Sun Nov 22 15:00:01 2026] ", line)),
    "a caller's number": of_linux(lambda line: STAMP.sub(r"[    \1.\2][    T0] ", line)),
    "pstore": of_linux(lambda line: f"<6>{line}"),
    "console_timestamps=boot": by_line(lambda line: re.sub(r"^\(XEN\) ", "(XEN) [    1.234567] ", line)),
    "minicom": by_line(lambda line: f"[2026-11-22 15:00:01] {line}"),
    "xenconsoled": by_line(lambda line: f"Nov 22 15:00:01 srv07 xencons[812]: {line}"),
    "a terminal of 80 columns": folded(80),
    "a terminal of 132 columns": folded(132),
    "a forum's quote": by_line(lambda line: f"> > {line}"),
    "markdown": by_line(lambda line: f"    {line}"),
    "HTML": lambda text: text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;"),
    "no-break spaces": lambda text: text.replace("  ", "\u00a0 "),
    "typographic signs": lambda text: text.replace("->", "\u2192"),
    "CRLF": lambda text: text.replace("\n", "\r\n"),
    "colours": by_line(lambda line: f"\x1b[32m{line[:14]}\x1b[0m{line[14:]}\x1b[K"),
    "cat -n": lambda text: "\n".join(f"{n:6d}\t{line}" for n, line in enumerate(text.split("\n"), 1)),
    "grep -n": lambda text: "\n".join(f"{n}:{line}" for n, line in enumerate(text.split("\n"), 1)),
    "grep of two files": by_line(lambda line: f"logs/dmesg.0:{line}"),
    "a mail of 72 columns": wrapped(72),
    "an answered mail": wrapped(76, "> "),
    "quoted-printable": lambda text: quopri.encodestring(text.encode()).decode(),
    "an answered mail, quoted-printable": lambda text: quopri.encodestring(wrapped(72, "> ")(text).encode()).decode(),
}  # fmt: skip


def told(text):
    """All that a diagnosis says, but for line numbers."""
    log, _ = one_boot([Text("log", text)])
    diagnosis = diagnose(log, Options())
    return {
        "title": diagnosis.title,
        "findings": sorted(finding.code for finding in diagnosis.findings),
        "checks": [(check.name, check.printed, check.expected) for check in diagnosis.checks],
        "rows": [(row.name, row.kib) for row in diagnosis.rows],
        "faults": [(f.fault.kind, f.fault.line, f.fault.function, f.fault.calls[:3], f.code) for f in diagnosis.faults],
        "command lines": (log.xen_cmdline, log.linux_cmdline),
        "assumed": diagnosis.assumed,
    }  # fmt: skip


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("host", [Q35, HALTED, MEM])
def test_the_answer_is_that_of_the_console(host, way):
    text = plainly(host)
    assert told(WAYS[way](text)) == told(text)


@pytest.mark.parametrize("width", [80, 100, 132])
def test_a_terminals_line_ends_are_taken_out_and_line_numbers_stay(width):
    text = plainly(Q35)
    back = unfolded(folded(width)(text))
    assert back.count("\n") == folded(width)(text).count("\n")
    lines = [line for line in text.split("\n") if line]
    same = sum(line in lines for line in back.split("\n") if line)
    assert same > len(lines) - 3


@pytest.mark.parametrize("host", [Q35, HALTED, MEM])
@pytest.mark.parametrize("way", [wrapped(72), wrapped(80), lambda text: text])
def test_lines_that_no_terminal_broke_stay(host, way):
    text = way(plainly(host))
    assert unfolded(text) == text
