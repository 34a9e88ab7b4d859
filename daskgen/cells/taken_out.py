"""The values of a few genes, taken out of the counts, where they are kept between passes: in memory or in files."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

__all__ = ["IN_MEMORY", "KeptInMemory", "Part", "read_parts", "writing_parts"]

IN_MEMORY = 24_000_000
"""Bytes of values and their columns that are kept in memory, in all."""

_VALUE_BYTES = 8  # a column, int32, and a value, float32


@dataclass(frozen=True)
class Part:
    """Rows of the chosen genes: CSR with int64 indptr, int32 columns and float32 values; cells that do not count have
    no values. start: number of the first row."""

    start: int
    indptr: np.ndarray
    columns: np.ndarray
    values: np.ndarray


class KeptInMemory:
    """The first parts of leaves, up to `IN_MEMORY` in all; threads may add at the same time.

    They lie one after the other in two arrays: as arrays of their own they would cost a page fault per 4 kB.
    """

    def __init__(self) -> None:
        self._columns = np.empty(IN_MEMORY // _VALUE_BYTES, np.int32)
        self._values = np.empty(IN_MEMORY // _VALUE_BYTES, np.float32)
        self._used = 0
        self._parts: dict[int, list[Part]] = {}
        self._full: set[int] = set()
        self._lock = threading.Lock()

    def add(self, leaf: int, part: Part) -> bool:
        """Keep the next part of a leaf, whose parts come in order; False where there is no room for it, and from then
        on for this leaf."""
        with self._lock:
            place = slice(self._used, self._used + len(part.values))
            if leaf in self._full or place.stop > len(self._values):
                self._full.add(leaf)
                return False
            self._used = place.stop
        self._columns[place], self._values[place] = part.columns, part.values
        kept = Part(part.start, part.indptr, self._columns[place], self._values[place])
        self._parts.setdefault(leaf, []).append(kept)
        return True

    def parts(self, leaf: int) -> list[Part]:
        """What is kept of a leaf, in order."""
        return self._parts.get(leaf, [])


@contextmanager
def writing_parts(path: str) -> Iterator[Callable[[Part], None]]:
    """A function that writes parts to a file, which has its name when all are written; none where none is, or where
    the folder is not there."""
    partial = f"{path}.{os.getpid()}.partial"
    file = None

    def write(part: Part) -> None:
        nonlocal file
        if file is None:
            if not os.path.isdir(os.path.dirname(path)):
                return
            file = open(partial, "wb")  # noqa: SIM115
        head = np.array([part.start, len(part.indptr), len(part.values)], np.int64)
        for array in (head, part.indptr.astype(np.int64, copy=False), part.columns, part.values):
            array.tofile(file)

    try:
        yield write
    finally:
        if file is not None:
            file.close()
    if file is not None:
        os.replace(partial, path)


def read_parts(path: str) -> Iterator[Part]:
    """The parts of a file in order, one at a time."""
    with open(path, "rb") as file:
        while len(head := np.fromfile(file, np.int64, 3)):
            start, pointers, values = (int(number) for number in head)
            yield Part(
                start,
                np.fromfile(file, np.int64, pointers),
                np.fromfile(file, np.int32, values),
                np.fromfile(file, np.float32, values),
            )
