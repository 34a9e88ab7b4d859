"""One SEM fit for one SNP, densely: the whole covariance matrix, every parameter, the optimum to machine precision.

The model is a `Structure`; the moments are S_full and V_full over (SNP, traits), in the structure's order.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from daskgen.linalg.vech import vech


@dataclass
class DenseFit:
    theta: np.ndarray
    se: np.ndarray
    omega: np.ndarray
    chisq: float
    sigma: np.ndarray


def moments(beta, se, variance, s, v, intercepts, gc="standard", snp_se=0.0005):
    """S_full and V_full of one SNP, written out cell by cell."""
    k = len(beta)
    intercepts = np.array(intercepts, float)
    own = np.maximum(np.diag(intercepts), 1)
    factor = {"standard": np.sqrt(own), "conserv": own, "none": np.ones(k)}[gc]
    s_full = np.empty((k + 1, k + 1))
    s_full[0, 0] = variance
    v_snp = np.empty((k, k))
    for i in range(k):
        s_full[0, i + 1] = s_full[i + 1, 0] = variance * beta[i]
        for j in range(k):
            s_full[i + 1, j + 1] = s[i, j]
            v_snp[i, j] = se[i] * se[j] * factor[i] * factor[j] * variance**2 * (1 if i == j else intercepts[i, j])
    size = (k + 1) * (k + 2) // 2
    v_full = np.zeros((size, size))
    v_full[0, 0] = snp_se**2
    v_full[1 : k + 1, 1 : k + 1] = v_snp
    v_full[k + 1 :, k + 1 :] = v
    return s_full, v_full


def fit(structure, s_full, v_full, start=None) -> DenseFit:
    """Minimise the DWLS discrepancy by damped Gauss-Newton, then Newton steps with a numerical Hessian of gradients."""
    w = 1 / np.diag(v_full)
    target = vech(s_full)

    def residual(theta):
        return target - vech(structure.implied(theta))

    def gradient(theta):
        return -structure.jacobian(theta).T @ (w * residual(theta))

    theta = np.array(structure.start if start is None else start, float)
    scale = np.maximum(np.abs(theta), 1e-3)
    damping = 1e-3
    loss = residual(theta) @ (w * residual(theta))
    for _ in range(2000):
        jacobian = structure.jacobian(theta)
        information = jacobian.T @ (w[:, None] * jacobian)
        damped = information + damping * np.diag(np.diag(information))
        step = -np.linalg.solve(damped, gradient(theta))
        tried = residual(theta + step) @ (w * residual(theta + step))
        if tried < loss:
            decrease, theta, loss, damping = loss - tried, theta + step, tried, damping / 5
            if decrease < 1e-13 * max(loss, 1e-3):
                break
        elif damping > 1e12:
            break
        else:
            damping *= 5
    for _ in range(4):
        h = 1e-6 * scale
        hessian = np.array(
            [(gradient(theta + d) - gradient(theta - d)) / (2 * e) for d, e in zip(np.diag(h), h, strict=True)]
        )
        theta = theta - np.linalg.solve((hessian + hessian.T) / 2, gradient(theta))
    jacobian = structure.jacobian(theta)
    bread = np.linalg.inv(jacobian.T @ (w[:, None] * jacobian))
    half = (w[:, None] * jacobian) @ bread
    omega = half.T @ v_full @ half
    left = residual(theta)
    return DenseFit(
        theta,
        np.sqrt(np.diag(omega)),
        omega,
        float(left @ np.linalg.solve(v_full, left)),
        structure.implied(theta),
    )


def q_snp(s_full, sigma, v_full, rows) -> float:
    """Residual covariances of the SNP with the indicators `rows` (numbers of traits, from 0) in their V_SNP."""
    k = len(s_full) - 1
    left = (s_full - sigma)[0, 1:][list(rows)]
    v_snp = v_full[1 : k + 1, 1 : k + 1][np.ix_(rows, rows)]
    return float(left @ np.linalg.solve(v_snp, left))
