"""Is a compressed sparse matrix (CSR) as kernels expect it: columns in range, ascending and single within each row?"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import types

from daskgen.kernels.compile import input_array, kernel
from daskgen.kernels.genotype_layout import as_input

__all__ = ["OUT_OF_RANGE", "UNSORTED", "WELL_FORMED", "column_order"]

WELL_FORMED, UNSORTED, OUT_OF_RANGE = 0, 1, 2


def column_order(indices: npt.NDArray[np.int32], indptr: npt.NDArray[np.int64], n_columns: int) -> int:
    """WELL_FORMED, UNSORTED (some row's columns don't ascend, or one is there twice) or OUT_OF_RANGE.

    indices: int32 (values,); indptr: int64 (rows + 1,), from 0 to len(indices); n_columns: columns there are.
    """
    return int(
        _column_order(
            as_input(indices, np.int32, "indices", (None,)), as_input(indptr, np.int64, "indptr", (None,)), n_columns
        )
    )


@kernel(types.int64(input_array(types.int32, 1), input_array(types.int64, 1), types.int64))
def _column_order(indices, indptr, n_columns):
    unsorted = False
    for row in range(indptr.size - 1):
        before = -1
        for k in range(indptr[row], indptr[row + 1]):
            column = indices[k]
            if column < 0 or column >= n_columns:
                return 2
            unsorted |= column <= before
            before = column
    return 1 if unsorted else 0
