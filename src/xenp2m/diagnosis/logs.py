"""From files to the log of one boot: long files are sifted, the boots of a file told apart."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any, TypeVar

from xenp2m.diagnosis.predicted import died
from xenp2m.errors import InputError
from xenp2m.logs.consolefacts import Log, Printed, Running, merge
from xenp2m.logs.consolelog import read_boots
from xenp2m.logs.longlog import PLAIN, read_long
from xenp2m.logs.unread import without_unread

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["boot_line", "read_one_boot"]

_Facts = TypeVar("_Facts", Log, Printed, Running)
_WORDS = frozenset({"bugs", "faults", "stops", "dom0_end"})
_PLACES = frozenset({"lines", "names"})


def read_one_boot(
    paths: Sequence[str],
    number: int | None = None,
    *,
    look: Callable[[str], None] = lambda text: None,
    progress: Callable[[int], object] | None = None,
) -> tuple[Log, tuple[str, ...]]:
    """Read files that tell of one boot.

    Args:
        paths: files, or ``-``; one of them may hold several boots.
        number: which of them, from 1; without it the last one whose hypervisor part is there.
        look: is shown each text, before anything is read of it.
        progress: called with the bytes of a long file behind us.

    Returns:
        The facts, and a line on each of the other boots.

    Raises:
        InputError: a file that cannot be used, files of different boots, or no boot of that number.
    """
    logs: list[Log] = []
    others: list[str] = []
    most = 1
    for path in paths:
        name = "standard input" if path == "-" else str(path)
        text = read_long(path, progress=progress)
        look(text)
        text, unread = without_unread(text)
        boots, chosen = _whole_numbers(text, name)
        most = max(most, len(boots))
        if number is not None and len(boots) > 1:
            if not 1 <= number <= len(boots):
                raise InputError("--boot", f"1 to {len(boots)}, the boots in {name}", str(number))
            chosen = number - 1
        logs.append(replace(boots[chosen], unread=unread))
        others += [boot_line(n, log) for n, log in enumerate(boots, 1) if n - 1 != chosen]
    if number is not None and number > most:
        raise InputError("--boot", "1, the only boot there is", str(number))
    return merge(logs), tuple(others)


def _whole_numbers(text: str, name: str) -> tuple[list[Log], int]:
    """The boots of a text, without numbers that its end may have cut.

    Where the text does not end its last line, a fact of that line stays if one more digit would not
    change it. What is words (a BUG, the last word of Xen) stays in any case.
    """
    boots, chosen = read_boots(text, name)
    start = text.rfind("\n") + 1
    if start == len(text) or not start or len(text) > PLAIN:
        return boots, chosen
    try:
        before, elsewhere = read_boots(text[:start], name)
    except InputError:
        return boots, chosen
    if len(before) != len(boots):
        return before, elsewhere
    more = read_boots(text + "7", name)[0]
    settled = _settled(boots[-1], before[-1], more[-1])
    if settled != boots[-1]:
        boots[-1] = replace(settled, unended=text.count("\n") + 1)
    return boots, chosen


def _settled(log: Log, before: Log, more: Log) -> Log:
    """`log`, with the facts of `before` where `more` differs."""
    changed = _unsure(log, before, more)
    for part in ("printed", "running"):
        ours = getattr(log, part)
        unsure = _unsure(ours, getattr(before, part), getattr(more, part))
        changed[part] = replace(ours, **unsure)
    if all(getattr(log, name) == value for name, value in changed.items()):
        return log
    return replace(log, lines={**before.lines, **_words_of(log)}, **changed)


def _words_of(log: Log) -> dict[str, int]:
    return {name: line for name, line in log.lines.items() if name.rpartition(".")[2] in _WORDS}


def _unsure(log: _Facts, before: _Facts, more: _Facts) -> dict[str, Any]:
    """Facts that one more digit would change, as they were without the last line."""
    return {
        each.name: getattr(before, each.name)
        for each in fields(log)
        if each.name not in _WORDS | _PLACES
        and getattr(log, each.name) not in (getattr(before, each.name), getattr(more, each.name))
    }


def boot_line(number: int, log: Log) -> str:
    """One boot of several in a line."""
    first = min(log.lines.values(), default=0)
    parts = [f"boot {number} (from line {first})"]
    parts += [f"Xen {log.xen_version}"] if log.xen_version else []
    version = log.linux_version_full or log.linux_version
    parts += [f"Linux {version}"] if version else []
    parts.append("ends before its time" if died(log) else "no fault in it")
    return " · ".join(parts)
