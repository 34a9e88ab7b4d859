"""One model at one SNP, as the textbook has it: matrices from `sem_snp`, minima by SciPy from the model's own start.

The model is a `Structure` with the SNP first among the observed variables. DWLS is a nonlinear least-squares problem
(with bounds), ML a root of the gradient, anything with constraints sequential quadratic programming.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import least_squares, minimize, root

from daskgen.linalg.vech import vech
from tests.oracles.sem import duplication


def weighted_residuals(structure, s_full, v_full):
    root_weight = 1 / np.sqrt(np.diag(v_full))
    return lambda theta: root_weight * (vech(s_full) - vech(structure.implied(theta)))


def least_squares_fit(structure, s_full, v_full, start=None):
    """theta of DWLS, within the bounds of the structure; the parameters off the bounds to the last digits by Newton."""
    residuals = weighted_residuals(structure, s_full, v_full)
    found = least_squares(
        residuals,
        structure.start if start is None else start,
        bounds=(structure.lower, structure.upper),
        xtol=1e-15,
        ftol=1e-15,
        gtol=1e-15,
        x_scale="jac",
        max_nfev=5000,
    )
    theta = found.x
    size = np.abs(theta) + 1e-3
    held = (theta - structure.lower < 1e-6 * size) | (structure.upper - theta < 1e-6 * size)
    theta = np.where(held, np.clip(theta, structure.lower, structure.upper), theta)
    theta = np.where(held & (theta - structure.lower < 1e-6 * size), structure.lower, theta)
    return polished(structure, s_full, v_full, theta, np.flatnonzero(~held))


def polished(structure, s_full, v_full, theta, free):
    """Newton steps of some parameters, the Hessian by differences of the gradient."""
    weight = 1 / np.diag(v_full)

    def gradient(at):
        return -(structure.jacobian(at).T @ (weight * (vech(s_full) - vech(structure.implied(at)))))[free]

    for _ in range(4):
        hessian = []
        for i in free:
            step = np.zeros(len(theta))
            step[i] = 1e-5 * max(abs(theta[i]), 1e-3)
            hessian.append((gradient(theta + step) - gradient(theta - step)) / (2 * step[i]))
        theta = theta.copy()
        theta[free] -= np.linalg.solve(np.array(hessian), gradient(theta))
    return theta


def likelihood(structure, s_full, theta):
    sigma = structure.implied(theta)
    if np.linalg.eigvalsh(sigma)[0] <= 0:
        return np.inf
    return np.linalg.slogdet(sigma)[1] + np.trace(np.linalg.solve(sigma, s_full))


def likelihood_fit(structure, s_full, start):
    """theta of ML: where the gradient, written with dense matrices, is zero; from a point nearby."""

    def gradient(theta):
        inverse = np.linalg.inv(structure.implied(theta))
        d = duplication(len(s_full))
        slope = d.T @ (inverse @ (structure.implied(theta) - s_full) @ inverse).ravel()
        return structure.jacobian(theta).T @ slope

    found = root(gradient, start, method="hybr", options={"xtol": 1e-15, "maxfev": 20000})
    return found.x


def constrained_fit(structure, s_full, v_full, equality, inequality, start):
    """theta of DWLS under functions of theta that are zero, and others that are not negative."""
    residuals = weighted_residuals(structure, s_full, v_full)
    scale = 1e-2
    kinds = [{"type": "eq", "fun": f} for f in equality] + [{"type": "ineq", "fun": f} for f in inequality]
    found = minimize(
        lambda theta: scale * np.sum(residuals(theta) ** 2),
        start,
        bounds=list(zip(structure.lower, structure.upper, strict=True)),
        constraints=kinds,
        method="SLSQP",
        options={"ftol": 1e-16, "maxiter": 5000},
    )
    return found.x


def sandwich(jacobian, weight, v_full):
    """Omega of J, W (cells, cells) and V."""
    bread = np.linalg.inv(jacobian.T @ weight @ jacobian)
    half = weight @ jacobian @ bread
    return half.T @ v_full @ half


def normal_weight(sigma, unweighted=()):
    """lavaan's weight at Sigma, without the cells of exogenous variables."""
    d, inverse = duplication(len(sigma)), np.linalg.inv(sigma)
    weight = d.T @ np.kron(inverse, inverse) @ d / 2
    weight[list(unweighted)] = 0
    weight[:, list(unweighted)] = 0
    return weight


def chi_square(s_full, sigma, v_full):
    left = vech(s_full) - vech(sigma)
    return left @ np.linalg.solve(v_full, left)


def quadratic_of_direct_effects(structure, s_full, v_full, held, direct):
    """delta' Omega^-1 delta of the parameters `direct`, the parameters `held` (number -> value) fixed, DWLS."""
    free = [i for i in range(structure.n_parameters) if i not in held]
    theta = structure.start.copy()
    for i, value in held.items():
        theta[i] = value

    def with_free(x):
        out = theta.copy()
        out[free] = x
        return out

    residuals = weighted_residuals(structure, s_full, v_full)
    near = least_squares(
        lambda x: residuals(with_free(x)), theta[free], xtol=1e-15, ftol=1e-15, gtol=1e-15, x_scale="jac"
    )
    best = polished(structure, s_full, v_full, with_free(near.x), free)
    omega = sandwich(structure.jacobian(best)[:, free], np.diag(1 / np.diag(v_full)), v_full)
    at = [free.index(i) for i in direct]
    return best[direct] @ np.linalg.solve(omega[np.ix_(at, at)], best[direct])
