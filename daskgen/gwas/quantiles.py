"""Order statistics of numbers that are read block by block: counted by their leading bits, then found exactly.

The bits of a positive floating-point number, read as an integer, have the order of the numbers. A first pass counts the
numbers by their 20 leading bits (sign, exponent and 8 bits of the mantissa: bins 0.4 % wide); the bin that holds the
wanted rank is known then, and a second pass collects what lies in it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

__all__ = ["median"]

_LEADING = 20
_SHIFT = np.uint64(64 - _LEADING)


def median(values: Callable[[], Iterable[np.ndarray]]) -> tuple[float, int]:
    """Median of the finite numbers of all blocks, and how many these are; NaN for none.

    values: gives the blocks, float64, not negative, of any shape; called twice.
    """
    counts = np.zeros(1 << _LEADING, np.int64)
    for block in values():
        counts += np.bincount(_bins(block), minlength=len(counts))
    n = int(counts.sum())
    if not n:
        return float("nan"), 0
    before = np.cumsum(counts)
    ranks = [(n - 1) // 2, n // 2]
    wanted = [int(np.searchsorted(before, rank, side="right")) for rank in ranks]
    inside = np.sort(np.concatenate([_within(block, wanted[0], wanted[-1]) for block in values()]))
    first = int(before[wanted[0]] - counts[wanted[0]])
    lower, upper = inside[ranks[0] - first], inside[ranks[1] - first]
    return float(lower + 0.5 * (upper - lower)), n


def _finite(block: np.ndarray) -> np.ndarray:
    # -0.0 has the sign bit; adding zero takes it off.
    return block[np.isfinite(block)] + 0.0


def _bins(block: np.ndarray) -> np.ndarray:
    return (_finite(block).view(np.uint64) >> _SHIFT).astype(np.int64)


def _within(block: np.ndarray, first: int, last: int) -> np.ndarray:
    """The numbers in bins `first` to `last`. Between the two there is no number."""
    values = _finite(block)
    bins = _bins(block)
    return values[(bins >= first) & (bins <= last)]
