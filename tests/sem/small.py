"""A covariance structure of known truth for the tests: six traits, two correlated factors, an error of sampling."""

from __future__ import annotations

import numpy as np

from daskgen.ldsc import covstruct

TRAITS = ("T1", "T2", "T3", "T4", "T5", "T6")
LOADINGS = np.array([[0.5, 0.4, 0.3, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.6, 0.3, 0.5]])
TWO_FACTORS = "F1 =~ NA*T1 + T2 + T3\nF2 =~ NA*T4 + T5 + T6\nF1 ~~ 1*F1\nF2 ~~ 1*F2\nF1 ~~ F2"


def sampling_covariance(k, seed=0, size=0.01):
    """A full V, with standard errors around `size`."""
    rng = np.random.default_rng(seed)
    q = k * (k + 1) // 2
    draws = rng.normal(size=(q, q + 20))
    scale = size * rng.uniform(0.7, 1.4, q)
    return np.outer(scale, scale) * np.corrcoef(draws)


def true_covariance(noise_seed=None):
    """S, with sampling error where a seed is given."""
    s = LOADINGS.T @ np.array([[1, 0.4], [0.4, 1]]) @ LOADINGS
    s += np.diag(0.6 * np.diag(s) + 0.05)
    if noise_seed is not None:
        error = np.random.default_rng(noise_seed).multivariate_normal(np.zeros(21), sampling_covariance(6))
        column, row = np.triu_indices(6)
        s[row, column] += error
        s[column[row != column], row[row != column]] = s[row[row != column], column[row != column]]
    return s


def structure_of(noise_seed=1, **more):
    """The covariance structure as a Dataset."""
    return covstruct(true_covariance(noise_seed), sampling_covariance(6), traits=TRAITS, **more)
