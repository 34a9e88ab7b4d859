"""Calls as pairs of alleles by number (0 = REF; -1 missing; -2 none, in a haploid call), as VCF Zarr and BCF have them.

A call counts allele k as (a = k) + (b = k), a haploid one as 2 (a = k); a missing allele makes the call missing.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import types

from daskgen.kernels.compile import input_array, kernel, output_array
from daskgen.kernels.genotype_layout import MISSING, as_input, as_output, packed_width

__all__ = ["pack_alleles"]

Bytes = npt.NDArray[np.uint8]
Index = npt.NDArray[np.int64]


def pack_alleles(
    alleles: npt.NDArray[Any], variant: npt.ArrayLike, allele: npt.ArrayLike, out: Bytes | None = None
) -> tuple[Bytes, int]:
    """Row i counts allele `allele[i]` of variant `variant[i]`: (packed uint8 (rows, ceil(samples / 4)), half-calls).

    alleles: int8 or int16 (variants, samples, 2). variant, allele: int64 (rows,). Half-calls, with one allele of two
    missing, become missing; they are counted once per row.
    """
    dtype = np.int16 if alleles.dtype == np.int16 else np.int8
    pairs = as_input(alleles, dtype, "alleles", (None, None, 2))
    rows = as_input(np.asarray(variant), np.int64, "variant", (None,))
    counted = as_input(np.asarray(allele), np.int64, "allele", (len(rows),))
    if rows.size and not (rows.min() >= 0 and rows.max() < len(pairs)):
        raise ValueError(f"variant must lie in 0 to {len(pairs) - 1}")
    packed = as_output(out, np.uint8, (len(rows), packed_width(pairs.shape[1])))
    return packed, _pack(pairs, rows, counted, packed)


@kernel(
    *(
        types.int64(
            input_array(dtype, 3),
            input_array(types.int64, 1),
            input_array(types.int64, 1),
            output_array(types.uint8, 2),
        )
        for dtype in (types.int8, types.int16)
    )
)
def _pack(alleles: npt.NDArray[Any], variant: Index, allele: Index, packed: Bytes) -> int:
    n_samples = alleles.shape[1]
    half = 0
    for row in range(len(variant)):
        v, k = variant[row], allele[row]
        for byte in range(packed.shape[1]):
            four = np.uint32(0)
            for j in range(4):
                sample = 4 * byte + j
                code = np.uint32(MISSING)
                if sample < n_samples:
                    a, b = np.int64(alleles[v, sample, 0]), np.int64(alleles[v, sample, 1])
                    b = a if b == -2 else b
                    if a >= 0 and b >= 0:
                        code = np.uint32(a == k) + np.uint32(b == k)
                    half += (a < 0) != (b < 0)
                four |= code << np.uint32(2 * j)
            packed[row, byte] = np.uint8(four)
    return half
