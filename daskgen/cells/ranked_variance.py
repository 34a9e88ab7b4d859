"""Variable genes by rank: seurat_v3 (Stuart et al. 2019), its paper's order of batches, and Pearson residuals.

seurat_v3, on counts: with s the standard deviation that the trend (`trend`) expects of a gene of mean m, counts are
clipped at m + s sqrt(N) and variance_norm = (N m^2 + sum xc^2 - 2 m sum xc) / ((N - 1) s^2).

pearson_residuals (Lause et al. 2021): mu = t_g t_c / T, r = (x - mu) / sqrt(mu + mu^2 / theta), clipped at
+- sqrt(N); the variance of r over cells with N. The residual of a zero depends on the gene and the cell's total
alone, so sum r is the sum over distinct totals of r(0), plus r(x) - r(0) of the stored values.

Within a batch genes are ranked by that variance; over batches the median rank counts among the batches in which the
gene is one of the first n, and the number of these batches.
"""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd

__all__ = ["clipped_variance", "rank_genes", "residual_variance"]


def clipped_variance(n_cells: int, mean: np.ndarray, expected: np.ndarray, clipped: np.ndarray) -> np.ndarray:
    """variances_norm of one batch: float64 (genes,). clipped: sums of clipped counts and squares, (genes, 2)."""
    total, squares = clipped[:, 0], clipped[:, 1]
    return (n_cells * mean**2 + squares - 2 * total * mean) / (max(n_cells - 1, 1) * expected**2)


def residual_variance(n_cells: int, sums: np.ndarray) -> np.ndarray:
    """Variance of the residuals of one batch, float64 (genes,), from the sums of r and r^2, (genes, 2)."""
    mean = sums[:, 0] / n_cells
    return np.maximum(sums[:, 1] / n_cells - mean**2, 0)


def rank_genes(variances: np.ndarray, n_top: int, *, batches_first: bool) -> pd.DataFrame:
    """highly_variable, highly_variable_rank (float32, NaN outside the first n), highly_variable_nbatches.

    variances: float64 (batches, genes). batches_first: genes are sorted by the number of batches, then by median rank
    (seurat_v3_paper, pearson_residuals), or the other way round (seurat_v3). Genes with the same counts have the same
    variance; as in scanpy, NumPy's default sort decides about their ranks, then the order of the genes.
    """
    ranks = np.argsort(np.argsort(-variances, axis=1), axis=1).astype(np.float32)
    among = ranks < n_top
    n_batches = among.sum(axis=0)
    ranks[~among] = np.nan
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # genes that are nowhere among the first
        median = np.nanmedian(ranks, axis=0)
    place = np.nan_to_num(median, nan=np.inf)
    order = np.lexsort((place, -n_batches) if batches_first else (-n_batches, place))
    chosen = np.zeros(variances.shape[1], bool)
    chosen[order[:n_top]] = True
    return pd.DataFrame(
        {
            "highly_variable": chosen,
            "highly_variable_rank": median.astype(np.float32),
            "highly_variable_nbatches": n_batches.astype(np.int64),
            "highly_variable_intersection": n_batches == len(variances),
        }
    )
