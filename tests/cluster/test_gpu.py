"""GPU workers: which GPUs a job has, and what is refused before anything starts. The cluster itself is a stand-in."""

from __future__ import annotations

import sys
import types
from pathlib import Path
from typing import Any

import pytest

import daskgen as dg
from daskgen.cluster import gpu
from daskgen.cluster.local import WorkerNanny
from daskgen.cluster.options import Options
from daskgen.errors import MissingPackageError, UsageError


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        (None, ["0", "1", "2", "3"]),
        ("2", ["2"]),
        ("3, 1", ["3", "1"]),
        ("GPU-8932f937,MIG-1234", ["GPU-8932f937", "MIG-1234"]),
        ("", []),
        ("NoDevFiles", []),
        ("1,9,2", ["1"]),
        ("-1", []),
    ],
)
def test_the_gpus_of_a_job(monkeypatch: pytest.MonkeyPatch, chosen: str | None, expected: list[str]) -> None:
    monkeypatch.setattr(gpu, "_driver_count", lambda: 4)
    assert gpu.visible_gpus({} if chosen is None else {"CUDA_VISIBLE_DEVICES": chosen}) == expected


def test_without_a_driver_there_is_no_gpu_whatever_the_variable_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu, "_driver_count", lambda: 0)
    assert gpu.visible_gpus({"CUDA_VISIBLE_DEVICES": "0,1"}) == []


@pytest.mark.parametrize(("there", "asked", "message"), [([], "cuda", "has no GPU"), (["0"], "cuda:2", "fewer GPUs")])
def test_a_job_without_enough_gpus_is_refused(
    monkeypatch: pytest.MonkeyPatch, there: list[str], asked: str, message: str
) -> None:
    monkeypatch.setattr(gpu, "visible_gpus", lambda: there)
    with pytest.raises(UsageError, match=message), dg.cluster.connect(asked):
        pytest.fail("connected")


def test_without_dask_cuda_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu, "visible_gpus", lambda: ["0"])
    monkeypatch.setitem(sys.modules, "dask_cuda", None)
    with pytest.raises(MissingPackageError, match=r"daskgen\[cuda12\]"), dg.cluster.connect("cuda"):
        pytest.fail("connected")


def test_each_gpu_gets_a_process_with_its_share_of_the_memory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    arguments: dict[str, Any] = {}
    closed: list[bool] = []

    class LocalCUDACluster:
        def __init__(self, **given: Any):
            arguments.update(given)

        def close(self) -> None:
            closed.append(True)

    module = types.ModuleType("dask_cuda")
    module.LocalCUDACluster = LocalCUDACluster  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "dask_cuda", module)
    monkeypatch.setattr(gpu, "visible_gpus", lambda: ["3", "1", "0"])
    options = Options(memory_limit=10**9, memory_limit_given=True, scratch=tmp_path)
    with gpu.gpu_cluster(2, options):
        assert list(tmp_path.iterdir())
    assert closed == [True]
    assert list(tmp_path.iterdir()) == []
    assert arguments["CUDA_VISIBLE_DEVICES"] == "3,1"
    assert (arguments["n_workers"], arguments["threads_per_worker"]) == (2, 1)
    assert arguments["memory_limit"] == 500_000_000
    assert arguments["protocol"] == "tls://"
    assert arguments["security"].require_encryption
    assert arguments["worker_class"] is WorkerNanny
    assert arguments["dashboard_address"] is None


@pytest.mark.gpu
def test_a_gpu_worker_computes_on_its_device() -> None:
    pytest.importorskip("dask_cuda")

    def total() -> float:
        import cupy

        return float(cupy.full(3, 2.0).sum())

    with dg.cluster.connect("cuda:1") as connection:
        assert connection.client is not None
        assert connection.client.submit(total).result() == 6.0
