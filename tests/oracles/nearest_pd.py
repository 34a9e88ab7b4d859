"""R's Matrix::nearPD(x, corr = FALSE) with its defaults, line by line, on NumPy's eigenvectors."""

from __future__ import annotations

import numpy as np


def nearest_pd(
    x, *, eig_tol: float = 1e-6, conv_tol: float = 1e-7, posd_tol: float = 1e-8, maxit: int = 100
) -> np.ndarray:
    x = np.array(x, float)
    correction = np.zeros_like(x)
    for _ in range(maxit):
        y = x
        r = y - correction
        d, q = np.linalg.eigh(r)
        keep = d > eig_tol * d[-1]
        if not keep.any():
            raise ValueError("negative semidefinite")
        x = (q[:, keep] * d[keep]) @ q[:, keep].T
        correction = x - r
        if np.linalg.norm(y - x, np.inf) / np.linalg.norm(y, np.inf) <= conv_tol:
            break
    d, q = np.linalg.eigh(x)
    least = posd_tol * abs(d[-1])
    if d[0] < least:
        diagonal = np.diag(x)
        x = (q * np.maximum(d, least)) @ q.T
        scale = np.sqrt(np.maximum(least, diagonal) / np.diag(x))
        x = scale[:, None] * x * scale
    return x
