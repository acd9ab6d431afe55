"""Pasted text that is recognised and not read, with the reason.

A photo that a program read has letters where digits were, and digits that were others; the first can
be seen, the second cannot, so no number of such a line is taken. What ``crash`` prints of its own work
(``crash -d8``) is of the core, not of the boot.
"""

from __future__ import annotations

import re

__all__ = ["without_unread"]

_DIGIT = "[0-9OolI]"
_PHOTO = re.compile(
    rf"\[ *(?={_DIGIT}{{0,9}}\.?[0-9]{{0,5}}[OolI]){_DIGIT}{{1,10}}\.{_DIGIT}{{6}}\]"
    r"|\b[0O]x[0-9a-fA-F]{0,14}[OolI][0-9a-fA-FOolI]{3,15}(?!\w)"
    r"|\((?:XEM|XEH|KEN|XFN|XLN)\) "
)
_CRASH = re.compile(r"^(?:crash \d{1,3}\.\d{1,3}\.\d{1,3}|crash> )", re.M)
_WHOLE_LINE = re.compile(r"[^\n]*")


def without_unread(text: str) -> tuple[str, tuple[str, ...]]:
    """Take out lines whose numbers cannot be trusted.

    Args:
        text: a pasted log; linear in its length.

    Returns:
        The text with those lines empty, so that line numbers stay, and what was not read and why.
    """
    reasons: list[str] = []
    first, count, kept, position = 0, 0, [], 0
    for match in _PHOTO.finditer(text):
        if match.start() < position:
            continue
        start = text.rfind("\n", 0, match.start()) + 1
        kept.append(text[position:start])
        position = start + len(_WHOLE_LINE.match(text, start)[0])  # type: ignore[index]
        first, count = first or text.count("\n", 0, start) + 1, count + 1
    if count:
        lines = f"{count:,} lines" if count > 1 else "a line"
        reasons.append(
            f"{lines} with letters for digits (from line {first}), as programs read photos: no number of"
            " such a line is used, and a digit that was read as another cannot be seen; type it, or use"
            " a serial console"
        )
        text = "".join([*kept, text[position:]])
    if _CRASH.search(text):
        reasons.append(
            'what crash prints of its own work: only the kernel\'s log in it ("crash> log") is read;'
            " the core itself is for xenp2m show"
        )
    return text, tuple(reasons)
