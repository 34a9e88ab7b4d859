"""Multi-trait BayesC the slow way: one marker after the other on float64 genotypes, and enumeration of all states."""

from __future__ import annotations

import itertools

import numpy as np


def state_bits(traits):
    """int (2^T, T): the states 00, 10, 01, 11, ... by their numbers."""
    return np.array([[s >> k & 1 for k in range(traits)] for s in range(1 << traits)])


def sweep_one_by_one(x, w, residual, beta, delta, g, r, pi, uniforms, normals):
    """Sampler I; residual (n, T), beta and delta (p, T), pi by number of the state. Returns them after one sweep."""
    residual, beta, delta = residual.copy(), beta.copy(), delta.astype(int).copy()
    gi, ri = np.linalg.inv(g), np.linalg.inv(r)
    traits = g.shape[0]
    number = 1 << np.arange(traits)
    for j in range(x.shape[1]):
        d = x[:, j] @ (w * x[:, j])
        old = beta[j] * delta[j]
        right = x[:, j] @ (w[:, None] * residual) + d * old
        for k in range(traits):
            q = [m for m in range(traits) if m != k]
            c0 = gi[k, k]
            g0 = -(gi[k, q] @ beta[j, q]) / c0
            c1 = c0 + ri[k, k] * d
            g1 = (right @ ri[:, k] - (gi[k, q] + d * delta[j, q] * ri[k, q]) @ beta[j, q]) / c1
            without, with_ = delta[j].copy(), delta[j].copy()
            without[k], with_[k] = 0, 1
            log0 = -0.5 * (np.log(c0) - g0**2 * c0) + np.log(pi[number @ without])
            log1 = -0.5 * (np.log(c1) - g1**2 * c1) + np.log(pi[number @ with_])
            delta[j, k] = int(uniforms[j, k] < 1 / (1 + np.exp(log0 - log1)))
            c, mean = (c1, g1) if delta[j, k] else (c0, g0)
            beta[j, k] = mean + normals[j, k] / np.sqrt(c)
        residual += np.outer(x[:, j], old - beta[j] * delta[j])
    return residual, beta, delta


def sweep_jointly(x, w, residual, beta, delta, g, r, states, pi, uniforms, normals):
    """Sampler II over the listed states (rows of 0 and 1) with the probabilities pi."""
    residual, beta, delta = residual.copy(), beta.copy(), delta.astype(int).copy()
    gi, ri = np.linalg.inv(g), np.linalg.inv(r)
    for j in range(x.shape[1]):
        d = x[:, j] @ (w * x[:, j])
        old = beta[j] * delta[j]
        right = x[:, j] @ (w[:, None] * residual) + d * old
        log_p, means, precisions = [], [], []
        for s, p in zip(states, pi, strict=True):
            c = d * np.diag(s) @ ri @ np.diag(s) + gi
            rhs = np.diag(s) @ ri @ right
            mean = np.linalg.solve(c, rhs)
            log_p.append(-0.5 * (np.linalg.slogdet(c)[1] - rhs @ mean) + np.log(p))
            means.append(mean)
            precisions.append(c)
        p = np.exp(np.array(log_p) - max(log_p))
        k = int(np.searchsorted(np.cumsum(p / p.sum()), uniforms[j, 0], side="right"))
        delta[j] = states[k]
        beta[j] = means[k] + np.linalg.cholesky(np.linalg.inv(precisions[k])) @ normals[j]
        residual += np.outer(x[:, j], old - beta[j] * delta[j])
    return residual, beta, delta


def enumerate_states(x, y, w, g, r, states, pi):
    """Exact posterior with known G, R, Pi and flat intercepts: (P(state) (p, states), mean effect (p, T)).

    y: (n, T), NaN where missing. Every assignment of states to markers is visited, the likelihood being that of the
    observed values alone.
    """
    n, traits = y.shape
    p = x.shape[1]
    seen = ~np.isnan(y).ravel()  # sample by sample
    noise = np.kron(np.diag(1 / w), r)[np.ix_(seen, seen)]
    ones = np.kron(np.ones((n, 1)), np.eye(traits))[seen]
    target = y.ravel()[seen]
    design = [np.kron(x[:, [j]], np.eye(traits))[seen] for j in range(p)]
    log_weight, picks, means = [], [], []
    for pick in itertools.product(range(len(states)), repeat=p):
        v = noise.copy()
        for j, s in enumerate(pick):
            v += design[j] @ np.diag(states[s]) @ g @ np.diag(states[s]) @ design[j].T
        vi = np.linalg.inv(v)
        info = ones.T @ vi @ ones
        project = vi - vi @ ones @ np.linalg.solve(info, ones.T @ vi)
        log_weight.append(
            -0.5 * (np.linalg.slogdet(v)[1] + np.linalg.slogdet(info)[1] + target @ project @ target)
            + sum(np.log(pi[s]) for s in pick)
        )
        picks.append(pick)
        means.append(
            [np.diag(states[s]) @ g @ np.diag(states[s]) @ design[j].T @ project @ target for j, s in enumerate(pick)]
        )
    weight = np.exp(np.array(log_weight) - max(log_weight))
    weight /= weight.sum()
    probability = np.zeros((p, len(states)))
    for share, pick in zip(weight, picks, strict=True):
        probability[np.arange(p), pick] += share
    return probability, np.tensordot(weight, np.array(means), 1)
