"""REML with one relationship matrix: the best variance ratio over the spectrum, finished by Newton's method.

For the share h of variance, d = h lambda / mean(lambda) + 1 - h, the variance is profiled out,

    l(h) = -1/2 [(n - c) (log s2(h) + 1) + tr log d] + const,      s2(h) = y'(1/d)y / (n - c),

searched on a grid (the likelihood may have several maxima), and refined by bisection of its derivative; Newton steps
with the observed information then give (theta_g, theta_e) to rounding.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import brentq

from daskgen.reml.estimates import Estimates
from daskgen.reml.spectrum import Spectrum, evaluate

__all__ = ["EDGES", "maximise"]

EDGES = ("the genetic variance is at 0", "the residual variance is at 0")

_LOGITS = np.arange(-14.0, 21.01, 0.5)
"""Where h is tried: from 8e-7 to 1 - 8e-10."""

_NEWTON_STEPS = 25


def maximise(spectrum: Spectrum, log_determinant: float = 0.0) -> Estimates:
    """The restricted maximum-likelihood estimates of (theta_g, theta_e), theta_g >= 0.

    Without variance in K (tr K = 0) or with a maximum at h = 0, theta_g is 0 and flagged; a maximum at the upper end
    of the grid flags the residual.
    """
    dimension = spectrum.dimension
    size = _total(spectrum) / dimension
    null = -0.5 * (dimension * (np.log(2 * np.pi) + np.log(size) + 1) + log_determinant)
    mean = spectrum.trace_k / dimension
    theta, at_bound = np.array([0.0, size]), np.array([True, False])
    if mean > 0:
        share, at_bound = _best_share(spectrum, mean)
        if not at_bound[0]:
            theta = _from_share(spectrum, share, mean)
            if not at_bound[1]:
                theta = _newton(spectrum, theta)
    at = evaluate(spectrum, theta, log_determinant)
    monte_carlo, log_likelihood_error = np.zeros((2, 2)), 0.0
    if not at_bound.any():
        inverse = np.linalg.inv(at.observed if _definite(at.observed) else at.average)
        monte_carlo, log_likelihood_error = inverse @ at.score_covariance @ inverse, at.log_likelihood_error
    log_likelihood = null if at_bound[0] else at.log_likelihood
    return Estimates(
        theta,
        at.score,
        at.average,
        at_bound,
        log_likelihood,
        null,
        monte_carlo,
        log_likelihood_error,
        converged=True,
        reason=EDGES[int(at_bound.argmax())] if at_bound.any() else "",
    )


def _total(spectrum: Spectrum) -> float:
    """y'My."""
    return float(spectrum.quadratic(lambda values: np.ones((1, *values.shape)))[0])


def _scaled(values: np.ndarray, share: float, mean: float) -> np.ndarray:
    return share * (values / mean) + (1 - share)


def _profile(spectrum: Spectrum, share: float, mean: float) -> tuple[float, float]:
    """(l(h) without constants, dl/dh)."""

    def of_y(values: np.ndarray) -> np.ndarray:
        d = _scaled(values, share, mean)
        return np.stack([1 / d, (values / mean - 1) / d**2])

    def of_trace(values: np.ndarray) -> np.ndarray:
        d = _scaled(values, share, mean)
        return np.stack([np.log(d), (values / mean - 1) / d])

    y, (trace, _) = spectrum.quadratic(of_y), spectrum.trace(of_trace)
    n = spectrum.dimension
    return float(-0.5 * (n * np.log(y[0]) + trace[0])), float(0.5 * (n * y[1] / y[0] - trace[1]))


def _best_share(spectrum: Spectrum, mean: float) -> tuple[float, np.ndarray]:
    """(h at the maximum, flags of (theta_g, theta_e) at their bounds)."""
    shares = np.concatenate([[0.0], 1 / (1 + np.exp(-_LOGITS))])
    found = np.array([_profile(spectrum, share, mean) for share in shares])
    best = int(np.nanargmax(found[:, 0]))
    if best == len(shares) - 1:
        return float(shares[-1]), np.array([False, True])
    low, high = (best, best + 1) if found[best, 1] > 0 else (best - 1, best)
    if low < 0:
        return 0.0, np.array([True, False])
    if not found[high, 1] < 0 < found[low, 1]:
        return float(shares[best]), np.array([best == 0, False])
    share = brentq(lambda h: _profile(spectrum, h, mean)[1], shares[low], shares[high], xtol=1e-14, rtol=1e-14)
    return float(share), np.array([False, False])


def _from_share(spectrum: Spectrum, share: float, mean: float) -> np.ndarray:
    quadratic = spectrum.quadratic(lambda values: (1 / _scaled(values, share, mean))[None])
    size = float(quadratic[0]) / spectrum.dimension
    return np.array([share * size / mean, (1 - share) * size])


def _newton(spectrum: Spectrum, theta: np.ndarray) -> np.ndarray:
    for _ in range(_NEWTON_STEPS):
        at = evaluate(spectrum, theta)
        if not _definite(at.observed):
            return theta
        step = np.linalg.solve(at.observed, at.score)
        if (np.abs(step) > 0.1 * theta).any():  # not near the maximum: bisection knew better
            return theta
        theta = theta + step
        if (np.abs(step) <= 1e-12 * theta).all():
            break
    return theta


def _definite(matrix: np.ndarray) -> bool:
    return bool(np.isfinite(matrix).all() and matrix[0, 0] > 0 and np.linalg.det(matrix) > 0)
