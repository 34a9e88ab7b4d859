"""Marker-effect models the slow way: one marker after the other on float64 genotypes, and enumeration of all models."""

from __future__ import annotations

import itertools

import numpy as np


def mixture_update(q, d, s2e, variances, log_pi, u, z, slab_variance):
    """(effect, slab, class) of one marker: q = x'Wr + d a; classes of the variances with log proportions."""
    log_p = []
    for v, lp in zip(variances, log_pi, strict=True):
        if v > 0:
            lhs = d / s2e + 1 / v
            lp = lp - 0.5 * (np.log(lhs) + np.log(v) - (q / s2e) ** 2 / lhs)
        log_p.append(lp)
    p = np.exp(np.array(log_p) - max(log_p))
    p /= p.sum()
    if len(variances) == 2 and variances[0] == 0:
        k = int(u < p[1])
    else:
        k = int(np.searchsorted(np.cumsum(p), u, side="right"))
        k = min(k, len(p) - 1)
    if variances[k] > 0:
        lhs = d / s2e + 1 / variances[k]
        effect = q / s2e / lhs + z / np.sqrt(lhs)
        return effect, effect, k
    return 0.0, z * np.sqrt(slab_variance), k


def sweep(x, w, residual, effect, s2e, variances_of, log_pi_of, uniforms, normals):
    """One single-site sweep; x: (n, p) centred. Returns (effect, residual, classes)."""
    effect, residual = effect.copy(), residual.copy()
    classes = np.zeros(len(effect), int)
    for j in range(x.shape[1]):
        d = float(x[:, j] @ (w * x[:, j]))
        q = float(x[:, j] @ (w * residual)) + d * effect[j]
        variances = variances_of(j)
        new, _, classes[j] = mixture_update(q, d, s2e, variances, log_pi_of(j), uniforms[j], normals[j], max(variances))
        residual += x[:, j] * (effect[j] - new)
        effect[j] = new
    return effect, residual, classes


def enumerate_models(x, y, w, s2a, s2e, pi, gamma=(0.0, 1.0)):
    """Exact posterior with known variances and a flat intercept: (P(class) (p, classes), mean effect (p,)).

    pi: prior of the classes. Every assignment of classes to markers is visited.
    """
    n, p = x.shape
    root = np.sqrt(w)
    one = root / np.linalg.norm(root)
    project = lambda m: m - np.outer(one, one @ m) if m.ndim == 2 else m - one * (one @ m)  # noqa: E731
    xs, ys = project(root[:, None] * x), project(root * y)
    log_weight, probability, mean = [], [], []
    for classes in itertools.product(range(len(gamma)), repeat=p):
        variances = np.array([gamma[k] * s2a for k in classes])
        on = variances > 0
        covariance = s2e * np.eye(n) + (xs[:, on] * variances[on]) @ xs[:, on].T
        inverse = np.linalg.inv(covariance)
        log_weight.append(
            -0.5 * np.linalg.slogdet(covariance)[1] - 0.5 * ys @ inverse @ ys + sum(np.log(pi[k]) for k in classes)
        )
        effect = np.zeros(p)
        effect[on] = variances[on] * (xs[:, on].T @ inverse @ ys)
        mean.append(effect)
        probability.append([[float(k == c) for c in range(len(gamma))] for k in classes])
    weight = np.exp(np.array(log_weight) - max(log_weight))
    weight /= weight.sum()
    return np.tensordot(weight, np.array(probability), 1), weight @ np.array(mean)
