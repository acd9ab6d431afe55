"""How a story of the catalogue is written down."""

from __future__ import annotations

from xenp2m.findings import Severity, Story

__all__ = ["SETUP", "story"]

SETUP = "arch/x86/xen/setup.c"
"""Where most rules of a boot come from."""


def story(
    code: str,
    severity: Severity,
    title: str,
    text: str,
    fix: str,
    source: str,
    *,
    trigger: str,
    fixed: str = "",
    about: str = "host",
) -> Story:
    """One entry of the catalogue; line breaks and indents of the texts do not count."""
    return Story(code, severity, title, _plain(text), _plain(fix), source, _plain(trigger), fixed, about)


def _plain(text: str) -> str:
    return " ".join(text.split())
