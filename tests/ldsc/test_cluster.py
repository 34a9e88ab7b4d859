"""LD-score regression on processes: the bits of threads, also when a worker is lost on the way."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import dask
import dask.array as da
import numpy as np
import pytest

import daskgen as dg
from tests.ldsc.data import munged_dataset, scores_dataset, simulated_scores, simulated_traits, write


@pytest.fixture(scope="module")
def cluster():
    from distributed import Client, LocalCluster

    with (
        dask.config.set({"distributed.scheduler.worker-ttl": "4s", "distributed.worker.daemon": False}),
        LocalCluster(2, threads_per_worker=1, processes=True, dashboard_address=None) as made,
        Client(made) as client,
    ):
        yield client


@pytest.fixture(scope="module")
def data():
    scores = simulated_scores()
    return munged_dataset(simulated_traits(scores, 20, missing=0.05)), scores_dataset(scores)


@pytest.fixture(scope="module")
def on_threads(data):
    with dask.config.set(scheduler="threads"):
        return dg.ldsc.ldsc(*data)


def same_bits(found, wanted):
    assert all(found[name].values.tobytes() == wanted[name].values.tobytes() for name in ("S", "V", "I", "rg_se"))


def test_processes_give_the_bits_of_threads_from_stores_and_from_memory(data, on_threads, cluster, tmp_path):
    paths = write(tmp_path / "m.zarr", data[0], "sumstats"), write(tmp_path / "l.zarr", data[1], "ld_scores")
    same_bits(dg.ldsc.ldsc(*paths), on_threads)
    same_bits(dg.ldsc.ldsc(*data), on_threads)


def slowly(block: np.ndarray, folder: str) -> np.ndarray:
    """The block, after a while; leaves a file named after the process."""
    if block.size:
        Path(folder, str(os.getpid())).touch()
        time.sleep(0.2)
    return block


def test_a_killed_worker_does_not_change_a_bit(data, on_threads, cluster, tmp_path):
    munged, scores = data
    z = da.from_array(munged["z"].values, chunks=(1, -1)).map_blocks(slowly, str(tmp_path), dtype=np.float64)
    lazy = munged.assign(z=(munged["z"].dims, z))
    victim = next(iter(cluster.run(os.getpid).values()))
    stopped = threading.Event()

    def strike():
        while not Path(tmp_path, str(victim)).exists() and not stopped.is_set():
            time.sleep(0.01)
        os.kill(victim, signal.SIGKILL)

    thread = threading.Thread(target=strike)
    thread.start()
    try:
        found = dg.ldsc.ldsc(lazy, scores)
    finally:
        stopped.set()
        thread.join()
    same_bits(found, on_threads)
    assert Path(tmp_path, str(victim)).exists()
    cluster.wait_for_workers(2, timeout=30)
