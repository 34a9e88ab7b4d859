"""What tells a polygenic trait from a confounded one: mean chi-square, genomic control factor, ratio."""

from __future__ import annotations

import numpy as np

__all__ = ["MEDIAN_CHISQ", "attenuation_ratio", "genomic_control"]

MEDIAN_CHISQ = 0.4549364231195724
"""Median of the chi-square distribution with one degree of freedom."""


def genomic_control(chisq: np.ndarray) -> float:
    """lambda GC = median chi^2 / 0.4549; NaN without variants. Source: Devlin, Roeder (1999), Biometrics 55, 997."""
    return float(np.median(chisq) / MEDIAN_CHISQ) if chisq.size else float("nan")


def attenuation_ratio(
    intercept: np.ndarray, intercept_se: np.ndarray, mean_chisq: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(intercept - 1) / (mean chi^2 - 1) and its standard error: the share of inflation that is not polygenic.

    NaN where the mean chi^2 is not above 1. Source: Bulik-Sullivan et al. (2015).
    """
    excess = np.where(mean_chisq > 1.0, mean_chisq - 1.0, np.nan)
    return (intercept - 1.0) / excess, intercept_se / excess
