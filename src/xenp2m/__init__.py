"""The memory of a Xen PV host, worked out exactly.

::

    from xenp2m import Entry, Host, Release, Version, make_plan

    host = Host(Release.of(Version(6, 12)), nr_pages=262144, e820=(Entry(0, 1 << 32, 1),))
    plan = make_plan(host)
    plan.p2m.lookup(0x9F)

Public names load on first use, so that ``import xenp2m`` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from xenp2m.e820 import Entry, sanitize
    from xenp2m.errors import InputError, UnsupportedError, XenP2MError
    from xenp2m.extents import Run
    from xenp2m.findings import Finding, Outcome, Severity
    from xenp2m.frames import Geometry, Kind
    from xenp2m.host import Host
    from xenp2m.kernel import Release, Version
    from xenp2m.p2m import P2M
    from xenp2m.plan import Plan, make_plan
    from xenp2m.sources.detect import open
    from xenp2m.sources.source import Source

__version__ = "0.1.0"

__all__ = [
    "P2M",
    "Entry",
    "Finding",
    "Geometry",
    "Host",
    "InputError",
    "Kind",
    "Outcome",
    "Plan",
    "Release",
    "Run",
    "Severity",
    "Source",
    "UnsupportedError",
    "Version",
    "XenP2MError",
    "make_plan",
    "open",
    "sanitize",
]

_HOMES = {
    "P2M": "p2m",
    "Entry": "e820",
    "Finding": "findings",
    "Geometry": "frames",
    "Host": "host",
    "InputError": "errors",
    "Kind": "frames",
    "Outcome": "findings",
    "Plan": "plan",
    "Release": "kernel",
    "Run": "extents",
    "Severity": "findings",
    "Source": "sources.source",
    "UnsupportedError": "errors",
    "Version": "kernel",
    "XenP2MError": "errors",
    "make_plan": "plan",
    "open": "sources.detect",
    "sanitize": "e820",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401 (PEP 562: any public name)
    if name not in _HOMES:
        raise AttributeError(f"module 'xenp2m' has no attribute {name!r}")
    return getattr(import_module(f"xenp2m.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
