"""How far a run is: a live line with throughput and time left on a terminal, log lines elsewhere.

Shown only where somebody asked for it (the command line does): a library call prints nothing by default.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID

__all__ = ["Progress", "show_progress"]

log = logging.getLogger("daskgen.passes")
_shown: ContextVar[bool] = ContextVar("daskgen_progress", default=False)
_LOG_SECONDS = 30.0


@contextmanager
def show_progress(shown: bool = True) -> Iterator[None]:
    """Within the block, passes report their progress (on stderr if it is a terminal, else as log lines)."""
    token = _shown.set(shown)
    try:
        yield
    finally:
        _shown.reset(token)


class Progress:
    """Progress of one pass or map: `total` units of work, each worth `unit_bytes` bytes of input."""

    def __init__(self, label: str, total: int, unit_bytes: float = 0.0):
        self.label = label
        self.total = total
        self.unit_bytes = unit_bytes
        self.done = 0
        self._start = self._logged = time.monotonic()
        self._live: tuple[RichProgress, TaskID] | None = None
        if _shown.get() and total > 0 and sys.stderr.isatty():
            self._live = self._open()

    def _open(self) -> tuple[RichProgress, TaskID]:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

        live = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[rate]}"),
            TextColumn("ETA"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        live.start()
        return live, live.add_task(self.label, total=self.total, rate="")

    @property
    def rate(self) -> str:
        """Throughput so far, as text."""
        seconds = time.monotonic() - self._start
        if not self.unit_bytes or seconds <= 0 or not self.done:
            return ""
        speed = self.done * self.unit_bytes / seconds
        return f"{speed / 1e9:.2f} GB/s" if speed >= 1e8 else f"{speed / 1e6:.1f} MB/s"

    @property
    def eta(self) -> float:
        """Seconds left at the speed so far; NaN before the first unit is done."""
        if not self.done:
            return float("nan")
        return (time.monotonic() - self._start) / self.done * (self.total - self.done)

    def advance(self, units: int = 1) -> None:
        """`units` more are done."""
        self.done += units
        if self._live is not None:
            live, task = self._live
            live.update(task, completed=self.done, rate=self.rate)
        elif _shown.get() and time.monotonic() - self._logged > _LOG_SECONDS:
            self._logged = time.monotonic()
            log.info("%s %.0f %% %s ETA %.0f s", self.label, 100 * self.done / self.total, self.rate, self.eta)

    def close(self) -> None:
        if self._live is not None:
            self._live[0].stop()
            self._live = None

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
