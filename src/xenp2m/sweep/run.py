"""Chunks of a sweep, in this process or in several; as they are finished."""

from __future__ import annotations

import signal
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from typing import TYPE_CHECKING

from xenp2m.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from xenp2m.sweep.cases import Row, Sweep

    Finished = Iterator[tuple[int, list[Row]]]

__all__ = ["TRIES", "chunk_size", "chunks_of", "run_chunks"]

TRIES = 3
"""Times that a chunk is begun again where workers die."""
_SPAWN_FROM = 2000
"""Cases from which it pays to start other processes."""

_held: Sweep | None = None


def chunk_size(cases: int, jobs: int) -> int:
    """Cases of a chunk: some hundreds, fewer where a worker would get less than four chunks."""
    return max(1, min(500, -(-cases // (4 * max(1, jobs)))))


def chunks_of(cases: int, size: int) -> list[tuple[int, int, int]]:
    """Number, first case and end of each chunk."""
    return [(i, start, min(start + size, cases)) for i, start in enumerate(range(0, cases, size))]


def run_chunks(sweep: Sweep, chunks: Sequence[tuple[int, int, int]], jobs: int) -> Finished:
    """Work off chunks on this machine.

    Args:
        sweep: what the numbers mean.
        chunks: number, first case and end.
        jobs: processes; 1 for none but this one.

    Yields:
        Number and rows of each chunk as it is finished.

    Raises:
        InputError: worker processes died three times over.
    """
    if jobs == 1 or sum(stop - start for _, start, stop in chunks) < _SPAWN_FROM:
        for number, start, stop in chunks:
            yield number, sweep.chunk(start, stop)
        return
    left = {chunk[0]: chunk for chunk in chunks}
    for _ in range(TRIES):
        try:
            for number, rows in _in_processes(sweep, list(left.values()), jobs):
                del left[number]
                yield number, rows
        except BrokenProcessPool:
            continue
        if not left:
            return
    raise InputError("--jobs", "worker processes that stay alive", f"{len(left)} chunks left after 3 tries")


def _in_processes(sweep: Sweep, chunks: Sequence[tuple[int, int, int]], jobs: int) -> Finished:
    pool = ProcessPoolExecutor(
        min(jobs, len(chunks)), get_context("spawn"), initializer=_hold, initargs=(sweep,)
    )
    try:
        futures = [pool.submit(_work, *chunk) for chunk in chunks]
        for future in as_completed(futures):
            yield future.result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _hold(sweep: Sweep) -> None:
    """Take the sweep into a worker, which leaves an interruption to its parent."""
    global _held
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _held = sweep


def _work(number: int, start: int, stop: int) -> tuple[int, list[Row]]:
    assert _held is not None, "the pool's initializer has run"
    return number, _held.chunk(start, stop)
