"""Gangs: one long task on each of some workers, joined by sockets, that are started, watched and ended together.

A gang serves one stint, a stretch of work after which its members give back what they have. A member that is lost
ends the stint for all of them; whoever runs it starts again, with the workers that are there, from what the last
stint gave.
"""

from __future__ import annotations

import contextlib
import logging
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from daskgen import config
from daskgen.errors import InterruptedRunError
from daskgen.passes.channel import Channel, Door, LostMemberError, Seat, close_door, join, open_door
from daskgen.passes.executors import ClusterExecutor, LostTaskError

__all__ = ["run_stint", "seated", "tell_workers"]

log = logging.getLogger("daskgen.passes")

_LOOK_SECONDS = 1.0  # between two looks at which workers there are


@contextlib.contextmanager
def seated(seat: Seat, door: str) -> Iterator[Channel]:
    """Inside a task: the channel to the other members while the block runs; ends where the task is given up."""
    with join(seat, door, _given_up()) as channel:
        yield channel


def _given_up() -> Callable[[], bool]:
    """Says whether the scheduler has given up the task that runs now: cancelled, or its client gone."""
    from distributed import get_worker

    worker = get_worker()
    key = worker.get_current_task()

    def given_up() -> bool:
        task = worker.state.tasks.get(key)
        return task is None or task.state == "cancelled"

    return given_up


def run_stint(
    executor: ClusterExecutor, task: Callable[..., Any], gangs: Sequence[Sequence[tuple[str, tuple[Any, ...]]]]
) -> list[list[Any]]:
    """Run ``task(seat, door, *args)`` for every member of some gangs, all at once; their results, gang by gang.

    gangs: for each gang its members, as (address of the worker, arguments). A worker has one seat at the most. Raises
    LostMemberError where a member was lost or did not come, after all others have ended; Ctrl-C ends all of them too.
    """
    name = secrets.token_hex(8)
    running: dict[Any, tuple[int, int, str]] = {}
    found: list[list[Any]] = [[None] * len(members) for members in gangs]
    try:
        for g, members in enumerate(gangs):
            doors = _doors(executor, name, [address for address, _ in members])
            secret = secrets.token_bytes(32)
            for m, (address, args) in enumerate(members):
                seat = Seat(m, doors, secret, float(config.get("gang-seconds")))
                running[executor.submit(task, seat, name, *args, worker=address)] = (g, m, address)
        looked = time.monotonic()
        while running:
            for future in executor.wait(running.keys(), _LOOK_SECONDS):
                g, m, address = running[future]
                try:
                    found[g][m] = executor.result(future)
                except LostTaskError as error:
                    raise LostMemberError(f"worker {address} is gone: {error}") from error
                del running[future]
            if running and time.monotonic() - looked >= _LOOK_SECONDS:
                looked = time.monotonic()
                _check_workers(executor, [address for _, _, address in running.values()])
    except BaseException:
        executor.cancel(list(running))
        for members in gangs:
            _close_doors(executor, name, [address for address, _ in members])
        raise
    return found


def _doors(executor: ClusterExecutor, name: str, addresses: Sequence[str]) -> tuple[Door, ...]:
    """The members' doors; a gang of one needs none."""
    if len(addresses) == 1:
        return (Door(addresses[0], "", 0),)
    futures = [executor.submit(open_door, name, worker=address) for address in addresses]
    deadline = time.monotonic() + float(config.get("gang-seconds"))
    waiting = set(futures)
    try:
        while waiting:
            waiting -= executor.wait(waiting, _LOOK_SECONDS)
            _check_workers(executor, addresses)
            if waiting and time.monotonic() > deadline:
                late = [a for a, future in zip(addresses, futures, strict=True) if future in waiting]
                raise LostMemberError(f"{', '.join(late)} did not take up a task in {config.get('gang-seconds'):g} s")
        return tuple(executor.result(future) for future in futures)
    except LostTaskError as error:
        raise LostMemberError(str(error)) from error
    finally:
        executor.cancel(list(waiting))


def _close_doors(executor: ClusterExecutor, name: str, addresses: Sequence[str]) -> None:
    """Doors that nobody went through; a worker that is gone has none."""
    if len(addresses) > 1:
        tell_workers(executor, close_door, name, only=addresses)


def tell_workers(
    executor: ClusterExecutor, task: Callable[..., Any], *args: Any, only: Sequence[str] | None = None
) -> None:
    """Start ``task(*args)`` on every worker, or on those of `only` that are there, and do not wait for it."""
    from distributed import fire_and_forget

    with contextlib.suppress(InterruptedRunError):  # without a scheduler there is nobody to tell
        executor.refresh()
        for address in sorted(executor.workers):
            if only is None or address in only:
                fire_and_forget(executor.submit(task, *args, worker=address))


def _check_workers(executor: ClusterExecutor, addresses: Sequence[str]) -> None:
    executor.refresh()
    gone = sorted(set(addresses) - set(executor.workers))
    if gone:
        raise LostMemberError(f"worker {gone[0]} is gone")
