"""Variant tables that were read once, kept in a temporary file until they are wanted again.

A text format has to be unpacked whole to list its variants. What was found is put aside, so that the file is not
unpacked once more for every use of the list, and it is never in memory as a whole.
"""

from __future__ import annotations

import os
import pickle
import tempfile
from collections.abc import Iterator
from typing import Any

from conversion.source import VariantTable
from daskgen import config

__all__ = ["TableSpool"]


class TableSpool:
    """Tables in the order of their numbers, whatever the order in which they are added.

    It belongs to the process that made it: a pickled copy is empty, which is what tasks get.
    """

    def __init__(self) -> None:
        folder = config.get("scratch") or os.environ.get("SLURM_TMPDIR") or None
        self._file: Any = tempfile.TemporaryFile(prefix="daskgen-", dir=folder)  # noqa: SIM115
        self._places: dict[int, int] = {}

    def add(self, number: int, table: VariantTable) -> None:
        """Keep `table` as the one with this number."""
        self._file.seek(0, os.SEEK_END)
        self._places[number] = self._file.tell()
        pickle.dump(table, self._file, protocol=pickle.HIGHEST_PROTOCOL)

    def __iter__(self) -> Iterator[VariantTable]:
        for number in sorted(self._places):
            self._file.seek(self._places[number])
            yield pickle.load(self._file)

    def __del__(self) -> None:
        if self._file is not None:
            self._file.close()

    def __getstate__(self) -> dict[str, Any]:
        return {"_file": None, "_places": {}}
