"""One structural equation model, as the textbook has it: equations summed over paths, derivatives by differences,
minima by a general optimiser from many starts, the sandwich from dense matrices.

A model is a function theta -> (A, P) of variables v = A v + e, Cov(e) = P, the first k of them observed.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.optimize import minimize

Matrices = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


def cells(k):
    """(row, column) of the lower triangle, column by column."""
    return [(i, j) for j in range(k) for i in range(j, k)]


def lower(matrix):
    return np.array([matrix[i, j] for i, j in cells(len(matrix))])


def implied(matrices: Matrices, theta, k):
    """Effects along all paths, I + A + A A + ..., of models without loops."""
    a, p = matrices(theta)
    total, power = np.eye(len(a)), np.eye(len(a))
    for _ in range(len(a)):
        power = power @ a
        total = total + power
    return (total @ p @ total.T)[:k, :k]


def jacobian(matrices: Matrices, theta, k, step=1e-6):
    columns = []
    for i in range(len(theta)):
        up, down = np.array(theta, float), np.array(theta, float)
        up[i] += step
        down[i] -= step
        columns.append((lower(implied(matrices, up, k)) - lower(implied(matrices, down, k))) / (2 * step))
    return np.array(columns).T


def duplication(k):
    """D with vec(A) = D vech(A)."""
    d = np.zeros((k * k, k * (k + 1) // 2))
    for column, (i, j) in enumerate(cells(k)):
        d[j * k + i, column] = d[i * k + j, column] = 1
    return d


def discrepancy(sigma, s, v, estimation):
    if estimation == "DWLS":
        return float(((lower(s) - lower(sigma)) ** 2 / np.diag(v)).sum())
    if np.linalg.eigvalsh(sigma).min() <= 0:
        return 1e6
    ratio = s @ np.linalg.inv(sigma)
    return float(np.trace(ratio) - np.linalg.slogdet(ratio)[1] - len(s))


def weight(sigma, v, estimation):
    if estimation == "DWLS":
        return np.diag(1 / np.diag(v))
    inverse, d = np.linalg.inv(sigma), duplication(len(sigma))
    return d.T @ np.kron(inverse, inverse) @ d / 2


def best(matrices: Matrices, start, s, v, estimation, *, bounds=None, constraints=(), starts=6, seed=0):
    """(theta, F): the lowest of several searches."""
    rng = np.random.default_rng(seed)

    def value(theta):
        return discrepancy(implied(matrices, theta, len(s)), s, v, estimation)

    found = []
    for n in range(starts):
        at = np.array(start) * (1 if n == 0 else np.exp(0.3 * rng.normal(size=len(start))))
        if bounds is not None:
            at = np.clip(at, *np.array(bounds, float).T)
        method = "SLSQP" if bounds is not None or constraints else "BFGS"
        for _ in range(3):
            at = minimize(value, at, method=method, bounds=bounds, constraints=constraints, tol=1e-14).x
        found.append((value(at), tuple(at)))
    lowest = min(found)
    return np.array(lowest[1]), lowest[0]


def sandwich(matrices: Matrices, theta, s, v, estimation):
    d = jacobian(matrices, theta, len(s))
    w = weight(implied(matrices, theta, len(s)), v, estimation)
    bread = np.linalg.inv(d.T @ w @ d)
    return bread @ d.T @ w @ v @ w @ d @ bread
