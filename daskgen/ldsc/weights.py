"""Weights of LD-score regression: from a first, unweighted estimate of the heritability.

The variance of a trait's z^2 grows with 1 + N h2 l / M, so variants are weighted by its inverse, and by 1 / w_ld
because variants in high LD count the same signal several times. With l = max(L, 1), w_ld = max(weight L, 1) the weights
of GenomicSEM, which multiply both sides of the regression, are

    of a trait                  w   = sqrt( 1 / (2 (1 + s N l)^2) / w_ld ),        s = h2 / M
    of a pair                   w_1 + w_2, each with its own trait's N and s

up to a common factor that cancels. h2 is the aggregate estimate `aggregate_heritability` over the pair's own variants.
The products with the data are formed in `daskgen.kernels.ldsc`.

Source: Bulik-Sullivan et al. (2015), Nature Genetics 47, 291-295, supplementary note 1; GenomicSEM 0.0.5, ldsc().
"""

from __future__ import annotations

import numpy as np

__all__ = ["aggregate_heritability", "variance_slope"]


def aggregate_heritability(mean_chisq: np.ndarray, mean_ld_n: np.ndarray, m: float) -> np.ndarray:
    """h2 = M (mean chi^2 - 1) / mean(L N), kept between 0 and 1.

    The estimate that a regression line through (0, 1) and the point of means gives. mean_chisq, mean_ld_n: any equal
    shape; m: number of variants M that the LD scores sum over.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        estimate = m * (mean_chisq - 1.0) / mean_ld_n
    return np.clip(np.nan_to_num(estimate), 0.0, 1.0)


def variance_slope(mean_chisq: np.ndarray, mean_ld_n: np.ndarray, m: float) -> np.ndarray:
    """s = h2 / M: how much of the variance 1 + s N l a unit of N l makes."""
    return aggregate_heritability(mean_chisq, mean_ld_n, m) / m
