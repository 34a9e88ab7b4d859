"""Products with the standardised genotype matrix of one chunk on a GPU: the twin of the CPU's
:mod:`daskgen.kernels.genotype_products`, with the same functions, arguments and results on CuPy arrays.

A piece of the chunk, some blocks of variants x one tile of samples, is decoded to float32 in the device's memory, then
cuBLAS multiplies it: in float32 within a tile (Z'V) or a block (Z S), added in float64. The free memory decides how
many blocks are decoded together, which changes no sum: one product is always one block x one tile. A GPU is busy with
blocks of some thousand variants; with the CPU's 256 it waits for launches.

TF32, which would round V to 10 bits, is off in CuPy unless the environment sets CUPY_TF32.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from daskgen.kernels import genotype_products as on_cpu
from daskgen.kernels.cuda import load
from daskgen.kernels.cuda.genotype_decode import decode
from daskgen.kernels.genotype_layout import packed_width

__all__ = ["dosage_table", "from_planes", "kv", "plane_order", "to_planes", "value_table", "zs", "ztv"]

# CuPy arrays have no types that a checker knows without CuPy.
Array = Any

# Bytes of decoded genotypes at a time, and the largest part of the free memory that they may take.
_DECODED_BYTES = 2**28
_PART_OF_FREE_MEMORY = 0.25


def plane_order(n_samples: int, tile: int) -> Array:
    """See :func:`daskgen.kernels.genotype_products.plane_order`."""
    return load.cupy().asarray(on_cpu.plane_order(n_samples, tile))


def to_planes(v: Array, order: Array) -> Array:
    """See :func:`daskgen.kernels.genotype_products.to_planes`; `v` may be a NumPy array."""
    cp = load.cupy()
    v = cp.asarray(v, dtype=np.float32)
    planes = v[cp.minimum(order, v.shape[0] - 1)]
    planes[order >= v.shape[0]] = 0
    return planes


def from_planes(planes: Array, order: Array, n_samples: int) -> Array:
    """See :func:`daskgen.kernels.genotype_products.from_planes`."""
    cp = load.cupy()
    samples = cp.empty((*planes.shape[:-2], n_samples, planes.shape[-1]), planes.dtype)
    positions = cp.flatnonzero(order < n_samples)
    samples[..., order[positions], :] = planes[..., positions, :]
    return samples


def value_table(mean: Array, scale: Array, missing: float = 0.0) -> Array:
    """See :func:`daskgen.kernels.genotype_products.value_table`; computed by the CPU, so the numbers are the same."""
    return load.cupy().asarray(on_cpu.value_table(load.to_host(mean), load.to_host(scale), missing))


def dosage_table(mean: Array, scale: Array) -> Array:
    """See :func:`daskgen.kernels.genotype_products.dosage_table`."""
    return load.cupy().asarray(on_cpu.dosage_table(load.to_host(mean), load.to_host(scale)))


def ztv(packed: Array, table: Array, v_planes: Array, tile: int, block: int = 256) -> Array:
    """Z'V, float64 (variants, r). See :func:`daskgen.kernels.genotype_products.ztv`."""
    cp = load.cupy()
    length = _check(packed, table, tile, block)
    _check_array(v_planes, np.float32, (length, v_planes.shape[1]), "v_planes")
    product = cp.zeros((packed.shape[0], v_planes.shape[1]), np.float64)
    if product.size == 0:
        return product
    tile_sum = cp.empty(product.shape, np.float32)
    rows = cp.arange(packed.shape[0])
    for first, last in _tiles(length, tile):
        for rows_first, z in _decoded(packed, table, rows, first, last, block):
            for i in range(0, z.shape[0], block):
                target = tile_sum[rows_first + i : rows_first + min(i + block, z.shape[0])]
                cp.dot(z[i : i + block], v_planes[first:last], out=target)
        product += tile_sum
    return product


def zs(packed: Array, table: Array, s: Array, out: Array, tile: int, block: int = 256) -> Array:
    """Add Z S to `out`, in plane order. See :func:`daskgen.kernels.genotype_products.zs`."""
    length = _check(packed, table, tile, block)
    if s.shape[0] != packed.shape[0]:
        raise ValueError(f"s must have {packed.shape[0]} rows, it has {s.shape[0]}")
    _add_zs(packed, table, load.cupy().arange(packed.shape[0]), s, out, tile, block, length)
    return out


def kv(packed: Array, table: Array, weights: Array, v_planes: Array, out: Array, tile: int, block: int = 256) -> Array:
    """Add Z diag(w) Z'V to `out`, in plane order. See :func:`daskgen.kernels.genotype_products.kv`."""
    cp = load.cupy()
    length = _check(packed, table, tile, block)
    w = np.asarray(load.to_host(weights), np.float64)
    on_cpu.check_weights(w, packed.shape[0], out.shape)
    product = ztv(packed, table, v_planes, tile, block)
    for w_g, out_g in ((w, out),) if w.ndim == 1 else zip(w.T, out, strict=True):
        rows = np.flatnonzero(w_g)
        on_device = cp.asarray(rows)
        dense = cp.asarray(w_g[rows, None]) * product[on_device]
        _add_zs(packed, table, on_device, dense, out_g, tile, block, length)
    return out


def _add_zs(packed: Array, table: Array, rows: Array, s: Array, out: Array, tile: int, block: int, length: int) -> None:
    cp = load.cupy()
    _check_array(out, np.float64, (length, s.shape[1]), "out")
    dense = cp.ascontiguousarray(s, dtype=np.float32)
    if dense.size == 0:
        return
    block_sum = cp.empty((min(tile, length), s.shape[1]), np.float32)
    for first, last in _tiles(length, tile):
        for rows_first, z in _decoded(packed, table, rows, first, last, block):
            for i in range(0, z.shape[0], block):
                z_block = z[i : i + block]
                target = block_sum[: last - first]
                cp.dot(z_block.T, dense[rows_first + i : rows_first + i + z_block.shape[0]], out=target)
                out[first:last] += target


def _tiles(length: int, tile: int) -> Iterator[tuple[int, int]]:
    return ((first, min(first + tile, length)) for first in range(0, length, tile))


def _decoded(
    packed: Array, table: Array, rows: Array, first: int, last: int, block: int
) -> Iterator[tuple[int, Array]]:
    """Some blocks of variants of one tile at a time: the position of the first in `rows`, and their part of Z'."""
    blocks = _blocks_together(4 * min(block, rows.shape[0]) * (last - first))
    n_rows = min(rows.shape[0], blocks * block)
    work = load.cupy().empty((n_rows, last - first), np.float32)
    for rows_first in range(0, rows.shape[0], n_rows):
        some = rows[rows_first : rows_first + n_rows]
        z = work[: some.shape[0]]
        decode(packed, table, some, first // 4, z)
        yield rows_first, z


def _blocks_together(bytes_a_block: int) -> int:
    """How many decoded blocks fit the work memory; at least one."""
    return max(1, int(min(_DECODED_BYTES, _PART_OF_FREE_MEMORY * load.free_memory()) // bytes_a_block))


def _check(packed: Array, table: Array, tile: int, block: int) -> int:
    """The length of a row in plane order. Raises TypeError or ValueError if the arguments don't fit each other."""
    on_cpu.check_cut(tile, block)
    dosage = packed.dtype == np.uint16
    _check_array(packed, np.uint16 if dosage else np.uint8, packed.shape, "packed")
    _check_array(table, np.float32, (packed.shape[0], 2 if dosage else 4), "table")
    return 4 * (packed_width(packed.shape[1]) if dosage else packed.shape[1])


def _check_array(array: Array, dtype: type, shape: tuple[int, ...], name: str) -> None:
    if array.dtype != dtype:
        raise TypeError(f"{name} must be {np.dtype(dtype)}, it is {array.dtype}")
    if array.shape != shape or not array.flags.c_contiguous:
        raise ValueError(f"{name} must be C-contiguous with the shape {shape}, it has {array.shape}")
