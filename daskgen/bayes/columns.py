"""Sparse columns as coordinates (row, column, value): their products and sums, in NumPy."""

from __future__ import annotations

import numpy as np

__all__ = ["column_products", "summed"]

Entries = tuple[np.ndarray, np.ndarray, np.ndarray]

_PAIRS = 20_000_000  # entries of products that are held at a time


def summed(key: np.ndarray, value: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(increasing different keys, sum of the values of each)."""
    found, place = np.unique(key, return_inverse=True)
    total = np.bincount(place.reshape(-1), weights=value, minlength=len(found))
    return found, total.astype(np.float64, copy=False)  # of no keys bincount makes integers


def column_products(row: np.ndarray, column: np.ndarray, value: np.ndarray, n_columns: int) -> Entries:
    """X'X of the columns with these entries, as coordinates (column, column, value) sorted by both.

    row, column: int64 (entries,); value: float64 (entries,). Work: the sum over rows of their entries squared.
    """
    order = np.argsort(row, kind="stable")
    column, value = column[order], value[order]
    first = np.flatnonzero(np.diff(row[order], prepend=-1))
    length = np.diff(np.append(first, len(order)))
    keys, sums = [np.zeros(0, np.int64)], [np.zeros(0)]
    for size in np.unique(length):
        starts = first[length == size]
        step = max(1, _PAIRS // int(size) ** 2)
        for at in range(0, len(starts), step):
            entries = starts[at : at + step, None] + np.arange(size)
            c, v = column[entries], value[entries]
            pairs, products = c[:, :, None] * n_columns + c[:, None, :], v[:, :, None] * v[:, None, :]
            key, total = summed(pairs.ravel(), products.ravel())
            keys.append(key)
            sums.append(total)
    key, total = summed(np.concatenate(keys), np.concatenate(sums))
    return key // n_columns, key % n_columns, total
