"""Where tasks run: threads of this process, or the workers of a Dask cluster, behind the same few operations.

Engine code never makes a cluster. It takes the Dask client that is current, else threads. On a cluster every task
is pinned to a worker, because that worker has the task's chunks in its cache; when a worker is gone (killed, or
silent longer than the scheduler's worker-ttl) its tasks go to the ones that are left, which read the store again.
"""

from __future__ import annotations

import concurrent.futures
import functools
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable
from typing import Any

from daskgen import config, limits
from daskgen.cluster import current_client
from daskgen.errors import InterruptedRunError

__all__ = ["ClusterExecutor", "Executor", "LostTaskError", "ThreadExecutor", "current_executor"]

_SHARED_BYTES = 1_000_000


class LostTaskError(Exception):
    """The worker of a task is gone, so the task has to be run again elsewhere."""


class Executor(ABC):
    """What passes need of a scheduler. `workers` maps a worker's address to its number of threads."""

    in_process: bool
    workers: dict[str, int]

    @property
    def n_threads(self) -> int:
        return sum(self.workers.values())

    def refresh(self) -> None:  # noqa: B027  (threads have nothing to look at)
        """Look again which workers there are."""

    def share(self, argument: Any) -> Any:
        """Make a large argument available to all workers, once per pass."""
        return argument

    @abstractmethod
    def submit(self, function: Callable[..., Any], *args: Any, worker: str) -> Any:
        """Start a task on `worker`; returns its future."""

    @abstractmethod
    def wait(self, futures: Collection[Any], seconds: float) -> set[Any]:
        """Futures that have ended, waiting for the first at most `seconds`."""

    @abstractmethod
    def result(self, future: Any) -> Any:
        """The task's result, its exception, or LostTaskError."""

    @abstractmethod
    def cancel(self, futures: Iterable[Any]) -> None:
        """Give up tasks; returns when none of them runs in this process any more."""


@functools.cache
def _pool(n: int) -> concurrent.futures.ThreadPoolExecutor:
    # Kept for the life of the process: kernels hold work buffers per thread.
    return concurrent.futures.ThreadPoolExecutor(n, thread_name_prefix="daskgen")


class ThreadExecutor(Executor):
    """Threads of this process."""

    in_process = True

    def __init__(self, n_threads: int):
        self.workers = {"threads": n_threads}

    def submit(self, function: Callable[..., Any], *args: Any, worker: str) -> Any:
        return _pool(self.n_threads).submit(function, *args)

    def wait(self, futures: Collection[Any], seconds: float) -> set[Any]:
        return concurrent.futures.wait(futures, timeout=seconds, return_when=concurrent.futures.FIRST_COMPLETED).done

    def result(self, future: Any) -> Any:
        return future.result()

    def cancel(self, futures: Iterable[Any]) -> None:
        running = [future for future in futures if not future.cancel()]
        concurrent.futures.wait(running)


class ClusterExecutor(Executor):
    """The workers of the current Dask client."""

    in_process = False

    def __init__(self, client: Any):
        self.client = client
        self.workers = {}
        self.refresh()
        if not self.workers:
            client.wait_for_workers(1, timeout=60)
            self.refresh()

    def refresh(self) -> None:
        if self.client.status not in ("running", "connecting"):
            raise InterruptedRunError(
                "the Dask scheduler is gone.", do="start it again, then run the same command with --resume"
            )
        info = self.client.scheduler_info(n_workers=-1)["workers"]
        self.workers = {address: int(worker["nthreads"]) for address, worker in sorted(info.items())}

    def share(self, argument: Any) -> Any:
        if getattr(argument, "nbytes", 0) > _SHARED_BYTES:
            return self.client.scatter(argument, broadcast=True, hash=False)
        return argument

    def submit(self, function: Callable[..., Any], *args: Any, worker: str) -> Any:
        # Strictly pinned: a task that may run anywhere is stolen and reads chunks that its own worker has in memory.
        return self.client.submit(function, *args, workers=[worker], allow_other_workers=False, pure=False)

    def wait(self, futures: Collection[Any], seconds: float) -> set[Any]:
        from distributed import wait

        try:
            return set(wait(list(futures), timeout=seconds, return_when="FIRST_COMPLETED").done)
        except TimeoutError:
            return set()

    def result(self, future: Any) -> Any:
        from distributed import CancelledError, KilledWorker
        from distributed.comm.core import CommClosedError

        try:
            return future.result()
        except (CancelledError, KilledWorker, CommClosedError) as error:
            raise LostTaskError(str(error)) from error

    def cancel(self, futures: Iterable[Any]) -> None:
        if self.client.status == "running":
            self.client.cancel(list(futures), force=True)


def current_executor() -> Executor:
    """The current Dask client's workers, else as many threads as this process may use."""
    client = current_client()
    if client is not None:
        return ClusterExecutor(client)
    wanted = config.lookup("num_workers")
    return ThreadExecutor(int(wanted) if wanted else limits.cores())
