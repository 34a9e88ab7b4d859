"""Worker processes on this machine: one thread each, encrypted with certificates of the run."""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import multiprocessing.resource_tracker
import multiprocessing.spawn
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import dask.config
import distributed

from daskgen import config
from daskgen.cluster.certificates import write_certificates
from daskgen.cluster.options import Options
from daskgen.cluster.quiet import quiet_shutdown
from daskgen.cluster.worker_setup import WORKER_ENVIRONMENT
from daskgen.errors import MissingPackageError
from daskgen.interrupts import deferred, ignored

__all__ = ["WorkerNanny", "local_cluster", "loopback_options", "run_folder", "started", "web_pages"]

T = TypeVar("T", bound=distributed.deploy.Cluster)


class WorkerNanny(distributed.Nanny):  # type: ignore[misc]
    """Starts one worker process in `WORKER_ENVIRONMENT`, and starts it again when it is lost.

    Dask lets the caller's environment win over what it would set (``OMP_NUM_THREADS=8`` from a batch script); here a
    task has one thread whatever the shell says.
    """

    def __init__(self, *args: Any, **options: Any):
        super().__init__(*args, **options)
        self.pre_spawn_env.update(WORKER_ENVIRONMENT)
        self.env.update(WORKER_ENVIRONMENT)

    async def kill(self, timeout: float = 5, reason: str = "nanny-kill") -> None:
        """End the process without waiting for its task: tasks are pure, and Ctrl-C should not take seconds."""
        if self.process is not None:
            await self.process.kill(timeout=timeout, executor_wait=False, reason=reason)


@contextlib.contextmanager
def local_cluster(n_workers: int, options: Options) -> Iterator[distributed.LocalCluster]:
    """`n_workers` processes with `options.threads` (1) threads each, which share the memory limit equally."""
    with (
        dask.config.set(web_pages(options.dashboard)),
        run_folder(options.scratch) as folder,
        started(
            lambda: distributed.LocalCluster(
                n_workers=n_workers,
                threads_per_worker=options.threads or 1,
                memory_limit=options.memory_limit // n_workers,
                worker_class=WorkerNanny,
                **loopback_options(folder, options),
            )
        ) as cluster,
    ):
        yield cluster


def web_pages(dashboard: bool) -> dict[str, Any]:
    """Dask settings under which schedulers and workers serve web pages only where a dashboard was asked for.

    Dask opens a port for them in any case, and shows logs and call stacks there to whoever asks.
    """
    if not dashboard:
        return {"distributed.scheduler.http.routes": [], "distributed.worker.http.routes": []}
    if importlib.util.find_spec("bokeh") is None:
        raise MissingPackageError("the dashboard needs the package bokeh.", do="pip install 'daskgen[dashboard]'")
    return {}


@contextlib.contextmanager
def run_folder(parent: Path) -> Iterator[Path]:
    """A folder of the run's own, mode 0700, gone at the end: certificates, and what workers spill."""
    folder = Path(tempfile.mkdtemp(prefix="daskgen-", dir=parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def loopback_options(folder: Path, options: Options) -> dict[str, Any]:
    """Arguments of a Dask cluster whose scheduler and workers talk TLS on the loopback interface."""
    return {
        "host": "127.0.0.1",
        "protocol": "tls://",
        "security": write_certificates(folder).security(),
        "local_directory": str(folder),
        "silence_logs": logging.ERROR,
        "preload": ["daskgen.cluster.worker_setup"],
        "dashboard_address": "127.0.0.1:8787" if options.dashboard else None,
        "scheduler_kwargs": {
            "worker_ttl": options.worker_ttl,
            "allowed_failures": config.get("retries"),
            **({} if options.dashboard else {"dashboard": False, "dashboard_address": "127.0.0.1:0"}),
        },
    }


@contextlib.contextmanager
def started(make: Callable[[], T]) -> Iterator[T]:
    """The cluster that `make` starts, closed at the end whatever happens.

    A signal that arrives while it starts or closes acts afterwards, so that no process is left behind.
    """
    cluster = None
    quiet_shutdown()
    with _spawning():
        try:
            with deferred():
                cluster = make()
            yield cluster
        finally:
            if cluster is not None:
                with deferred():
                    cluster.close()


@contextlib.contextmanager
def _spawning() -> Iterator[None]:
    """Within the block worker processes do not run the caller's script, and the caller's environment is kept.

    Python lets a new process import the script that started it, which fails unless all of it stands under
    ``if __name__ == "__main__"``. Workers have no use for it: Dask sends functions of a script by value.
    """
    with ignored("SIGUSR1"):  # what the tracker ignores when it starts, it ignores for good
        multiprocessing.resource_tracker.ensure_running()
    prepare = multiprocessing.spawn.get_preparation_data
    before = {name: os.environ.get(name) for name in (*WORKER_ENVIRONMENT, "PYTHONHASHSEED")}

    def without_script(name: str) -> dict[str, Any]:
        data = prepare(name)
        if name.startswith("Dask Worker process"):
            data.pop("init_main_from_name", None)
            data.pop("init_main_from_path", None)
        return data

    multiprocessing.spawn.get_preparation_data = without_script
    try:
        yield
    finally:
        multiprocessing.spawn.get_preparation_data = prepare
        for name, value in before.items():  # Dask sets the workers' environment in this process too
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
