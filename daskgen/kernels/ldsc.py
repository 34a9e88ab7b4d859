"""Weighted sums of LD-score regression over the variants of a chunk of traits, for many pairs of traits at once.

A pair of traits (j, k) uses the variants that both have. Of those, in genome order, the regression needs

- :func:`pair_moments`  their number and means, which fix the weights
- :func:`edge_rows`     where its jackknife blocks begin
- :func:`block_sums`    X'WX and X'Wy of each block

Weights. With l = max(L, 1), w_ld = max(weight L, 1) and s the slope of a trait's variance (aggregate heritability / M),

    a = 1 / ((1 + s N l) sqrt(2 w_ld)),      W = (a_j + a_k)^2

which is the square of GenomicSEM's weight up to a factor that is the same for all variants and cancels; j = k included.

Missing variants have N = 0 and z = 0, so the loops have no branches. Sums run over 32 lanes side by side, which are
added at the end in a fixed order: vector instructions without reordering what they add, so that a result has the same
bits on every machine. A pair's result depends on its own traits alone. Inputs are float32 or float64, sums float64.

CPU seconds of one thread of a Zen 5 processor, 1.1 million variants, 200 blocks:

=====================================================  ========  =========  =========
                                                       3 traits  10 traits  30 traits
=====================================================  ========  =========  =========
here: moments, edges and block sums, float64           0.03      0.20       1.5
here, float32 inputs                                   0.03      0.17       1.3
block sums of all pairs as matrix products             0.05      0.15       0.6
=====================================================  ========  =========  =========

Matrix products need that all traits have the same variants, which munged files hardly ever have, and a pair's last bits
would depend on which other traits are there; so they are not used.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import types

from daskgen.kernels.compile import helper, input_array, kernel, output_array

__all__ = ["LANES", "Pairs", "block_sums", "edge_rows", "padded_length", "pair_moments"]

LANES = 32
"""Sums that run side by side: eight vectors of four or four of eight, enough to hide how long an addition takes."""

Floats = npt.NDArray[np.floating[Any]]
Float64 = npt.NDArray[np.float64]
Index = npt.NDArray[np.int64]

_GROUPS_TOGETHER = 32
"""Groups of lanes after which the next pair has its turn, so that what the traits have there stays in the cache."""


@dataclass(frozen=True)
class Pairs:
    """Pairs of traits and their variants, as the loops take them.

    z_1, n_1, z_2, n_2: (traits, variants), float32 or float64, all four alike; the first and the second trait of a pair
    are rows of the first and of the last two, which may be the same arrays. n = z = 0 where a trait lacks the variant.
    first, second: (pairs,), the rows. Raises TypeError or ValueError if dtypes or shapes don't fit.
    """

    z_1: Floats
    n_1: Floats
    z_2: Floats
    n_2: Floats
    first: Index
    second: Index

    def __post_init__(self) -> None:
        arrays = (self.z_1, self.n_1, self.z_2, self.n_2)
        if len({array.dtype for array in arrays}) > 1 or self.z_1.dtype not in (np.float32, np.float64):
            raise TypeError(f"z and n must all be float32 or all float64: {', '.join(str(a.dtype) for a in arrays)}")
        if any(array.ndim != 2 for array in arrays) or len({array.shape[1] for array in arrays}) > 1:
            raise ValueError(f"z and n must be (traits, variants): {', '.join(str(a.shape) for a in arrays)}")
        if self.z_1.shape != self.n_1.shape or self.z_2.shape != self.n_2.shape:
            raise ValueError("z and n of a trait must have the same shape")
        for name, traits in (("first", len(self.z_1)), ("second", len(self.z_2))):
            index = np.ascontiguousarray(getattr(self, name), np.int64)
            if index.ndim != 1 or (index.size and (index.min() < 0 or index.max() >= traits)):
                raise ValueError(f"{name} must hold rows from 0 to {traits - 1}")
            object.__setattr__(self, name, index)
        if self.first.shape != self.second.shape:
            raise ValueError("first and second must have the same length")

    def __len__(self) -> int:
        return len(self.first)

    @property
    def n_variants(self) -> int:
        return self.z_1.shape[1]

    def rows(self) -> tuple[Index, Index]:
        return self.first, self.second

    def sizes(self) -> tuple[Floats, Floats]:
        """n_1 and n_2 in groups of lanes."""
        return _lanes(self.n_1), _lanes(self.n_2)

    def traits(self) -> tuple[Floats, Floats, Floats, Floats]:
        """z_1, n_1, z_2, n_2 in groups of lanes."""
        return _lanes(self.z_1), _lanes(self.n_1), _lanes(self.z_2), _lanes(self.n_2)

    def column(self, values: Float64, name: str) -> Float64:
        """A column of the variants in groups of lanes."""
        if values.shape != (self.n_variants,) or values.dtype != np.float64:
            raise ValueError(f"{name} must be float64 ({self.n_variants},), it is {values.dtype} {values.shape}")
        return _lanes(values)


def padded_length(n_variants: int) -> int:
    """The next multiple of `LANES`: arrays of this length (padding: z = N = 0) are used without a copy."""
    return -(-n_variants // LANES) * LANES


def pair_moments(pairs: Pairs, ld_score: Float64) -> Float64:
    """Sums over the variants that both traits of a pair have: float64 (pairs, 8).

    `ld_score` is float64 (variants,). Columns: number of variants, then the sums of z_1^2, z_2^2, z_1 z_2, N_1, N_2,
    L N_1, L N_2.
    """
    sums = np.zeros((len(pairs), 8))
    _pair_moments(*pairs.traits(), pairs.column(ld_score, "ld_score"), *pairs.rows(), sums)
    return sums


def edge_rows(pairs: Pairs, ranks: npt.ArrayLike) -> Index:
    """Rows at which blocks begin: int64, the shape of `ranks`, (pairs, blocks + 1).

    `ranks` counts a pair's own variants: block b holds its variants ranks[b] to ranks[b + 1] - 1; increasing, from 0 to
    the pair's number of variants. Row 0 begins the first block, the row after the last variant ends the last one.
    """
    wanted = np.ascontiguousarray(ranks, np.int64)
    if wanted.ndim != 2 or len(wanted) != len(pairs):
        raise ValueError(f"ranks of shape {wanted.shape} don't fit {len(pairs)} pairs")
    rows = np.zeros(wanted.shape, np.int64)
    _edge_rows(*pairs.sizes(), *pairs.rows(), wanted, rows)
    rows[:, -1] = pairs.n_variants
    return rows


def block_sums(pairs: Pairs, ld_score: Float64, weight_ld: Float64, slopes: Float64, rows: Index) -> Float64:
    """X'WX and X'Wy of every block, for X = [L, 1] and y = z_1 z_2: float64 (pairs, blocks, 5).

    `weight_ld`  float64 (variants,): LD scores of the weights
    `slopes`     float64 (pairs, 2): aggregate heritability / M of each of the two traits
    `rows`       from :func:`edge_rows`

    Columns: sums of W L^2, W L, W, W L y, W y.
    """
    score = pairs.column(ld_score, "ld_score")
    clipped = np.maximum(score, 1.0)
    overcounting = 1.0 / np.maximum(pairs.column(weight_ld, "weight_ld"), 1.0)
    slope = np.ascontiguousarray(slopes, np.float64)
    edges = np.ascontiguousarray(rows, np.int64)
    if slope.shape != (len(pairs), 2) or edges.ndim != 2 or len(edges) != len(pairs):
        raise ValueError(f"slopes of shape {slope.shape} and rows of shape {edges.shape} don't fit {len(pairs)} pairs")
    sums = np.zeros((len(pairs), edges.shape[1] - 1, 5))
    _block_sums(*pairs.traits(), score, clipped, overcounting, *pairs.rows(), slope, edges, sums)
    return sums


def _lanes(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The last axis cut into groups of `LANES`, filled up with zeros where it has to be."""
    length = array.shape[-1]
    padded = padded_length(length)
    if padded != length:
        array = np.pad(array, [(0, 0)] * (array.ndim - 1) + [(0, padded - length)])
    return np.ascontiguousarray(array).reshape(*array.shape[:-1], padded // LANES, LANES)


# The loops ----------------------------------------------------------------------------------------------------------


def _signatures(traits: int, *others: types.Type) -> list[Any]:
    """A signature for float32 and one for float64: so many arrays of traits, then `others`."""
    return [types.void(*[input_array(t, 3)] * traits, *others) for t in (types.float32, types.float64)]


_COLUMN = input_array(types.float64, 2)
_ROWS = input_array(types.int64, 1)
_EDGES = input_array(types.int64, 2)


@kernel(*_signatures(4, _COLUMN, _ROWS, _ROWS, output_array(types.float64, 2)))
def _pair_moments(z_1, n_1, z_2, n_2, score, first, second, sums):
    lanes = np.empty((8, LANES))
    for start in range(0, score.shape[0], _GROUPS_TOGETHER):
        stop = min(start + _GROUPS_TOGETHER, score.shape[0])
        for p in range(first.size):
            j, k = first[p], second[p]
            _add_moments(z_1[j], n_1[j], z_2[k], n_2[k], score, start, stop, lanes, sums[p])


@helper
def _add_moments(z_1, n_1, z_2, n_2, score, start, stop, lanes, sums):
    lanes[:] = 0.0
    for g in range(start, stop):
        for i in range(LANES):
            both = 1.0 if (n_1[g, i] > 0.0) & (n_2[g, i] > 0.0) else 0.0
            u, v = both * z_1[g, i], both * z_2[g, i]
            size_1, size_2 = both * n_1[g, i], both * n_2[g, i]
            lanes[0, i] += both
            lanes[1, i] += u * u
            lanes[2, i] += v * v
            lanes[3, i] += u * v
            lanes[4, i] += size_1
            lanes[5, i] += size_2
            lanes[6, i] += size_1 * score[g, i]
            lanes[7, i] += size_2 * score[g, i]
    _add_lanes(lanes, sums)


@helper
def _add_lanes(lanes, sums):
    for column in range(lanes.shape[0]):
        total = 0.0
        for i in range(LANES):
            total += lanes[column, i]
        sums[column] += total


@kernel(*_signatures(2, _ROWS, _ROWS, _EDGES, output_array(types.int64, 2)))
def _edge_rows(n_1, n_2, first, second, ranks, rows):
    for p in range(first.size):
        size_1, size_2 = n_1[first[p]], n_2[second[p]]
        block, passed = 1, 0
        for g in range(size_1.shape[0]):
            here = 0
            for i in range(LANES):
                here += (size_1[g, i] > 0.0) & (size_2[g, i] > 0.0)
            while block < ranks.shape[1] - 1 and ranks[p, block] < passed + here:
                row, left = 0, ranks[p, block] - passed
                while left > 0 or not ((size_1[g, row] > 0.0) & (size_2[g, row] > 0.0)):
                    left -= (size_1[g, row] > 0.0) & (size_2[g, row] > 0.0)
                    row += 1
                rows[p, block] = g * LANES + row
                block += 1
            passed += here


@kernel(
    *_signatures(4, *[_COLUMN] * 3, _ROWS, _ROWS, input_array(types.float64, 2), _EDGES, output_array(types.float64, 3))
)
def _block_sums(z_1, n_1, z_2, n_2, score, clipped, overcounting, first, second, slopes, rows, sums):
    lanes = np.empty((5, LANES))
    # Block by block and not pair by pair: a block's variants, nearly the same for all pairs, stay in the cache.
    for block in range(rows.shape[1] - 1):
        for p in range(first.size):
            j, k = first[p], second[p]
            start, stop = rows[p, block], rows[p, block + 1]
            _add_rows(
                z_1[j],
                n_1[j],
                z_2[k],
                n_2[k],
                score,
                clipped,
                overcounting,
                slopes[p, 0],
                slopes[p, 1],
                start,
                stop,
                lanes,
                sums[p, block],
            )


@helper
def _add_rows(z_1, n_1, z_2, n_2, score, clipped, overcounting, slope_1, slope_2, start, stop, lanes, sums):
    """Rows `start` to `stop` - 1; in the first and the last group the lanes outside them have no weight."""
    lanes[:] = 0.0
    for g in range(start // LANES, (stop + LANES - 1) // LANES):
        first, last = start - g * LANES, stop - g * LANES
        for i in range(LANES):
            variance_1 = 1.0 + slope_1 * n_1[g, i] * clipped[g, i]
            variance_2 = 1.0 + slope_2 * n_2[g, i] * clipped[g, i]
            # 1 / variance_1 + 1 / variance_2 with one division; np.divide does not look for zero, which these are not.
            inverses = np.divide(variance_1 + variance_2, variance_1 * variance_2)
            used = (n_1[g, i] > 0.0) & (n_2[g, i] > 0.0) & (i >= first) & (i < last)
            weight = inverses * inverses * overcounting[g, i] if used else 0.0
            product = np.float64(z_1[g, i]) * z_2[g, i]
            weighted_score = weight * score[g, i]
            lanes[0, i] += weighted_score * score[g, i]
            lanes[1, i] += weighted_score
            lanes[2, i] += weight
            lanes[3, i] += weighted_score * product
            lanes[4, i] += weight * product
    _add_lanes(lanes, sums)
