"""The log and the JSON summary that lie beside a result: ``OUT.log`` and ``OUT.json``."""

from __future__ import annotations

import contextlib
import json
import os
from datetime import UTC, datetime
from typing import Any

import click

from daskgen.errors import InputError

__all__ = ["Journal"]


class Journal:
    """What a command printed, kept beside its result.

    The log is added to, never replaced: a resumed run continues the one it started. A run that was refused before
    it did anything takes its lines back, so that "nothing written" is true. Results on object stores (``s3://...``)
    get both files when the run ends, since such files cannot grow.
    """

    def __init__(self, out: str | None):
        self.out = out
        self._remote = out is not None and "://" in out
        self._lines: list[str] = []
        self._file: Any = None
        self._length_before: int | None = None
        if out is not None and not self._remote:
            self._open(out)

    def _open(self, out: str) -> None:
        path = out.rstrip(os.sep) + ".log"
        folder = os.path.dirname(os.path.abspath(path))
        if not os.path.isdir(folder):
            raise InputError(f"{out}: its folder does not exist.", found=folder, do=f"mkdir -p {folder}")
        self._length_before = os.path.getsize(path) if os.path.exists(path) else None
        self._file = open(path, "a", encoding="utf-8")  # noqa: SIM115 (closed in `close`)

    def write(self, text: str) -> None:
        """Add lines to the log, without the colours of the terminal."""
        text = click.unstyle(text).rstrip() + "\n"
        if self._file is not None:
            self._file.write(text)
            self._file.flush()
        elif self._remote:
            self._lines.append(text)

    def close(self, summary: dict[str, Any] | None) -> None:
        """End the log; write the summary. With None, nothing was done: both are as if the run had not been."""
        if self._remote and summary is not None:
            import fsspec

            assert self.out is not None
            with fsspec.open(f"{self.out}.log", "wt", encoding="utf-8") as log:
                log.writelines(self._lines)
            with fsspec.open(f"{self.out}.json", "wt", encoding="utf-8") as file:
                file.write(_as_json(summary))
        if self._file is None:
            return
        self._file.close()
        assert self.out is not None
        base = self.out.rstrip(os.sep)
        # A full disk or a folder that vanished must not hide why the run ended.
        with contextlib.suppress(OSError):
            if summary is None:
                self._take_back(base + ".log")
            else:
                with open(base + ".json", "w", encoding="utf-8") as file:
                    file.write(_as_json(summary))

    def _take_back(self, path: str) -> None:
        if self._length_before is None:
            os.unlink(path)
        else:
            os.truncate(path, self._length_before)


def _as_json(summary: dict[str, Any]) -> str:
    return json.dumps(summary, indent=2, default=_plain, allow_nan=False) + "\n"


def _plain(value: Any) -> Any:
    """NumPy numbers as Python numbers, everything else as text."""
    item = getattr(value, "item", None)
    return item() if item is not None and getattr(value, "ndim", 1) == 0 else str(value)


def now() -> str:
    """Date and time in UTC, to the second."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
