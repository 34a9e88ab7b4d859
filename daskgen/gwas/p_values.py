"""P values of z and chi-square statistics, exact in the far tail."""

from __future__ import annotations

import numpy as np
from scipy.special import chdtrc, erfc, log_ndtr, ndtri_exp

from daskgen.kernels.t_distribution import log_two_sided_p

__all__ = ["CHISQ_MEDIAN", "chisq_p", "minus_log10_p", "normal_scores", "two_sided_p", "z_scores", "z_threshold"]

CHISQ_MEDIAN = 0.4549364231195727
"""Median of chi-square with one degree of freedom."""


def z_scores(estimate: np.ndarray, se: np.ndarray) -> np.ndarray:
    """estimate / se; NaN where the error is not positive."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(se > 0, estimate / se, np.nan)


def two_sided_p(z: np.ndarray) -> np.ndarray:
    """2 Phi(-|z|), from the upper tail; 0 below 5e-324 (|z| above 38)."""
    return erfc(np.abs(z) * np.sqrt(0.5))


def minus_log10_p(z: np.ndarray) -> np.ndarray:
    """-log10 of the two-sided p value, also where that is too small for a floating-point number."""
    return -(log_ndtr(-np.abs(z)) + np.log(2.0)) / np.log(10.0)


def normal_scores(t: np.ndarray, df: np.ndarray) -> np.ndarray:
    """The z with the same p value and sign as t with df degrees of freedom."""
    return np.copysign(ndtri_exp(log_two_sided_p(t, df) - np.log(2.0)), t)


def chisq_p(chisq: np.ndarray, df: float | np.ndarray) -> np.ndarray:
    """Upper tail of chi-square; NaN without degrees of freedom."""
    return np.where(np.asarray(df) > 0, chdtrc(df, np.maximum(chisq, 0.0)), np.nan)


def z_threshold(p: float) -> float:
    """The least |z| whose two-sided p value is at most `p`."""
    from scipy.special import ndtri

    return float(-ndtri(p / 2.0))
