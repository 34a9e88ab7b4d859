"""Tasks of the tests, in a module that workers can import."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import numpy as np

from daskgen.errors import InterruptedRunError
from daskgen.passes.channel import Seat
from daskgen.passes.gang import seated


def piece(leaf: int, scale: float) -> np.ndarray:
    """Values whose sum depends on the bracketing."""
    return np.random.default_rng(leaf).standard_normal(1000) * scale


def with_large(leaf: int, large: np.ndarray) -> np.ndarray:
    return large * (leaf + 1)


def marked(leaf: int, folder: str, seconds: float) -> np.ndarray:
    """Leaves a file named after the leaf and the process, then takes its time."""
    Path(folder, f"{leaf}-{os.getpid()}").touch()
    time.sleep(seconds)
    return piece(leaf, 1.0)


def square(index: int) -> int:
    return index * index


def fails(index: int) -> int:
    if index == 3:
        raise ValueError("index 3 is bad")
    return index


def process(index: int) -> int:
    time.sleep(0.02)
    return os.getpid()


def cached(index: int, budget: int) -> tuple[int, int, int]:
    """Reads chunk `index` through the worker's cache; (process, hits, misses) of that cache."""
    from daskgen.passes import worker_cache

    cache = worker_cache()
    cache.get("owner", index, lambda: (np.zeros(10), 80), budget=budget)
    return os.getpid(), cache.hits, cache.misses


def cached_sum(leaf: int, budget: int) -> dict[str, np.ndarray]:
    _, _, misses = cached(leaf, budget)
    return {"misses": np.array([misses]), "leaves": np.array([1])}


def add_up(seat: Seat, door: str, times: int) -> list[float]:
    """The sum of the members' numbers, member 0 having number 1, `times` times."""
    found = []
    with seated(seat, door) as channel:
        for _ in range(times):
            theirs = {m: np.zeros(1) for m in range(seat.size) if m != seat.member}
            channel.exchange(np.array([seat.member + 1.0]), theirs)
            found.append(seat.member + 1.0 + sum(float(value[0]) for value in theirs.values()))
    return found


def dies(seat: Seat, door: str, folder: str) -> None:
    """A member that is killed while the others wait for it."""
    with seated(seat, door) as channel:
        if seat.member == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        channel.exchange(bytes(8), {1: bytearray(8)})


def for_ever(seat: Seat, door: str, folder: str) -> None:
    """Members that wait for each other until they are given up; they say so in a file."""
    try:
        with seated(seat, door) as channel:
            Path(folder, f"began-{seat.member}").touch()
            while True:
                channel.check()
                time.sleep(0.05)
    finally:
        Path(folder, f"ended-{seat.member}").touch()


def refuses(seat: Seat, door: str) -> None:
    with seated(seat, door):
        raise InterruptedRunError("an error as it is")
