"""Tasks of the tests, in a module that workers can import."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np


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
