"""Chunks that are read again stay in the worker's memory, as far as its budget goes.

One cache a process, shared by its threads. The budget is honest: cached + workspace + reserve stay below
``cache-fraction`` of the worker's memory limit, because a Dask worker above that pauses and a run hangs for good.
What does not fit is read from the store each pass; nothing is evicted to make room, since a pass reads every chunk
once in the same order and a least-recently-used cache would then never hit.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

from daskgen import config, limits

__all__ = ["ChunkCache", "cache_budget", "worker_cache"]

T = TypeVar("T")


def cache_budget(memory_limit: int, workspace: int) -> int:
    """Bytes that may be cached by a worker of `memory_limit` bytes whose tasks need `workspace` bytes in all."""
    allowed = config.get("cache-fraction") * memory_limit - workspace - config.get("cache-reserve")
    return max(0, int(allowed))


class ChunkCache:
    """A read-through cache with a byte budget, keyed by what identifies a chunk (store id, chunk, samples, device)."""

    def __init__(self) -> None:
        self._entries: dict[Hashable, tuple[Any, int]] = {}
        self._lock = threading.Lock()
        self.bytes = 0
        self.hits = 0
        self.misses = 0

    def get(self, key: Hashable, load: Callable[[], tuple[T, int]], *, budget: int) -> T:
        """The entry of `key`, else what `load()` gives (value, bytes), kept if the cache then stays within `budget`."""
        with self._lock:
            entry = self._entries.get(key)
            if entry is not None:
                self.hits += 1
                return entry[0]  # type: ignore[no-any-return]
            self.misses += 1
        value, size = load()
        with self._lock:
            if key not in self._entries and self.bytes + size <= budget:
                self._entries[key] = (value, size)
                self.bytes += size
        return value

    def drop(self, belongs: Callable[[Hashable], bool]) -> None:
        """Forget the entries whose key satisfies `belongs`."""
        with self._lock:
            for key in [k for k in self._entries if belongs(k)]:
                self.bytes -= self._entries.pop(key)[1]

    def clear(self) -> None:
        """Forget everything."""
        self.drop(lambda key: True)


_cache = ChunkCache()


def worker_cache() -> ChunkCache:
    """The cache of this process (a worker, or the user's own process on threads)."""
    return _cache


def process_memory_limit() -> int:
    """Memory that this process may use: a Dask worker's limit, else the limit of the job."""
    try:
        from distributed import get_worker

        worker = get_worker()
    except (ImportError, ValueError):
        return limits.memory_limit(None)
    limit = getattr(getattr(worker, "memory_manager", None), "memory_limit", None)
    return int(limit) if limit else limits.memory_limit(None)
