"""What a model that is fitted at every SNP looks like to the pass over the variants, and the status of each fit."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol

import numpy as np

__all__ = ["PerSnpModel", "SnpFits", "Status"]


class Status(IntEnum):
    """How the fit of one SNP ended. Up to SMOOTHED the numbers stand; NO_CONVERGENCE keeps them; else they are NaN."""

    CONVERGED = 0
    SMOOTHED = 1  # converged, after S or V was replaced by the nearest positive definite matrix
    NO_CONVERGENCE = 2
    NOT_POSITIVE_DEFINITE = 3  # even after smoothing
    NOT_IDENTIFIED = 4  # the information matrix of the parameters is singular at this SNP
    BAD_INPUT = 5  # effect or frequency missing or not finite, standard error not positive, frequency 0 or 1


STATUS_TEXT = {
    Status.CONVERGED: "converged",
    Status.SMOOTHED: "converged after smoothing S or V to the nearest positive definite matrix",
    Status.NO_CONVERGENCE: "did not converge; the last values are kept",
    Status.NOT_POSITIVE_DEFINITE: "not positive definite, even after smoothing",
    Status.NOT_IDENTIFIED: "parameters are not identified at this SNP",
    Status.BAD_INPUT: "effect, standard error or frequency missing or out of range",
}


@dataclass(frozen=True, eq=False)
class SnpFits:
    """The fits of a block of n SNPs, the SNP axis contiguous.

    estimate, se: float64 (parameters, n). chisq, aic: float64 (n,). q_snp: float64 (factors, n), of the factors that
    SNPs act on. z_smooth: float64 (n,), largest change of a trait's Z by smoothing, or None. status: int16 (n,).
    """

    estimate: np.ndarray
    se: np.ndarray
    chisq: np.ndarray
    aic: np.ndarray
    q_snp: np.ndarray
    z_smooth: np.ndarray | None
    status: np.ndarray


class PerSnpModel(Protocol):
    """A model with everything folded in that is the same at every SNP: small, picklable, with no reference to data.

    traits: names, in the order of the rows of what `fit` takes. parameters: labels (R's lhs op rhs without blanks) of
    what `fit` estimates. fixed: label and value of what is the same at every SNP. factors: those with a Q_SNP.
    chisq_df, and q_snp_df by factor: degrees of freedom. n_parameters: free parameters, for the AIC.
    """

    @property
    def traits(self) -> tuple[str, ...]: ...

    @property
    def parameters(self) -> tuple[str, ...]: ...

    @property
    def fixed(self) -> dict[str, float]: ...

    @property
    def factors(self) -> tuple[str, ...]: ...

    @property
    def chisq_df(self) -> int: ...

    @property
    def q_snp_df(self) -> tuple[int, ...]: ...

    @property
    def n_parameters(self) -> int: ...

    @property
    def bytes_per_snp(self) -> int:
        """Work space of `fit` per SNP of a block, results included."""
        ...

    def fit(self, beta: np.ndarray, se: np.ndarray, variance: np.ndarray) -> SnpFits:
        """Fit a block: beta, se float64 (traits, n); variance float64 (n,), of the SNP, 2 MAF (1 - MAF)."""
        ...
