"""Memory that is used again: accumulators leaf after leaf and pass after pass, what readers have read.

A fresh array of some megabytes is mapped anew each time and costs a page fault per 4 kB, which at 10 MB a leaf was a
tenth of a product pass. The sum of a pass gives back what it has added, so a worker needs a few arrays in all.
"""

from __future__ import annotations

import threading
from typing import Any

import numpy as np

__all__ = ["at_least", "give_back", "zeros"]

_LARGE_PAGES = 1 << 22  # bytes from which NumPy asks for large pages, one fault for 2 MB
_KEPT_BYTES = 512_000_000  # more than this is left to the system
_free: dict[tuple[tuple[int, ...], str], list[np.ndarray]] = {}
_lock = threading.Lock()


def zeros(shape: tuple[int, ...], dtype: Any = np.float64) -> np.ndarray:
    """An array of zeros, out of those given back where one fits."""
    with _lock:
        kept = _free.get((tuple(shape), np.dtype(dtype).str))
        array = kept.pop() if kept else None
    if array is None:
        array = np.empty(shape, dtype)  # filled at once, where pages are large; zeros are given page by page
    array.fill(0)
    return array


def at_least(n: int, dtype: Any) -> np.ndarray:
    """An array (n,) or up to four times as long, with any content; out of those given back where one fits."""
    step = 1 << max(0, n.bit_length() - 4)  # rounded up, so that one fits next time, when n is a little larger
    n = -(-n // step) * step
    item = np.dtype(dtype)
    if n * item.itemsize >= _LARGE_PAGES // 4:
        n = max(n, -(-_LARGE_PAGES // item.itemsize))
    with _lock:
        for (shape, of), kept in _free.items():
            if of == item.str and kept and len(shape) == 1 and n <= shape[0] <= 4 * n:
                return kept.pop()
    return np.empty(n, item)


def give_back(value: Any) -> None:
    """Take over arrays that nobody reads any more: an array, or a tuple, list or dict of them."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (tuple, list)):
        for part in value:
            give_back(part)
        return
    if not isinstance(value, np.ndarray) or value.base is not None or not value.flags.owndata or not value.nbytes:
        return
    with _lock:
        if sum(a.nbytes for kept in _free.values() for a in kept) + value.nbytes <= _KEPT_BYTES:
            _free.setdefault((value.shape, value.dtype.str), []).append(value)
