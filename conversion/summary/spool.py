"""Rows kept of each trait, on disk until all traits are read: only then is it known which variants the store has."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import numpy as np
import numpy.typing as npt

from conversion.summary.trait import TraitRows
from daskgen import config

__all__ = ["Spool"]


class Spool:
    """A temporary folder with the arrays of traits, in the scratch folder; removed when its block ends."""

    def __init__(self) -> None:
        folder = config.get("scratch") or os.environ.get("SLURM_TMPDIR") or None
        self._folder = tempfile.TemporaryDirectory(prefix="daskgen-", dir=folder)
        self._names: dict[int, tuple[str, ...]] = {}

    def put(self, index: int, rows: TraitRows) -> None:
        """Keep the arrays of trait `index` and take them out of `rows`."""
        self._names[index] = tuple(rows.values)
        np.save(self._path(index, "row"), rows.row)
        for name, values in rows.values.items():
            np.save(self._path(index, name), values)
        rows.row, rows.values = np.empty(0, np.int32), {}

    def row(self, index: int) -> npt.NDArray[np.int32]:
        """Rows of the reference that the trait has."""
        return np.load(self._path(index, "row"), allow_pickle=False)

    def values(self, index: int, name: str) -> npt.NDArray[np.float64]:
        """The values of these rows."""
        return np.load(self._path(index, name), allow_pickle=False)

    def _path(self, index: int, name: str) -> Path:
        return Path(self._folder.name) / f"{index}.{name}.npy"

    def __enter__(self) -> Spool:
        return self

    def __exit__(self, *exception: object) -> None:
        self._folder.cleanup()
