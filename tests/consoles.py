"""The consoles of our own boots, and ways to compare what is read of them."""

import json
import lzma
import re
from dataclasses import fields
from pathlib import Path

from xenp2m.e820 import Entry, type_number
from xenp2m.logs.consolefacts import Log

BOOTS = Path(__file__).parent / "boots"
HOSTS = sorted(
    path.parent.name for path in BOOTS.glob("*/host.json") if (path.parent / "console.log.xz").exists()
)
Q35, FLOODED, SEVEN = "q35-4g-1024_max1536", "k61-d4-overflow-1024_max1408", "k72x420-q35-4g-1024_max1536"
HALTED, SILENT = "grub-kernelhole-4g-1024", "k72-d14-unaligned"


def console(host: str) -> str:
    return lzma.decompress((BOOTS / host / "console.log.xz").read_bytes()).decode("utf-8", "replace")


def host_json(host: str) -> dict:
    return json.loads((BOOTS / host / "host.json").read_text())


def as_entries(rows) -> tuple[Entry, ...]:
    return tuple(Entry(start, end, type_number(name)) for start, end, name in rows)


def facts(log: Log) -> dict[str, object]:
    """Everything but where it was read."""
    return {f.name: getattr(log, f.name) for f in fields(Log) if f.name not in ("name", "lines", "names")}


def different(one: Log, other: Log) -> set[str]:
    theirs = facts(other)
    return {name for name, value in facts(one).items() if value != theirs[name]}


def split(text: str) -> tuple[str, str]:
    """A console as ``xl dmesg`` and ``dmesg`` would have given it."""
    lines = [re.sub(r"^(?:\x1b(?:c|\[[?0-9;]*[a-zA-Z]))+", "", line) for line in text.split("\n")]
    start = next(i for i, line in enumerate(lines) if line.startswith("(XEN) "))
    xen = [line for line in lines[start:] if line.startswith("(XEN) ")]
    return "\n".join(xen) + "\n", "\n".join(line for line in lines if line.startswith("[ ")) + "\n"
