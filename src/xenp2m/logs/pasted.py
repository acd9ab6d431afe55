"""What consoles, loggers and mail clients do to a line, undone.

A pasted log carries prefixes (time stamps, ``(XEN)``, ``host kernel:``, the ``>`` of a quote),
escape sequences, quoted-printable, blanks that are no ASCII blanks. Every pattern here is bounded,
and every line is cut at `LONGEST` characters, so the time is linear in the text.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "LONGEST",
    "Stripped",
    "fold_width",
    "physical_lines",
    "split_prefixes",
    "strip_prefixes",
    "strip_quotes",
    "unfolded",
]

LONGEST = 4096
"""Characters of a line that are looked at."""

_LINE = re.compile(r"[^\n]+")
_ESCAPE = re.compile(
    r"\x1b(?:\[[0-?]{0,32}[ -/]{0,8}[@-~]|\][^\x07\x1b]{0,256}(?:\x07|\x1b\\)|[ -/]{0,4}[0-Z^-~])"
)
_CODED = re.compile(r"(?:=[0-9A-F]{2})+")
_EQUALS = re.compile(r"=(?:[0-9A-F]{2}|[ \t]*\r?\n|[ \t]*\Z)")
_ENTITIES = (("&gt;", ">"), ("&lt;", "<"), ("&nbsp;", " "), ("&quot;", '"'), ("&amp;", "&"))

_ODD: dict[int, str | None] = {code: None for code in (*range(32), 127, 0x200B, 0xFEFF, 0xAD) if code != 9}
_ODD |= dict.fromkeys((0xA0, 0x2002, 0x2003, 0x2007, 0x2009, 0x202F, 0x3000, 0xFFFD), " ")
_ODD |= dict.fromkeys((0x2010, 0x2011, 0x2012, 0x2013, 0x2014, 0x2212), "-") | {0x2192: "->"}

_DATE = r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?:Z|[+-]\d\d:?\d\d)?"
_DAY = r"[A-Z][a-z]{2} [ \d]?\d (?:\d{4} )?\d\d:\d\d:\d\d(?:\.\d{1,9})?(?: \d{4})?"
_TIME = r"\d\d:\d\d:\d\d(?:[.,]\d{1,9})?"
_WHO = r"[\w.-]{1,64}(?:\[\d{1,10}\])?"
_TWO_WORDS = (
    r"(?:Command line|Call Trace|(?:Dom0|Loaded) kernel|Dom0 alloc\.|Init\. ramdisk|Phys-Mach map|Start info"
    r"|Page tables|Boot stack|System RAM|CPU Vendor|Xen version|Hypervisor detected)"
)
"""What Xen and Linux print before a colon; anything else there is a host and a program."""
_SINCE_BOOT = r"\[ *\d{1,10}\.\d{1,9}\]"
_PREFIX = re.compile(
    r"(?P<quote>[>|] ?)"
    rf"|(?P<xen>\(XEN\)(?: \[(?: *\d{{1,10}}\.\d{{1,9}}|[0-9a-f]{{8,16}}|{_DATE})\])? ?)"
    r"|(?P<guest>\(d[1-9]\d{0,4}(?:v\d{1,5})?\) ?|HVM\d{1,5}: ?)"
    rf"|(?P<kernel>{_SINCE_BOOT}(?:\[ *[TC]\d{{1,10}}\])? ?|\[[A-Z][a-z]{{2}} {_DAY}\] ?"
    r"|\((?:early|d0(?:v\d{1,5})?)\) ?)"
    r"|(?P<level><\d{1,3}>)"
    rf"|(?P<program>(?:{_DAY}|{_DATE}) (?!{_TWO_WORDS}:){_WHO} (?!kernel:|xencon){_WHO}: ?)"
    r"|(?P<logger>(?!(?:Dom0|Xen|Loaded) kernel:)"
    rf"(?:(?:(?:{_DAY}|{_DATE}) )?(?:[\w.-]{{1,64}} )?(?:kern\.\w{{1,8}} )?kernel: ?"
    rf"|(?:{_DAY}|{_DATE}) {_WHO} xencon{_WHO}: ?"
    rf"|\[(?:{_DATE}|{_TIME})\] ?|{_DATE} |{_DAY} (?=[\[(<])))"
    rf"|(?P<listed>(?:[\w./-]{{1,80}}:)?(?:\d{{1,7}}[:\t ] {{0,2}})?(?=\(XEN\) |{_SINCE_BOOT}))"
)
_DEPTH = 16
_SAMPLE = 1 << 20


class Stripped(NamedTuple):
    """A line without what was put before it.

    Attributes:
        payload: what the program printed, with the blanks it begins with.
        origin: who says so: ``xen``, ``guest`` (a domain other than dom0, through Xen), ``kernel``,
            ``program`` (one that a logger names), ``logger`` (somebody, through a log), or None where
            nothing but quoting stood before it.
    """

    payload: str
    origin: str | None


def split_prefixes(line: str) -> Stripped:
    """Take away every prefix of a line, and tell whose line it is."""
    origin, position = None, 0
    for _ in range(_DEPTH):
        match = _PREFIX.match(line, position)
        if match is None and origin is None:
            match = _PREFIX.match(line, len(line) - len(line[position:].lstrip()))
        kind = match.lastgroup if match else None
        if match is None or (origin == "xen" and kind != "guest"):
            break
        position = match.end()
        if kind == "logger" and match[0].rstrip().endswith("kernel:"):
            kind = "kernel"
        if kind not in ("quote", "level", "listed"):
            origin = kind if origin in (None, "logger", "program") or kind == "guest" else origin
    return Stripped(line[position:], origin)


def strip_prefixes(line: str) -> str:
    """What is left of a pasted line: time stamps, names of hosts, quotes and escapes are gone."""
    return split_prefixes(_clean(line[:LONGEST])).payload


def strip_quotes(line: str) -> str:
    """The line without the marks of a quoted mail."""
    while line[:1] in (">", "|"):
        line = line[1:].removeprefix(" ")
    return line


def fold_width(text: str) -> int:
    """The column behind which a terminal put line ends, 0 where none did.

    A terminal breaks every longer line at one width, whatever stands there; a mail client breaks at
    blanks, so that its lines end at all widths near its limit.
    """
    sample = text[:_SAMPLE].split("\n")
    widths = Counter(len(line) - line.endswith("\r") for line in sample)
    width = max(widths)
    near = sum(widths[each] for each in range(width - 10, width))
    if not 40 <= width <= 300 or widths[width] < 3 or widths[width] * 3 < near or _is_quoted_printable(text):
        return 0
    return width


def unfolded(text: str, width: int | None = None) -> str:
    """The text without the line ends that a terminal put behind its last column.

    What joins two lines leaves an empty one, so that line numbers stay.

    Args:
        text: a paste.
        width: as `fold_width` has it, of more than `text` where that is a part.
    """
    width = fold_width(text) if width is None else width
    if not width:
        return text
    lines: list[str] = []
    joined, full = 0, False
    for line in text.split("\n"):
        line = line.rstrip("\r")
        if full and split_prefixes(line).origin is None and len(lines[-1 - joined]) < LONGEST:
            lines[-1 - joined] += line
            lines.append("")
            joined += 1
        else:
            lines.append(line)
            joined = 0
        full = len(line) == width
    return "\n".join(lines)


def physical_lines(text: str) -> Iterator[tuple[int, str]]:
    """The lines of a text, cleaned; an empty one stands for any number of blank lines.

    Carriage returns, escape sequences and control characters are gone, quoted-printable is decoded,
    and a line that Xen began in the middle of another one's stands for itself.

    Yields:
        The number of the line, from 1, and its text, at most `LONGEST` characters.
    """
    coded = _is_quoted_printable(text)
    number, seen, soft, begun = 1, 0, "", 0
    for match in _LINE.finditer(text):
        start = match.start()
        passed = text.count("\n", seen, start)
        number, seen = number + passed, start
        if passed > 1:
            if soft:
                yield from ((begun, part) for part in _parts(_decode(soft)))
                soft = ""
            yield number, ""
        line = text[start : min(match.end(), start + LONGEST)].rstrip("\r")
        begun = begun if soft else number
        if coded:
            broken = line.rstrip()
            if broken.endswith("="):
                soft = (soft + broken[:-1])[:LONGEST]
                continue
            line, soft = _decode(soft + line), ""
        yield from ((begun, part) for part in _parts(line))
    if soft:
        yield from ((begun, part) for part in _parts(_decode(soft)))


def _parts(line: str) -> Iterator[str]:
    line = _clean(line)
    position = line.find("(XEN) ", 1)
    while position > 0:
        if len(line) - len(split_prefixes(line).payload) <= position:
            yield line[:position].rstrip()
            line = line[position:]
            position = 0
        position = line.find("(XEN) ", position + 1)
    yield line


def _clean(line: str) -> str:
    if "\x1b" in line:
        line = _ESCAPE.sub("", line)
    if "&" in line:
        for entity, character in _ENTITIES:
            line = line.replace(entity, character)
    if "\r" in line:
        line = line.replace("\r", " ")
    if not line.isascii() or not line.isprintable():
        line = line.translate(_ODD)
    return line.rstrip()


def _is_quoted_printable(text: str) -> bool:
    """Whether nearly every ``=`` of the text is one of quoted-printable, and some are certain."""
    if "=3D" not in text and "=C2=A0" not in text:
        return False
    return sum(1 for _ in _EQUALS.finditer(text)) * 10 >= text.count("=") * 9


def _decode(line: str) -> str:
    return _CODED.sub(lambda match: bytes.fromhex(match[0].replace("=", "")).decode("utf-8", "replace"), line)
