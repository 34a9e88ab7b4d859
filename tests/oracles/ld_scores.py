"""LD scores as their definition reads: every pair of variants, correlations of mean-imputed genotypes."""

from __future__ import annotations

import numpy as np


def standardised(calls: np.ndarray) -> np.ndarray:
    """(variants, samples) with mean 0 and variance 1, missing calls (negative or NaN) at the mean."""
    x = np.where(np.isnan(calls) | (calls < 0), np.nan, calls).astype(float)
    x = np.where(np.isnan(x), np.nanmean(x, axis=1, keepdims=True), x)
    x -= x.mean(axis=1, keepdims=True)
    return x / x.std(axis=1, keepdims=True)


def ld_scores(calls: np.ndarray, contig: np.ndarray, coordinate: np.ndarray, width: float, annotations: np.ndarray):
    """(variants, annotations); all variants vary."""
    z = standardised(calls)
    m, n = z.shape
    scores = np.zeros((m, annotations.shape[1]))
    for i in range(m):
        for j in range(m):
            if contig[i] == contig[j] and abs(coordinate[i] - coordinate[j]) <= width:
                r2 = 1.0 if i == j else (z[i] @ z[j] / n) ** 2
                scores[i] += (r2 - (1 - r2) / (n - 2)) * annotations[j]
    return scores
