"""Running passes: sums over leaves in a fixed tree, and maps over chunk groups.

A pass is one task per *bundle*, a contiguous range of leaves pinned to a worker; a task loops over its leaves and
returns the few complete nodes of the sum's tree that they make. So the graph has a handful of tasks whatever the
size of the data, and the bits of the result do not depend on how leaves were bundled.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from threadpoolctl import threadpool_limits

from daskgen import config
from daskgen.errors import InterruptedRunError
from daskgen.passes.executors import Executor, LostTaskError, current_executor
from daskgen.passes.progress import Progress
from daskgen.passes.tree import Node, TreeSum, add_all, split

__all__ = ["PassRunner", "run_map"]

log = logging.getLogger("daskgen.passes")
_LOOK_SECONDS = 1.0  # between two looks at which workers there are


def _sum_bundle(
    task: Callable[..., Any], start: int, stop: int, halted: threading.Event | None, *args: Any
) -> list[Node]:
    """One task: leaves `start` to `stop` - 1, added in the fixed tree."""
    tree = TreeSum()
    for leaf in range(start, stop):
        if halted is not None and halted.is_set():
            break
        tree.add(0, leaf, task(leaf, *args))
    return tree.nodes()


class _Shared:
    """The arguments that all tasks of a pass have in common, sent to the workers once."""

    def __init__(self, executor: Executor, args: Sequence[Any]):
        self._executor = executor
        self._args = args
        self.values: tuple[Any, ...] = ()
        self.send()

    def send(self) -> None:
        """Send them (again, after a worker was lost: it may have held the only copy)."""
        self.values = tuple(self._executor.share(argument) for argument in self._args)


def _sum_call(
    task: Callable[..., Any], start: int, stop: int, halted: threading.Event | None, shared: tuple[Any, ...]
) -> tuple[Callable[..., Any], tuple[Any, ...]]:
    return _sum_bundle, (task, start, stop, halted, *shared)


def _map_call(
    task: Callable[..., Any], index: int, shared: tuple[Any, ...]
) -> tuple[Callable[..., Any], tuple[Any, ...]]:
    return task, (index, *shared)


@dataclass
class _Job:
    start: Callable[[tuple[Any, ...]], tuple[Callable[..., Any], tuple[Any, ...]]]  # shared arguments -> the call
    home: int  # jobs of the same home go to the same worker, pass after pass
    units: int
    tag: Any = None
    attempts: int = 0
    worker: str = ""


class PassRunner:
    """Runs the passes of one fit on the current scheduler and keeps chunk groups where their cache is.

    bundles_per_thread: tasks per thread and pass (more even out threads of different speed).
    """

    def __init__(self, executor: Executor | None = None, *, bundles_per_thread: int = 2):
        self._given = executor
        self._bundles_per_thread = bundles_per_thread
        self._homes: dict[int, str] = {}
        self._bundles: int | None = None
        self._looked = time.monotonic()

    def executor(self) -> Executor:
        """Where the next pass runs."""
        return self._given or current_executor()

    # -- sums ------------------------------------------------------------------------------------------------
    def run_sum(
        self, task: Callable[..., Any], leaves: int, *args: Any, label: str = "pass", unit_bytes: float = 0.0
    ) -> Any:
        """The sum over leaves i of ``task(i, *args)``, in the fixed tree (`tree`).

        task: a module-level function, pure in its arguments; its value (array, or tuple, list, dict of arrays) is
        taken over and changed. unit_bytes: input bytes per leaf, for the progress line.
        """
        executor = self.executor()
        if self._bundles is None:
            self._bundles = executor.n_threads * self._bundles_per_thread
        halted = threading.Event() if executor.in_process else None
        tree = TreeSum()
        with self._serving(executor, args) as shared, Progress(label, leaves, unit_bytes) as progress:
            jobs = [
                _Job(partial(_sum_call, task, a, b, halted), home=i, units=b - a)
                for i, (a, b) in enumerate(split(leaves, self._bundles))
            ]
            for _, nodes in self._drive(executor, shared, jobs, progress, halted, window=len(jobs)):
                add_all(nodes, tree)
        return tree.total(leaves)

    # -- maps ------------------------------------------------------------------------------------------------
    def run_map(
        self,
        task: Callable[..., Any],
        indices: Sequence[int],
        *args: Any,
        label: str = "map",
        unit_bytes: float = 0.0,
    ) -> Iterator[tuple[int, Any]]:
        """Yields (index, ``task(index, *args)``) for every index, in the order in which tasks end."""
        executor = self.executor()
        with self._serving(executor, args) as shared, Progress(label, len(indices), unit_bytes) as progress:
            per_home = max(1, -(-len(indices) // max(1, executor.n_threads)))
            jobs = [
                _Job(partial(_map_call, task, index), home=position // per_home, units=1, tag=index)
                for position, index in enumerate(indices)
            ]
            ordered = _interleave(jobs, per_home)
            yield from self._drive(executor, shared, ordered, progress, None, window=4 * executor.n_threads)

    # -- the loop --------------------------------------------------------------------------------------------
    @contextmanager
    def _serving(self, executor: Executor, args: Sequence[Any]) -> Iterator[_Shared]:
        shared = _Shared(executor, args)
        if executor.in_process:
            # One limit around the whole pass in the calling thread: inside tasks limits overlap and leak.
            with threadpool_limits(1):
                yield shared
        else:
            yield shared

    def _place(self, executor: Executor, job: _Job) -> str:
        home = self._homes.get(job.home)
        if home not in executor.workers:
            # Least-used worker per thread; ties by address, so that the first placement is even and repeatable.
            used = dict.fromkeys(executor.workers, 0)
            for address in self._homes.values():
                if address in used:
                    used[address] += 1
            home = min(executor.workers, key=lambda address: (used[address] / executor.workers[address], address))
            self._homes[job.home] = home
        return home

    def _drive(
        self,
        executor: Executor,
        shared: _Shared,
        jobs: Sequence[_Job],
        progress: Progress,
        halted: threading.Event | None,
        window: int,
    ) -> Iterator[tuple[Any, Any]]:
        waiting = list(reversed(jobs))
        running: dict[Any, _Job] = {}
        try:
            while waiting or running:
                while waiting and len(running) < window:
                    job = waiting.pop()
                    job.worker = self._place(executor, job)
                    job.attempts += 1
                    function, arguments = job.start(shared.values)
                    running[executor.submit(function, *arguments, worker=job.worker)] = job
                for future in executor.wait(running.keys(), 1.0):
                    job = running.pop(future)
                    try:
                        value = executor.result(future)
                    except LostTaskError as error:
                        executor.refresh()
                        self._again(shared, job, waiting, error)
                        continue
                    progress.advance(job.units)
                    yield job.tag, value
                self._replace_lost(executor, shared, running, waiting)
        finally:
            if running:
                if halted is not None:
                    halted.set()
                executor.cancel(list(running))

    def _replace_lost(self, executor: Executor, shared: _Shared, running: dict[Any, _Job], waiting: list[_Job]) -> None:
        """Tasks pinned to a worker that is gone would wait for ever; start them elsewhere."""
        if executor.in_process or time.monotonic() - self._looked < _LOOK_SECONDS:
            return
        executor.refresh()
        self._looked = time.monotonic()
        if not executor.workers:
            return  # nannies start new ones; the loop looks again
        lost = [future for future, job in running.items() if job.worker not in executor.workers]
        if lost:
            executor.cancel(lost)
            for future in lost:
                self._again(shared, running.pop(future), waiting, None)

    def _again(self, shared: _Shared, job: _Job, waiting: list[_Job], error: Exception | None) -> None:
        if job.attempts > config.get("retries"):
            raise InterruptedRunError(
                f"a task was lost {job.attempts} times with its worker.",
                found=str(error or job.worker),
                do="look into the workers' logs (memory?), then run the same command with --resume",
            ) from error
        log.warning("worker %s is gone; its part is done again by the others", job.worker)
        shared.send()
        waiting.append(job)


def _interleave(jobs: list[_Job], per_home: int) -> list[_Job]:
    """First job of every home, then the second, ...: all workers begin at once, each in its own part."""
    return [job for offset in range(per_home) for job in jobs[offset::per_home]]


def run_map(
    task: Callable[..., Any], indices: Sequence[int], *args: Any, label: str = "map", unit_bytes: float = 0.0
) -> Iterator[tuple[int, Any]]:
    """Run ``task(index, *args)`` for every index on the current scheduler; yields (index, result) as they end."""
    return PassRunner().run_map(task, indices, *args, label=label, unit_bytes=unit_bytes)
