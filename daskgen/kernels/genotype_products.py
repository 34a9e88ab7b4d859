"""Products with the standardised genotype matrix Z (samples x variants) of one chunk, on the CPU.

Z is never formed. Its entries are ``table[variant, code]``, decoded from packed codes into a buffer that stays in the
processor's cache, and multiplied there by the dense side:

- :func:`ztv`  Z'V
- :func:`zs`   Z S
- :func:`kv`   Z diag(w) Z'V for one or several weights w (the components of a variance model)

Order of samples. A byte holds four samples, and to write them side by side the processor would have to shuffle. Decoded
plane by plane (the lowest two bits of all bytes of a tile, then the next two, ...) they come out in vectors. So the
dense side is put into that order once (:func:`plane_order`, :func:`to_planes`, :func:`from_planes`), not each genotype.
Dosages (uint16, one a sample) are decoded in the same order and need no packed array.

Precision. Products are summed in float32 within a tile of samples and a block of variants, and in float64 across them:
Z'V is a sum over tiles of samples, Z S a sum over blocks of variants. A result is a function of the arguments alone,
tile and block included, whatever thread computes it, as long as BLAS runs one thread.

Speed (benchmarks/genotype_products.py; Zen 5, 20,000 samples, 64 vectors, ns of CPU time per genotype for K V):

=======================================================  ============  =========
what is measured                                         AVX-512 BLAS  AVX2 BLAS
=======================================================  ============  =========
the two products alone, decoded blocks read from memory  1.47          2.40
K V here, 256 variants x 512 samples decoded (0.5 MB)    1.53          2.48
... 256 x 256 / 256 x 1024                               +0 % / +3 %   +1 % / +2 %
... 128 x 512 / 512 x 512                                +6 % / -1 %   +3 % / -1 %
=======================================================  ============  =========

Decoding takes 0.08 each time. The products read what is decoded from the second-level cache instead of from memory,
which saves as much, so decoding twice (for Z'V and for Z S) is cheaper than keeping decoded genotypes. Half of that
cache for the buffer leaves room for the dense side and for the copies that BLAS makes; fewer variants at a time make
BLAS less efficient, more of them gain next to nothing.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import types

from daskgen.kernels.blas import add_product, add_transposed_product
from daskgen.kernels.compile import helper, input_array, kernel, output_array
from daskgen.kernels.genotype_decode import decode, dosage_table, value_table
from daskgen.kernels.genotype_layout import as_input, as_output, packed_width

__all__ = ["dosage_table", "from_planes", "kv", "plane_order", "to_planes", "value_table", "zs", "ztv"]

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]
Genotypes = npt.NDArray[np.integer[Any]]
Index = npt.NDArray[np.int64]

# Samples of one plane that are decoded together; with a block of 256 variants 0.5 MB of float32.
_DECODED_TOGETHER = 512


# The order of samples -----------------------------------------------------------------------------------------------


def plane_order(n_samples: int, tile: int) -> Index:
    """The sample at each position of a decoded row: int64 (4 * packed_width(n_samples),).

    Tile by tile; within a tile of `tile` samples (a multiple of 4) samples 0, 4, 8, ..., then 1, 5, 9, ..., and so on.
    Positions of padding hold numbers from `n_samples` on.
    """
    tile_bytes = check_cut(tile, 1)
    width = packed_width(n_samples)
    order = np.empty(4 * width, np.int64)
    for first in range(0, width, tile_bytes):
        last = min(first + tile_bytes, width)
        planes = np.arange(4 * first, 4 * last).reshape(-1, 4).T
        order[4 * first : 4 * last] = planes.reshape(-1)
    return order


def to_planes(v: npt.NDArray[np.floating], order: Index) -> Float32:
    """V (n, r), one row a sample, as float32 (len(order), r) in plane order, zero at padding."""
    planes = np.take(np.asarray(v, np.float32), order, axis=0, mode="clip")
    planes[order >= v.shape[0]] = 0
    return planes


def from_planes(planes: Float64, order: Index, n_samples: int) -> Float64:
    """The inverse of :func:`to_planes`: (..., len(order), r) in plane order as (..., n_samples, r)."""
    samples = np.empty((*planes.shape[:-2], n_samples, planes.shape[-1]), planes.dtype)
    real = order < n_samples
    samples[..., order[real], :] = planes[..., real, :]
    return samples


# The products -------------------------------------------------------------------------------------------------------


def ztv(packed: Genotypes, table: Float32, v_planes: Float32, tile: int, block: int = 256) -> Float64:
    """Z'V: float64 (variants, r).

    `packed`    uint8 (variants, packed_width) with `table` from :func:`value_table`, or dosages uint16 (variants,
                samples) with `table` from :func:`dosage_table`
    `v_planes`  float32 (4 * packed_width, r) from :func:`to_planes`, in the order of the same `tile`
    `tile`      samples (a multiple of 4) that are summed in float32
    `block`     variants that are decoded together

    Raises TypeError or ValueError if dtypes or shapes don't fit.
    """
    genotypes, values, length = _check_genotypes(packed, table)
    planes = as_input(v_planes, np.float32, "v_planes", (length, None))
    tile_bytes = check_cut(tile, block)
    product = np.zeros((genotypes.shape[0], planes.shape[1]), np.float64)
    if product.size:
        _ztv(genotypes, values, np.arange(genotypes.shape[0]), planes, tile_bytes, block, product)
    return product


def zs(
    packed: Genotypes,
    table: Float32,
    s: npt.NDArray[np.floating],
    out: Float64,
    tile: int,
    block: int = 256,
) -> Float64:
    """Add Z S to `out`, float64 (4 * packed_width, r) in plane order, and return it.

    `s` is (variants, r) and is rounded to float32; `block` variants are summed in float32. Other arguments as in
    :func:`ztv`.
    """
    genotypes, values, length = _check_genotypes(packed, table)
    tile_bytes = check_cut(tile, block)
    dense = as_input(np.asarray(s, np.float32), np.float32, "s", (genotypes.shape[0], None))
    _add_zs(genotypes, values, np.arange(genotypes.shape[0]), dense, tile_bytes, block, length, out)
    return out


def kv(
    packed: Genotypes,
    table: Float32,
    weights: npt.ArrayLike,
    v_planes: Float32,
    out: Float64,
    tile: int,
    block: int = 256,
) -> Float64:
    """Add Z diag(w) Z'V in plane order to `out`, for one vector of weights or for each of several, and return it.

    `weights`  (variants,) with `out` float64 (4 * packed_width, r), or (variants, components) with `out` float64
               (components, 4 * packed_width, r)

    Z'V is computed once. For each component only variants of non-zero weight are multiplied further, so components
    that share no variants cost no more than one, and a variant of weight 0 need not have finite values. Other arguments
    as in :func:`ztv`.
    """
    genotypes, values, length = _check_genotypes(packed, table)
    tile_bytes = check_cut(tile, block)
    w = np.asarray(weights, np.float64)
    check_weights(w, genotypes.shape[0], out.shape)
    product = ztv(genotypes, values, v_planes, tile, block)
    for w_g, out_g in ((w, out),) if w.ndim == 1 else zip(w.T, out, strict=True):
        rows = np.flatnonzero(w_g)
        dense = (w_g[rows, None] * product[rows]).astype(np.float32)
        _add_zs(genotypes, values, rows, dense, tile_bytes, block, length, out_g)
    return out


def _add_zs(
    genotypes: Genotypes,
    values: Float32,
    rows: Index,
    dense: Float32,
    tile_bytes: int,
    block: int,
    length: int,
    out: Float64,
) -> None:
    as_output(out, np.float64, (length, dense.shape[1]))
    if dense.size:
        _zs(genotypes, values, rows, dense, tile_bytes, block, out)


def _check_genotypes(packed: Genotypes, table: Float32) -> tuple[Genotypes, Float32, int]:
    """Genotypes and table as the kernels read them, and the length of a row in plane order."""
    dosage = packed.dtype == np.uint16
    genotypes = as_input(packed, np.uint16 if dosage else np.uint8, "packed", (None, None))
    values = as_input(table, np.float32, "table", (genotypes.shape[0], 2 if dosage else 4))
    return genotypes, values, 4 * (packed_width(genotypes.shape[1]) if dosage else genotypes.shape[1])


def check_weights(weights: Float64, n_variants: int, out_shape: tuple[int, ...]) -> None:
    """Raises ValueError unless there is a weight for each variant, and a part of the output for each component."""
    if weights.ndim not in (1, 2) or weights.shape[0] != n_variants or out_shape[:-2] != weights.shape[1:]:
        raise ValueError(
            f"weights of shape {weights.shape} don't fit {n_variants} variants and out of shape {out_shape}"
        )


def check_cut(tile: int, block: int) -> int:
    """Bytes of a row in a tile. Raises ValueError if tile or block cannot be used."""
    if tile <= 0 or tile % 4:
        raise ValueError(f"a tile must be a multiple of 4 samples, it is {tile}")
    if block <= 0:
        raise ValueError(f"a block must have at least one variant, it has {block}")
    return tile // 4


# The loops ----------------------------------------------------------------------------------------------------------
#
# Both go over pieces of a plane of a tile in the outer and over blocks of variants in the inner loop, so that a piece
# of the dense side (V, or the result of Z S) stays in the second-level cache while all variants of the call pass by.

_PACKED = input_array(types.uint8, 2)
_DOSAGE = input_array(types.uint16, 2)
_MATRIX = input_array(types.float32, 2)
_ROWS = input_array(types.int64, 1)
_OUT = output_array(types.float64, 2)


@kernel(
    types.void(_PACKED, _MATRIX, _ROWS, _MATRIX, types.int64, types.int64, _OUT),
    types.void(_DOSAGE, _MATRIX, _ROWS, _MATRIX, types.int64, types.int64, _OUT),
)
def _ztv(
    genotypes: Genotypes,
    table: Float32,
    rows: Index,
    v_planes: Float32,
    tile_bytes: int,
    block: int,
    product: Float64,
) -> None:
    width = v_planes.shape[0] // 4
    decoded = np.empty((min(block, rows.size), min(_DECODED_TOGETHER, tile_bytes, width)), np.float32)
    tile_sum = np.empty((rows.size, v_planes.shape[1]), np.float32)
    for tile_first in range(0, width, tile_bytes):
        tile_last = min(tile_first + tile_bytes, width)
        keep = 0
        for plane in range(4):
            for first in range(tile_first, tile_last, _DECODED_TOGETHER):
                n_bytes = min(_DECODED_TOGETHER, tile_last - first)
                position = _position(tile_first, tile_last, plane, first)
                v_piece = v_planes[position : position + n_bytes]
                for block_first in range(0, rows.size, block):
                    block_last = min(block_first + block, rows.size)
                    decode(genotypes, table, rows[block_first:block_last], first, n_bytes, plane, decoded)
                    z = decoded[: block_last - block_first, :n_bytes]
                    add_product(z, v_piece, keep, tile_sum[block_first:block_last])
                keep = 1
        for i in range(rows.size):
            for k in range(tile_sum.shape[1]):
                product[i, k] += tile_sum[i, k]


@kernel(
    types.void(_PACKED, _MATRIX, _ROWS, _MATRIX, types.int64, types.int64, _OUT),
    types.void(_DOSAGE, _MATRIX, _ROWS, _MATRIX, types.int64, types.int64, _OUT),
)
def _zs(
    genotypes: Genotypes,
    table: Float32,
    rows: Index,
    s: Float32,
    tile_bytes: int,
    block: int,
    out: Float64,
) -> None:
    width = out.shape[0] // 4
    decoded = np.empty((min(block, rows.size), min(_DECODED_TOGETHER, tile_bytes, width)), np.float32)
    block_sum = np.empty((decoded.shape[1], s.shape[1]), np.float32)
    for tile_first in range(0, width, tile_bytes):
        tile_last = min(tile_first + tile_bytes, width)
        for plane in range(4):
            for first in range(tile_first, tile_last, _DECODED_TOGETHER):
                n_bytes = min(_DECODED_TOGETHER, tile_last - first)
                position = _position(tile_first, tile_last, plane, first)
                for block_first in range(0, rows.size, block):
                    block_last = min(block_first + block, rows.size)
                    decode(genotypes, table, rows[block_first:block_last], first, n_bytes, plane, decoded)
                    z = decoded[: block_last - block_first, :n_bytes]
                    add_transposed_product(z, s[block_first:block_last], 0, block_sum[:n_bytes])
                    for i in range(n_bytes):
                        for k in range(s.shape[1]):
                            out[position + i, k] += block_sum[i, k]


@helper
def _position(tile_first: int, tile_last: int, plane: int, first: int) -> int:
    """Where the samples of one plane of the bytes from `first` on are in plane order."""
    return 4 * tile_first + plane * (tile_last - tile_first) + first - tile_first
