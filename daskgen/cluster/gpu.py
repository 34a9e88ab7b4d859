"""One worker process for each GPU of this machine, through dask-cuda."""

from __future__ import annotations

import contextlib
import ctypes
import os
from collections.abc import Iterator, Mapping

import dask.config
import distributed

from daskgen.cluster.local import WorkerNanny, loopback_options, run_folder, started, web_pages
from daskgen.cluster.options import Options
from daskgen.errors import MissingPackageError, UsageError

__all__ = ["gpu_cluster", "visible_gpus"]


@contextlib.contextmanager
def gpu_cluster(n_workers: int | None, options: Options) -> Iterator[distributed.LocalCluster]:
    """A process for each of the first `n_workers` (default: all) GPUs that this job may use, one thread each.

    Device memory is left to the kernels, which size their blocks by what is free. Raises MissingPackageError without
    dask-cuda and UsageError without enough GPUs, before anything is started.
    """
    gpus = visible_gpus()
    if not gpus or len(gpus) < (n_workers or 1):
        raise UsageError(
            "this job has no GPU." if not gpus else "this job has fewer GPUs than that.",
            found=f"{len(gpus)}, CUDA_VISIBLE_DEVICES={os.environ.get('CUDA_VISIBLE_DEVICES', '(not set)')}",
            expected=f"at least {n_workers or 1}",
            do="ask the batch system for a GPU (--gres=gpu:1), or compute with --cluster local",
        )
    try:
        from dask_cuda import LocalCUDACluster
    except ImportError as error:
        raise MissingPackageError(
            "GPU workers need the package dask-cuda.",
            found=str(error),
            do="pip install --only-binary :all: 'daskgen[cuda12]' (or cuda13, as the driver says: nvidia-smi)",
        ) from error
    chosen = gpus[: n_workers or len(gpus)]
    with (
        dask.config.set(web_pages(options.dashboard)),
        run_folder(options.scratch) as folder,
        started(
            lambda: LocalCUDACluster(
                CUDA_VISIBLE_DEVICES=",".join(chosen),
                n_workers=len(chosen),
                threads_per_worker=options.threads or 1,
                memory_limit=options.memory_limit // len(chosen),
                worker_class=WorkerNanny,
                **loopback_options(folder, options),
            )
        ) as cluster,
    ):
        yield cluster


def visible_gpus(environment: Mapping[str, str] | None = None) -> list[str]:
    """The GPUs that this job may use: those of ``CUDA_VISIBLE_DEVICES``, else the numbers of all that the driver knows.

    Asks NVIDIA's management library, which makes no CUDA context and needs no package.
    """
    environment = os.environ if environment is None else environment
    n_gpus = _driver_count()
    chosen = environment.get("CUDA_VISIBLE_DEVICES")
    if chosen is None or n_gpus == 0:
        return [str(number) for number in range(n_gpus)]
    visible = []
    for name in (part.strip() for part in chosen.split(",")):
        # As CUDA does: the first name that is no device ends the list ("NoDevFiles", -1, a number too large).
        if not (name.startswith(("GPU-", "MIG-")) or (name.isdigit() and int(name) < n_gpus)):
            break
        visible.append(name)
    return visible


def _driver_count() -> int:
    """Number of GPUs that the driver knows; 0 without a driver."""
    try:
        library = ctypes.CDLL("libnvidia-ml.so.1")
    except OSError:
        return 0
    if library.nvmlInit_v2() != 0:
        return 0
    try:
        count = ctypes.c_uint(0)
        return int(count.value) if library.nvmlDeviceGetCount_v2(ctypes.byref(count)) == 0 else 0
    finally:
        library.nvmlShutdown()
