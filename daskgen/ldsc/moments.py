"""Means over the variants that two traits share, from the sums that the kernel gives."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["PairMoments"]


@dataclass(frozen=True)
class PairMoments:
    """Means over the variants that both traits of a pair have; arrays (pairs,), or (pairs, 2) for one per trait.

    count: variants; chisq: mean of z^2; z_product: mean of z_1 z_2; n: mean of N; ld_n: mean of L N.
    Means of pairs without variants are NaN.
    """

    count: np.ndarray
    chisq: np.ndarray
    z_product: np.ndarray
    n: np.ndarray
    ld_n: np.ndarray

    @classmethod
    def of(cls, sums: np.ndarray) -> PairMoments:
        """From what `daskgen.kernels.ldsc.pair_moments` gives, (pairs, 8)."""
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = sums[:, 1:] / sums[:, :1]
        return cls(sums[:, 0].astype(np.int64), mean[:, :2], mean[:, 2], mean[:, 3:5], mean[:, 5:7])

    @property
    def n_bar(self) -> np.ndarray:
        """sqrt(mean N_1 mean N_2), (pairs,): mean N of a trait with itself."""
        return np.asarray(np.sqrt(self.n[:, 0] * self.n[:, 1]))
