"""From the observed scale of a case-control study to the scale of liability.

With population prevalence K, sample prevalence P and the normal density phi at the threshold t = Phi^-1(1 - K), an
observed-scale heritability is multiplied by

    c = K^2 (1 - K)^2 / ( P (1 - P) phi(t)^2 )

and a covariance of two traits by sqrt(c_1 c_2); c = 1 for a quantitative trait. Where N is the effective sample size,
P is 0.5 whatever the share of cases was.

Source: Lee et al. (2011), American Journal of Human Genetics 88, 294-305, equation 23; Grotzinger et al. (2023),
Biological Psychiatry 93, 29-36 (effective sample size).
"""

from __future__ import annotations

import numpy as np

__all__ = ["liability_factor"]


def liability_factor(sample_prevalence: np.ndarray, population_prevalence: np.ndarray) -> np.ndarray:
    """c for each trait, float64; 1 where both prevalences are NaN. Both lie in (0, 1) otherwise."""
    p, k = np.asarray(sample_prevalence, np.float64), np.asarray(population_prevalence, np.float64)
    if np.isnan(p).all() and np.isnan(k).all():
        return np.ones(p.shape)
    from scipy.special import ndtri

    threshold = ndtri(1.0 - k)
    density = np.exp(-0.5 * threshold**2) / np.sqrt(2.0 * np.pi)
    factor = k**2 * (1.0 - k) ** 2 / (p * (1.0 - p) * density**2)
    return np.where(np.isnan(p) & np.isnan(k), 1.0, factor)
