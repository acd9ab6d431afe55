"""What one input may cost: processor time and memory, both asserted while it is read."""

import resource
import signal
import tracemalloc
from contextlib import contextmanager
from pathlib import Path

__all__ = ["MEMORY", "SECONDS", "TooSlow", "clocked", "limit_growth", "traced"]

SECONDS = 2.0
"""Processor time that reading one of these small inputs may take at most."""
MEMORY = 96 << 20
"""Bytes that it may take at most."""


class TooSlow(BaseException):
    """Beyond `SECONDS`. Not an `Exception`, so that nothing on the way takes it for bad input."""


def _too_slow(number, frame):
    raise TooSlow(f"more than {SECONDS} s of processor time")


@contextmanager
def clocked():
    """Let whatever runs inside raise `TooSlow` when its time is over."""
    before = signal.signal(signal.SIGPROF, _too_slow)
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


@contextmanager
def traced():
    """Measure every allocation inside, and raise `MemoryError` beyond `MEMORY`. Some five times slower."""
    tracemalloc.start()
    try:
        with clocked():
            yield
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    if peak > MEMORY:
        raise MemoryError(f"{peak:#x} bytes")


def limit_growth():
    """Keep this process, from now on and until the next call, from growing by more than `MEMORY`."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    now = int(status.split("VmData:")[1].split()[0]) << 10
    resource.setrlimit(resource.RLIMIT_DATA, (now + MEMORY, resource.RLIM_INFINITY))
