"""Where a run computes: threads in this process, local processes, GPUs, a running scheduler, Slurm.

    with dg.cluster.connect("local:4") as cluster:
        print(cluster)                      # 4 workers on tls://127.0.0.1:40621 · 5.05 GB memory each
        components = dg.genotypes.pca("cohort.zarr")

What computes within the block runs there, and afterwards nothing of it is left: no process, no file.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from daskgen import config, limits
from daskgen.cluster.connection import Connection
from daskgen.cluster.options import Options
from daskgen.cluster.specification import ACCEPTED, Specification
from daskgen.errors import UsageError
from daskgen.interrupts import interruptible

if TYPE_CHECKING:
    import distributed

__all__ = ["ACCEPTED", "Connection", "connect", "current_client"]

_LOCAL_SCHEDULERS = {"threads", "threading", "sync", "synchronous", "single-threaded", "processes", "multiprocessing"}


@contextlib.contextmanager
def connect(
    spec: str | None = None,
    *,
    memory_limit: str | int | float | None = None,
    threads: int | None = None,
    dashboard: bool = False,
    scratch: str | os.PathLike[str] | None = None,
    worker_ttl: str | float | None = None,
    timeout: float | None = None,
    min_workers: int = 1,
) -> Iterator[Connection]:
    """Compute at `spec` within the block.

    Parameters
    ----------
    spec
        None: the current Dask client if there is one, else threads in this process. Otherwise ``"threads[:N]"``,
        ``"local[:N]"`` (N processes with one thread each), ``"cuda[:N]"`` (one process for each of N GPUs),
        ``"tls://host:port"``, ``"tcp://host:port"``, ``"file:scheduler.json"`` or ``"slurm:config.yaml"``. N
        defaults to the cores, or GPUs, that this job has (`daskgen.limits`).
    memory_limit
        Bytes that all local processes together may use, ``"16GB"``, ``"16GiB"``, ``"50%"`` or a fraction; default
        80 % of what the job has. Workers that somebody else started have limits of their own, which it can only lower.
    threads
        Threads of this process ("threads"), or of each worker process ("local": default 1, "cuda": default 1).
    dashboard
        Serve Dask's dashboard on 127.0.0.1 (needs bokeh). Without it nothing is served.
    scratch
        Folder for what workers spill; default ``$SLURM_TMPDIR``, else ``$TMPDIR``, else the system's.
    worker_ttl
        A worker that is silent for so long is given up and its work done again; default 60 s.
    timeout
        Seconds to wait for a scheduler to answer and for workers to come; default 60, for Slurm without limit.
    min_workers
        How many workers to wait for before the block begins.

    Clusters that are started here talk TLS with certificates made for the run. Within the block SIGTERM and SIGUSR1
    act as Ctrl-C.

    Raises
    ------
    UsageError
        Unknown `spec`; no scheduler or no workers there; versions of client, scheduler and workers differ; no GPU.
    MissingPackageError
        An optional package is needed (its `do` says which).
    PlanError
        `memory_limit` is more than this job has.
    InputError
        A scheduler file, certificate, Slurm file or scratch folder cannot be used.
    """
    options = Options(
        memory_limit=limits.memory_limit(memory_limit),
        memory_limit_given=memory_limit is not None,
        scratch=limits.scratch(scratch),
        threads=_positive("threads", threads),
        dashboard=dashboard,
        worker_ttl=config.get("worker-ttl") if worker_ttl is None else worker_ttl,
        timeout=timeout,
        min_workers=_positive("min_workers", min_workers) or 1,
    )
    settings = {"daskgen.memory-limit": options.memory_limit, "daskgen.scratch": str(options.scratch)}
    place = _place(spec, options)
    with config.using(settings), interruptible(), place as connection:
        yield connection


def current_client() -> distributed.Client | None:
    """The Dask client that computes here and now; None where threads of this process do.

    As in Dask, a scheduler that was set by name (``dask.config.set(scheduler="threads")``) goes before a client.
    """
    if config.lookup("scheduler") in _LOCAL_SCHEDULERS or "distributed" not in sys.modules:
        return None
    from distributed import default_client

    try:
        return default_client()
    except ValueError:
        return None


def _place(spec: str | None, options: Options) -> contextlib.AbstractContextManager[Connection]:
    """The context in which tasks run at `spec`. What a place needs is imported only when it is asked for."""
    if spec is None:
        client = current_client()
        return _threads(None, options) if client is None else _client(client, options)
    where = Specification.parse(spec)
    if where.scheme == "threads":
        return _threads(where.count, options)
    if where.scheme in ("local", "cuda"):
        return _processes(where, options)
    if options.threads is not None:
        raise UsageError(f"the workers at {spec} have their own number of threads.", found=f"threads={options.threads}")
    if where.scheme == "slurm":
        from daskgen.cluster.slurm import slurm

        return slurm(where.target, options)
    from daskgen.cluster import running

    address = where.target if where.scheme != "file" else running.scheduler_address(where.target, options)
    return running.join(address, options)


@contextlib.contextmanager
def _threads(count: int | None, options: Options) -> Iterator[Connection]:
    if count is not None and options.threads not in (None, count):
        both = f"threads:{count} and threads={options.threads}"
        raise UsageError("two numbers of threads are asked for.", found=both)
    n_threads = count or options.threads or config.lookup("num_workers") or limits.cores()
    settings = {"scheduler": "threads", "num_workers": n_threads, "temporary-directory": str(options.scratch)}
    with config.using(settings):
        yield Connection(
            scheme="threads",
            n_workers=1,
            n_threads=n_threads,
            memory_limit=options.memory_limit,
            worker_memory_limit=options.memory_limit,
            available=limits.memory(),
        )


@contextlib.contextmanager
def _processes(where: Specification, options: Options) -> Iterator[Connection]:
    from daskgen.cluster import running

    if where.scheme == "local":
        from daskgen.cluster.local import local_cluster

        starting = local_cluster(where.count or max(1, limits.cores() // (options.threads or 1)), options)
    else:
        from daskgen.cluster.gpu import gpu_cluster

        starting = gpu_cluster(where.count, options)
    with starting as cluster, running.client_of(cluster, options) as client:
        yield running.connection_of(client, where.scheme, options)


@contextlib.contextmanager
def _client(client: distributed.Client, options: Options) -> Iterator[Connection]:
    from daskgen.cluster import running
    from daskgen.cluster.versions import check_versions

    running.wait_for_workers(client, options, f"the scheduler at {client.scheduler.address}")
    check_versions(client)
    yield running.connection_of(client, client.scheduler.address.partition("://")[0], options)


def _positive(name: str, number: Any) -> int | None:
    if number is None:
        return None
    if not isinstance(number, int) or number < 1:
        raise UsageError(f"{name} must be a positive whole number.", found=repr(number))
    return number
