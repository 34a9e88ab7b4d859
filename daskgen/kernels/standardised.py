"""Standardised genotypes of a few variants as float64 numbers, samples in their own order: for exact computations.

Passes with many vectors multiply in float32 without forming Z (`genotype_products`); what has to agree with dense
float64 algebra to many digits decodes a block of variants here and multiplies with NumPy.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import types

from daskgen.kernels.compile import input_array, kernel, output_array
from daskgen.kernels.dosages import dequantise_dosage
from daskgen.kernels.genotype_layout import as_input, as_output, packed_width

__all__ = ["standardised"]

Float64 = npt.NDArray[np.float64]


def standardised(
    genotypes: npt.NDArray[np.integer[Any]],
    mean: npt.ArrayLike,
    factor: npt.ArrayLike,
    n_samples: int,
    out: Float64 | None = None,
) -> Float64:
    """(x - mean) * factor, 0 where the call is missing: float64 (variants, n_samples).

    genotypes: packed uint8 (variants, packed_width(n_samples)), or dosages uint16 (variants, n_samples); mean and
    factor: (variants,); out: where the result is written. Raises TypeError or ValueError for what does not fit.
    """
    centre, scale = (np.ascontiguousarray(a, np.float64) for a in (mean, factor))
    target = as_output(out, np.float64, (genotypes.shape[0], n_samples))
    if genotypes.dtype == np.uint16:
        dosage = dequantise_dosage(as_input(genotypes, np.uint16, "dosage", (len(centre), n_samples)))
        np.subtract(dosage, centre[:, None], out=target, dtype=np.float64)
        target *= scale[:, None]
        np.nan_to_num(target, copy=False)
        return target
    packed = as_input(genotypes, np.uint8, "packed", (len(centre), packed_width(n_samples)))
    _decode(packed, centre, scale, target)
    return target


@kernel(
    types.void(
        input_array(types.uint8, 2),
        input_array(types.float64, 1),
        input_array(types.float64, 1),
        output_array(types.float64, 2),
    )
)
def _decode(packed: npt.NDArray[np.uint8], mean: Float64, factor: Float64, out: Float64) -> None:
    n = out.shape[1]
    value = np.zeros(4)
    for v in range(packed.shape[0]):
        for code in range(3):
            value[code] = (code - mean[v]) * factor[v]
        for byte in range(n // 4):
            four = packed[v, byte]
            for k in range(4):
                out[v, 4 * byte + k] = value[(four >> np.uint8(2 * k)) & np.uint8(3)]
        for i in range(4 * (n // 4), n):
            out[v, i] = value[(packed[v, i // 4] >> np.uint8(2 * (i % 4))) & np.uint8(3)]
