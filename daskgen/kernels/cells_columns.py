"""A few columns (genes) of a sparse matrix: taking them out, their Gram matrix, products with vectors.

A block is CSR, see `cells_rows`; taken out, it has `indptr` int64, `indices` int32 in increasing order in each row, and
`values` float32.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import types

from daskgen.kernels.compile import input_array, kernel, output_array

__all__ = ["add_gram", "add_transposed", "find_columns", "move_triangle", "project"]

Pointers = npt.NDArray[np.int64]
Columns = npt.NDArray[np.int32]
Values = npt.NDArray[np.float32]

# A pair of values in a row costs 1.3 ns in the sparse loop, an element of the square 9.5 ps in a dense product.
_DENSE_ABOVE = 0.0146
_TOGETHER = 2048  # rows of a dense product


def find_columns(indptr: Pointers, indices: Columns, place: Columns) -> tuple[Pointers, Columns, Pointers]:
    """The stored values of some columns: (indptr of them, their new columns, their positions in the block).

    place: int32 (all columns,), the new column of each, -1 for those that are not wanted.
    """
    n = int(indptr[-1]) + 1  # one more: the loop below writes before it knows whether the value is wanted
    found = np.empty(len(indptr), np.int64)
    columns, positions = np.empty(n, np.int32), np.empty(n, np.int64)
    _find_columns(indptr, indices, place, found, columns, positions)
    return found, columns[: found[-1]].copy(), positions[: found[-1]].copy()


@kernel(
    types.void(
        input_array(types.int64, 1),
        input_array(types.int32, 1),
        input_array(types.int32, 1),
        output_array(types.int64, 1),
        output_array(types.int32, 1),
        output_array(types.int64, 1),
    )
)
def _find_columns(indptr, indices, place, found, columns, positions):
    n = 0
    found[0] = 0
    for row in range(indptr.shape[0] - 1):
        for k in range(indptr[row], indptr[row + 1]):
            new = place[indices[k]]
            columns[n] = new
            positions[n] = k
            n += new >= 0  # no branch: whether a gene is wanted cannot be predicted
        found[row + 1] = n


def add_gram(indptr: Pointers, indices: Columns, values: Values, out: npt.NDArray[np.float32]) -> None:
    """Add the upper triangle of Y'Y to `out`, float32 (columns, columns); what lies below it is left to chance.

    Sparse rows are multiplied value by value, denser ones by BLAS, whichever is faster.
    """
    lengths = np.diff(indptr).astype(np.float64)
    n_columns = out.shape[0]
    if (lengths @ lengths) <= _DENSE_ABOVE * len(lengths) * n_columns * n_columns:
        _add_gram(indptr, indices, values, out)
        return
    dense = np.empty((min(_TOGETHER, len(lengths)), n_columns), np.float32)
    for start in range(0, len(lengths), _TOGETHER):
        stop = min(start + _TOGETHER, len(lengths))
        part = dense[: stop - start]
        part.fill(0)
        chosen = slice(indptr[start], indptr[stop])
        rows = np.repeat(np.arange(stop - start), np.diff(indptr[start : stop + 1]))
        part[rows, indices[chosen]] = values[chosen]
        out += part.T @ part


@kernel(
    types.void(
        input_array(types.int64, 1),
        input_array(types.int32, 1),
        input_array(types.float32, 1),
        output_array(types.float32, 2),
    )
)
def _add_gram(indptr, indices, values, out):
    for row in range(indptr.shape[0] - 1):
        for a in range(indptr[row], indptr[row + 1]):
            x = values[a]
            sums = out[indices[a]]
            for b in range(a, indptr[row + 1]):
                sums[indices[b]] += x * values[b]


def move_triangle(block: npt.NDArray[np.float32], out: npt.NDArray[np.float64]) -> None:
    """Add the upper triangle of `block` to that of `out` and set it to 0; both (columns, columns)."""
    _move_triangle(block, out)


@kernel(types.void(output_array(types.float32, 2), output_array(types.float64, 2)))
def _move_triangle(block, out):
    for i in range(block.shape[0]):
        for j in range(i, block.shape[1]):
            out[i, j] += block[i, j]
            block[i, j] = np.float32(0)


def project(
    indptr: Pointers, indices: Columns, values: Values, vectors: npt.NDArray[np.float64], shift: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Y V - shift: float64 (rows, vectors), for V float64 (columns, vectors) and a shift for each vector."""
    out = np.empty((len(indptr) - 1, vectors.shape[1]))
    out[:] = -shift
    _project(indptr, indices, values, vectors, out)
    return out


_SPARSE_TIMES_DENSE = types.void(
    input_array(types.int64, 1),
    input_array(types.int32, 1),
    input_array(types.float32, 1),
    input_array(types.float64, 2),
    output_array(types.float64, 2),
)


@kernel(_SPARSE_TIMES_DENSE)
def _project(indptr, indices, values, vectors, out):
    for row in range(indptr.shape[0] - 1):
        sums = out[row]
        for k in range(indptr[row], indptr[row + 1]):
            vector = vectors[indices[k]]
            x = float(values[k])
            for j in range(sums.shape[0]):
                sums[j] += x * vector[j]


def add_transposed(
    indptr: Pointers,
    indices: Columns,
    values: Values,
    vectors: npt.NDArray[np.float64],
    out: npt.NDArray[np.float64],
) -> None:
    """Add Y'U to `out`, float64 (columns, vectors), for U float64 (rows, vectors)."""
    _add_transposed(indptr, indices, values, vectors, out)


@kernel(_SPARSE_TIMES_DENSE)
def _add_transposed(indptr, indices, values, vectors, out):
    for row in range(indptr.shape[0] - 1):
        vector = vectors[row]
        for k in range(indptr[row], indptr[row + 1]):
            sums = out[indices[k]]
            x = float(values[k])
            for j in range(vector.shape[0]):
                sums[j] += x * vector[j]
