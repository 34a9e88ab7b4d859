"""Restricted maximum likelihood as in the textbook: dense float64 matrices, H inverted, nothing projected."""

from __future__ import annotations

import numpy as np


def projection(theta, x, kernels):
    """(P, log|H|, log|X'H^-1X|) at theta = components..., residual."""
    n = len(x)
    h = sum(t * k for t, k in zip(theta[:-1], kernels, strict=True)) + theta[-1] * np.eye(n)
    inverse = np.linalg.inv(h)
    xhx = x.T @ inverse @ x
    p = inverse - inverse @ x @ np.linalg.inv(xhx) @ x.T @ inverse
    return p, np.linalg.slogdet(h)[1], np.linalg.slogdet(xhx)[1]


def log_likelihood(theta, y, x, kernels):
    p, log_h, log_xhx = projection(theta, x, kernels)
    return -0.5 * ((len(y) - x.shape[1]) * np.log(2 * np.pi) + log_h + log_xhx + y @ p @ y)


def score(theta, y, x, kernels):
    p, _, _ = projection(theta, x, kernels)
    q = p @ y
    return np.array([0.5 * (q @ a @ q - np.trace(p @ a)) for a in [*kernels, np.eye(len(y))]])


def informations(theta, y, x, kernels):
    """(average, expected, observed) information."""
    p, _, _ = projection(theta, x, kernels)
    q = p @ y
    parts = [*kernels, np.eye(len(y))]
    average = np.array([[0.5 * q @ a @ p @ b @ q for b in parts] for a in parts])
    expected = np.array([[0.5 * np.trace(p @ a @ p @ b) for b in parts] for a in parts])
    return average, expected, 2 * average - expected


def fixed_effects(theta, y, x, kernels):
    """(b, cov(b)) by generalised least squares."""
    h = sum(t * k for t, k in zip(theta[:-1], kernels, strict=True)) + theta[-1] * np.eye(len(y))
    inverse = np.linalg.inv(h)
    covariance = np.linalg.inv(x.T @ inverse @ x)
    return covariance @ x.T @ inverse @ y, covariance


def prediction_error(theta, x, kernels, g):
    """diag(theta_g K_g - theta_g^2 K_g P K_g)."""
    p, _, _ = projection(theta, x, kernels)
    k = kernels[g]
    return np.diag(theta[g] * k - theta[g] ** 2 * k @ p @ k)
