"""Genetic correlations: standardised S and V, and their standard errors."""

from __future__ import annotations

import math

import numpy as np

from daskgen.ldsc.regression import ratio_jackknife
from daskgen.linalg.vech import vech, vech_indices

__all__ = ["genetic_correlation", "standardised", "two_sided_p"]


def standardised(s: np.ndarray, v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(D^-1/2 S D^-1/2, V scaled alike) with D = diag(S): (k, k) and (k (k + 1) / 2) squared.

    The scale is taken as known: V_Stand has no term for the error of the heritabilities (as in GenomicSEM). Rows and
    columns of traits whose heritability is not positive are NaN.
    """
    scale = _inverse_root(np.diag(s))
    ratio = np.outer(scale, scale)
    along = vech(ratio)
    return s * ratio, v * np.outer(along, along)


def genetic_correlation(s: np.ndarray, delete_one: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(rg, its standard error), symmetric (k, k): S_ij / sqrt(S_ii S_jj) and the jackknife of that ratio, as ldsc.py.

    `delete_one`: (k (k + 1) / 2, blocks), delete-one values of vech(S). NaN where a heritability is not positive; the
    error is NaN too where a delete-one heritability is not. The diagonal is 1 with error 0.
    """
    k = len(s)
    scale = _inverse_root(np.diag(s))
    rg = s * np.outer(scale, scale)
    row, column = vech_indices(k)
    heritability = delete_one[row == column]
    product = heritability[row] * heritability[column]
    both = (heritability[row] > 0) & (heritability[column] > 0)
    denominator = np.sqrt(np.where(both, product, np.nan))
    error = np.empty((k, k))
    error[row, column] = error[column, row] = ratio_jackknife(rg[row, column], delete_one, denominator)
    error[np.isnan(rg)] = np.nan
    diagonal = np.diag_indices(k)
    rg[diagonal] = np.where(np.isnan(rg[diagonal]), np.nan, 1.0)
    error[diagonal] = np.where(np.isnan(rg[diagonal]), np.nan, 0.0)
    return rg, error


def two_sided_p(estimate: np.ndarray, standard_error: np.ndarray) -> np.ndarray:
    """P(|N(0, 1)| > |estimate / standard_error|); NaN where either is."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(_erfc(np.abs(estimate / standard_error) / np.sqrt(2.0)))


_erfc = np.vectorize(math.erfc, otypes=[np.float64])  # of a few numbers: SciPy takes longer to import


def _inverse_root(heritability: np.ndarray) -> np.ndarray:
    return np.asarray(1.0 / np.sqrt(np.where(heritability > 0, heritability, np.nan)))
