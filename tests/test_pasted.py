import quopri

import pytest

from consoles import HOSTS, Q35, console, different
from xenp2m.e820 import RAM, Entry
from xenp2m.logs.consolelog import read_log
from xenp2m.logs.e820text import parse_line, unwrap
from xenp2m.logs.pasted import split_prefixes, strip_prefixes
from xenp2m.logs.textfile import read_text


def lines(text):
    return [line for _, line in unwrap(text) if line]


@pytest.mark.parametrize(
    ("prefix", "origin"),
    [
        ("(XEN) ", "xen"),
        ("(XEN) [00000034deadbeef] ", "xen"),
        ("(XEN) [    0.000000] ", "xen"),
        ("(XEN) [2011-01-31 12:34:56] ", "xen"),
        ("(XEN) [2026-11-22 12:34:56.789] ", "xen"),
        ("Nov 22 15:00:00 host xl[12]: (XEN) ", "xen"),
        ("[    0.000000] ", "kernel"),
        ("[    0.000000][    T0] ", "kernel"),
        ("<6>[    0.000000] ", "kernel"),
        ("[Sun Nov 22 15:00:00 2026] ", "kernel"),
        ("Nov 22 15:00:00 host kernel: ", "kernel"),
        ("Nov 22 15:00:00 host kernel: [    0.000000] ", "kernel"),
        ("2026-11-22T15:00:00.123456+01:00 host kernel: [    0.000000] ", "kernel"),
        ("host kernel: ", "kernel"),
        ("dom0 kernel: [    0.000000] ", "kernel"),
        ("(early) [    0.000000] ", "kernel"),
        ("(d0) ", "kernel"),
        ("(d1) ", "guest"),
        ("(d12v0) ", "guest"),
        ("HVM3: ", "guest"),
        ("[2026-11-22 15:00:00] ", "logger"),
        ("<6>", None),
        ("> ", None),
        ("", None),
    ],
)
@pytest.mark.parametrize("quote", ["", "> ", ">> ", "> > > ", "    ", "\x1b[0m", "\x1bc\x1b[?7l\x1b[2J"])
def test_prefixes(prefix, origin, quote):
    entry = "[mem 0x0-0xfff] usable"
    assert strip_prefixes(f"{quote}{prefix}{entry}\r").strip() == entry
    if "\x1b" not in quote:
        assert split_prefixes(quote + prefix + entry).origin == origin
    assert parse_line(f"{quote}{prefix}{entry}").entry == Entry(0, 0x1000, RAM)


def test_blanks_behind_a_prefix_are_kept():
    assert strip_prefixes(">   000a0000-000bffff : Reserved") == "  000a0000-000bffff : Reserved"
    assert strip_prefixes("(XEN)  Dom0 kernel: 64-bit") == " Dom0 kernel: 64-bit"
    assert strip_prefixes("Dom0 kernel: 64-bit") == "Dom0 kernel: 64-bit"
    assert strip_prefixes("Loaded kernel: ffffffff81000000->ffffffff84a00000").startswith("Loaded")


def test_quoted_printable():
    text = "(XEN) Command line: console=3Dcom1 dom0_mem=3D1024M,max:15=\n36M\n=C2=A0[mem 0x0-0xfff] us=\nable\nlast"
    assert list(unwrap(text)) == [
        (1, "(XEN) Command line: console=com1 dom0_mem=1024M,max:1536M"),
        (3, " [mem 0x0-0xfff] usable"),
        (5, "last"),
    ]
    plain = "Command line: a=b c=d e=\nBIOS x=3D"
    assert lines(plain) == plain.split("\n")


def test_xen_in_the_middle_of_another_line():
    assert lines("[    1.000000] foo (XEN) bar\nx (XEN) a (XEN) b\n") == [
        "[    1.000000] foo",
        "(XEN) bar",
        "x",
        "(XEN) a",
        "(XEN) b",
    ]


def test_line_numbers_count_blank_lines():
    assert list(unwrap("\n\na b c\n\r\n\n(XEN) d\n")) == [
        (3, ""),
        (3, "a b c"),
        (4, ""),
        (6, ""),
        (6, "(XEN) d"),
    ]


def mailed(text: str, width: int, quote: str = "", coded: bool = False) -> str:
    """The text as a mail program sends it: broken at blanks, quoted, quoted-printable."""
    sent = []
    for whole in text.replace("\r", "").split("\n"):
        line = quote + whole
        while len(line) > width and (cut := line.rfind(" ", len(quote) + 8, width + 1)) > 0:
            sent.append(line[:cut])
            line = quote + line[cut + 1 :]
        sent.append(line)
    text = "\n".join(sent)
    return quopri.encodestring(text.encode()).decode() if coded else text


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize(
    ("width", "quote", "coded"),
    [
        (65, "", False),
        (72, "", False),
        (78, "> ", False),
        (72, "> > ", False),
        (10**6, "", True),
        (74, "", True),
    ],
)
def test_a_mailed_console_tells_the_same(host, width, quote, coded):
    whole = read_log(console(host))
    sent = read_log(mailed(console(host), width, quote, coded))
    assert different(whole, sent) - {"printed"} == set()
    assert sent.printed.remapped == whole.printed.remapped
    assert len(sent.printed.stops) == len(whole.printed.stops)


def test_utf_16_with_carriage_returns(tmp_path):
    path = tmp_path / "log.txt"
    path.write_bytes(console(Q35).encode("utf-16"))
    assert different(read_log(console(Q35)), read_log(read_text(path))) == set()
