"""The common factor of all traits and a SNP, at every SNP: effect on the factor, and heterogeneity Q.

First fit, loadings, residual variances, the factor's residual variance psi and the SNP's effect gamma free at each SNP:

    y_i = lambda_i F + e_i (lambda_1 = 1),     F = gamma SNP + zeta.

Second fit, lambda, psi and gamma held at what the first has found, and the SNP's variance at that of the data: effects
delta_i of the SNP on each trait beside those through the factor. Q = delta' Omega^-1 delta, with Omega the block of
their sandwich covariance, is chi-square with k - 1 degrees of freedom where the SNP acts through the factor alone.
(Grotzinger et al. 2019, Nature Human Behaviour 3, 513-525.)
"""

from __future__ import annotations

import numpy as np

from daskgen.errors import InputError
from daskgen.sem.dense_fit import chi_square
from daskgen.sem.general_fit import GeneralFit
from daskgen.sem.per_snp import SnpFits, Status
from daskgen.sem.snp_covariance import SnpCovariance
from daskgen.sem.structure import DIRECTED, SYMMETRIC, Structure

__all__ = ["CommonFactorFit"]


class CommonFactorFit:
    """A `PerSnpModel` (see `per_snp`): one parameter, the effect of `snp` on the factor, and one Q.

    Raises InputError for fewer than three traits, UsageError for an estimation that is not known.
    """

    fixed: dict[str, float]
    factors = ("F1",)

    def __init__(
        self, covariance: SnpCovariance, *, estimation: str = "DWLS", snp: str = "SNP", smooth_check: bool = False
    ):
        k = covariance.n_traits
        if k < 3:
            raise InputError(
                "a common factor needs three traits or more.", found=f"{k}: {', '.join(covariance.traits)}"
            )
        likelihood = estimation == "ML"
        self.covariance, self.smooth_check, self.fixed = covariance, smooth_check, {}
        self.parameters = (f"F1~{snp}",)
        # lavaan holds the variance of an exogenous variable at that of the data under ML.
        structure = _structure(covariance, snp, direct=False, snp_variance=not likelihood)
        held = list(range(k + 1))
        self.effect = GeneralFit(structure, covariance, estimation=estimation, snp=snp, report=held, sampled=likelihood)
        self.heterogeneity = GeneralFit(
            _structure(covariance, snp, direct=True, snp_variance=False),
            covariance,
            estimation=estimation,
            snp=snp,
            given=held,
            report=range(k + 1, 2 * k + 1),
            sampled=True,
        )
        self.n_parameters = structure.n_parameters
        self.chisq_df = (k + 1) * (k + 2) // 2 - likelihood - self.n_parameters
        self.q_snp_df = (k - 1,)

    @property
    def traits(self) -> tuple[str, ...]:
        """Names, in the order of the rows of what `fit` takes."""
        return self.covariance.traits

    @property
    def notes(self) -> tuple[str, ...]:
        """What makes the fit slow, in words."""
        return self.effect.notes

    @property
    def bytes_per_snp(self) -> int:
        """Work space of `fit` per SNP of a block, results included."""
        k = self.covariance.n_traits
        return self.effect.bytes_per_snp + self.heterogeneity.bytes_per_snp + 8 * (3 * k * k + 2 * k)

    def fit(self, beta: np.ndarray, se: np.ndarray, variance: np.ndarray) -> SnpFits:
        """Fit a block: beta, se float64 (traits, n), variance float64 (n,)."""
        k = self.covariance.n_traits
        first = self.effect.fit(beta, se, variance)
        second, omega = self.heterogeneity.fit(beta, se, variance, given=first.estimate, covariance=True)
        q = _quadratic(second.estimate, omega)
        # The factor's effect stands on its own; a second fit that failed leaves it without Q, and says so.
        status = np.where(
            (first.status <= Status.SMOOTHED) & (second.status > Status.SMOOTHED),
            np.int16(Status.NO_CONVERGENCE),
            first.status,
        )
        return SnpFits(
            estimate=first.estimate[k - 1 : k],
            se=first.se[k - 1 : k],
            chisq=first.chisq,
            aic=first.aic,
            q_snp=q[None],
            z_smooth=first.z_smooth if self.smooth_check else None,
            status=status.astype(np.int16),
        )


def _quadratic(vector: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """x' A^-1 x (n,) of x (k, n) and A (k, k, n); NaN where one of them is."""
    known = np.isfinite(vector).all(0) & np.isfinite(matrix).all((0, 1))
    x, a = np.where(known, vector, 0.0).T, np.where(known, matrix, np.eye(len(vector))[:, :, None])
    return np.where(known, chi_square(x, np.ascontiguousarray(a.transpose(2, 0, 1))), np.nan)


def _structure(covariance: SnpCovariance, snp: str, *, direct: bool, snp_variance: bool) -> Structure:
    """Parameters: lambda_2 .. lambda_k, gamma, psi, then the direct effects, residual variances, the SNP's variance.

    Without the last two where `direct` or `snp_variance` is false.
    """
    k = covariance.n_traits
    factor = k + 1
    own = np.maximum(np.diag(covariance.S), np.finfo(float).tiny)
    sign = np.where(covariance.S[0] < 0, -1.0, 1.0)
    cells: list[tuple[int, int, int, float | None, float]] = [(DIRECTED, 1, factor, 1.0, 1.0)]
    cells += [(DIRECTED, i + 1, factor, None, sign[i] * np.sqrt(own[i] / own[0])) for i in range(1, k)]
    cells += [(DIRECTED, factor, 0, None, 0.0), (SYMMETRIC, factor, factor, None, own[0] / 2)]
    if direct:
        cells += [(DIRECTED, i + 1, 0, None, 0.0) for i in range(k)]
    cells += [(SYMMETRIC, i + 1, i + 1, None, own[i] / 2) for i in range(k)]
    cells += [(SYMMETRIC, 0, 0, None if snp_variance else 0.3, 0.3)]
    free = np.array([value is None for _, _, _, value, _ in cells])
    start = np.array([cell[4] for cell in cells])[free]
    return Structure(
        observed=(snp, *covariance.traits),
        latent=("F1",),
        matrix=np.array([cell[0] for cell in cells], np.int8),
        row=np.array([cell[1] for cell in cells], np.int32),
        column=np.array([cell[2] for cell in cells], np.int32),
        parameter=np.where(free, np.cumsum(free) - 1, -1).astype(np.int32),
        value=np.array([0.0 if cell[3] is None else cell[3] for cell in cells]),
        start=start,
        lower=np.full(len(start), -np.inf),
        upper=np.full(len(start), np.inf),
    )
