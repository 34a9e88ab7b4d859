"""Dense float64 genotype matrices: Z, K and principal components from their definitions."""

from __future__ import annotations

import numpy as np


def standardised(calls: np.ndarray, *, scale: str = "empirical", alpha: float = -1.0) -> tuple[np.ndarray, int]:
    """Z (samples, variants) and c from calls (variants, samples) with NaN or negative values for missing."""
    x = np.where(calls < 0, np.nan, calls).astype(np.float64)
    z = np.zeros(x.shape[::-1])
    counted = 0
    for v, row in enumerate(x):
        called = row[~np.isnan(row)]
        if called.size == 0:
            continue
        mean, variance = called.mean(), called.var()
        if variance < 1e-14:
            continue
        counted += 1
        p = mean / 2
        size = variance if scale == "empirical" else 2 * p * (1 - p)
        z[:, v] = np.where(np.isnan(row), 0.0, (row - mean) * size ** (alpha / 2))
    return z, counted


def relationship(calls: np.ndarray, weights: np.ndarray | None = None, **options: object) -> np.ndarray:
    """K = Z W Z' / c."""
    z, counted = standardised(calls, **options)  # type: ignore[arg-type]
    w = np.ones(z.shape[1]) if weights is None else weights
    return (z * w) @ z.T / max(counted, 1)
