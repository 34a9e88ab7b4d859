"""Signals that ask a run to stop: SIGTERM and SIGUSR1 act as Ctrl-C.

A batch system ends a job with SIGTERM, and ``#SBATCH --signal=USR1@120`` announces the end two minutes ahead. Both
become KeyboardInterrupt in the main thread, so that one path leads to the last checkpoint and to exit code 5.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

__all__ = ["deferred", "handlers_kept", "ignore", "ignored", "interruptible"]

_STOP = ("SIGTERM", "SIGUSR1")


@contextmanager
def interruptible() -> Iterator[None]:
    """Within the block SIGTERM and SIGUSR1 raise KeyboardInterrupt in the main thread; the handlers are put back after.

    The message of the KeyboardInterrupt is the signal's name. Outside the main thread, where Python cannot set
    handlers, the block does nothing.
    """

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt(signal.Signals(number).name)

    with _handling(_numbers(_STOP), interrupt):
        yield


@contextmanager
def deferred() -> Iterator[None]:
    """Within the block Ctrl-C, SIGTERM and SIGUSR1 wait until its end: for starting and closing, which must be whole.

    Only the first waits; a second one acts at once, so that a block that hangs can be left. Outside the main thread
    the block does nothing.
    """
    waiting: list[int] = []
    handlers: dict[int, Any] = {}

    def wait(number: int, frame: FrameType | None) -> None:
        if waiting:
            waiting.clear()
            _restore(handlers)
            signal.raise_signal(number)
        else:
            waiting.append(number)

    try:
        with _handling(_numbers(["SIGINT", *_STOP]), wait) as before:
            handlers.update(before)
            yield
    finally:
        for number in waiting:
            signal.raise_signal(number)


def ignore(*names: str) -> None:
    """Ignore the signals `names` ("SIGINT") from now on: in worker processes, whose client decides when to stop."""
    if threading.current_thread() is threading.main_thread():
        for number in _numbers(names):
            signal.signal(number, signal.SIG_IGN)


@contextmanager
def ignored(*names: str) -> Iterator[None]:
    """Ignore the signals `names` within the block; a process that is started in it ignores them for good."""
    with _handling(_numbers(names), signal.SIG_IGN):
        yield


@contextmanager
def handlers_kept() -> Iterator[None]:
    """Put back, at the end of the block, the handlers of the signals that stop a run: for imports that install some."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in _numbers(["SIGINT", *_STOP])}
    try:
        yield
    finally:
        _restore(before)


def _numbers(names: Iterable[str]) -> list[int]:
    """The signals of these names that the system has."""
    return [getattr(signal, name) for name in names if hasattr(signal, name)]


Handler = Callable[[int, FrameType | None], None] | signal.Handlers


@contextmanager
def _handling(numbers: list[int], handler: Handler) -> Iterator[dict[int, Any]]:
    """`handler` handles the signals `numbers` within the block, which gets the handlers before; main thread only."""
    if threading.current_thread() is not threading.main_thread():
        yield {}
        return
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield before
    finally:
        _restore(before)


def _restore(handlers: dict[int, Any]) -> None:
    for number, handler in handlers.items():
        # None: a handler that was not installed from Python and cannot be put back through it.
        signal.signal(number, handler if handler is not None else signal.SIG_DFL)
