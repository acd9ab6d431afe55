"""From files to the log of one boot: boots told apart, numbers left out that an end may have cut."""

from __future__ import annotations

import re
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any, TypeVar

from xenp2m.errors import InputError
from xenp2m.logs.consolefacts import Log, Printed, Running, merge
from xenp2m.logs.consolelog import read_boots
from xenp2m.logs.longlog import read_long
from xenp2m.logs.unread import without_unread

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from xenp2m.logs.longlog import Text

__all__ = ["boot_line", "left_out", "one_boot", "read_one_boot"]

_Facts = TypeVar("_Facts", Log, Printed, Running)
_WORDS = frozenset({"bugs", "faults", "stops", "dom0_end"})
_PLACES = frozenset({"lines", "names"})
_MAPS = frozenset({"host_map", "efi_map", "linux_map", "user_map", "plain_map", "iomem"})
_NUMBER_LAST = re.compile(r"(?<![a-zA-Z0-9])(?:0x)?[0-9a-fA-F]{1,24}\Z")


def read_one_boot(
    paths: Sequence[str],
    number: int | None = None,
    *,
    look: Callable[[str], None] = lambda text: None,
    progress: Callable[[int], object] = lambda done: None,
) -> tuple[Log, tuple[str, ...]]:
    """Read files that tell of one boot.

    Args:
        paths: files, or ``-``; one of them may hold several boots.
        number: as for `one_boot`.
        look: is shown each text, before anything is read of it.
        progress: called with the bytes of a long file behind us.

    Returns:
        As `one_boot`.

    Raises:
        InputError: a file that cannot be used, or as for `one_boot`.
    """

    def texts() -> Iterable[Text]:
        for path in paths:
            text = read_long(path, progress=progress)
            look(text.text)
            yield text

    return one_boot(texts(), number)


def one_boot(texts: Iterable[Text], number: int | None = None) -> tuple[Log, tuple[str, ...]]:
    """Read texts that tell of one boot.

    Args:
        texts: one of them may hold several boots.
        number: which of them, from 1; without it the last one whose hypervisor part is there.

    Returns:
        The facts, and a line on each of the other boots.

    Raises:
        InputError: texts of different boots, no boot of that number, or a bound of `read_boots`.
    """
    logs: list[Log] = []
    others: list[str] = []
    most = 1
    for name, pasted, before in texts:
        text, unread = without_unread(pasted)
        boots, chosen = _whole_numbers(text, name)
        most = max(most, len(boots))
        if number is not None and len(boots) > 1:
            if not 1 <= number <= len(boots):
                raise InputError("--boot", f"1 to {len(boots)}, the boots in {name}", str(number))
            chosen = number - 1
        logs.append(replace(boots[chosen], unread=(*before, *unread)))
        others += [boot_line(n, log) for n, log in enumerate(boots, 1) if n - 1 != chosen]
    if number is not None and number > most:
        raise InputError("--boot", "1, the only boot there is", str(number))
    return merge(logs), tuple(others)


def left_out(log: Log) -> tuple[str, ...]:
    """What of the text was not taken, a line each."""
    said = [f"not read: {reason}" for reason in log.unread]
    if log.unended is not None:
        said.append(f"not used: numbers of line {log.unended}, with which the text ends, as they may be cut")
    return tuple(said)


def _whole_numbers(text: str, name: str) -> tuple[list[Log], int]:
    """The boots of a text, without numbers that its end may have cut.

    Where the text does not end its last line, a fact of that line stays if one more digit would not
    change it. What is words (a BUG, the last word of Xen) stays in any case; so does a range of a map
    whose type is there.
    """
    boots, chosen = read_boots(text, name)
    start = text.rfind("\n") + 1
    if start == len(text):
        return boots, chosen
    try:
        before, elsewhere = read_boots(text[:start], name)
        more = read_boots(text + "7", name)[0]
    except InputError:
        return boots, chosen
    if len(before) != len(boots):
        return before, elsewhere
    kept = _WORDS | _PLACES | (frozenset() if _NUMBER_LAST.search(text, start) else _MAPS)
    settled = _settled(boots[-1], before[-1], more[-1], kept)
    if settled != boots[-1]:
        boots[-1] = replace(settled, unended=text.count("\n") + 1)
    return boots, chosen


def _settled(log: Log, before: Log, more: Log, kept: frozenset[str]) -> Log:
    """`log`, with the facts of `before` where `more` differs."""
    changed = _unsure(log, before, more, kept)
    for part in ("printed", "running"):
        ours = getattr(log, part)
        unsure = _unsure(ours, getattr(before, part), getattr(more, part), kept)
        changed[part] = replace(ours, **unsure)
    if all(getattr(log, name) == value for name, value in changed.items()):
        return log
    held = {name: line for name, line in log.lines.items() if name.rpartition(".")[2] in kept}
    return replace(log, lines={**before.lines, **held}, **changed)


def _unsure(log: _Facts, before: _Facts, more: _Facts, kept: frozenset[str]) -> dict[str, Any]:
    """Facts that one more digit would change, as they were without the last line."""
    return {
        each.name: getattr(before, each.name)
        for each in fields(log)
        if each.name not in kept
        and getattr(log, each.name) not in (getattr(before, each.name), getattr(more, each.name))
    }


def boot_line(number: int, log: Log) -> str:
    """One boot of several in a line."""
    first = min(log.lines.values(), default=0)
    parts = [f"boot {number} (from line {first})"]
    parts += [f"Xen {log.xen_version}"] if log.xen_version else []
    version = log.linux_version_full or log.linux_version
    parts += [f"Linux {version}"] if version else []
    parts.append("ends before its time" if log.printed.died else "no fault in it")
    return " · ".join(parts)
