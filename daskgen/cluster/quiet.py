"""Dask logs a traceback for each connection and each wait that a shutdown ends; they say nothing to a user."""

from __future__ import annotations

import logging

__all__ = ["quiet_shutdown"]

_ENDED = {"CommClosedError", "StreamClosedError", "CancelledError", "AllExit"}
# What Dask does on Ctrl-C fails where the wait that it cancels had not begun (distributed.utils.sync, 2026.7).
_CANCELLING = "sync.<locals>.cancel"


class _EndedConnections(logging.Filter):
    """Drops records about closed connections and cancelled waits. Passes report the workers that they lose."""

    def filter(self, record: logging.LogRecord) -> bool:
        kind = record.exc_info[0] if record.exc_info else None
        ended = kind is not None and _ENDED.intersection(ancestor.__name__ for ancestor in kind.__mro__)
        return not (ended or any(text in record.getMessage() for text in (*_ENDED, _CANCELLING)))


_FILTER = _EndedConnections()


def quiet_shutdown() -> None:
    """Install the filter in this process: on what prints for Dask and Tornado, and on asyncio's logger. Idempotent.

    It stays, because what a shutdown leaves is often logged only when it is garbage-collected.
    """
    logging.getLogger("asyncio").addFilter(_FILTER)
    for name in ("distributed", "tornado"):
        for handler in logging.getLogger(name).handlers:
            handler.addFilter(_FILTER)
