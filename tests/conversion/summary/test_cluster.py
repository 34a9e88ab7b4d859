"""Munging on processes: the store of threads, also when a worker is lost on the way."""

from __future__ import annotations

import os
import signal
import threading
import time

import dask
import numpy as np
import pytest

import conversion
import daskgen as dg
from tests.conversion.summary.files import simulated


@pytest.fixture(scope="module")
def client():
    from distributed import Client, LocalCluster

    with (
        dask.config.set({"distributed.scheduler.worker-ttl": "4s", "distributed.worker.daemon": False}),
        LocalCluster(2, threads_per_worker=1, processes=True, dashboard_address="127.0.0.1:0") as cluster,
        Client(cluster) as made,
    ):
        yield made


def same(found, wanted):
    found, wanted = (dg.open_store(path).load() for path in (found, wanted))
    for name in wanted.variables:
        np.testing.assert_array_equal(found[name].values, wanted[name].values)


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    files, variants = [], None
    for i in range(6):
        path, variants = simulated(folder, f"T{i}", 997, i)
        files.append(path)
    with dask.config.set(scheduler="threads"):
        conversion.munge(files, variants, folder / "threads.zarr")
    return folder, files, variants


def test_processes_give_the_store_of_threads(study, client, tmp_path):
    folder, files, variants = study
    conversion.munge(files, variants, tmp_path / "m.zarr")
    same(tmp_path / "m.zarr", folder / "threads.zarr")


def test_bad_input_on_a_worker_reads_as_it_does_here(study, client, tmp_path):
    from daskgen.errors import InputError

    _, files, variants = study
    cut = tmp_path / "cut.tsv.gz"
    cut.write_bytes(files[0].read_bytes()[:-20])
    with pytest.raises(InputError, match="cut off"):
        conversion.munge([files[1], cut], variants, tmp_path / "m.zarr")
    assert not (tmp_path / "m.zarr").exists()


def test_a_worker_that_is_killed_changes_nothing(study, client, tmp_path, monkeypatch):
    folder, files, variants = study
    from conversion.summary import reading

    monkeypatch.setattr(reading, "_read_task", slowly)
    pids = list(client.run(os.getpid).values())
    killer = threading.Timer(1.0, os.kill, (pids[0], signal.SIGKILL))
    killer.start()
    conversion.munge(files, variants, tmp_path / "m.zarr")
    killer.join()
    assert pids[0] not in client.run(os.getpid).values()
    same(tmp_path / "m.zarr", folder / "threads.zarr")


def slowly(index, job):
    """The task, after a while, so that the kill meets one that is running."""
    from conversion.summary.reading import _read_task

    time.sleep(0.7)
    return _read_task(index, job)
