"""What a kernel's ``.config`` says that changes its boot under Xen PV."""

from __future__ import annotations

import re
from dataclasses import dataclass

from xenp2m.errors import InputError
from xenp2m.kernel import Version

__all__ = ["KernelConfig", "read_config"]

_LINE = re.compile(r"^(?:(CONFIG_\w+)=(\S+)|# (CONFIG_\w+) is not set)$")
_BANNER = re.compile(r"^# Linux/\S+ (\S+) Kernel Configuration$")


@dataclass(frozen=True, slots=True)
class KernelConfig:
    """The options that matter here.

    Attributes:
        version: from the file's first comment; None without one.
        p2m_limit_gb: ``CONFIG_XEN_MEMORY_HOTPLUG_LIMIT`` (before 5.12 with ``BALLOON_`` in its
            name), 0 where it is not set.
        ibft: ``CONFIG_ISCSI_IBFT_FIND``.
        e820_entries: ``E820_MAX_ENTRIES``, from ``CONFIG_NODES_SHIFT``.
    """

    version: Version | None
    p2m_limit_gb: int
    ibft: bool
    e820_entries: int


def read_config(text: str, where: str) -> KernelConfig:
    """Read the text of a ``.config`` file.

    Raises:
        InputError: the text holds no option at all, or none of Xen PV.
    """
    options: dict[str, str] = {}
    version = None
    for line in text.splitlines():
        banner = _BANNER.match(line)
        if banner:
            version = Version.parse(banner[1])
        match = _LINE.match(line.strip())
        if match:
            options[match[1] or match[3]] = match[2] or "n"
    if not options:
        raise InputError(where, "a kernel's .config", "no line of the form CONFIG_X=")
    if options.get("CONFIG_XEN_PV", options.get("CONFIG_XEN", "n")) != "y":
        raise InputError(where, "a kernel with CONFIG_XEN_PV=y", "one without")
    return KernelConfig(
        version=version,
        p2m_limit_gb=_number(options, "CONFIG_XEN_MEMORY_HOTPLUG_LIMIT")
        or _number(options, "CONFIG_XEN_BALLOON_MEMORY_HOTPLUG_LIMIT"),
        ibft=options.get("CONFIG_ISCSI_IBFT_FIND") == "y",
        e820_entries=128 + 3 * (1 << min(_number(options, "CONFIG_NODES_SHIFT"), 10)),
    )


def _number(options: dict[str, str], name: str) -> int:
    text = options.get(name, "n")
    return int(text) if text.isdecimal() and len(text) < 7 else 0
