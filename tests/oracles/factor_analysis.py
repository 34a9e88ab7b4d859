"""Exploratory factor analysis as its definition reads: the likelihood over loadings, rotations by their criteria."""

from __future__ import annotations

import numpy as np
from scipy.optimize import minimize


def likelihood_fit(correlation, q, starts=6):
    """(uniquenesses, minimum of log|Sigma| + tr(R Sigma^-1) - log|R| - p), over loadings and uniquenesses directly."""
    p = len(correlation)
    rng = np.random.default_rng(0)

    def value(x):
        loadings, psi = x[: p * q].reshape(p, q), x[p * q :]
        sigma = loadings @ loadings.T + np.diag(psi)
        return np.linalg.slogdet(sigma)[1] + np.trace(np.linalg.solve(sigma, correlation))

    best = None
    bounds = [(None, None)] * (p * q) + [(0.005, 1.0)] * p
    for _ in range(starts):
        start = np.concatenate([0.5 * rng.normal(size=p * q), rng.uniform(0.3, 0.8, p)])
        options = {"maxiter": 5000, "maxfun": 500_000, "ftol": 1e-16, "gtol": 1e-9}
        found = minimize(value, start, method="L-BFGS-B", bounds=bounds, options=options)
        if best is None or found.fun < best.fun:
            best = found
    return best.x[p * q :], best.fun - np.linalg.slogdet(correlation)[1] - p


def varimax_criterion(loadings):
    """Sum over factors of the variance of the squared loadings, rows scaled to length one."""
    squares = loadings**2 / (loadings**2).sum(1, keepdims=True)
    return squares.var(0).sum()


def rotation(angle):
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
