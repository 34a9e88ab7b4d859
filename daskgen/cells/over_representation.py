"""Over-representation of gene sets among the largest counts of a cell, or of any list of genes.

Of N genes, K belong to a set and n were drawn, the n largest counts; a of them are in the set. p = P(X >= a) for X
hypergeometric (N, K, n), 1 where a = 0, and the score is -log10 p. Ties at the n-th largest count go to the smaller
column. Adjusted p-values are those of Benjamini and Hochberg over the sets of a cell.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from daskgen.kernels.cells_enrichment import upper_tails
from daskgen.stores.anndata_targets import MatrixTarget

__all__ = ["SetTargets", "adjusted", "estimate_of", "write_scores"]

_ROWS = 4096  # rows that are converted to probabilities together


@dataclass(frozen=True)
class SetTargets:
    """Where scores, p-values, numbers of genes and adjusted p-values go; (cells, sets) each."""

    estimate: MatrixTarget
    p_values: MatrixTarget
    overlap: MatrixTarget
    adjusted: MatrixTarget | None = None


def estimate_of(p_values: np.ndarray) -> np.ndarray:
    """-log10 p as float32; a p of 0, below what float64 holds, counts as the smallest number it holds."""
    return -np.log10(np.maximum(p_values, np.finfo(np.float64).tiny)).astype(np.float32)


def adjusted(p_values: np.ndarray) -> np.ndarray:
    """Benjamini and Hochberg's adjusted p-values within each row, float64 (rows, sets)."""
    n = p_values.shape[1]
    order = np.argsort(-p_values, axis=1, kind="stable")
    largest_first = np.take_along_axis(p_values, order, axis=1) * (n / np.arange(n, 0, -1))
    out = np.empty_like(p_values)
    np.put_along_axis(out, order, np.minimum(np.minimum.accumulate(largest_first, axis=1), 1), axis=1)
    return out


def write_scores(
    targets: SetTargets,
    start: int,
    overlaps: np.ndarray,
    stored: np.ndarray,
    kept: np.ndarray,
    sizes: np.ndarray,
    n_up: int,
    population: int,
    *,
    adjust: bool,
) -> None:
    """Write the rows of a leaf that begins at `start`.

    overlaps: int32 (rows, sets); stored: how many counts a cell has; kept: bool (rows,), cells that do not count are
    NaN (and 0 in overlaps).
    """
    for first in range(0, len(overlaps), _ROWS):
        part = slice(first, min(first + _ROWS, len(overlaps)))
        draws = np.minimum(stored[part], n_up).astype(np.int64)
        p_values = upper_tails(overlaps[part], draws, sizes, population)
        out = ~kept[part]
        p_values[out] = np.nan
        targets.p_values.write(start + first, p_values)
        targets.estimate.write(start + first, estimate_of(p_values))
        if adjust and targets.adjusted is not None:
            targets.adjusted.write(start + first, adjusted(p_values))
        counts = overlaps[part].copy()
        counts[out] = 0
        targets.overlap.write(start + first, counts)
