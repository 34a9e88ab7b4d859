"""Rows of packed genotypes as numbers, for products of a few markers with each other."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import types

from daskgen.kernels.compile import input_array, kernel, output_array

__all__ = ["marker_values"]


def marker_values(
    packed: npt.NDArray[np.uint8], first: int, last: int, shift: np.ndarray, missing: np.ndarray, out: np.ndarray
) -> None:
    """Values of the bytes `first` to `last` - 1 of each row: code - shift, or `missing` where the call is missing.

    packed: (b, bytes); shift, missing: float64 (b,); out: float32 or float64 (b, 4 (last - first)), plane by plane:
    place k (last - first) + i is sample 4 (first + i) + k.
    """
    _marker_values(packed, first, last, shift, missing, out)


_VALUES = input_array(types.float64, 1)


@kernel(
    *(
        types.void(input_array(types.uint8, 2), types.int64, types.int64, _VALUES, _VALUES, output_array(dtype, 2))
        for dtype in (types.float32, types.float64)
    )
)
def _marker_values(packed, first, last, shift, missing, out):
    size = last - first
    table = np.empty(4, out.dtype)
    for j in range(packed.shape[0]):
        for code in range(3):
            table[code] = code - shift[j]
        table[3] = missing[j]
        codes = packed[j, first:last]
        for k in range(4):
            row = out[j, k * size : (k + 1) * size]
            for i in range(size):
                row[i] = table[(codes[i] >> np.uint8(2 * k)) & 3]
