"""Signals that ask a run to stop: SIGTERM and SIGUSR1 act as Ctrl-C.

A batch system ends a job with SIGTERM, and ``#SBATCH --signal=USR1@120`` announces the end two minutes ahead. Both
become KeyboardInterrupt in the main thread, so that one path leads to the last checkpoint and to exit code 5.
"""

from __future__ import annotations

import gc
import os
import signal
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

__all__ = ["deferred", "handlers_kept", "ignore", "ignored", "interruptible"]

Handler = Callable[[int, FrameType | None], None] | signal.Handlers

_STOP = ("SIGTERM", "SIGUSR1")
_AGAIN_SECONDS = 0.02
_WEAK_REFERENCES = {weakref.finalize.__call__.__code__.co_filename, weakref.WeakSet.add.__code__.co_filename}


@contextmanager
def interruptible() -> Iterator[None]:
    """Within the block SIGTERM and SIGUSR1 raise KeyboardInterrupt in the main thread; the handlers are put back after.

    The message of the KeyboardInterrupt is the signal's name. Outside the main thread, where Python cannot set
    handlers, the block does nothing.
    """
    numbers = _numbers(_STOP)
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        numbers.append(signal.SIGINT)  # so that Ctrl-C is not lost either (see `_interrupt`)
    with _handling(numbers, _interrupt):
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


def _interrupt(number: int, frame: FrameType | None) -> None:
    """KeyboardInterrupt, later where it would be lost.

    Python runs handlers between any two steps of the main thread, also while it collects garbage or finalises an
    object. It then prints the exception and goes on, and a signal that a batch system sends once would do nothing.
    """
    if _drops_exceptions(frame):
        again = threading.Timer(_AGAIN_SECONDS, os.kill, (os.getpid(), number))
        again.daemon = True
        again.start()
        return
    raise KeyboardInterrupt(signal.Signals(number).name)


def _drops_exceptions(frame: FrameType | None) -> bool:
    """Whether `frame` was called by a callback of the garbage collector, a finaliser, or a weak reference."""
    callbacks = {getattr(getattr(callback, "__func__", callback), "__code__", None) for callback in gc.callbacks}
    while frame is not None:
        code = frame.f_code
        if code in callbacks or code.co_name == "__del__" or code.co_filename in _WEAK_REFERENCES:
            return True
        frame = frame.f_back
    return False


def _numbers(names: Iterable[str]) -> list[int]:
    """The signals of these names that the system has."""
    return [getattr(signal, name) for name in names if hasattr(signal, name)]


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
