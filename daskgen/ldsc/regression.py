"""Weighted least squares from sums of blocks, and the block jackknife.

For the model y = X b with weights W, blocks c = 1, ..., B of variants, A_c = X_c' W_c X_c and d_c = X_c' W_c y_c:

    estimate        b     = A^-1 d,                    A = sum of A_c, d = sum of d_c
    delete-one      b_(c) = (A - A_c)^-1 (d - d_c)
    pseudo-value    b*_c  = B b - (B - 1) b_(c)
    covariance      Cov(b_p, b_q) = cov(b*_p, b*_q) / B        over blocks, with B - 1 in its denominator

Pseudo-values of different regressions are paired by the number of the block.

Source: Efron, Tibshirani (1993), An Introduction to the Bootstrap, chapter 11; Bulik-Sullivan et al. (2015).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["BlockRegression", "is_singular", "jackknife_covariance", "normal_equations", "ratio_jackknife"]


@dataclass(frozen=True)
class BlockRegression:
    """Estimates of several regressions: estimate (..., p), delete_one (..., blocks, p), float64."""

    estimate: np.ndarray
    delete_one: np.ndarray

    @classmethod
    def fit(cls, xwx: np.ndarray, xwy: np.ndarray) -> BlockRegression:
        """From X'WX (..., blocks, p, p) and X'Wy (..., blocks, p) of each block.

        Raises numpy.linalg.LinAlgError where a matrix is singular.
        """
        total_xwx, total_xwy = xwx.sum(axis=-3), xwy.sum(axis=-2)
        return cls(
            np.linalg.solve(total_xwx, total_xwy[..., None])[..., 0],
            np.linalg.solve(total_xwx[..., None, :, :] - xwx, (total_xwy[..., None, :] - xwy)[..., None])[..., 0],
        )

    @property
    def n_blocks(self) -> int:
        return int(self.delete_one.shape[-2])

    @property
    def pseudo_values(self) -> np.ndarray:
        """b*_c, (..., blocks, p)."""
        blocks = self.n_blocks
        return np.asarray(blocks * self.estimate[..., None, :] - (blocks - 1) * self.delete_one)

    @property
    def standard_error(self) -> np.ndarray:
        """Of each coefficient, (..., p)."""
        return np.asarray(np.sqrt(self.pseudo_values.var(axis=-2, ddof=1) / self.n_blocks))


def normal_equations(sums: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """X'WX (..., 2, 2) and X'Wy (..., 2) for X = [L, 1], from sums (..., 5) of W L^2, W L, W, W L y, W y."""
    xwx = sums[..., [0, 1, 1, 2]].reshape(*sums.shape[:-1], 2, 2)
    return xwx, sums[..., 3:]


def is_singular(xwx: np.ndarray) -> np.ndarray:
    """Whether X'WX (..., 2, 2) of X = [L, 1] has no inverse but for rounding: L does not vary. bool (...)."""
    product = xwx[..., 0, 0] * xwx[..., 1, 1]
    return np.asarray(~(product - xwx[..., 0, 1] ** 2 > 1e-12 * product))


def jackknife_covariance(pseudo_values: np.ndarray) -> np.ndarray:
    """Covariance (q, q) of q estimates from their pseudo-values (q, blocks)."""
    return np.atleast_2d(np.cov(pseudo_values)) / pseudo_values.shape[1]


def ratio_jackknife(estimate: np.ndarray, numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """Standard error (...) of a ratio from delete-one values (..., blocks) of its numerator and denominator.

    NaN where a delete-one denominator is not a positive number.
    """
    blocks = numerator.shape[-1]
    with np.errstate(invalid="ignore", divide="ignore"):
        delete_one = numerator / np.where(denominator > 0, denominator, np.nan)
    pseudo = blocks * estimate[..., None] - (blocks - 1) * delete_one
    return np.asarray(np.sqrt(pseudo.var(axis=-1, ddof=1) / blocks))
