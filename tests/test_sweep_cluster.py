"""A Dask cluster gives the same answers, and loses none when a worker is killed."""

import os
import signal
import time

import pytest

distributed = pytest.importorskip("distributed", reason="pip install 'xenp2m[dask]'")

from hosts import pc  # noqa: E402
from xenp2m.errors import InputError  # noqa: E402
from xenp2m.kernel import Version  # noqa: E402
from xenp2m.sweep.cases import Sweep  # noqa: E402
from xenp2m.sweep.cluster import on_cluster  # noqa: E402
from xenp2m.sweep.grid import dom0_mem_values  # noqa: E402
from xenp2m.sweep.run import chunks_of  # noqa: E402

SWEEP = Sweep([("a", pc())], (Version(6, 1), Version(3, 12)), (None,), dom0_mem_values(["256M..3G:2M"]))


@pytest.fixture(scope="module")
def cluster():
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=":0", silence_logs=50
    ) as running:
        yield running


def answers(chunks, done):
    return [row for number, _, _ in chunks for row in done[number]]


def test_a_cluster_answers_as_one_process_does_though_a_worker_is_killed(cluster):
    chunks = chunks_of(len(SWEEP), 20)
    victim = next(iter(cluster.workers.values())).pid
    done = {}
    for number, rows in on_cluster(SWEEP, chunks, cluster.scheduler_address):
        assert number not in done
        done[number] = rows
        if len(done) == 3:
            os.kill(victim, signal.SIGKILL)
    assert answers(chunks, done) == SWEEP.chunk(0, len(SWEEP))
    deadline = time.monotonic() + 60
    while victim in {worker.pid for worker in cluster.workers.values()}:
        assert time.monotonic() < deadline, "the killed worker was never replaced: it was not killed"
        time.sleep(0.05)


@pytest.mark.parametrize("host", ["a..b", "x" * 64 + ".example"])
def test_a_name_that_no_host_can_have(host):
    with pytest.raises(InputError, match="Dask scheduler"):
        list(on_cluster(SWEEP, chunks_of(len(SWEEP), 100), f"tcp://{host}:8786", timeout=1))


def test_a_worker_is_no_scheduler(cluster):
    address = next(iter(cluster.workers.values())).worker_address
    with pytest.raises(InputError, match="Dask scheduler"):
        list(on_cluster(SWEEP, chunks_of(len(SWEEP), 100), address))


def test_a_cluster_without_workers_is_refused_in_time():
    with distributed.LocalCluster(n_workers=0, dashboard_address=":0", silence_logs=50) as empty:
        began = time.monotonic()
        with pytest.raises(InputError, match="a worker within 1 s"):
            list(on_cluster(SWEEP, chunks_of(len(SWEEP), 100), empty.scheduler_address, timeout=1))
        assert time.monotonic() - began < 60
