"""`connect` without other processes: threads, the current client, options that do not fit."""

from __future__ import annotations

import threading
from pathlib import Path

import dask
import dask.config
import distributed
import pytest

import daskgen as dg
from daskgen import limits
from daskgen.errors import InputError, PlanError, UsageError


def test_without_anything_the_run_computes_on_threads_of_this_process() -> None:
    with dg.cluster.connect() as connection:
        assert (connection.scheme, connection.n_workers, connection.client) == ("threads", 1, None)
        assert connection.n_threads == limits.cores()
        assert connection.memory_limit == connection.worker_memory_limit == limits.memory_limit()
        assert connection.available == limits.memory()


def test_threads_and_limits_hold_within_the_block_only() -> None:
    before = limits.memory_limit()
    names = dask.delayed(lambda _: threading.current_thread().name)
    with dg.cluster.connect("threads:3", memory_limit=200_000_000) as connection:
        assert connection.n_threads == 3
        assert str(connection).startswith("3 threads · ")
        assert str(connection).endswith(" memory, using up to 200 MB")
        assert dask.config.get("num_workers") == 3
        assert limits.memory_limit() == 200_000_000
        assert dg.cluster.current_client() is None
        assert threading.main_thread().name not in dask.compute(*[names(i) for i in range(4)])
    assert dask.config.get("num_workers", None) is None
    assert dask.config.get("scheduler", None) is None
    assert limits.memory_limit() == before


def test_an_inner_block_without_a_place_stays_at_the_outer_one() -> None:
    with dg.cluster.connect("threads:5", memory_limit="200MB"), dg.cluster.connect() as inner:
        assert (inner.n_threads, inner.memory_limit) == (5, 200_000_000)


def test_the_scratch_folder_is_where_dask_and_daskgen_put_temporary_files(tmp_path: Path) -> None:
    with dg.cluster.connect("threads", scratch=tmp_path):
        assert limits.scratch() == tmp_path
        assert dask.config.get("temporary-directory") == str(tmp_path)


@pytest.fixture
def in_process_client() -> distributed.Client:
    """A client whose scheduler and worker are threads of the test."""
    with (
        distributed.LocalCluster(
            n_workers=1,
            threads_per_worker=2,
            processes=False,
            memory_limit="1GB",
            dashboard_address=None,
            scheduler_kwargs={"dashboard": False, "dashboard_address": "127.0.0.1:0"},
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


def test_the_current_client_is_used_and_left_open(in_process_client: distributed.Client) -> None:
    with dg.cluster.connect() as connection:
        assert connection.client is in_process_client
        assert (connection.n_workers, connection.n_threads, connection.memory_limit) == (1, 2, 10**9)
        assert str(connection) == f"1 worker with 2 threads on {in_process_client.scheduler.address} · 1 GB memory each"
    assert in_process_client.submit(sum, [1, 2]).result() == 3


def test_a_memory_limit_lowers_what_workers_of_others_may_use(in_process_client: distributed.Client) -> None:
    with dg.cluster.connect(memory_limit="500MB") as connection:
        assert connection.memory_limit == connection.worker_memory_limit == 500_000_000
    with dg.cluster.connect(memory_limit="5GB") as connection:
        assert connection.memory_limit == 10**9


def test_threads_that_are_asked_for_go_before_the_current_client(in_process_client: distributed.Client) -> None:
    assert dg.cluster.current_client() is in_process_client
    with dg.cluster.connect("threads:2") as connection:
        assert connection.client is None
        assert dg.cluster.current_client() is None
        with dg.cluster.connect() as inner:
            assert inner.scheme == "threads"
    assert dg.cluster.current_client() is in_process_client


@pytest.mark.parametrize(
    ("spec", "options", "error", "message"),
    [
        ("nowhere", {}, UsageError, "no place to compute"),
        ("threads:2", {"threads": 3}, UsageError, "two numbers of threads"),
        ("threads", {"threads": 0}, UsageError, "threads must be a positive whole number"),
        ("threads", {"min_workers": 1.5}, UsageError, "min_workers must be a positive whole number"),
        ("threads", {"memory_limit": "lots"}, UsageError, "no amount of memory"),
        ("threads", {"memory_limit": 2**60}, PlanError, "more than this job has"),
        ("threads", {"scratch": "/no/such/folder"}, InputError, "cannot hold temporary files"),
        ("tcp://127.0.0.1:1", {"threads": 2}, UsageError, "have their own number of threads"),
    ],
)
def test_what_cannot_be_done_is_refused(spec: str, options: dict[str, object], error: type, message: str) -> None:
    with pytest.raises(error, match=message), dg.cluster.connect(spec, **options):  # type: ignore[arg-type]
        pytest.fail("connected")
