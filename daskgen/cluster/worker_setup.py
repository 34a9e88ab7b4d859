"""What every worker process of daskgen needs, whoever starts it.

The environment has to be there before NumPy is imported, so whoever starts the process sets it. This module is also
a Dask preload (``dask worker --preload daskgen.cluster.worker_setup``): Dask calls `dask_setup` in the worker.
"""

from __future__ import annotations

import os
from typing import Any

from daskgen.cluster.quiet import quiet_shutdown
from daskgen.interrupts import ignore

__all__ = ["WORKER_ENVIRONMENT", "dask_setup"]

WORKER_ENVIRONMENT = {
    # One thread inside a task: workers x threads = cores. Two BLAS threads in each of two workers on two cores made a
    # pass three times slower, by spinning.
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "BLIS_NUM_THREADS": "1",
    "VECLIB_MAXIMUM_THREADS": "1",
    "NUMBA_NUM_THREADS": "1",
    # Dask's default gives freed memory back at once, so that every buffer is faulted in again. Naming a trim threshold
    # also freezes glibc's mmap threshold at 128 kB, above which each allocation is mapped anew: 3.0 ms for 4 MB. With
    # both set to what glibc reaches by itself (32 MiB is its largest) it is 0.14 ms.
    "MALLOC_TRIM_THRESHOLD_": str(2**28),
    "MALLOC_MMAP_THRESHOLD_": str(2**25),
}


def dask_setup(worker: Any) -> None:
    """Prepare a worker process: the signals that stop a run are the client's business, and shutting down is quiet.

    Ctrl-C goes to every process of a terminal, and Slurm's announced SIGUSR1 to every process of a job step. The
    client then ends the run in order; workers that died of it first would only be started again.

    Polars has one pool for all tasks of a process, made when it is first imported: as many threads as the worker has.
    """
    os.environ["POLARS_MAX_THREADS"] = str(worker.state.nthreads)
    ignore("SIGINT", "SIGUSR1")
    quiet_shutdown()
