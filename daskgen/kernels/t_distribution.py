"""Tails of Student's t distribution, as logarithms: exact where the p value is too small for a floating-point number.

With x = df / (df + t^2) the two-sided p value is the incomplete beta function I_x(df / 2, 1 / 2), evaluated by its
continued fraction (Abramowitz and Stegun 26.5.8, by the method of Lentz).
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from numba import types

from daskgen.kernels.compile import helper, input_array, kernel, output_array

__all__ = ["log_two_sided_p"]

Float64 = npt.NDArray[np.float64]

_HALF_LOG_PI = 0.5723649429247001
_TINY = 1e-300
_MOST_TERMS = 10_000  # the fraction needs about sqrt(df) at worst


def log_two_sided_p(t: npt.ArrayLike, df: npt.ArrayLike) -> Float64:
    """log P(|T| >= |t|), float64 of the shape of `t`, NaN where t is NaN or df (broadcast to it) is not positive."""
    statistic = np.asarray(t, np.float64, order="C")
    degrees = np.array(np.broadcast_to(np.asarray(df, np.float64), statistic.shape), order="C")
    out = np.empty(statistic.shape)
    _log_p(statistic.reshape(-1), degrees.reshape(-1), out.reshape(-1))
    return out


@kernel(types.void(input_array(types.float64, 1), input_array(types.float64, 1), output_array(types.float64, 1)))
def _log_p(t: Float64, df: Float64, out: Float64) -> None:
    before, ratio = -1.0, 0.0
    for i in range(t.size):
        degrees = df[i]
        if not (degrees > 0) or np.isnan(t[i]):
            out[i] = np.nan
            continue
        if degrees != before:  # as a rule the same for many variants
            before, ratio = degrees, _log_gamma_ratio(0.5 * degrees)
        out[i] = _log_tail(t[i] * t[i], degrees, ratio)


@helper
def _log_tail(square: float, df: float, ratio: float) -> float:
    """square: t^2; ratio: log Gamma(df / 2 + 1 / 2) - log Gamma(df / 2)."""
    if square == 0:
        return 0.0
    if np.isinf(square):
        return -np.inf
    a = 0.5 * df
    log_x = -math.log1p(square / df)
    y = square / (df + square)
    # x^a (1 - x)^(1/2) / B(a, 1/2)
    front = a * log_x + 0.5 * math.log(y) + ratio - _HALF_LOG_PI
    if y * (a + 2.5) > 1.5:
        return front - math.log(a) + math.log(_fraction(a, 0.5, 1.0 - y))
    return math.log1p(-2.0 * math.exp(front) * _fraction(0.5, a, y))


@helper
def _log_gamma_ratio(a: float) -> float:
    """log Gamma(a + 1/2) - log Gamma(a), without the cancellation of two large numbers."""
    if a < 20.0:
        return math.lgamma(a + 0.5) - math.lgamma(a)
    r = 1.0 / (a * a)
    series = -1.0 / 8.0 + r * (1.0 / 192.0 + r * (-1.0 / 640.0 + r * (17.0 / 14336.0 - r * 31.0 / 18432.0)))
    return 0.5 * math.log(a) + series / a


@helper
def _fraction(a: float, b: float, x: float) -> float:
    """The continued fraction of I_x(a, b), for x below (a + 1) / (a + b + 2)."""
    c, d = 1.0, 1.0 - (a + b) * x / (a + 1.0)
    d = 1.0 / (d if abs(d) > _TINY else _TINY)
    h = d
    for m in range(1, _MOST_TERMS):
        even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0))
        for term in (even, odd):
            d = 1.0 + term * d
            d = 1.0 / (d if abs(d) > _TINY else _TINY)
            c = 1.0 + term / c
            c = c if abs(c) > _TINY else _TINY
            step = c * d
            h *= step
        if abs(step - 1.0) < 1e-15:
            break
    return h
