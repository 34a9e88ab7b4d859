"""Sums of squares of the standardised genotypes of one chunk: the diagonal of a relationship matrix."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from daskgen.kernels.dosages import dequantise_dosage
from daskgen.kernels.genotype_products import zs

__all__ = ["add_squares"]


def add_squares(
    genotypes: npt.NDArray[np.integer],
    table: npt.NDArray[np.float32],
    weights: npt.NDArray[np.floating],
    out: npt.NDArray[np.float64],
    order: npt.NDArray[np.int64],
    tile: int,
    block: int = 256,
) -> None:
    """out[i, k] += sum over variants v of weights[v, k] z[i, v]^2, rows of `out` in plane order.

    genotypes: packed uint8 (v, width) with table (v, 4), or dosages uint16 (v, n) with table (v, 2); weights (v, k);
    out: float64 (len(order), k), with `order` from `genotype_products.plane_order`. Missing calls have z = 0.
    """
    if genotypes.dtype == np.uint8:
        zs(genotypes, table * table, weights, out, tile, block)
        return
    n = genotypes.shape[1]
    real = order < n
    for first in range(0, len(genotypes), block):
        rows = slice(first, first + block)
        z = (dequantise_dosage(np.ascontiguousarray(genotypes[rows])) - table[rows, :1]) * table[rows, 1:]
        np.nan_to_num(z, copy=False)
        sums = np.matmul((z * z).T, np.ascontiguousarray(weights[rows], dtype=np.float32))
        out[real] += sums[order[real]]
