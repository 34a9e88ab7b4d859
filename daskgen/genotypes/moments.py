"""Allele frequencies, means, variances and scale factors of variants in the analysed samples: pure arithmetic.

For a variant with codes x in {0, 1, 2} (or dosages in [0, 2]) over the samples with a call:

    mean        mu = sum x / n,      allele frequency p = mu / 2
    variance    "empirical": sum x^2 / n - mu^2 (ddof 0)        "hwe": 2 p (1 - p)
    factor      variance^(alpha / 2), so that z = (x - mu) * factor has Var(z) = variance^(1 + alpha)

alpha = -1 standardises every variant (GCTA); alpha = 0 leaves allele counts. Variants without positive empirical
variance in the analysed samples have factor 0 and count nowhere (see `docs/methods/genotypes`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["Moments", "check_scale", "from_counts", "from_dosage_sums"]

SCALES = ("empirical", "hwe")


@dataclass(frozen=True)
class Moments:
    """Per variant, float64 unless said otherwise: n_called (int64), mean and empirical variance of the calls."""

    n_called: np.ndarray
    mean: np.ndarray
    variance: np.ndarray

    @property
    def allele_frequency(self) -> np.ndarray:
        """p = mean / 2; NaN where no sample has a call."""
        return self.mean / 2

    @property
    def polymorphic(self) -> np.ndarray:
        """bool: positive variance in the analysed samples."""
        return np.asarray(self.variance > 0)

    def factor(self, scale: str = "empirical", alpha: float = -1.0) -> np.ndarray:
        """variance^(alpha / 2) as `scale` defines the variance; 0 for variants that do not vary."""
        variance = self.variance if scale == "empirical" else self.mean * (1 - self.mean / 2)
        positive = self.polymorphic & (variance > 0)
        factor = np.zeros(len(variance))
        np.power(variance, alpha / 2, out=factor, where=positive)
        return factor

    def centre(self) -> np.ndarray:
        """The mean, 0 where no sample has a call (so that it can enter arithmetic)."""
        return np.where(self.n_called > 0, self.mean, 0.0)


def _moments(n: np.ndarray, total: np.ndarray, squares: np.ndarray) -> Moments:
    n = n.astype(np.int64)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = total / n
        # sum x^2 / n - mean^2 without cancellation for whole numbers: (n sum x^2 - (sum x)^2) / n^2.
        variance = (n * squares - total * total) / (n.astype(np.float64) * n)
    # Rounding leaves up to a few ulp where all calls are equal; dosages are multiples of 2^-14, so that a true
    # variance is never below 2^-28 (n - 1) / n^2.
    least = 0.5 * 2.0**-28 / np.maximum(n, 1)
    variance = np.where((n > 0) & (variance > least), variance, 0.0)
    return Moments(n, mean, variance)


def from_counts(counts: np.ndarray) -> Moments:
    """Moments from int (variants, 4): how many samples have code 0, 1, 2, 3 (missing)."""
    c = counts.astype(np.float64)
    return _moments(counts[:, :3].sum(axis=1), c[:, 1] + 2 * c[:, 2], c[:, 1] + 4 * c[:, 2])


def from_dosage_sums(n_called: np.ndarray, total: np.ndarray, squares: np.ndarray) -> Moments:
    """Moments from the number of dosages, their sum and their sum of squares."""
    return _moments(n_called, total, squares)


def check_scale(scale: str, alpha: float) -> None:
    """UsageError-worthy values are refused by the caller; here only the two names and a finite alpha pass."""
    if scale not in SCALES:
        raise ValueError(f"scale must be one of {', '.join(SCALES)}, not {scale!r}")
    if not np.isfinite(alpha):
        raise ValueError(f"alpha must be finite, not {alpha}")
