"""The Gram matrix Y'Y of a few columns (genes) of a sparse matrix, whose columns are unevenly filled.

A pair of values in a row costs a hundred times what an element of a dense product does, and most pairs are of genes
that most cells have. So the fullest columns are multiplied by BLAS, the sparse ones among themselves value by value,
and a sparse one with the full ones as a vector: on counts of 25,000 cells that is a fifth of either way alone.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import types

from daskgen.buffers import give_back, zeros
from daskgen.kernels.compile import helper, input_array, kernel, output_array

__all__ = ["GramSum", "full_columns", "packed_length", "unpacked"]

_TOGETHER = 1024  # rows of a dense product, summed in float32
_STEP = 32

# Seconds: a multiplication of BLAS, one in the product of a sparse value with the full columns, what such a product
# costs besides, and a pair of sparse values. Ratios alone matter.
_BLAS, _VECTOR, _BEGIN, _PAIR = 1.0e-11, 6.0e-11, 5.0e-9, 1.5e-9


def full_columns(numbers: npt.NDArray[np.int64], n_rows: int) -> npt.NDArray[np.int64]:
    """The columns that are worth a dense product: ascending.

    numbers: int64 (columns,), how many of `n_rows` rows have a value in each.
    """
    order = np.argsort(-numbers, kind="stable")
    n_full = np.minimum(np.arange(0, len(numbers) + _STEP, _STEP), len(numbers))
    before = np.concatenate([[0], np.cumsum(numbers[order])])
    sparse = (before[-1] - before[n_full]) / max(1, n_rows)  # sparse values of a row
    seconds = _BLAS * n_full**2.0 + sparse * (_VECTOR * n_full + _BEGIN * (n_full > 0)) + _PAIR * sparse**2 / 2
    return np.sort(order[: n_full[np.argmin(seconds)]])


def packed_length(n_columns: int) -> int:
    """Elements of the upper triangle, which is kept row after row."""
    return n_columns * (n_columns + 1) // 2


def unpacked(packed: npt.NDArray[np.float64], n_columns: int) -> npt.NDArray[np.float64]:
    """float64 (columns, columns) with the triangle in its upper half, and 0 below."""
    out = np.zeros((n_columns, n_columns))
    start = 0
    for i in range(n_columns):
        out[i, i:] = packed[start : start + n_columns - i]
        start += n_columns - i
    return out


class GramSum:
    """Y'Y, added up over blocks of rows.

    out: float64 (`packed_length` of the columns,), to which `finish` has added the upper triangle; full: columns that
    are multiplied by BLAS, see `full_columns`. Products of sparse values are summed in float64, dense ones in float32
    within a thousand rows.
    """

    def __init__(self, n_columns: int, out: npt.NDArray[np.float64], full: npt.NDArray[np.int64]):
        n_full = len(full)
        self._out, self._full = out, full
        self._slot = np.full(n_columns, -1, np.int32)
        self._slot[full] = np.arange(n_full, dtype=np.int32)
        self._dense = zeros((_TOGETHER, n_full), np.float32)
        self._filled = 0
        self._among_full = zeros((n_full, n_full))
        self._across = zeros((n_columns, n_full))

    def add(
        self, indptr: npt.NDArray[np.int64], columns: npt.NDArray[np.int32], values: npt.NDArray[np.float32]
    ) -> None:
        """Rows in CSR, columns ascending within a row."""
        n_rows, start = len(indptr) - 1, 0
        while start < n_rows:
            part = indptr[start : min(start + _TOGETHER - self._filled, n_rows) + 1]
            start += len(part) - 1
            dense = self._dense[self._filled : self._filled + len(part) - 1]
            _add_rows(part, columns, values, self._slot, dense, self._across, self._out)
            self._filled += len(dense)
            if self._filled == _TOGETHER:
                self._multiply()

    def _multiply(self) -> None:
        dense = self._dense[: self._filled]
        self._among_full += dense.T @ dense
        dense.fill(0)
        self._filled = 0

    def finish(self) -> None:
        """Add what was multiplied densely; nothing can be added after that."""
        self._multiply()
        _move_full(self._full.astype(np.int64), self._among_full, self._across, self._out)
        give_back((self._dense, self._among_full, self._across))


@helper
def _row_start(row, n_columns):
    """Where row `row` of the packed triangle would begin if it had all columns."""
    return np.int64(row) * (2 * n_columns - row - 1) // 2


@kernel(
    types.void(
        input_array(types.int64, 1),
        input_array(types.int32, 1),
        input_array(types.float32, 1),
        input_array(types.int32, 1),
        output_array(types.float32, 2),
        output_array(types.float64, 2),
        output_array(types.float64, 1),
    )
)
def _add_rows(indptr, columns, values, slot, dense, across, out):
    sparse_columns = np.empty(slot.shape[0], np.int32)
    sparse_values = np.empty(slot.shape[0], np.float64)
    for i in range(dense.shape[0]):
        row = dense[i]
        n = 0
        for k in range(indptr[i], indptr[i + 1]):
            place = slot[columns[k]]
            if place >= 0:
                row[place] = values[k]
            else:
                sparse_columns[n] = columns[k]
                sparse_values[n] = values[k]
                n += 1
        for a in range(n):
            x = sparse_values[a]
            start = _row_start(sparse_columns[a], slot.shape[0])
            for b in range(a, n):
                out[start + sparse_columns[b]] += x * sparse_values[b]
            products = across[sparse_columns[a]]
            for j in range(row.shape[0]):
                products[j] += x * row[j]


@kernel(
    types.void(
        input_array(types.int64, 1),
        input_array(types.float64, 2),
        input_array(types.float64, 2),
        output_array(types.float64, 1),
    )
)
def _move_full(full, among_full, across, out):
    n_columns = across.shape[0]
    for j in range(full.shape[0]):
        for k in range(j, full.shape[0]):
            out[_row_start(full[j], n_columns) + full[k]] += among_full[j, k]
    for i in range(n_columns):
        for j in range(full.shape[0]):
            out[_row_start(min(i, full[j]), n_columns) + max(i, full[j])] += across[i, j]
