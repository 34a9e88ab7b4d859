"""Heritabilities with delta-method errors, and the likelihood-ratio test at the boundary: pure arithmetic.

With t_i = tr(A_i) / n the mean diagonal of each variance matrix (the residual's is 1), V_i = theta_i t_i, Vp = sum V_i:

    h2_g = V_g / Vp,      dh2_g / dtheta_i = t_g [i = g] / Vp - V_g t_i / Vp^2,      SE = sqrt(J' cov(theta) J).

Under the null hypothesis k variances lie on the boundary of their range, and twice the difference of log-likelihoods is
a mixture of chi-squares with 0 to k degrees of freedom; the weights are binomial, 2^-k C(k, j), where the information
is close to diagonal. Source: Self and Liang (1987), JASA 82:605.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import comb

import numpy as np
from scipy.stats import chi2

__all__ = ["Heritability", "boundary_p", "heritability"]


@dataclass(frozen=True)
class Heritability:
    """Per component and, last, total: estimates, standard errors, and Monte-Carlo standard errors (G + 1,)."""

    estimate: np.ndarray
    se: np.ndarray
    monte_carlo_se: np.ndarray
    phenotypic_variance: float
    phenotypic_variance_se: float


def heritability(
    theta: np.ndarray, covariance: np.ndarray, mean_diagonal: np.ndarray, monte_carlo: np.ndarray | None = None
) -> Heritability:
    """Trace-weighted heritabilities of G components; `theta`, `mean_diagonal` (G + 1,) with the residual last."""
    shares = theta * mean_diagonal
    total = shares.sum()
    g = len(theta) - 1
    jacobian = -np.outer(shares[:g], mean_diagonal) / total**2
    jacobian[np.arange(g), np.arange(g)] += mean_diagonal[:g] / total
    jacobian = np.vstack([jacobian, jacobian.sum(axis=0)])
    estimate = np.append(shares[:g], shares[:g].sum()) / total

    def errors(of: np.ndarray) -> np.ndarray:
        return np.sqrt(np.maximum(np.einsum("ij,jk,ik->i", jacobian, of, jacobian), 0.0))

    spread = np.zeros_like(covariance) if monte_carlo is None else monte_carlo
    variance_se = float(np.sqrt(max(mean_diagonal @ covariance @ mean_diagonal, 0.0)))
    return Heritability(estimate, errors(covariance), errors(spread), float(total), variance_se)


def boundary_p(statistic: float, k: int) -> float:
    """P(mixture of chi-squares >= statistic) for k variances that are 0 under the null hypothesis; 1 at 0."""
    if np.isnan(statistic):
        return float("nan")
    if not statistic > 0:
        return 1.0
    return float(sum(comb(k, j) * 0.5**k * chi2.sf(statistic, j) for j in range(1, k + 1)))
