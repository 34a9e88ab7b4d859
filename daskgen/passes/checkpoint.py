"""State of an iterative fit on disk, so that a killed run goes on where it was.

A checkpoint is one NumPy .npz file (no pickles) that is replaced whole, with the run's key inside: a fit with other
arguments or inputs refuses it. Between two writes at least ``checkpoint-seconds`` pass, unless forced.
"""

from __future__ import annotations

import io
import json
import time
import zipfile
from collections.abc import Mapping

import numpy as np

from daskgen import config
from daskgen.errors import ResumeError
from daskgen.stores.location import Location, StoreLike
from daskgen.stores.run_key import RunKey

__all__ = ["Checkpoint"]

_KEY = "__run__"


class Checkpoint:
    """Saves and loads named arrays at `path` for the run `run`; with path None both do nothing."""

    def __init__(self, path: StoreLike | None, run: RunKey):
        self.location = None if path is None else Location.of(path)
        self.run = run
        self._last = time.monotonic()

    def save(self, state: Mapping[str, np.ndarray | float | int | str], *, force: bool = False) -> bool:
        """Write `state` if it is time (or forced); says whether it was written."""
        if self.location is None:
            return False
        if not force and time.monotonic() - self._last < config.get("checkpoint-seconds"):
            return False
        buffer = io.BytesIO()
        arrays = {name: np.asarray(value) for name, value in state.items()}
        if any(array.dtype.hasobject for array in arrays.values()):
            raise TypeError("a checkpoint holds numbers and text only")
        np.savez(buffer, allow_pickle=False, **arrays, **{_KEY: np.asarray(json.dumps(self.run.as_dict()))})
        self.location.write_bytes(buffer.getvalue())
        self._last = time.monotonic()
        return True

    def load(self) -> dict[str, np.ndarray] | None:
        """The saved state, None if there is none; ResumeError if it is damaged or another run's."""
        if self.location is None:
            return None
        try:
            content = self.location.read_bytes()
        except FileNotFoundError:
            return None
        try:
            with np.load(io.BytesIO(content), allow_pickle=False) as file:
                state = {name: file[name] for name in file.files}
            recorded = json.loads(str(state.pop(_KEY)))
        except (ValueError, KeyError, OSError, zipfile.BadZipFile) as error:
            raise ResumeError(
                f"{self.location} is not a checkpoint, or is damaged.", found=str(error), do="remove it and start again"
            ) from error
        if recorded != self.run.as_dict():
            raise ResumeError(
                f"{self.location} is the checkpoint of another run.",
                found="\n".join(self.run.differences(recorded)),
                do="repeat the command as it was, or remove the checkpoint to start again",
            )
        return state

    def remove(self) -> None:
        """Remove the file (after the result is written)."""
        if self.location is not None:
            self.location.remove_file()
