"""Chunks of a sweep, in this process, in several, or on a Dask cluster; as they are finished."""

from __future__ import annotations

import asyncio
import re
import signal
import socket
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from importlib import import_module
from multiprocessing import get_context
from typing import TYPE_CHECKING, Any

from xenp2m.errors import InputError, shorten

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from xenp2m.sweep.cases import Row, Sweep

    Finished = Iterator[tuple[int, list[Row]]]

__all__ = ["chunk_size", "chunks_of", "on_cluster", "run_chunks"]

_TRIES = 3
_ADDRESS = re.compile(r"(?:[a-z]+://)?(\[[0-9a-fA-F:.]+\]|[\w.-]+):(\d{1,5})")
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
    for _ in range(_TRIES):
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


def on_cluster(
    sweep: Sweep, chunks: Sequence[tuple[int, int, int]], address: str, *, timeout: float = 10.0
) -> Finished:
    """Work off chunks on a Dask cluster.

    A chunk whose worker dies is given to another one; the sweep itself is the result of a task, so that
    it is sent again where its holders are gone.

    Args:
        sweep: what the numbers mean.
        chunks: number, first case and end.
        address: the scheduler's, such as ``tcp://host:8786``.
        timeout: seconds to wait for the scheduler.

    Yields:
        Number and rows of each chunk as it is finished.

    Raises:
        InputError: no distributed, no scheduler, no worker, or a cluster that goes away.
    """
    where = f"--scheduler {address}"
    try:
        distributed: Any = import_module("distributed")
    except ImportError:
        raise InputError("--scheduler", "distributed (pip install 'xenp2m[dask]')", "none") from None
    _need_listener(address, where, timeout)
    try:
        told = asyncio.run(asyncio.wait_for(_identity(distributed, address), timeout))
        if told.get("type") != "Scheduler":
            raise OSError(None, f"a {told.get('type')}")
        client = distributed.Client(address, timeout=timeout, set_as_default=False)
    except (OSError, ValueError, TypeError, ImportError, TimeoutError) as error:
        raise _no_scheduler(where, timeout, error) from None
    try:
        _need_workers(client, where, timeout)
        yield from _from_client(distributed, client, sweep, chunks, where)
    finally:
        client.close(timeout=2)


def _need_listener(address: str, where: str, timeout: float) -> None:
    """Find out at once whether anything listens there; the client would go on trying."""
    match = _ADDRESS.fullmatch(address)
    if match is None:
        raise InputError(where, "an address such as tcp://HOST:8786", shorten(address))
    try:
        socket.create_connection((match[1].strip("[]"), int(match[2])), timeout).close()
    except (OSError, OverflowError) as error:
        raise _no_scheduler(where, timeout, error) from None


async def _identity(distributed: Any, address: str) -> dict[str, Any]:  # noqa: ANN401 (untyped)
    """Who answers; a client would wait without end for something that is no part of Dask."""
    async with distributed.core.rpc(address) as peer:
        told: dict[str, Any] = await peer.identity()
        return told


def _no_scheduler(where: str, timeout: float, error: Exception) -> InputError:
    reason = getattr(error, "strerror", None) or " ".join(str(error).split())[:80] or type(error).__name__
    return InputError(where, f"a Dask scheduler that answers within {timeout:g} s", reason)


def _need_workers(client: Any, where: str, timeout: float) -> None:  # noqa: ANN401 (distributed is untyped)
    try:
        client.wait_for_workers(1, timeout=timeout)
    except (OSError, TimeoutError):
        raise InputError(where, f"a worker within {timeout:g} s", "none") from None


def _from_client(
    distributed: Any,  # noqa: ANN401 (untyped)
    client: Any,  # noqa: ANN401
    sweep: Sweep,
    chunks: Sequence[tuple[int, int, int]],
    where: str,
) -> Finished:
    held = client.submit(_same, sweep, pure=False)
    futures = [client.submit(_chunk_of, held, *chunk, pure=False, retries=_TRIES) for chunk in chunks]
    lost = (distributed.KilledWorker, distributed.client.FutureCancelledError, OSError)
    try:
        for future in distributed.as_completed(futures, loop=client.loop):
            yield future.result()
            future.release()
    except lost as error:
        reason = " ".join(str(error).split())[:80] or type(error).__name__
        raise InputError(where, "a cluster that stays", reason) from None


def _same(sweep: Sweep) -> Sweep:
    return sweep


def _chunk_of(sweep: Sweep, number: int, start: int, stop: int) -> tuple[int, list[Row]]:
    return number, sweep.chunk(start, stop)
