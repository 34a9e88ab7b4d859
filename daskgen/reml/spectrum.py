"""The restricted likelihood of one relationship matrix as functions of its spectrum.

On the n - c dimensions that the fixed effects leave, H = theta_g K + theta_e I has the eigenvectors of K, so that with
d(lambda) = theta_g lambda + theta_e every part of the likelihood is y'f(K)y or tr f(K):

    l = -1/2 [(n - c) log 2 pi + log|X'X| + tr log d + y'(1/d)y]
    score_g = 1/2 [y'(lambda / d^2)y - tr(lambda / d)],      score_e = 1/2 [y'(1 / d^2)y - tr(1 / d)]
    AI = 1/2 y'(lambda^2, lambda, 1)/d^3 y,                  E = 1/2 tr (lambda^2, lambda, 1)/d^2,      O = 2 AI - E

Both kinds of sums are over nodes and weights: all eigenvalues (`ExactSpectrum`), or Gauss nodes from Lanczos
recurrences started at y and at random probes (`SampledSpectrum`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

__all__ = ["Evaluation", "ExactSpectrum", "SampledSpectrum", "Spectrum", "evaluate"]

Functions = Callable[[np.ndarray], np.ndarray]
"""lambda (...) -> values (k, ...) of k functions."""


class Spectrum(Protocol):
    """Sums of functions of the eigenvalues. dimension: n - c; trace_k: tr K on it."""

    @property
    def dimension(self) -> int: ...

    @property
    def trace_k(self) -> float: ...

    def quadratic(self, functions: Functions) -> np.ndarray:
        """y'f(K)y for each function: (k,)."""

    def trace(self, functions: Functions) -> tuple[np.ndarray, np.ndarray]:
        """tr f(K), (k,), and the Monte-Carlo covariance of what is random in it, (k, k)."""


@dataclass(frozen=True)
class ExactSpectrum:
    """values (n - c,): eigenvalues; squares (n - c,): squared coordinates of y."""

    values: np.ndarray
    squares: np.ndarray

    @property
    def dimension(self) -> int:
        return len(self.values)

    @property
    def trace_k(self) -> float:
        return float(self.values.sum())

    def quadratic(self, functions: Functions) -> np.ndarray:
        return np.asarray(functions(self.values) @ self.squares)

    def trace(self, functions: Functions) -> tuple[np.ndarray, np.ndarray]:
        found = functions(self.values).sum(axis=1)
        return found, np.zeros((len(found), len(found)))


@dataclass(frozen=True)
class SampledSpectrum:
    """Gauss nodes and weights of y (k,) and of the probes (R or 1, k) and (R, k); weights sum to the squared length of
    the vector. known (j,): eigenvalues that are known with their vectors; probes, dimension and tr K are then those of
    the space without these vectors.

    A trace is estimated with two control variates whose traces are known, z'z and z'Kz:

        tr f(K) = a (n - c) + b tr K + mean over probes of z'(f(K) - a I - b K)z,

    with a + b lambda the least-squares line through f over the estimated spectrum. The variance of a probe of signs,
    with A = f(K) - a I - b K, is

        var z'Az = 2 (||A||_F^2 - sum A_ii^2) <= 2 ||A||_F^2,

    which that line minimises, and which the probes estimate by the mean of z'A^2 z: to 2 or 3 %, where the spread of
    some dozen values z'Az is known to 10 or 15 %, and is small above all where they are wrong. The diagonal of A, of
    mean 0, counts little beside n values a row.
    Source: Avron and Toledo (2011), Journal of the ACM 58:8, for the variance.
    """

    nodes: np.ndarray
    squares: np.ndarray
    probe_nodes: np.ndarray
    probe_squares: np.ndarray
    rest_dimension: int
    rest_trace: float
    known: np.ndarray = field(default_factory=lambda: np.empty(0))

    @property
    def dimension(self) -> int:
        return self.rest_dimension + len(self.known)

    @property
    def trace_k(self) -> float:
        return self.rest_trace + float(self.known.sum())

    def quadratic(self, functions: Functions) -> np.ndarray:
        return np.asarray(functions(self.nodes) @ self.squares)

    def trace(self, functions: Functions) -> tuple[np.ndarray, np.ndarray]:
        exactly = functions(self.known).sum(axis=1)
        if not self.probe_squares.any():  # nothing is left, or nothing that probes see
            left = functions(np.array([max(self.rest_trace, 0.0) / max(self.rest_dimension, 1)]))[:, 0]
            return exactly + self.rest_dimension * left, np.zeros((len(exactly), len(exactly)))
        nodes, weights = self.probe_nodes, self.probe_squares
        values = functions(nodes)
        total = weights.sum()
        centre = float((weights * nodes).sum() / total)
        spread = float((weights * (nodes - centre) ** 2).sum())
        mean = (weights * values).sum(axis=(1, 2)) / total
        slope = (weights * (nodes - centre) * (values - mean[:, None, None])).sum(axis=(1, 2))
        slope = slope / spread if spread > 1e-14 * total * max(centre, 1e-300) ** 2 else np.zeros_like(slope)
        rest = values - mean[:, None, None] - slope[:, None, None] * (nodes - centre)
        n, r = self.rest_dimension, len(weights)
        found = exactly + mean * n + slope * (self.rest_trace - centre * n) + (weights * rest).sum(axis=(1, 2)) / r
        squares = np.tensordot(weights * rest, np.broadcast_to(rest, (len(rest), *weights.shape)), ((1, 2), (1, 2)))
        return found, 2 * n / r * squares / total


@dataclass(frozen=True)
class Evaluation:
    """The likelihood and its derivatives at one theta; score_covariance (2, 2), log_likelihood_error: Monte-Carlo."""

    log_likelihood: float
    score: np.ndarray
    average: np.ndarray
    expected: np.ndarray
    score_covariance: np.ndarray
    log_likelihood_error: float

    @property
    def observed(self) -> np.ndarray:
        """Observed information 2 AI - E."""
        return 2 * self.average - self.expected


def evaluate(spectrum: Spectrum, theta: np.ndarray, log_determinant: float = 0.0) -> Evaluation:
    """Log-likelihood, score and informations at theta = (theta_g, theta_e); log_determinant: log|X'X|."""
    genetic, residual = theta

    def of_y(values: np.ndarray) -> np.ndarray:
        d = genetic * values + residual
        return np.stack([1 / d, values / d**2, 1 / d**2, values**2 / d**3, values / d**3, 1 / d**3])

    def of_trace(values: np.ndarray) -> np.ndarray:
        d = genetic * values + residual
        return np.stack([np.log(d), values / d, 1 / d, (values / d) ** 2, values / d**2, 1 / d**2])

    y, (trace, covariance) = spectrum.quadratic(of_y), spectrum.trace(of_trace)
    constant = spectrum.dimension * np.log(2 * np.pi) + log_determinant
    return Evaluation(
        float(-0.5 * (constant + trace[0] + y[0])),
        0.5 * (y[1:3] - trace[1:3]),
        0.5 * y[[3, 4, 4, 5]].reshape(2, 2),
        0.5 * trace[[3, 4, 4, 5]].reshape(2, 2),
        0.25 * covariance[1:3, 1:3],
        0.5 * float(np.sqrt(covariance[0, 0])),
    )
