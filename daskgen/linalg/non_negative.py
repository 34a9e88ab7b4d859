"""Quadratic functions on the non-negative orthant."""

from __future__ import annotations

import numpy as np
from scipy.optimize import nnls

__all__ = ["non_negative_minimum"]

_SMALLEST = 1e-12
"""Eigenvalues below this share of the largest are raised to it: a matrix that is singular but for rounding."""


def non_negative_minimum(matrix: np.ndarray, right: np.ndarray) -> np.ndarray:
    """The x >= 0 that minimises 1/2 x'A x - r'x for a symmetric positive semi-definite A (k, k) and r (k,).

    With A = B'B it is the non-negative least-squares solution of B x = B^-T r (Lawson and Hanson 1974, chapter 23).
    """
    # Variables on one scale, so that the smallest eigenvalue says something.
    scale = 1 / np.sqrt(np.maximum(np.diag(matrix), np.finfo(float).tiny))
    scale = np.where(np.isfinite(scale) & (np.diag(matrix) > 0), scale, 1.0)
    values, vectors = np.linalg.eigh(matrix * scale[:, None] * scale)
    values = np.sqrt(np.maximum(values, _SMALLEST * max(values[-1], np.finfo(float).tiny)))
    found, _ = nnls(values[:, None] * vectors.T, (vectors.T @ (right * scale)) / values)
    return np.asarray(found * scale)
