"""Chunks of a sweep on a Dask cluster, as they are finished."""

from __future__ import annotations

import asyncio
import re
import socket
from importlib import import_module
from typing import TYPE_CHECKING, Any

from xenp2m.errors import InputError, shorten
from xenp2m.sweep.run import TRIES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from xenp2m.sweep.cases import Row, Sweep
    from xenp2m.sweep.run import Finished

__all__ = ["on_cluster"]

_ADDRESS = re.compile(r"(?:[a-z]+://)?(\[[0-9a-fA-F:.]+\]|[\w.-]+):(\d{1,5})")


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
    except (OSError, OverflowError, ValueError) as error:
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
    futures = [client.submit(_chunk_of, held, *chunk, pure=False, retries=TRIES) for chunk in chunks]
    lost = (distributed.KilledWorker, distributed.CancelledError, OSError)
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
