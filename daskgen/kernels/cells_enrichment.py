"""Genes of sets among the largest counts of a cell, and the hypergeometric probabilities of so many.

A block is CSR, see `cells_rows`.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import types

from daskgen.kernels.compile import helper, input_array, kernel, output_array

__all__ = ["set_overlaps", "upper_tails"]


def set_overlaps(
    indptr: npt.NDArray[np.int64],
    indices: npt.NDArray[np.int32],
    values: npt.NDArray[np.float64],
    roles: npt.NDArray[np.uint32],
    cut: npt.NDArray[np.float64],
    ties: npt.NDArray[np.int64],
    set_start: npt.NDArray[np.int64],
    set_member: npt.NDArray[np.int32],
    out: npt.NDArray[np.int32],
) -> None:
    """How many of a cell's largest values belong to each set, into `out`, int32 (rows, sets).

    roles: 0 for genes that do not count. Of row i the values above cut[i] are taken, and of those equal to it the first
    ties[i]: ties go to the smaller column. The sets of gene g are set_member[set_start[g]:set_start[g + 1]].
    """
    _set_overlaps(indptr, indices, values, roles, cut, ties, set_start, set_member, out)


@kernel(
    types.void(
        input_array(types.int64, 1),
        input_array(types.int32, 1),
        input_array(types.float64, 1),
        input_array(types.uint32, 1),
        input_array(types.float64, 1),
        input_array(types.int64, 1),
        input_array(types.int64, 1),
        input_array(types.int32, 1),
        output_array(types.int32, 2),
    )
)
def _set_overlaps(indptr, indices, values, roles, cut, ties, set_start, set_member, out):
    high = np.empty(roles.shape[0] + 1, np.uint64)
    for row in range(out.shape[0]):
        out[row] = 0
        level = cut[row]
        left = ties[row]
        n = np.uint64(0)
        for k in range(np.uint64(indptr[row]), np.uint64(indptr[row + 1])):  # unsigned: see `cells_rows`
            high[n] = k
            n += np.uint64(values[k] >= level)  # no branch: whether it is among the largest cannot be predicted
        for i in range(n):
            x = values[high[i]]
            gene = np.uint32(indices[high[i]])
            if not x > 0.0 or roles[gene] == 0:
                continue
            if x == level:
                if left == 0:
                    continue
                left -= 1
            for member in range(set_start[gene], set_start[gene + 1]):
                out[row, set_member[member]] += 1


def upper_tails(
    overlaps: npt.NDArray[np.int32], draws: npt.NDArray[np.int64], sizes: npt.NDArray[np.int64], population: int
) -> npt.NDArray[np.float64]:
    """P(X >= a) for X hypergeometric: float64 (rows, sets), 1 where a = 0.

    overlaps: a, int32 (rows, sets); draws: int64 (rows,), genes drawn; sizes: int64 (sets,), genes of a set;
    population: genes in all. The probabilities of one number of draws and one size are computed once, as products of
    ratios from the mode on, divided by their sum: no term is a difference, so small tails keep all their digits.
    """
    out = np.empty(overlaps.shape)
    if overlaps.size == 0:
        return out
    distinct, kind = np.unique(sizes, return_inverse=True)
    order = np.argsort(draws, kind="stable")
    _upper_tails(overlaps, draws, order, distinct, kind.astype(np.int64), int(population), out)
    return out


@helper
def _fill_tail(population, size, draws, tail):
    """tail[a] = P(X >= a) for a from 0 to min(size, draws); 0 beyond."""
    last = min(size, draws)
    first = max(0, size + draws - population)
    mode = min(max((draws + 1) * (size + 1) // (population + 2), first), last)
    tail[:] = 0.0
    tail[mode] = 1.0
    for a in range(mode + 1, last + 1):
        tail[a] = tail[a - 1] * ((size - a + 1) * (draws - a + 1)) / (a * (population - size - draws + a))
    for a in range(mode, first, -1):
        tail[a - 1] = tail[a] * (a * (population - size - draws + a)) / ((size - a + 1) * (draws - a + 1))
    for a in range(last - 1, -1, -1):
        tail[a] += tail[a + 1]
    for a in range(last, -1, -1):
        tail[a] /= tail[0]


@kernel(
    types.void(
        input_array(types.int32, 2),
        input_array(types.int64, 1),
        input_array(types.int64, 1),
        input_array(types.int64, 1),
        input_array(types.int64, 1),
        types.int64,
        output_array(types.float64, 2),
    )
)
def _upper_tails(overlaps, draws, order, distinct, kind, population, out):
    tails = np.empty((distinct.shape[0], distinct[-1] + 2))
    known = -1
    for row in order:
        if draws[row] != known:
            known = draws[row]
            for k in range(distinct.shape[0]):
                _fill_tail(population, distinct[k], known, tails[k])
        for j in range(overlaps.shape[1]):
            out[row, j] = tails[kind[j], overlaps[row, j]]
