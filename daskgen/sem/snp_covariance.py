"""What is the same at every SNP in the covariance of a SNP and the traits, and in its sampling covariance.

With v the variance of the SNP, b and s its effects on the traits and their standard errors, variables (SNP, traits):

    S_full = | v      v b' |        V_full = diag( snp_se^2,  D R D,  V ),   D = v diag(s g)
             | v b    S    |

over the column-wise lower triangle. R holds the intercepts of LD-score regression, with a unit diagonal; g is the
square root of the trait's own intercept ("standard"), the intercept ("conserv") or 1 ("none"), intercepts below 1
raised to 1. (Grotzinger et al. 2019, Nature Human Behaviour 3, 513-525, and its supplement.)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from daskgen.errors import UsageError
from daskgen.linalg.vech import vech_indices, vech_length

__all__ = ["GENOMIC_CONTROL", "SnpCovariance"]

GENOMIC_CONTROL = ("standard", "conserv", "none")


@dataclass(frozen=True, eq=False)
class SnpCovariance:
    """S, V, R and g of the traits, in their order: float64 (k, k), (k (k + 1) / 2) squared, (k, k), (k,).

    snp_se: the standard error that the variance of a SNP is given.
    """

    traits: tuple[str, ...]
    S: np.ndarray
    V: np.ndarray
    R: np.ndarray
    g: np.ndarray
    snp_se: float

    @classmethod
    def from_intercepts(
        cls, traits: tuple[str, ...], S: np.ndarray, V: np.ndarray, I: np.ndarray, gc: str, snp_se: float
    ) -> SnpCovariance:
        """From the intercepts I (k, k) and the kind of genomic control."""
        if gc not in GENOMIC_CONTROL:
            raise UsageError(
                "this kind of genomic control is not known.", found=gc, expected=", ".join(GENOMIC_CONTROL)
            )
        if not (np.isfinite(snp_se) and snp_se > 0):
            raise UsageError("snp_se must be positive.", found=snp_se)
        own = np.maximum(np.diag(I), 1.0)
        g = {"standard": np.sqrt(own), "conserv": own, "none": np.ones(len(own))}[gc]
        R = np.array(I, np.float64)
        np.fill_diagonal(R, 1.0)
        return cls(tuple(traits), np.array(S, np.float64), np.array(V, np.float64), R, g, float(snp_se))

    @property
    def n_traits(self) -> int:
        return len(self.traits)

    def rows(self) -> list[tuple[int, int]]:
        """(row, column) of each element of the lower triangle, by number among (SNP, traits): SNP 0, first trait 1."""
        row, column = vech_indices(self.n_traits + 1)
        return list(zip(row.tolist(), column.tolist(), strict=True))

    def s_full(self, beta: np.ndarray, variance: np.ndarray) -> np.ndarray:
        """(n, k + 1, k + 1) from beta (k, n) and variance (n,)."""
        out = np.empty((len(variance), self.n_traits + 1, self.n_traits + 1))
        out[:, 0, 0] = variance
        out[:, 1:, 0] = out[:, 0, 1:] = (variance * beta).T
        out[:, 1:, 1:] = self.S
        return out

    def v_full(self, se: np.ndarray, variance: np.ndarray) -> np.ndarray:
        """(n, K, K), K = (k + 1)(k + 2) / 2, from se (k, n) and variance (n,)."""
        k, size = self.n_traits, vech_length(self.n_traits + 1)
        scale = (se * self.g[:, None] * variance).T
        out = np.zeros((len(variance), size, size))
        out[:, 0, 0] = self.snp_se**2
        out[:, 1 : k + 1, 1 : k + 1] = scale[:, :, None] * self.R * scale[:, None, :]
        out[:, k + 1 :, k + 1 :] = self.V
        return out
