"""The options of `connect`, resolved once: numbers in bytes, folders that are there."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

__all__ = ["Options"]


@dataclass(frozen=True)
class Options:
    """memory_limit: bytes of all local processes together; threads: of each process, None for the default of the place;
    worker_ttl: how long a silent worker is waited for; timeout: seconds to wait for a scheduler and its workers, None
    for the default of the place; min_workers: workers to wait for.
    """

    memory_limit: int
    memory_limit_given: bool
    scratch: Path
    threads: int | None = None
    dashboard: bool = False
    worker_ttl: str | float = "60s"
    timeout: float | None = None
    min_workers: int = 1
