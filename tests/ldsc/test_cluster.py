"""LD-score regression on processes: the bits of threads, also when a worker is lost on the way."""

from __future__ import annotations

import os
import time
from pathlib import Path

import dask
import dask.array as da
import numpy as np
import pytest

import daskgen as dg
from tests.cluster.lost_workers import struck, two_processes
from tests.ldsc.data import munged_dataset, scores_dataset, simulated_scores, simulated_traits, write


@pytest.fixture(scope="module")
def cluster():
    with two_processes() as client:
        yield client


@pytest.fixture
def fragile():
    with two_processes() as client:
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
    """The block, after a while; leaves a file named after the process and the time."""
    if block.size:
        Path(folder, f"{os.getpid()}-{time.monotonic_ns()}").touch()
        time.sleep(0.05)
    return block


@pytest.mark.parametrize("reads", [1, 21])
def test_a_killed_worker_does_not_change_a_bit(reads, data, on_threads, fragile, tmp_path):
    """A worker is lost while it reads the first trait, or one that it reads again for pairs with another group."""
    munged, scores = data
    z = da.from_array(munged["z"].values, chunks=(1, -1)).map_blocks(slowly, str(tmp_path), dtype=np.float64)
    lazy = munged.assign(z=(munged["z"].dims, z))
    workers = list(fragile.run(os.getpid).values())

    def victim():
        marks = [path.name.split("-") for path in tmp_path.iterdir()]
        return int(max(marks, key=lambda mark: int(mark[1]))[0]) if len(marks) >= reads else None

    with struck(victim) as hit:
        found = dg.ldsc.ldsc(lazy, scores)
    same_bits(found, on_threads)
    assert set(hit) < set(workers)
    assert len(hit) == 1
