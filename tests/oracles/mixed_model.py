"""A linear mixed model with known variances, solved densely."""

from __future__ import annotations

import numpy as np


def mixed_model_posterior(y, w, s2e, fixed, random):
    """(mean, covariance) of all effects, the fixed ones (flat prior) first.

    y (n,), weights w (n,), fixed (n, q), random: list of (design (n, k), precision (k, k)).
    """
    designs = [fixed, *(design for design, _ in random)]
    x = np.concatenate(designs, axis=1)
    lhs = x.T @ (w[:, None] * x) / s2e
    at = fixed.shape[1]
    for _, precision in random:
        size = len(precision)
        lhs[at : at + size, at : at + size] += precision
        at += size
    covariance = np.linalg.inv(lhs)
    return covariance @ (x.T @ (w * y)) / s2e, covariance
