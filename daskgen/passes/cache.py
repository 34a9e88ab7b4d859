"""Chunks that are read again stay in the worker's memory, as far as its budget goes.

One cache a process, shared by its threads. The budget is honest: cached + workspace + reserve stay below
``cache-fraction`` of the worker's memory limit, because a Dask worker above that pauses and a run hangs for good.
What does not fit is read from the store each pass: nothing of the same owner is evicted to make room, since a pass
reads every chunk once in the same order and a least-recently-used cache would then never hit. Chunks of another
owner (an earlier analysis) do make room, the one that was used longest ago first.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

from daskgen import config

__all__ = ["ChunkCache", "cache_budget", "worker_cache"]

T = TypeVar("T")


def cache_budget(memory_limit: int, workspace: int) -> int:
    """Bytes that may be cached by a worker of `memory_limit` bytes whose tasks need `workspace` bytes in all."""
    allowed = config.get("cache-fraction") * memory_limit - workspace - config.get("cache-reserve")
    return max(0, int(allowed))


class ChunkCache:
    """A read-through cache with a byte budget; keys are (owner, chunk), an owner being one view of one source."""

    def __init__(self) -> None:
        self._entries: dict[tuple[Hashable, Hashable], tuple[Any, int]] = {}
        self._used: dict[Hashable, int] = {}
        self._clock = 0
        self._lock = threading.Lock()
        self.bytes = 0
        self.hits = 0
        self.misses = 0

    def get(self, owner: Hashable, chunk: Hashable, load: Callable[[], tuple[T, int]], *, budget: int) -> T:
        """The entry of `owner` and `chunk`, else what `load()` gives (value, bytes).

        A loaded value is kept if the cache then stays within `budget` bytes.
        """
        key = (owner, chunk)
        with self._lock:
            self._clock += 1
            self._used[owner] = self._clock
            entry = self._entries.get(key)
            if entry is not None:
                self.hits += 1
                return entry[0]  # type: ignore[no-any-return]
            self.misses += 1
        value, size = load()
        with self._lock:
            if key not in self._entries and self.bytes + size > budget:
                self._make_room(budget - size, keep=owner)
            if key not in self._entries and self.bytes + size <= budget:
                self._entries[key] = (value, size)
                self.bytes += size
        return value

    def _make_room(self, wanted: int, keep: Hashable) -> None:
        for owner in sorted((o for o in self._used if o != keep), key=self._used.__getitem__):
            if self.bytes <= wanted:
                return
            self._drop(owner)

    def _drop(self, owner: Hashable) -> None:
        for key in [k for k in self._entries if k[0] == owner]:
            self.bytes -= self._entries.pop(key)[1]
        self._used.pop(owner, None)

    def drop(self, owner: Hashable) -> None:
        """Forget what belongs to `owner`."""
        with self._lock:
            self._drop(owner)

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            for owner in list(self._used):
                self._drop(owner)


_cache = ChunkCache()


def worker_cache() -> ChunkCache:
    """The cache of this process (a worker, or the user's own process on threads)."""
    return _cache
