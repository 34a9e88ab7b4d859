"""Products of single markers with one float64 vector, straight from 2-bit codes: what a Gibbs sampler does.

A vector over samples is held as four planes, float64 (4, bytes): plane k, place i is sample 4 i + k, so that the four
codes of a byte meet four places of equal number. Places past the last sample are zero. The value of marker j at a
sample is code - shift_j, or missing_j where the call is missing (code 3).

Where calls are missing is listed by marker and tile (`find_gaps`): those of marker j in tile t are at the samples
gap_place[gap_start[j T + t] : gap_start[j T + t + 1]] of the tile, T the number of tiles. The vector loop takes them
for threes, which is put right after it.

The sums run over tiles of `TILE` bytes, 2,048 samples, whose results are added pairwise by `add_tiles`: the bits do
not depend on which thread or worker did which tile.
"""

from __future__ import annotations

import numba
import numpy as np
import numpy.typing as npt
from numba import types

from daskgen.kernels.compile import helper, input_array, kernel, output_array
from daskgen.kernels.genotype_counts import count_codes
from daskgen.kernels.genotype_layout import check_packed, packed_width

__all__ = ["TILE", "add_marker", "add_tiles", "clear_padding", "find_gaps", "n_tiles", "tile_products"]

Planes = npt.NDArray[np.float64]
Bytes = npt.NDArray[np.uint8]
Vector = npt.NDArray[np.float64]

TILE = 512
"""Bytes of a tile."""

# A sum may be taken in any order inside a tile, so that it runs in vector registers.
_reordered = numba.njit(nogil=True, fastmath={"reassoc", "contract", "nsz"})


def n_tiles(width: int) -> int:
    """Tiles of rows of `width` bytes."""
    return max(1, -(-width // TILE))


def find_gaps(packed: Bytes, n_samples: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint16]]:
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
def _find_gaps(packed: Bytes, n_samples: int, start: npt.NDArray[np.int64], place: npt.NDArray[np.uint16]) -> None:
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
def _total(v: Vector) -> float:
    total = 0.0
    for i in range(v.size):
        total += v[i]
    return total


@_reordered
def _pair_product(one: Bytes, other: Bytes, v0: Vector, v1: Vector, v2: Vector, v3: Vector) -> tuple[float, float]:
    """The sums of code times vector over some bytes of two markers and their places in the planes; missing calls count
    as 3.
    """
    a = b = c = d = 0.0
    for i in range(one.size):
        p = one[i]
        q = other[i]
        w0, w1, w2, w3 = v0[i], v1[i], v2[i], v3[i]
        a += (p & 3) * w0 + ((p >> 2) & 3) * w1
        b += ((p >> 4) & 3) * w2 + (p >> 6) * w3
        c += (q & 3) * w0 + ((q >> 2) & 3) * w1
        d += ((q >> 4) & 3) * w2 + (q >> 6) * w3
    return a + b, c + d


@helper
def tile_products(
    packed: Bytes,
    start: int,
    stop: int,
    first_tile: int,
    last_tile: int,
    planes: Planes,
    shift: Vector,
    missing: Vector,
    gap_start: npt.NDArray[np.int64],
    gap_place: npt.NDArray[np.uint16],
    total: Vector,
    out: npt.NDArray[np.float64],
) -> None:
    """x_j' v over the samples of some tiles, for the markers `start` to `stop` - 1: out[tile, j - start].

    Two markers at a time, tile by tile along their rows, which is how they lie in memory. total: work space (tiles,).
    """
    width = packed.shape[1]
    tiles = max(1, -(-width // TILE))
    for tile in range(first_tile, last_tile):
        first, last = tile * TILE, min((tile + 1) * TILE, width)
        total[tile] = (_total(planes[0, first:last]) + _total(planes[1, first:last])) + (
            _total(planes[2, first:last]) + _total(planes[3, first:last])
        )
    for j in range(start, stop, 2):
        k = min(j + 1, stop - 1)
        for tile in range(first_tile, last_tile):
            first, last = tile * TILE, min((tile + 1) * TILE, width)
            # Views of the tile: indices that may be negative, as first + i to the compiler, would not run in vectors.
            one, other = packed[j, first:last], packed[k, first:last]
            raw, raw_other = _pair_product(
                one, other, planes[0, first:last], planes[1, first:last], planes[2, first:last], planes[3, first:last]
            )
            for marker, product in ((j, raw), (k, raw_other)):
                product -= shift[marker] * total[tile]
                begin, end = gap_start[marker * tiles + tile], gap_start[marker * tiles + tile + 1]
                if begin < end:
                    gone = 0.0
                    for at in range(begin, end):
                        place = gap_place[at]
                        gone += planes[place & 3, first + (place >> 2)]
                    product += (missing[marker] - 3.0 + shift[marker]) * gone
                out[tile, marker - start] = product


@helper
def add_tiles(partial: npt.NDArray[np.float64], count: int, length: int, out: Vector) -> None:
    """The sum over the first `count` rows of `partial`, pairwise; overwrites them."""
    step = 1
    while step < count:
        for i in range(0, count - step, 2 * step):
            for j in range(length):
                partial[i, j] += partial[i + step, j]
        step *= 2
    for j in range(length):
        out[j] = partial[0, j]


@_reordered
def _add_codes(codes: Bytes, factor: float, constant: float, v0: Vector, v1: Vector, v2: Vector, v3: Vector) -> None:
    for i in range(codes.size):
        q = codes[i]
        v0[i] += factor * (q & 3) - constant
        v1[i] += factor * ((q >> 2) & 3) - constant
        v2[i] += factor * ((q >> 4) & 3) - constant
        v3[i] += factor * (q >> 6) - constant


@helper
def add_marker(
    packed: Bytes,
    marker: int,
    tile: int,
    factor: float,
    planes: Planes,
    shift: Vector,
    missing: Vector,
    gap_start: npt.NDArray[np.int64],
    gap_place: npt.NDArray[np.uint16],
) -> None:
    """v += factor x_j over the samples of one tile. Places past the last sample have to be cleared after it."""
    first = tile * TILE
    last = min(first + TILE, packed.shape[1])
    codes = packed[marker, first:last]
    v0, v1 = planes[0, first:last], planes[1, first:last]
    v2, v3 = planes[2, first:last], planes[3, first:last]
    _add_codes(codes, factor, factor * shift[marker], v0, v1, v2, v3)
    tiles = max(1, -(-packed.shape[1] // TILE))
    change = factor * (missing[marker] - 3.0 + shift[marker])
    for at in range(gap_start[marker * tiles + tile], gap_start[marker * tiles + tile + 1]):
        place = gap_place[at]
        planes[place & 3, first + (place >> 2)] += change


@helper
def clear_padding(planes: Planes, n_samples: int) -> None:
    """Zero the places past the last sample."""
    last = planes.shape[1] - 1
    for k in range(4):
        if 4 * last + k >= n_samples:
            planes[k, last] = 0.0
