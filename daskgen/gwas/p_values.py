"""P values of z and chi-square statistics, exact in the far tail.

SciPy is imported when a p value is asked for: lambda GC and counts of hits do without.
"""

from __future__ import annotations

from statistics import NormalDist

import numpy as np

__all__ = ["CHISQ_MEDIAN", "chisq_p", "minus_log10_p", "normal_scores", "two_sided_p", "z_scores", "z_threshold"]

CHISQ_MEDIAN = 0.4549364231195727
"""Median of chi-square with one degree of freedom."""


def z_scores(estimate: np.ndarray, se: np.ndarray) -> np.ndarray:
    """estimate / se; NaN where the error is not positive."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(se > 0, estimate / se, np.nan)


def two_sided_p(z: np.ndarray) -> np.ndarray:
    """2 Phi(-|z|), from the upper tail; 0 below 5e-324 (|z| above 38)."""
    from scipy.special import erfc

    return erfc(np.abs(z) * np.sqrt(0.5))


def minus_log10_p(z: np.ndarray) -> np.ndarray:
    """-log10 of the two-sided p value, also where that is too small for a floating-point number."""
    from scipy.special import log_ndtr

    return -(log_ndtr(-np.abs(z)) + np.log(2.0)) / np.log(10.0)


def normal_scores(t: np.ndarray, df: np.ndarray) -> np.ndarray:
    """The z with the same p value and sign as t with df degrees of freedom."""
    from scipy.special import ndtri_exp

    from daskgen.kernels.t_distribution import log_two_sided_p

    return np.copysign(ndtri_exp(log_two_sided_p(t, df) - np.log(2.0)), t)


def chisq_p(chisq: float | np.ndarray, df: float | np.ndarray) -> np.ndarray:
    """Upper tail of chi-square; NaN without degrees of freedom."""
    from scipy.special import chdtrc

    return np.where(np.asarray(df) > 0, chdtrc(df, np.maximum(chisq, 0.0)), np.nan)


def z_threshold(p: float) -> float:
    """The least |z| whose two-sided p value is at most `p`."""
    return -NormalDist().inv_cdf(p / 2.0)
