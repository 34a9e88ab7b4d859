"""Genetic covariance S, its sampling covariance V and the intercepts I of k traits, from the regressions of all pairs.

A regression of z_1 z_2 on L has the slope N_bar S_12 / M, N_bar = sqrt(mean N_1 mean N_2), so

    S  = M slope / N_bar,       I = intercept
    V_pq = Cov(slope_p, slope_q) M^2 / (N_bar_p N_bar_q)         p, q cells of the lower triangle, column by column

On the liability scale (`liability`) S_ij is multiplied by sqrt(c_i c_j), and V by the same factors on both sides.

Source: Grotzinger et al. (2019), Nature Human Behaviour 3, 513-525, methods; GenomicSEM 0.0.5, ldsc().
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from daskgen.ldsc.regression import BlockRegression, jackknife_covariance
from daskgen.linalg.vech import unvech, vech

__all__ = ["GeneticCovariance"]


@dataclass(frozen=True)
class GeneticCovariance:
    """S (k, k), V (q, q), I and its standard errors (k, k), N (q,), q = k (k + 1) / 2; float64.

    scale: (k, k), sqrt(c_i c_j) between the observed scale and that of S; delete_one: (q, blocks), of vech(S).
    """

    s: np.ndarray
    v: np.ndarray
    intercept: np.ndarray
    intercept_se: np.ndarray
    n: np.ndarray
    m: float
    scale: np.ndarray
    delete_one: np.ndarray

    @classmethod
    def of(cls, cells: BlockRegression, n_bar: np.ndarray, m: float, liability: np.ndarray) -> GeneticCovariance:
        """From the regressions of all cells in the order of vech.

        cells: coefficients (slope, intercept), (q, 2); n_bar: (q,); m: number of variants in the LD scores;
        liability: c of each trait, (k,).
        """
        scale = np.sqrt(np.outer(liability, liability))
        per_slope = m / n_bar * vech(scale)
        v = jackknife_covariance(cells.pseudo_values[..., 0]) * np.outer(per_slope, per_slope)
        return cls(
            unvech(cells.estimate[:, 0] * per_slope),
            v,
            unvech(cells.estimate[:, 1]),
            unvech(cells.standard_error[:, 1]),
            n_bar,
            m,
            scale,
            cells.delete_one[..., 0] * per_slope[:, None],
        )

    @property
    def s_se(self) -> np.ndarray:
        """Standard errors of S, (k, k)."""
        return unvech(np.sqrt(np.diag(self.v)))
