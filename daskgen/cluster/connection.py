"""What `connect` gives: where the run computes and what it may use there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from daskgen.limits import format_bytes

if TYPE_CHECKING:
    import distributed

__all__ = ["Connection"]


@dataclass(frozen=True)
class Connection:
    """A place to compute, as it was when the connection was made (workers may come and go afterwards).

    scheme: "threads", "local", "cuda", "slurm", "tls", "tcp"; n_workers: processes that compute; n_threads: threads
    of all workers together; memory_limit: bytes that all workers together may use; worker_memory_limit: bytes of the
    worker that has the least; available: bytes that this job has (threads), else 0; address: of the scheduler;
    client: the Dask client, None for threads.
    """

    scheme: str
    n_workers: int
    n_threads: int
    memory_limit: int
    worker_memory_limit: int
    available: int = 0
    address: str = ""
    client: distributed.Client | None = None

    def describe(self) -> str:
        """One line: ``2 threads · 24 GB memory, using up to 19.2 GB``."""
        threads = f"{self.n_threads:,} thread{'s' * (self.n_threads != 1)}"
        if self.client is None:
            return f"{threads} · {format_bytes(self.available)} memory, using up to {format_bytes(self.memory_limit)}"
        workers = f"{self.n_workers:,} worker{'s' * (self.n_workers != 1)}"
        if self.n_threads != self.n_workers:
            workers += f" with {threads}"
        each = self.worker_memory_limit
        return f"{workers} on {self.address} · {f'{format_bytes(each)} memory each' if each else 'memory not limited'}"

    def __str__(self) -> str:
        return self.describe()
