"""Progress on standard error: a bar for what takes over a second, nothing where nobody watches."""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager
from threading import Event, Thread
from typing import TYPE_CHECKING

from xenp2m.cli.guard import harmless
from xenp2m.cli.terminal import columns

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType

__all__ = ["Progress", "progress", "waiting"]

_AFTER = 1.0
_EVERY = 0.1


class Progress:
    """A bar that is told how far the work is; both a callback and a context manager.

    ::

        with progress("reading vm.core") as tell:
            open(path, progress=tell)      # calls tell(done, total), or tell(done)

    Attributes:
        watched: whether standard error is a terminal.

    Nothing is written in the first second, more often than ten times a second, or where standard
    error is no terminal. Leaving the block wipes the line.
    """

    def __init__(
        self, label: str, total: int | None = None, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._label = harmless(label)
        self._total = total
        self._clock = clock
        self._next = clock() + _AFTER
        self._shown = 0
        self.watched = sys.stderr.isatty()

    def __call__(self, done: int, total: int | None = None) -> None:
        """Take note that `done` units of `total` are behind us; the total may become known late."""
        self._total = total or self._total
        now = self._clock()
        if not self.watched or now < self._next:
            return
        self._next = now + _EVERY
        line = self._line(done)
        sys.stderr.write("\r" + line.ljust(self._shown))
        sys.stderr.flush()
        self._shown = len(line)

    def _line(self, done: int) -> str:
        room = columns() - 1
        if not self._total:
            return f"{self._label} {done:,}"[:room]
        share = min(max(done / self._total, 0.0), 1.0)
        number = f" {share:4.0%}"
        label = self._label[: max(8, room // 2)]
        cells = min(40, room - len(label) - len(number) - 3)
        bar = "#" * int(share * cells)
        return f"{label} [{bar.ljust(cells, '.')}]{number}" if cells >= 4 else label + number

    def close(self) -> None:
        """Wipe the line."""
        if self._shown:
            sys.stderr.write("\r" + " " * self._shown + "\r")
            sys.stderr.flush()
            self._shown = 0

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def progress(label: str, total: int | None = None) -> Progress:
    """A bar for one piece of work.

    Args:
        label: what is being done, a few words.
        total: units of work where they are known; without them a number counts up.
    """
    return Progress(label, total)


@contextmanager
def waiting(label: str) -> Iterator[None]:
    """A line that counts seconds during the block: for work of numpy, which cannot tell how far it is."""
    with progress(f"{label}, seconds:") as tell:
        if not tell.watched:
            yield
            return
        done, begun = Event(), time.monotonic()

        def count() -> None:
            while not done.wait(_EVERY):
                tell(int(time.monotonic() - begun))

        counter = Thread(target=count, daemon=True)
        counter.start()
        try:
            yield
        finally:
            done.set()
            counter.join()
