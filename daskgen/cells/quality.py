"""Columns of quality control: scanpy's names, from the sums of the first pass.

Per cell n = values that are not 0, t = sum of x, pct_counts_in_top_N_genes = 100 (sum of the N largest) / t, and for
every mask its sum and 100 (sum over the mask) / t; 0 / 0, an empty cell, is NaN. Per gene the cells with a count, the
mean over cells, 100 (1 - cells / N), and the sum. log1p_* is ln(1 + .).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

__all__ = ["cell_columns", "gene_columns"]


def cell_columns(
    sums: Sequence[np.ndarray], percent_top: Sequence[int], masks: Sequence[str], *, log1p: bool = True
) -> dict[str, np.ndarray]:
    """Columns of `obs`, in scanpy's order. sums: float64 (cells,) each: genes with a count, total, sums of the largest
    counts for each of `percent_top`, sums over each of `masks`."""
    n, total = sums[:2]
    columns: dict[str, np.ndarray] = {"n_genes_by_counts": n.astype(np.int32)}
    if log1p:
        columns["log1p_n_genes_by_counts"] = np.log1p(n)
    columns["total_counts"] = total
    if log1p:
        columns["log1p_total_counts"] = np.log1p(total)
    with np.errstate(invalid="ignore"):
        for i, top in enumerate(percent_top):
            columns[f"pct_counts_in_top_{top}_genes"] = 100 * (sums[2 + i] / total)
        for i, mask in enumerate(masks):
            counts = sums[2 + len(percent_top) + i]
            columns[f"total_counts_{mask}"] = counts
            if log1p:
                columns[f"log1p_total_counts_{mask}"] = np.log1p(counts)
            columns[f"pct_counts_{mask}"] = 100 * (counts / total)
    return columns


def gene_columns(
    cells_with_counts: np.ndarray, total: np.ndarray, n_cells: int, *, log1p: bool = True
) -> dict[str, np.ndarray]:
    """Columns of `var`, in scanpy's order. Both sums: float64 (genes,)."""
    mean = total / max(n_cells, 1)
    columns: dict[str, np.ndarray] = {"n_cells_by_counts": cells_with_counts.astype(np.int64), "mean_counts": mean}
    if log1p:
        columns["log1p_mean_counts"] = np.log1p(mean)
    columns["pct_dropout_by_counts"] = (1 - cells_with_counts / max(n_cells, 1)) * 100
    columns["total_counts"] = total.copy()
    if log1p:
        columns["log1p_total_counts"] = np.log1p(total)
    return columns
