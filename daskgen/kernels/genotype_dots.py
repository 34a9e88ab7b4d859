"""Products of single markers with one float64 vector, straight from 2-bit codes: what a Gibbs sampler does.

A vector over samples is held as four planes, float64 (4, bytes): plane k, place i is sample 4 i + k, so that the four
codes of a byte meet four places of equal number. Places past the last sample are zero. The value of marker j at a
sample is code - shift_j, or missing_j where the call is missing (code 3).

The sums run over tiles of `TILE` bytes, 2,048 samples, whose results are added pairwise by `add_tiles`: the bits do
not depend on which thread or worker did which tile.
"""

from __future__ import annotations

import numba
import numpy as np
import numpy.typing as npt

from daskgen.kernels.compile import helper
from daskgen.kernels.words import load_uint64, trailing_zeros

__all__ = ["TILE", "add_marker", "add_tiles", "clear_padding", "n_tiles", "tile_products"]

Planes = npt.NDArray[np.float64]
Bytes = npt.NDArray[np.uint8]
Vector = npt.NDArray[np.float64]

TILE = 512
"""Bytes of a tile."""

_PAIRS = np.uint64(0x5555555555555555)
_ONE = np.uint64(1)

# A sum may be taken in any order inside a tile, so that it runs in vector registers.
_reordered = numba.njit(nogil=True, fastmath={"reassoc", "contract", "nsz"})


def n_tiles(width: int) -> int:
    """Tiles of rows of `width` bytes."""
    return max(1, -(-width // TILE))


@_reordered
def _total(v: Vector) -> float:
    total = 0.0
    for i in range(v.size):
        total += v[i]
    return total


@helper
def _missing_total(codes: Bytes, planes: Planes, first: int) -> float:
    """The sum of the vector over the missing calls of some bytes."""
    total = 0.0
    whole = codes.size // 8
    for w in range(whole):
        q = load_uint64(codes, 8 * w)
        bits = q & (q >> _ONE) & _PAIRS
        while bits != np.uint64(0):
            sample = trailing_zeros(bits) >> 1
            total += planes[sample & 3, first + 8 * w + (sample >> 2)]
            bits &= bits - _ONE
    for i in range(8 * whole, codes.size):
        q8 = codes[i]
        for k in range(4):
            if (q8 >> (2 * k)) & 3 == 3:
                total += planes[k, first + i]
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
    has_missing: npt.NDArray[np.bool_],
    total: Vector,
    out: npt.NDArray[np.float64],
) -> None:
    """x_j' v over the samples of some tiles, for the markers `start` to `stop` - 1: out[tile, j - start].

    Two markers at a time, tile by tile along their rows, which is how they lie in memory. total: work space (tiles,).
    """
    width = packed.shape[1]
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
            for marker, codes, product in ((j, one, raw), (k, other, raw_other)):
                if has_missing[marker]:
                    gone = _missing_total(codes, planes, first)
                    product += (missing[marker] - 3.0) * gone - shift[marker] * (total[tile] - gone)
                else:
                    product -= shift[marker] * total[tile]
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
def _add_missing(codes: Bytes, change: float, planes: Planes, first: int) -> None:
    whole = codes.size // 8
    for w in range(whole):
        q = load_uint64(codes, 8 * w)
        bits = q & (q >> _ONE) & _PAIRS
        while bits != np.uint64(0):
            sample = trailing_zeros(bits) >> 1
            planes[sample & 3, first + 8 * w + (sample >> 2)] += change
            bits &= bits - _ONE
    for i in range(8 * whole, codes.size):
        q8 = codes[i]
        for k in range(4):
            if (q8 >> (2 * k)) & 3 == 3:
                planes[k, first + i] += change


@helper
def add_marker(
    packed: Bytes,
    marker: int,
    tile: int,
    factor: float,
    planes: Planes,
    shift: Vector,
    missing: Vector,
    has_missing: npt.NDArray[np.bool_],
) -> None:
    """v += factor x_j over the samples of one tile. Places past the last sample have to be cleared after it."""
    first = tile * TILE
    last = min(first + TILE, packed.shape[1])
    codes = packed[marker, first:last]
    v0, v1 = planes[0, first:last], planes[1, first:last]
    v2, v3 = planes[2, first:last], planes[3, first:last]
    _add_codes(codes, factor, factor * shift[marker], v0, v1, v2, v3)
    if has_missing[marker]:
        _add_missing(codes, factor * (missing[marker] - 3.0 + shift[marker]), planes, first)


@helper
def clear_padding(planes: Planes, n_samples: int) -> None:
    """Zero the places past the last sample."""
    last = planes.shape[1] - 1
    for k in range(4):
        if 4 * last + k >= n_samples:
            planes[k, last] = 0.0
