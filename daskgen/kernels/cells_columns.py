"""A few columns (genes) of a sparse matrix: taking them out, and products with vectors.

A block is CSR, see `cells_rows`; taken out, it has `indptr` int64, `indices` int32 in increasing order in each row, and
`values` float32.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import types

from daskgen.kernels.compile import input_array, kernel, output_array

__all__ = ["add_transposed", "find_columns", "project"]

Pointers = npt.NDArray[np.int64]
Columns = npt.NDArray[np.int32]
Values = npt.NDArray[np.float32]


def find_columns(indptr: Pointers, indices: Columns, place: Columns) -> tuple[Pointers, Columns, Pointers]:
    """The stored values of some columns: (indptr of them, their new columns, their positions in the block).

    place: int32 (all columns,), the new column of each, -1 for those that are not wanted. A block has less than 2^32
    values.
    """
    # One more: the loop below writes before it knows whether the value is wanted.
    found, positions = np.empty(len(indptr), np.int64), np.empty(int(indptr[-1]) + 1, np.uint32)
    _find_columns(indptr, indices, (place >= 0).view(np.uint8), found, positions)
    chosen = positions[: found[-1]].astype(np.int64)
    return found, place[indices[chosen]], chosen


@kernel(
    types.void(
        input_array(types.int64, 1),
        input_array(types.int32, 1),
        input_array(types.uint8, 1),
        output_array(types.int64, 1),
        output_array(types.uint32, 1),
    )
)
def _find_columns(indptr, indices, wanted, found, positions):
    n = np.uint64(0)
    found[0] = 0
    for row in range(indptr.shape[0] - 1):
        for k in range(np.uint64(indptr[row]), np.uint64(indptr[row + 1])):  # unsigned: see `cells_rows`
            positions[n] = k
            n += np.uint64(wanted[np.uint32(indices[k])])  # no branch: whether it is wanted cannot be predicted
        found[row + 1] = n


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
