"""Products of the markers of a block with vectors over samples, straight from 2-bit codes: what a Gibbs sampler does.

A vector over samples is held as four planes, float64 (4, bytes): plane k, place i is sample 4 i + k, so that the four
codes of a byte meet four places of equal number. Places past the last sample are zero. The value of marker j at a
sample is code - shift_j, or missing_j where the call is missing (code 3).

Where calls are missing is listed by marker and tile (`find_gaps`): those of marker j in tile t are at the samples
gap_place[gap_start[j T + t] : gap_start[j T + t + 1]] of the tile, T the number of tiles. The vector loop takes them
for threes, which is put right after it.

The sums run over tiles of `TILE` bytes, 1,024 samples. Inside a tile they are exact sums of integers
(:mod:`daskgen.kernels.limbs`); the tiles' results are added pairwise by `add_within` and `add_across`: the bits do not
depend on which thread or worker did which tile.
"""

from __future__ import annotations

import numba
import numpy as np
import numpy.typing as npt
from numba import types

from daskgen.kernels.compile import helper, input_array, kernel, output_array
from daskgen.kernels.genotype_counts import count_codes
from daskgen.kernels.genotype_layout import check_packed, packed_width
from daskgen.kernels.limbs import LIMBS, ROWS, TILE, code_sums, joined

__all__ = [
    "TILE",
    "add_across",
    "add_codes",
    "add_within",
    "clear_padding",
    "code_products",
    "find_gaps",
    "n_tiles",
    "sum_of",
]

Planes = npt.NDArray[np.float64]
Bytes = npt.NDArray[np.uint8]
Vector = npt.NDArray[np.float64]
Long = npt.NDArray[np.int64]


# A sum may be taken in any order inside a tile, so that it runs in vector registers.
_reordered = numba.njit(nogil=True, fastmath={"reassoc", "contract", "nsz"})


def n_tiles(width: int) -> int:
    """Tiles of rows of `width` bytes."""
    return max(1, -(-width // TILE))


def find_gaps(packed: Bytes, n_samples: int) -> tuple[Long, npt.NDArray[np.uint16]]:
    """(gap_start int64 (markers x tiles + 1,), gap_place uint16): where calls are missing."""
    rows = check_packed(packed, n_samples)
    tiles = n_tiles(packed_width(n_samples))
    start = np.zeros(len(rows) * tiles + 1, np.int64)
    place = np.empty(int(count_codes(rows, n_samples)[:, 3].sum(dtype=np.int64)), np.uint16)
    _find_gaps(rows, n_samples, start, place)
    return start, place


@kernel(
    types.void(input_array(types.uint8, 2), types.int64, output_array(types.int64, 1), output_array(types.uint16, 1))
)
def _find_gaps(packed: Bytes, n_samples: int, start: Long, place: npt.NDArray[np.uint16]) -> None:
    tiles = max(1, -(-packed.shape[1] // TILE))
    found = 0
    for j in range(packed.shape[0]):
        for tile in range(tiles):
            for i in range(tile * TILE, min((tile + 1) * TILE, packed.shape[1])):
                q = packed[j, i]
                if q & (q >> 1) & 0x55:
                    for k in range(4):
                        if (q >> (2 * k)) & 3 == 3 and 4 * i + k < n_samples:
                            place[found] = 4 * (i - tile * TILE) + k
                            found += 1
            start[j * tiles + tile + 1] = found


@_reordered
def sum_of(v: Vector) -> float:
    """The sum of a vector, in any order."""
    total = 0.0
    for i in range(v.size):
        total += v[i]
    return total


@helper
def code_products(
    codes: Bytes,
    shift: Vector,
    missing: Vector,
    gap_start: Long,
    gap_place: npt.NDArray[np.uint16],
    origin: int,
    first_tile: int,
    last_tile: int,
    planes: npt.NDArray[np.float64],
    limbs: npt.NDArray[np.int16],
    unit: npt.NDArray[np.float64],
    total: npt.NDArray[np.float64],
    sums: npt.NDArray[np.int32],
    out: npt.NDArray[np.float64],
) -> None:
    """x_j' v over the samples of some tiles, for the markers of a block and V vectors: out[tile, v, j].

    codes: uint8 (b, bytes), which begin with the tile `origin`; shift, missing: (b,). Of the vectors planes
    (V, 4, bytes) and, by tile, limbs (V, tiles, LIMBS, 4, TILE), unit and total (V, tiles) from `limbs.cut_tile`. sums:
    work space (ROWS LIMBS,). ROWS markers at a time, tile by tile along their rows, which is how they lie in memory.
    """
    size, width = codes.shape
    tiles = max(1, -(-width // TILE))
    last_row = size - 1
    for j in range(0, size, ROWS):
        rows = (j, min(j + 1, last_row), min(j + 2, last_row), min(j + 3, last_row))
        for tile in range(first_tile, last_tile):
            local = tile - origin
            first, last = local * TILE, min((local + 1) * TILE, width)
            for v in range(planes.shape[0]):
                code_sums(codes, rows, first, last - first, limbs[v, tile], sums)
                for m in range(min(ROWS, size - j)):
                    marker = j + m
                    product = joined(sums, m * LIMBS) * unit[v, tile] - shift[marker] * total[v, tile]
                    begin, end = gap_start[marker * tiles + local], gap_start[marker * tiles + local + 1]
                    if begin < end:
                        gone = 0.0
                        for at in range(begin, end):
                            place = gap_place[at]
                            gone += planes[v, place & 3, tile * TILE + (place >> 2)]
                        product += (missing[marker] - 3.0 + shift[marker]) * gone
                    out[tile, v, marker] = product


@helper
def add_within(partial: npt.NDArray[np.float64], first: int, last: int, count: int) -> None:
    """Of the pairwise sum over the `count` rows of `partial`, (tiles, n), what the rows `first` to `last` - 1 decide
    alone: each subtree's sum stands in its first row.
    """
    step = 1
    while step < count:
        begin = -(-first // (2 * step)) * 2 * step
        for i in range(begin, last - step, 2 * step):
            if min(i + 2 * step, count) <= last:
                for j in range(partial.shape[1]):
                    partial[i, j] += partial[i + step, j]
        step *= 2


@helper
def add_across(partial: npt.NDArray[np.float64], bounds: Long, count: int) -> None:
    """The rest of that sum, once the parts between `bounds` (parts + 1,) went through `add_within`; it is in row 0."""
    step = 1
    while step < count:
        part = 0
        for i in range(0, count - step, 2 * step):
            last = min(i + 2 * step, count)
            while bounds[part + 1] <= i:
                part += 1
            if last > bounds[part + 1]:
                for j in range(partial.shape[1]):
                    partial[i, j] += partial[i + step, j]
        step *= 2


# A product and its addition may be one instruction, as long as every place is treated alike.
_fused = numba.njit(nogil=True, fastmath={"contract"})


@_fused
def _add_one(codes: Bytes, factor: float, constant: float, v0: Vector, v1: Vector, v2: Vector, v3: Vector) -> None:
    for i in range(codes.size):
        q = codes[i]
        v0[i] += factor * (q & 3) - constant
        v1[i] += factor * ((q >> 2) & 3) - constant
        v2[i] += factor * ((q >> 4) & 3) - constant
        v3[i] += factor * (q >> 6) - constant


@_fused
def _add_two(
    one: Bytes, other: Bytes, f: float, g: float, constant: float, v0: Vector, v1: Vector, v2: Vector, v3: Vector
) -> None:
    for i in range(one.size):
        p, q = one[i], other[i]
        v0[i] += (f * (p & 3) - constant) + g * (q & 3)
        v1[i] += (f * ((p >> 2) & 3) - constant) + g * ((q >> 2) & 3)
        v2[i] += (f * ((p >> 4) & 3) - constant) + g * ((q >> 4) & 3)
        v3[i] += (f * (p >> 6) - constant) + g * (q >> 6)


@helper
def add_codes(
    codes: Bytes,
    shift: Vector,
    missing: Vector,
    gap_start: Long,
    gap_place: npt.NDArray[np.uint16],
    origin: int,
    tile: int,
    factor: Vector,
    planes: Planes,
) -> None:
    """v += sum_j factor_j x_j over the samples of one tile; factor: (b,), of the markers of a block, in which zeros are
    skipped. Places past the last sample have to be cleared after it.
    """
    width = codes.shape[1]
    tiles = max(1, -(-width // TILE))
    local = tile - origin
    first, last = local * TILE, min((local + 1) * TILE, width)
    begin = tile * TILE
    v0, v1 = planes[0, begin : begin + last - first], planes[1, begin : begin + last - first]
    v2, v3 = planes[2, begin : begin + last - first], planes[3, begin : begin + last - first]
    waiting = -1
    for j in range(factor.size):
        if factor[j] == 0.0:
            continue
        change = factor[j] * (missing[j] - 3.0 + shift[j])
        for at in range(gap_start[j * tiles + local], gap_start[j * tiles + local + 1]):
            place = gap_place[at]
            planes[place & 3, begin + (place >> 2)] += change
        if waiting < 0:
            waiting = j
            continue
        constant = factor[waiting] * shift[waiting] + factor[j] * shift[j]
        _add_two(codes[waiting, first:last], codes[j, first:last], factor[waiting], factor[j], constant, v0, v1, v2, v3)
        waiting = -1
    if waiting >= 0:
        constant = factor[waiting] * shift[waiting]
        _add_one(codes[waiting, first:last], factor[waiting], constant, v0, v1, v2, v3)


@helper
def clear_padding(planes: Planes, n_samples: int) -> None:
    """Zero the places past the last sample."""
    last = planes.shape[1] - 1
    for k in range(4):
        if 4 * last + k >= n_samples:
            planes[k, last] = 0.0
