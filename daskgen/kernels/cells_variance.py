"""Sums behind variances of counts that are standardised gene by gene: clipped squares, and Pearson residuals.

A block is CSR, see `cells_rows`; cells have a group each, -1 for those that do not count.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import types

from daskgen.kernels.compile import helper, input_array, kernel, output_array

__all__ = ["add_clipped", "add_residuals", "residuals_of_zeros"]


def add_clipped(
    indptr: npt.NDArray[np.int64],
    indices: npt.NDArray[np.int32],
    values: npt.NDArray[np.float64],
    groups: npt.NDArray[np.int32],
    limits: npt.NDArray[np.float64],
    out: npt.NDArray[np.float64],
) -> None:
    """Add min(x, limit) and its square to `out`, float64 (groups, genes, 2); limits: float64 (groups, genes)."""
    _add_clipped(indptr, indices, values, groups, limits, out)


@kernel(
    types.void(
        input_array(types.int64, 1),
        input_array(types.int32, 1),
        input_array(types.float64, 1),
        input_array(types.int32, 1),
        input_array(types.float64, 2),
        output_array(types.float64, 3),
    )
)
def _add_clipped(indptr, indices, values, groups, limits, out):
    for row in range(groups.shape[0]):
        group = groups[row]
        if group < 0:
            continue
        for k in range(indptr[row], indptr[row + 1]):
            gene = indices[k]
            x = min(values[k], limits[group, gene])
            out[group, gene, 0] += x
            out[group, gene, 1] += x * x


@helper
def _residual(x, mean, theta, clip):
    """(x - mu) / sqrt(mu + mu^2 / theta), clipped; 0 where nothing is expected."""
    if mean <= 0.0:
        return 0.0
    return min(max((x - mean) / np.sqrt(mean + mean * mean / theta), -clip), clip)


def add_residuals(
    indptr: npt.NDArray[np.int64],
    indices: npt.NDArray[np.int32],
    values: npt.NDArray[np.float64],
    groups: npt.NDArray[np.int32],
    cell_totals: npt.NDArray[np.float64],
    gene_shares: npt.NDArray[np.float64],
    theta: float,
    clips: npt.NDArray[np.float64],
    out: npt.NDArray[np.float64],
) -> None:
    """Add r(x) - r(0) and r(x)^2 - r(0)^2 of the stored values to `out`, float64 (groups, genes, 2).

    r is the residual for a mean of cell_totals[cell] gene_shares[group, gene]; clips: float64 (groups,).
    """
    _add_residuals(indptr, indices, values, groups, cell_totals, gene_shares, float(theta), clips, out)


@kernel(
    types.void(
        input_array(types.int64, 1),
        input_array(types.int32, 1),
        input_array(types.float64, 1),
        input_array(types.int32, 1),
        input_array(types.float64, 1),
        input_array(types.float64, 2),
        types.float64,
        input_array(types.float64, 1),
        output_array(types.float64, 3),
    )
)
def _add_residuals(indptr, indices, values, groups, cell_totals, gene_shares, theta, clips, out):
    for row in range(groups.shape[0]):
        group = groups[row]
        if group < 0:
            continue
        for k in range(indptr[row], indptr[row + 1]):
            gene = indices[k]
            mean = cell_totals[row] * gene_shares[group, gene]
            stored = _residual(values[k], mean, theta, clips[group])
            absent = _residual(0.0, mean, theta, clips[group])
            out[group, gene, 0] += stored - absent
            out[group, gene, 1] += stored * stored - absent * absent


def residuals_of_zeros(
    totals: npt.NDArray[np.float64],
    numbers: npt.NDArray[np.float64],
    gene_shares: npt.NDArray[np.float64],
    theta: float,
    clip: float,
) -> npt.NDArray[np.float64]:
    """Sums of r(0) and r(0)^2 over cells: float64 (genes, 2).

    totals: distinct totals of cells; numbers: how many cells have each. The residual of a zero depends on the total
    alone, so the cost does not grow with the number of cells.
    """
    out = np.empty((len(gene_shares), 2))
    _residuals_of_zeros(totals, numbers, gene_shares, float(theta), float(clip), out)
    return out


@kernel(
    types.void(
        input_array(types.float64, 1),
        input_array(types.float64, 1),
        input_array(types.float64, 1),
        types.float64,
        types.float64,
        output_array(types.float64, 2),
    )
)
def _residuals_of_zeros(totals, numbers, gene_shares, theta, clip, out):
    for gene in range(gene_shares.shape[0]):
        total = 0.0
        squares = 0.0
        for k in range(totals.shape[0]):
            r = _residual(0.0, totals[k] * gene_shares[gene], theta, clip)
            total += numbers[k] * r
            squares += numbers[k] * r * r
        out[gene, 0] = total
        out[gene, 1] = squares
