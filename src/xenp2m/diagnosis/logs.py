"""From files to the log of one boot: long files are sifted, the boots of a file told apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

from xenp2m.diagnosis.predicted import died
from xenp2m.errors import InputError
from xenp2m.logs.consolefacts import merge
from xenp2m.logs.consolelog import read_boots
from xenp2m.logs.longlog import read_long

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from xenp2m.logs.consolefacts import Log

__all__ = ["boot_line", "read_one_boot"]


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
        boots, chosen = read_boots(text, name)
        most = max(most, len(boots))
        if number is not None and len(boots) > 1:
            if not 1 <= number <= len(boots):
                expected = f"a number from 1 to {len(boots)}, the boots in {name}"
                raise InputError("--boot", expected, str(number))
            chosen = number - 1
        logs.append(boots[chosen])
        others += [boot_line(n, log) for n, log in enumerate(boots, 1) if n - 1 != chosen]
    if number is not None and number > most:
        raise InputError("--boot", "1, the only boot there is", str(number))
    return merge(logs), tuple(others)


def boot_line(number: int, log: Log) -> str:
    """One boot of several in a line."""
    first = min(log.lines.values(), default=0)
    parts = [f"boot {number} (from line {first})"]
    parts += [f"Xen {log.xen_version}"] if log.xen_version else []
    version = log.linux_version_full or log.linux_version
    parts += [f"Linux {version}"] if version else []
    parts.append("ends before its time" if died(log) else "no fault in it")
    return " · ".join(parts)
