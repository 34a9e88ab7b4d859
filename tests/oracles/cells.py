"""Single-cell statistics written out on dense float64 matrices (cells, genes), one formula a line."""

from __future__ import annotations

import numpy as np
import scipy.stats


def quality(x, tops, mask):
    """Columns of cells and of genes by scanpy's names; mask: bool (genes,), called mt."""
    n, total = (x > 0).sum(axis=1), x.sum(axis=1)
    ranked = -np.sort(-x, axis=1)
    with np.errstate(invalid="ignore"):
        cells = {
            "n_genes_by_counts": n,
            "total_counts": total,
            **{f"pct_counts_in_top_{t}_genes": 100 * ranked[:, :t].sum(axis=1) / total for t in tops},
            "total_counts_mt": x[:, mask].sum(axis=1),
            "pct_counts_mt": 100 * x[:, mask].sum(axis=1) / total,
        }
    genes = {
        "n_cells_by_counts": (x > 0).sum(axis=0),
        "mean_counts": x.mean(axis=0),
        "pct_dropout_by_counts": 100 * (x == 0).mean(axis=0),
        "total_counts": x.sum(axis=0),
    }
    logs = {f"log1p_{name}": np.log1p(cells[name]) for name in ("n_genes_by_counts", "total_counts", "total_counts_mt")}
    gene_logs = {f"log1p_{name}": np.log1p(genes[name]) for name in ("mean_counts", "total_counts")}
    return {**cells, **logs}, {**genes, **gene_logs}


def size_factors(x, target=None, exclude=None):
    """Totals over the target; target: None for the median of those that are not 0. exclude: a share of counts."""
    total = x.sum(axis=1)
    if exclude is not None:
        high = (x > exclude * total[:, None]).any(axis=0)
        total = x[:, ~high].sum(axis=1)
    return total / (np.median(total[total > 0]) if target is None else target)


def normalised(x, target):
    """Counts divided by the factors; empty cells stay empty."""
    factors = size_factors(x, target)
    return x / np.where(factors > 0, factors, 1)[:, None]


def components(y, k):
    """variance, variance_ratio, loadings (genes, k), scores of centred values; the largest loading is positive."""
    centred = y - y.mean(axis=0)
    values, vectors = np.linalg.eigh(centred.T @ centred / (len(y) - 1))
    values, vectors = values[::-1], vectors[:, ::-1][:, :k]
    signs = np.sign(vectors[np.abs(vectors).argmax(axis=0), np.arange(k)])
    return values[:k], values[:k] / values.sum(), vectors * signs, centred @ vectors * signs


def scaled(y, largest=None, centre=True):
    """(y - mean) / sd, clipped."""
    deviation = y.std(axis=0, ddof=1)
    deviation[deviation == 0] = 1
    z = (y - y.mean(axis=0) * centre) / deviation
    if largest is None:
        return z
    return np.clip(z, -largest, largest) if centre else np.minimum(z, largest)


def over_representation(x, sets, n_up):
    """Overlap, draws, p of each cell and set (lists of columns); ties at the n_up-th count go to the smaller column."""
    n_cells, n_genes = x.shape
    overlap, draws = np.zeros((n_cells, len(sets)), int), np.zeros(n_cells, int)
    for cell, counts in enumerate(x):
        ranked = sorted(np.flatnonzero(counts), key=lambda gene: (-counts[gene], gene))[:n_up]
        draws[cell] = len(ranked)
        overlap[cell] = [len(set(ranked) & set(genes)) for genes in sets]
    sizes = np.array([len(set(genes)) for genes in sets])
    p = scipy.stats.hypergeom.sf(overlap - 1, n_genes, sizes[None, :], draws[:, None])
    return overlap, draws, np.where(overlap == 0, 1.0, p)


def adjusted(p):
    """Benjamini-Hochberg within each row."""
    return np.stack([scipy.stats.false_discovery_control(row) for row in p])


def residual_variance(x, theta, clip):
    """Variance (with N) of the clipped Pearson residuals; 0 for genes without counts, empty cells left at 0."""
    mean = np.outer(x.sum(axis=1), x.sum(axis=0)) / x.sum()
    with np.errstate(invalid="ignore"):
        r = np.where(mean > 0, (x - mean) / np.sqrt(mean + mean**2 / theta), 0)
    return np.clip(r, -clip, clip).var(axis=0)


def dispersions(y):
    """ln(1 + mean) and ln(variance / mean) of normalised values; NaN where the variance is 0."""
    mean, variance = y.mean(axis=0), y.var(axis=0, ddof=1)
    mean = np.where(mean == 0, 1e-12, mean)
    with np.errstate(divide="ignore"):
        return np.log1p(mean), np.where(variance > 0, np.log(variance / mean), np.nan)
