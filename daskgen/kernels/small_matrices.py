"""Symmetric positive definite matrices of a few rows inside compiled loops: factor, inverse, inverse-Wishart draw.

Functions take whole square arrays as work space and write into them, so that nothing is allocated in a loop.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from daskgen.kernels.compile import helper
from daskgen.kernels.random_draws import chi_square, uniform_and_normal

__all__ = ["draw_covariance", "factor", "invert", "solve_factored"]

Matrix = npt.NDArray[np.float64]
Vector = npt.NDArray[np.float64]


@helper
def factor(a: Matrix, n: int, lower: Matrix) -> float:
    """The lower Cholesky factor of the first n rows and columns of `a`; its value is log |a|, or NaN where there is
    none.

    lower may be `a` itself; what is above its diagonal is not touched.
    """
    log_determinant = 0.0
    for i in range(n):
        for j in range(i + 1):
            total = a[i, j]
            for k in range(j):
                total -= lower[i, k] * lower[j, k]
            if i == j:
                if not total > 0.0:
                    return np.nan
                lower[i, i] = math.sqrt(total)
                log_determinant += math.log(total)
            else:
                lower[i, j] = total / lower[j, j]
    return log_determinant


@helper
def solve_factored(lower: Matrix, n: int, x: Vector) -> None:
    """x = (L L')^-1 x, in place."""
    for i in range(n):
        for k in range(i):
            x[i] -= lower[i, k] * x[k]
        x[i] /= lower[i, i]
    for i in range(n - 1, -1, -1):
        for k in range(i + 1, n):
            x[i] -= lower[k, i] * x[k]
        x[i] /= lower[i, i]


@helper
def invert(lower: Matrix, n: int, inverse: Matrix) -> None:
    """(L L')^-1 into `inverse`, another array."""
    for column in range(n):
        x = inverse[column]  # a row, which is the column by symmetry
        for i in range(n):
            x[i] = 0.0
        x[column] = 1.0
        solve_factored(lower, n, x[:n])


@helper
def draw_covariance(
    scale: Matrix,
    df: float,
    diagonal: bool,
    iteration: int,
    index: int,
    purpose: int,
    key: npt.NDArray[np.uint32],
    work: Matrix,
    out: Matrix,
) -> None:
    """out ~ inverse Wishart(df, scale), or with `diagonal` scale_kk / chi2(df) on the diagonal and zeros beside it.

    With scale = T T' and Bartlett's A (chi variates with df, df - 1, ... degrees of freedom on the diagonal, normals
    below it), T A'^-1 A^-1 T' is an inverse Wishart matrix. work: (n, n).
    """
    n = scale.shape[0]
    roots = np.empty(n)
    for i in range(n):
        roots[i] = chi_square(df if diagonal else df - i, iteration, index * 64 + i, purpose, key)
    if diagonal:
        for i in range(n):
            for j in range(n):
                out[i, j] = scale[i, i] / roots[i] if i == j else 0.0
        return
    factor(scale, n, work)
    for j in range(n):  # the columns of T A'^-1, b: b A' = T, from left to right
        root = math.sqrt(roots[j])
        for k in range(j):
            _, roots[k] = uniform_and_normal(iteration, (index * 64 + j) * 64 + k, 0, purpose + 1, key)
        for i in range(n):
            total = work[i, j] if j <= i else 0.0
            for k in range(j):
                total -= out[i, k] * roots[k]
            out[i, j] = total / root
    for i in range(n):
        for j in range(i + 1):
            total = 0.0
            for k in range(n):
                total += out[i, k] * out[j, k]
            work[i, j] = total
    for i in range(n):
        for j in range(i + 1):
            out[i, j] = work[i, j]
            out[j, i] = work[i, j]
