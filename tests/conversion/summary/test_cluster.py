"""Munging on processes: the store of threads, also when a worker is lost on the way."""

from __future__ import annotations

import functools
import os
import time
from pathlib import Path

import dask
import numpy as np
import pytest

import conversion
import daskgen as dg
from tests.cluster.lost_workers import struck, two_processes
from tests.conversion.summary.files import simulated


@pytest.fixture(scope="module")
def client():
    with two_processes() as made:
        yield made


@pytest.fixture
def fragile():
    with two_processes() as made:
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


def slowly(folder, index, job):
    """The task, after a while; leaves a file named after the process and the index."""
    from conversion.summary.reading import _read_task

    Path(folder, f"{os.getpid()}-{index}").touch()
    time.sleep(0.3)
    return _read_task(index, job)


@pytest.mark.parametrize("function", [conversion.munge, conversion.sumstats])
def test_a_worker_that_is_killed_in_the_middle_changes_nothing(function, study, fragile, tmp_path, monkeypatch):
    from conversion.summary import reading

    _, files, variants = study
    scale = {"scale": "linear"} if function is conversion.sumstats else {}
    with dask.config.set(scheduler="threads"):
        wanted = function(files, variants, tmp_path / "threads.zarr", **scale)
    marks = tmp_path / "marks"
    marks.mkdir()
    monkeypatch.setattr(reading, "_read_task", functools.partial(slowly, str(marks)))
    victim = next(iter(fragile.run(os.getpid).values()))
    with struck(lambda: victim if list(marks.glob(f"{victim}-*")) else None) as hit:
        found = function(files, variants, tmp_path / "m.zarr", **scale)
    same(tmp_path / "m.zarr", tmp_path / "threads.zarr")
    assert found.reports == wanted.reports
    lost = {path.name.split("-")[1] for path in marks.glob(f"{victim}-*")}
    others = {path.name.split("-")[1] for path in marks.iterdir() if not path.name.startswith(f"{victim}-")}
    assert hit == [victim]
    assert others == {str(index) for index in range(len(files))} - (lost - others)
