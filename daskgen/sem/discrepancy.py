"""How far an implied covariance Sigma is from a sample covariance S: the two functions that are minimised.

Each has a value F, its derivative with respect to vech(Sigma), and the weight matrix W of its quadratic approximation

    F ~ (s - sigma)' W (s - sigma),     s = vech(S), sigma = vech(Sigma),

which is exact for DWLS. `unit`: what a difference of F is multiplied by to be one of chi-square.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from daskgen.linalg.vech import vech, vech_indices

__all__ = ["Discrepancy", "MaximumLikelihood", "WeightedLeastSquares", "normal_theory_weight"]

_ML_OBSERVATIONS = 200.0
"""GenomicSEM fits ML with this many observations; nothing but the scale of F depends on it."""


class Discrepancy(Protocol):
    """F, dF/dsigma (cells,), and W M for a matrix M (cells, m)."""

    unit: float

    def value(self, sigma: np.ndarray) -> float: ...
    def slope(self, sigma: np.ndarray) -> np.ndarray: ...
    def weighted(self, sigma: np.ndarray, matrix: np.ndarray) -> np.ndarray: ...


class WeightedLeastSquares:
    """F = sum_i w_i (s_i - sigma_i)^2: diagonally weighted least squares with w = 1 / diag(V)."""

    unit = 1.0

    def __init__(self, sample: np.ndarray, weight: np.ndarray):
        self.sample, self.weight = vech(np.asarray(sample, np.float64)), np.asarray(weight, np.float64)

    def value(self, sigma: np.ndarray) -> float:
        """F at Sigma (k, k)."""
        residual = self.sample - vech(sigma)
        return float(residual @ (self.weight * residual))

    def slope(self, sigma: np.ndarray) -> np.ndarray:
        """dF / dsigma, (cells,)."""
        return np.asarray(-2.0 * self.weight * (self.sample - vech(sigma)))

    def weighted(self, sigma: np.ndarray, matrix: np.ndarray) -> np.ndarray:
        """W M; W is diagonal and does not depend on Sigma."""
        return np.asarray(self.weight[:, None] * matrix)


class MaximumLikelihood:
    """F = log|Sigma| + tr(S Sigma^-1) - log|S| - k, infinite where Sigma is not positive definite.

    exogenous: numbers of the variables whose moments are the sample's and no part of the model. As in lavaan (fixed.x),
    the weights of these moments are zero: they are taken as known.
    """

    unit = _ML_OBSERVATIONS

    def __init__(self, sample: np.ndarray, exogenous: Sequence[int] = ()):
        self.sample = np.asarray(sample, np.float64)
        row, column = vech_indices(len(self.sample))
        self.known = np.isin(row, exogenous) & np.isin(column, exogenous)
        self.log_determinant = float(np.linalg.slogdet(self.sample)[1])

    def value(self, sigma: np.ndarray) -> float:
        """F at Sigma (k, k)."""
        values = np.linalg.eigvalsh(sigma)
        if not values[0] > 0:
            return float("inf")
        trace = np.trace(np.linalg.solve(sigma, self.sample))
        return float(np.log(values).sum() + trace - self.log_determinant - len(sigma))

    def slope(self, sigma: np.ndarray) -> np.ndarray:
        """dF / dsigma, (cells,): the cells of Sigma^-1 - Sigma^-1 S Sigma^-1, twice off the diagonal."""
        inverse = np.linalg.inv(sigma)
        gradient = inverse - inverse @ self.sample @ inverse
        return _multiplicity(len(sigma)) * vech((gradient + gradient.T) / 2)

    def weighted(self, sigma: np.ndarray, matrix: np.ndarray) -> np.ndarray:
        """W M with W = D'(Sigma^-1 x Sigma^-1) D / 2, D the duplication matrix: lavaan's normal-theory weight."""
        weight = normal_theory_weight(sigma)
        weight[self.known] = 0.0
        weight[:, self.known] = 0.0
        return np.asarray(weight @ matrix)


def normal_theory_weight(sigma: np.ndarray) -> np.ndarray:
    """D'(Sigma^-1 x Sigma^-1) D / 2, (cells, cells): for cells (i, j) and (k, l) with M = Sigma^-1 the element is
    c_ij c_kl (M_ik M_jl + M_il M_jk) / 4, c = 1 on the diagonal and 2 off it.
    """
    inverse = np.linalg.inv(sigma)
    row, column = vech_indices(len(sigma))
    same = inverse[np.ix_(row, row)] * inverse[np.ix_(column, column)]
    crossed = inverse[np.ix_(row, column)] * inverse[np.ix_(column, row)]
    count = _multiplicity(len(sigma))
    return np.asarray(np.outer(count, count) * (same + crossed) / 4.0)


def _multiplicity(k: int) -> np.ndarray:
    row, column = vech_indices(k)
    return np.where(row == column, 1.0, 2.0)
