"""A cluster of two processes of which a test kills or stops one, at a moment that it chooses."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

import dask


@contextlib.contextmanager
def two_processes() -> Iterator[Any]:
    """The client of two workers with one thread each. A hung worker is given up after seconds.

    A test that loses a worker has a cluster of its own: its nanny does not always start another one.
    """
    from distributed import Client, LocalCluster

    with (
        dask.config.set({"distributed.scheduler.worker-ttl": "6s", "distributed.worker.daemon": False}),
        LocalCluster(2, threads_per_worker=1, processes=True, dashboard_address="127.0.0.1:0") as made,
        Client(made) as client,
    ):
        yield client


@contextlib.contextmanager
def struck(victim: Callable[[], int | None], how: int = signal.SIGKILL) -> Iterator[list[int]]:
    """While the block runs, the process that `victim` names, once it is in the middle of a task, gets the signal.

    Yields the list in which its number is afterwards.
    """
    stopped = threading.Event()
    hit: list[int] = []

    def strike() -> None:
        while (pid := victim()) is None:
            if stopped.wait(0.01):
                return
        os.kill(pid, how)
        hit.append(pid)

    thread = threading.Thread(target=strike)
    thread.start()
    try:
        yield hit
    finally:
        stopped.set()
        thread.join()
