"""Squared correlations of the variants of two blocks, from packed genotypes: what LD scores are sums of.

For variants i, j with genotypes standardised over n samples (mean 0, sum of squares n; a missing call at the mean),

    r_ij = z_i' z_j / n,        l_ij = r_ij^2 - (1 - r_ij^2) / (n - 2)

l is an approximately unbiased estimate of the squared correlation in the population (Bulik-Sullivan et al. 2015, Nature
Genetics 47, 291-295). Genotypes are decoded plane by plane into a buffer (see `genotype_products`) and multiplied by
BLAS: float32 inside a piece of a plane, float64 across them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import types

from daskgen.kernels.compile import input_array, kernel, output_array
from daskgen.kernels.genotype_decode import decode
from daskgen.kernels.genotype_layout import as_input, as_output, packed_width

__all__ = ["adjusted_squares", "cross_products"]

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]
Genotypes = npt.NDArray[np.integer[Any]]
Index = npt.NDArray[np.int64]

_PIECE = 2_048
"""Samples of one plane that are decoded and multiplied together: with 512 variants 4 MB."""


def cross_products(first: Genotypes, table_1: Float32, second: Genotypes, table_2: Float32) -> Float64:
    """z_i' z_j: float64 (variants of the first, variants of the second block).

    first, second: packed uint8 (variants, packed_width) with tables (variants, 4) from `genotype_decode.value_table`,
    or dosages uint16 (variants, samples) with tables (variants, 2) from `dosage_table`. Raises TypeError or ValueError
    if dtypes or shapes don't fit.
    """
    blocks = []
    for name, genotypes, table in (("first", first, table_1), ("second", second, table_2)):
        dosage = genotypes.dtype == np.uint16
        rows = as_input(genotypes, np.uint16 if dosage else np.uint8, name, (None, None))
        blocks.append((rows, as_input(table, np.float32, f"table of {name}", (len(rows), 2 if dosage else 4))))
    (one, values_1), (other, values_2) = blocks
    if one.dtype != other.dtype or one.shape[1] != other.shape[1]:
        raise ValueError(f"blocks of {one.dtype} {one.shape} and {other.dtype} {other.shape} have other samples")
    width = packed_width(one.shape[1]) if one.dtype == np.uint16 else one.shape[1]
    step = min(_PIECE, max(width, 1))
    decoded_1, decoded_2 = (np.empty(len(block) * step, np.float32) for block in (one, other))
    product = np.empty((len(one), len(other)), np.float32)
    total = np.zeros(product.shape)
    for start in range(0, width, step):
        n_bytes = min(step, width - start)
        z_1 = decoded_1[: len(one) * n_bytes].reshape(len(one), n_bytes)
        z_2 = decoded_2[: len(other) * n_bytes].reshape(len(other), n_bytes)
        for plane in range(4):
            _decode_plane(one, values_1, start, plane, z_1)
            _decode_plane(other, values_2, start, plane, z_2)
            np.matmul(z_1, z_2.T, out=product)
            total += product
    return total


def adjusted_squares(
    products: Float64, n_samples: int, first_row: int, second_row: int, stop: npt.ArrayLike, out: Float64 | None = None
) -> Float64:
    """l_ij for j > i inside the window of i, 0 elsewhere: float64, the shape of `products`, z_i' z_j.

    first_row, second_row: numbers of the variants with which the two blocks begin; stop: int64 (variants of the first
    block,), the number after the last variant in the window of i. `out` may be `products` itself.
    """
    sums = as_input(products, np.float64, "products", (None, None))
    end = as_input(np.asarray(stop, np.int64), np.int64, "stop", (sums.shape[0],))
    squares = as_output(out, np.float64, sums.shape)
    if n_samples < 3:
        raise ValueError(f"an adjusted squared correlation takes at least 3 samples, not {n_samples}")
    _adjusted_squares(sums, n_samples, first_row, second_row, end, squares)
    return squares


@kernel(
    types.void(
        input_array(types.uint8, 2),
        input_array(types.float32, 2),
        types.int64,
        types.int64,
        output_array(types.float32, 2),
    ),
    types.void(
        input_array(types.uint16, 2),
        input_array(types.float32, 2),
        types.int64,
        types.int64,
        output_array(types.float32, 2),
    ),
)
def _decode_plane(genotypes: Genotypes, table: Float32, first: int, plane: int, decoded: Float32) -> None:
    decode(genotypes, table, np.arange(decoded.shape[0]), first, decoded.shape[1], plane, decoded)


@kernel(
    types.void(
        input_array(types.float64, 2),
        types.int64,
        types.int64,
        types.int64,
        input_array(types.int64, 1),
        output_array(types.float64, 2),
    )
)
def _adjusted_squares(
    products: Float64, n_samples: int, first_row: int, second_row: int, stop: Index, squares: Float64
) -> None:
    per_sample, correction = 1.0 / n_samples, 1.0 / (n_samples - 2)
    for i in range(products.shape[0]):
        low, high = first_row + i - second_row, stop[i] - second_row
        for j in range(products.shape[1]):
            r = products[i, j] * per_sample
            adjusted = r * r - (1.0 - r * r) * correction
            squares[i, j] = adjusted if (j > low) & (j < high) else 0.0
