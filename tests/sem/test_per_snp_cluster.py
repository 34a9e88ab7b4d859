"""One fit per SNP on processes: the bits of threads, also when a worker is lost on the way."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dask
import pytest

import daskgen as dg
from daskgen.sem.per_snp import SnpFits
from tests.cluster.lost_workers import struck, two_processes
from tests.sem.stand_in import WeightedLeastSquares, effects, write_sumstats
from tests.sem.test_per_snp_results import digest, same, scan


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    with two_processes() as client:
        yield client


@pytest.fixture
def fragile() -> Iterator[Any]:
    with two_processes() as client:
        yield client


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_sumstats(tmp_path_factory.mktemp("cluster") / "s.zarr", effects(3_001, missing=0.02), rows=250)


@pytest.fixture(scope="module")
def on_threads(store: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    with dask.config.set(scheduler="threads"):
        return str(scan(store).dg.to_store(tmp_path_factory.mktemp("threads") / "r.zarr"))


def test_processes_give_the_bytes_of_threads(store: str, on_threads: str, cluster: Any, tmp_path: Path) -> None:
    found = scan(store).dg.to_store(tmp_path / "r.zarr")
    assert dg.verify(found) == []
    assert digest(found) == digest(on_threads)


def test_lazy_arrays_are_computed_by_the_cluster(store: str, on_threads: str, cluster: Any) -> None:
    same(scan(store).compute(), dg.open_store(on_threads))


@dataclass(frozen=True)
class Slow(WeightedLeastSquares):
    """Leaves a file named after the process in `folder` and takes a while."""

    folder: str = ""

    def fit(self, *data: Any) -> SnpFits:
        Path(self.folder, str(os.getpid())).touch()
        time.sleep(0.2)
        return super().fit(*data)


def test_a_killed_worker_does_not_change_a_byte(store: str, on_threads: str, fragile: Any, tmp_path: Path) -> None:
    folder = tmp_path / "processes"
    folder.mkdir()
    first = next(iter(fragile.run(os.getpid).values()))
    with struck(lambda: first if (folder / str(first)).exists() else None) as hit:
        found = scan(store, Slow(folder=str(folder))).dg.to_store(tmp_path / "r.zarr")
    assert hit == [first]
    assert dg.verify(found) == []
    assert digest(found) == digest(on_threads)
