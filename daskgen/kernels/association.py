"""Products of genotypes with a few float64 columns, and what missing calls take away from them: association tests.

Genotypes x are numbers of alleles as they are stored, neither centred nor scaled, with 0 where a call is missing; what
centring and imputation change is a matter of the small sums here. Everything is summed in float64, because a test
statistic near 0 is the difference of large sums.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import types

from daskgen.kernels.blas import add_product
from daskgen.kernels.compile import helper, input_array, kernel, output_array
from daskgen.kernels.dosages import DOSAGE_MISSING
from daskgen.kernels.genotype_decode import decode
from daskgen.kernels.genotype_layout import as_input, packed_width
from daskgen.kernels.genotype_products import plane_order

__all__ = ["allele_products", "missing_products", "planes_of"]

Float64 = npt.NDArray[np.float64]
Genotypes = npt.NDArray[np.integer[Any]]
Index = npt.NDArray[np.int64]

# Bytes of a row and variants that are decoded together: 256 kB of float64, a part of the second-level cache.
_BYTES, _VARIANTS = 512, 64


def planes_of(columns: Float64) -> Float64:
    """Columns (n, r) as :func:`allele_products` takes them: samples 0, 4, ..., then 1, 5, ..., zero at padding."""
    n = len(columns)
    order = plane_order(n, 4 * packed_width(n))
    planes = np.take(np.asarray(columns, np.float64), order, axis=0, mode="clip")
    planes[order >= n] = 0
    return planes


def allele_products(genotypes: Genotypes, planes: Float64) -> Float64:
    """X'V, float64 (variants, r), of the numbers of alleles X with 0 for missing calls.

    genotypes: packed uint8 (variants, packed_width(n)) or dosages uint16 (variants, n); planes: :func:`planes_of` V.
    Raises TypeError or ValueError for what does not fit.
    """
    dosage = genotypes.dtype == np.uint16
    rows = as_input(genotypes, np.uint16 if dosage else np.uint8, "genotypes", (None, None))
    length = 4 * (packed_width(rows.shape[1]) if dosage else rows.shape[1])
    v = as_input(planes, np.float64, "planes", (length, None))
    # Mean 0 and scale 1 for dosages; the values of codes for calls.
    table = np.tile(np.array([0, 1] if dosage else [0, 1, 2, 0], np.float32), (len(rows), 1))
    product = np.zeros((len(rows), v.shape[1]))
    if product.size:
        _allele_products(rows, table, np.arange(len(rows)), v, product)
    return product


_PACKED = input_array(types.uint8, 2)
_DOSAGE = input_array(types.uint16, 2)
_TABLE = input_array(types.float32, 2)
_ROWS = input_array(types.int64, 1)
_MATRIX = input_array(types.float64, 2)
_OUT = output_array(types.float64, 2)
_CUBE = output_array(types.float64, 3)


@kernel(
    types.void(_PACKED, _TABLE, _ROWS, _MATRIX, _OUT),
    types.void(_DOSAGE, _TABLE, _ROWS, _MATRIX, _OUT),
)
def _allele_products(
    genotypes: Genotypes, table: npt.NDArray[np.float32], rows: Index, planes: Float64, product: Float64
) -> None:
    width = planes.shape[0] // 4
    decoded = np.empty((min(_VARIANTS, rows.size), min(_BYTES, width)), np.float64)
    for plane in range(4):
        for first in range(0, width, _BYTES):
            n_bytes = min(_BYTES, width - first)
            piece = planes[plane * width + first : plane * width + first + n_bytes]
            for block in range(0, rows.size, _VARIANTS):
                last = min(block + _VARIANTS, rows.size)
                decode(genotypes, table, rows[block:last], first, n_bytes, plane, decoded)
                add_product(decoded[: last - block, :n_bytes], piece, 1, product[block:last])


def missing_products(
    genotypes: Genotypes, rows: npt.ArrayLike, columns: Float64, n_fixed: int
) -> tuple[Float64, Float64, Float64]:
    """Sums over the samples without a call, for the variants `rows`, of columns W = [Q, Y] (n, c + t), c = `n_fixed`.

    Returns (sums of W (rows, c + t), of Q'W (rows, c, c + t), of Y squared (rows, t)). Genotypes as in
    :func:`allele_products`.
    """
    dosage = genotypes.dtype == np.uint16
    packed = as_input(genotypes, np.uint16 if dosage else np.uint8, "genotypes", (None, None))
    w = as_input(columns, np.float64, "columns", (None, None))
    wanted = np.ascontiguousarray(rows, np.int64)
    k = w.shape[1]
    sums, squares = np.zeros((len(wanted), k)), np.zeros((len(wanted), k - n_fixed))
    cross = np.zeros((len(wanted), n_fixed, k))
    _missing_products(packed, wanted, w, sums, cross, squares)
    for a in range(n_fixed):
        cross[:, a + 1 : n_fixed, a] = cross[:, a, a + 1 : n_fixed]
    return sums, cross, squares


@kernel(
    types.void(_PACKED, _ROWS, _MATRIX, _OUT, _CUBE, _OUT),
    types.void(_DOSAGE, _ROWS, _MATRIX, _OUT, _CUBE, _OUT),
)
def _missing_products(
    genotypes: Genotypes, rows: Index, columns: Float64, sums: Float64, cross: Float64, squares: Float64
) -> None:
    n, k = columns.shape
    c = cross.shape[1]
    place = np.empty(n, np.int64)
    for i in range(rows.size):
        for j in range(_find_missing(genotypes, rows[i], place)):
            w = columns[place[j]]
            for b in range(k):
                sums[i, b] += w[b]
            for b in range(c, k):
                squares[i, b - c] += w[b] * w[b]
            for a in range(c):
                for b in range(a, k):
                    cross[i, a, b] += w[a] * w[b]


@helper
def _find_missing(genotypes: Genotypes, variant: int, place: Index) -> int:
    """Samples without a call, in order, as the first of `place`; returns how many."""
    found = 0
    if genotypes.itemsize == 1:
        for i in range(genotypes.shape[1]):
            four = genotypes[variant, i]
            if four & (four >> np.uint8(1)) & np.uint8(0x55):
                for k in range(4):
                    if (four >> np.uint8(2 * k)) & np.uint8(3) == 3 and 4 * i + k < place.size:
                        place[found] = 4 * i + k
                        found += 1
    else:
        for sample in range(place.size):
            if genotypes[variant, sample] == DOSAGE_MISSING:
                place[found] = sample
                found += 1
    return found
