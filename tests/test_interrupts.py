"""SIGTERM and SIGUSR1 act as Ctrl-C; starting and closing are not cut in two."""

from __future__ import annotations

import gc
import os
import signal
import threading
import time

import pytest

from daskgen.interrupts import deferred, ignored, interruptible

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGUSR1"), reason="no SIGUSR1 on this system")

ALL = [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1]


def raise_and_wait(number: int) -> None:
    """Send a signal to this process and give Python a moment to run its handler."""
    os.kill(os.getpid(), number)
    time.sleep(0.2)


def handlers() -> list[object]:
    return [signal.getsignal(number) for number in ALL]


@pytest.mark.parametrize("number", ALL)
def test_each_signal_is_a_keyboard_interrupt(number: int) -> None:
    before = handlers()
    with pytest.raises(KeyboardInterrupt), interruptible():
        raise_and_wait(number)
    assert handlers() == before


def test_the_interrupt_names_its_signal() -> None:
    with pytest.raises(KeyboardInterrupt, match="SIGUSR1"), interruptible():
        raise_and_wait(signal.SIGUSR1)


def test_outside_the_main_thread_nothing_is_installed() -> None:
    before, seen = handlers(), []

    def work() -> None:
        with interruptible(), deferred(), ignored("SIGUSR1"):
            seen.append(handlers())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [before]


@pytest.mark.parametrize("number", ALL)
def test_a_deferred_signal_acts_at_the_end_of_the_block(number: int) -> None:
    finished = False
    before = handlers()

    def whole_block() -> None:
        nonlocal finished
        with deferred():
            raise_and_wait(number)
            finished = True

    with pytest.raises(KeyboardInterrupt), interruptible():
        whole_block()
    assert finished
    assert handlers() == before


def test_a_second_signal_acts_at_once() -> None:
    before = handlers()
    sent = 0

    def hanging_block() -> None:
        nonlocal sent
        with deferred():
            for sent in (1, 2, 3):  # noqa: B007
                raise_and_wait(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        hanging_block()
    assert sent == 2
    assert handlers() == before


def test_a_deferred_signal_is_not_lost_when_the_block_fails() -> None:
    def failing_block() -> None:
        with deferred():
            raise_and_wait(signal.SIGINT)
            raise ValueError("the block failed")

    with pytest.raises(KeyboardInterrupt) as caught:
        failing_block()
    assert isinstance(caught.value.__context__, ValueError)


def test_an_ignored_signal_is_dropped() -> None:
    before = handlers()
    with interruptible(), ignored("SIGUSR1", "NOSUCHSIGNAL"):
        raise_and_wait(signal.SIGUSR1)
    assert handlers() == before


class Finalised:
    """Sends a signal to its own process while it is finalised."""

    def __init__(self, number: int):
        self.number = number

    def __del__(self) -> None:
        signal.raise_signal(self.number)
        sum(range(100_000))  # the handler runs in here, where Python would drop its exception


@pytest.mark.parametrize("number", ALL)
def test_a_signal_during_a_finaliser_is_not_lost(number: int) -> None:
    def block() -> None:
        thing = Finalised(number)
        del thing
        time.sleep(5)

    with pytest.raises(KeyboardInterrupt), interruptible():
        block()


@pytest.mark.parametrize("number", ALL)
def test_a_signal_during_garbage_collection_is_not_lost(number: int) -> None:
    sent = []

    def callback(phase: str, info: dict[str, int]) -> None:
        if not sent:
            sent.append(phase)
            signal.raise_signal(number)

    def block() -> None:
        gc.callbacks.append(callback)
        try:
            gc.collect()
        finally:
            gc.callbacks.remove(callback)
        time.sleep(5)

    with pytest.raises(KeyboardInterrupt), interruptible():
        block()
    assert sent == ["start"]
