"""A large set of row numbers in little memory."""

from __future__ import annotations

import numpy as np

__all__ = ["RowSet"]


class RowSet:
    """An increasing set of row numbers, kept as one bit per row of the source.

    `mask`: boolean, one per row. A hundred million rows take 12.5 MB.
    """

    _BLOCK = 1 << 16

    def __init__(self, mask: np.ndarray):
        self.n_source = len(mask)
        self._bits = np.packbits(mask)
        starts = np.arange(0, len(mask), self._BLOCK)
        counts = np.add.reduceat(mask, starts, dtype=np.int64) if len(mask) else np.zeros(0, np.int64)
        self._before = np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)])

    @property
    def nbytes(self) -> int:
        return self._bits.nbytes + self._before.nbytes

    def __len__(self) -> int:
        return int(self._before[-1])

    def rows(self, start: int, stop: int) -> np.ndarray:
        """The source's row numbers of elements [start, stop), int64."""
        if stop <= start:
            return np.zeros(0, np.int64)
        first = int(np.searchsorted(self._before, start, side="right")) - 1
        last = int(np.searchsorted(self._before, stop, side="left"))
        low, high = first * self._BLOCK, min(last * self._BLOCK, self.n_source)
        bits = np.unpackbits(self._bits[low // 8 : -(-high // 8)], count=high - low)
        offset = int(self._before[first])
        return low + np.flatnonzero(bits)[start - offset : stop - offset]

    def mask(self) -> np.ndarray:
        """One boolean per row of the source."""
        return np.unpackbits(self._bits, count=self.n_source).astype(bool)
