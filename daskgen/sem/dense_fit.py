"""SNPs with a sampling covariance of their own, or weights that are not diagonal: full matrices, a block at a time.

Where the smallest eigenvalue of S_full or V_full is not positive the matrix is replaced by the nearest positive
definite one. The parameters are found with the moments s and the weights w = 1 / diag(V_full) of each SNP. With J = d
sigma / d theta, e = s - sigma, and W = diag(w) or, for ML, the normal-theory weight at the solution,

    Omega = B J'W V W J B,   B = (J'W J)^-1,   chi-square = e' V^-1 e,
    ML: W = 1/2 D'(Sigma^-1 x Sigma^-1) D, so that (W vech(X))_rc = (Sigma^-1 X Sigma^-1)_rc, halved where r = c.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from daskgen.kernels.nearest_pd import positive_definite
from daskgen.kernels.sem_fit import CONVERGED, NOT_CONVERGED, SINGULAR, SKIPPED
from daskgen.kernels.sem_sandwich import ResultSlots, compute_results
from daskgen.kernels.tape import TapeBuilder
from daskgen.linalg.vech import unvech, vech, vech_indices
from daskgen.sem.constraints import Constraints
from daskgen.sem.discrepancy import Discrepancy, MaximumLikelihood, WeightedLeastSquares
from daskgen.sem.estimation import Problem, estimate
from daskgen.sem.per_snp import Status
from daskgen.sem.per_snp_structure import PerSnpStructure, SnpData
from daskgen.sem.snp_covariance import SnpCovariance
from daskgen.sem.structure import DIRECTED

__all__ = ["DenseFit", "DenseResults", "OneByOne", "chi_square", "statuses"]

_STATUS = {
    CONVERGED: Status.CONVERGED,
    NOT_CONVERGED: Status.NO_CONVERGENCE,
    SINGULAR: Status.NOT_IDENTIFIED,
    SKIPPED: Status.BAD_INPUT,
}

_SINGULAR = 1e-13
"""Smallest eigenvalue of J'WJ, scaled to a unit diagonal, of identified parameters."""

Solver = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""(inputs (2 rows + given, n), outcome (n,) int16) -> coordinates (coordinates, n)."""


@dataclass(frozen=True, eq=False)
class DenseResults:
    """estimate (report, n), omega (n, report, report), q_snp (factors, n), chisq, z_smooth, status (n,)."""

    estimate: np.ndarray
    omega: np.ndarray
    chisq: np.ndarray
    q_snp: np.ndarray
    z_smooth: np.ndarray
    status: np.ndarray


def statuses(outcome: np.ndarray) -> np.ndarray:
    """The status, int16 (n,), of how fits ended."""
    return np.array([_STATUS[code] for code in range(len(_STATUS))], np.int16)[outcome]


class DenseFit:
    """Smoothing, standard errors and fit with full matrices, see `GeneralFit` for the arguments.

    unweighted: rows without weight under ML; None under DWLS.
    """

    def __init__(
        self,
        fitted: PerSnpStructure,
        reported: PerSnpStructure,
        covariance: SnpCovariance,
        report: Sequence[int],
        indicators: Sequence[Sequence[int]],
        *,
        unweighted: Sequence[int] | None,
    ):
        self._covariance, self._indicators, self._unweighted = covariance, indicators, unweighted
        free = [a for a in range(reported.structure.n_parameters) if a not in reported.given]
        self._report = [free.index(a) for a in report]
        self._n_rows, self._n_free = len(fitted.rows), len(free)
        tape, n_data = TapeBuilder(), SnpData.n_inputs(covariance, moments=True)
        self._slots = ResultSlots.on(tape, n_data + len(fitted.given), fitted.n_coordinates)
        inputs = self._slots.inputs
        data = SnpData.on(tape, inputs[:n_data], covariance, moments=True)
        values, algebra = fitted.solution(tape, data.s, self._slots.theta, inputs[n_data:])
        residual = fitted.residuals(tape, algebra, data.s)
        slopes = [reported.slope(algebra, a, i) for i in range(self._n_rows) for a in free]
        everything = [*(values[reported.like(fitted, a)] for a in free), *residual, *slopes]
        self._results = [tape.constant(value) for value in everything]
        self._tape = tape.tape()

    def fit(self, data: np.ndarray, rough: np.ndarray, solve: Solver) -> DenseResults:
        """Fit n SNPs: data (2 traits + 1 + given, n), and which may need smoothing, rough (n,)."""
        covariance, k = self._covariance, self._covariance.n_traits
        beta, se, variance, given = np.split(data, [k, 2 * k, 2 * k + 1])
        n = data.shape[1]
        s_full, v_full = covariance.s_full(beta, variance[0]), covariance.v_full(se, variance[0])
        smoothed, definite, z_smooth = _smooth(s_full, v_full, rough)
        s, w = vech(s_full), 1.0 / np.einsum("nkk->nk", v_full)
        inputs = np.concatenate([s.T, w.T, given])
        outcome = np.where(definite, CONVERGED, SKIPPED).astype(np.int16)
        theta = solve(inputs, outcome)
        values = compute_results(self._tape, self._slots, self._results, inputs, theta, outcome)
        known = (outcome == CONVERGED) | (outcome == NOT_CONVERGED)
        values[:, ~known] = 0.0
        parts = np.split(values, [self._n_free, self._n_free + self._n_rows])
        estimate, residual = parts[0][self._report], parts[1].T
        jacobian = parts[2].reshape(self._n_rows, self._n_free, n).transpose(2, 0, 1)
        if self._unweighted is None:
            weighted = w[:, :, None] * jacobian
        else:
            sigma = np.where(known[:, None], s - residual, vech(np.eye(k + 1)))
            weighted = likelihood_weighted(sigma, jacobian, self._unweighted)
        omega, singular = sandwich(jacobian, weighted, v_full)
        omega = omega[:, self._report][:, :, self._report]
        outcome[known & singular] = SINGULAR
        status = statuses(outcome)
        status[~definite] = Status.NOT_POSITIVE_DEFINITE
        status[smoothed & (status == Status.CONVERGED)] = Status.SMOOTHED
        to_snp, v_snp = residual[:, 1 : k + 1], v_full[:, 1 : k + 1, 1 : k + 1]
        q_snp = [chi_square(to_snp[:, own], v_snp[:, own][:, :, own]) for own in self._indicators]
        lost = status > Status.NO_CONVERGENCE
        chisq = chi_square(residual, v_full)
        for array in (estimate.T, omega, chisq, *q_snp):
            array[lost] = np.nan
        z_smooth[~definite] = np.nan
        return DenseResults(estimate, omega, chisq, np.array(q_snp).reshape(-1, n), z_smooth, status)


def _smooth(s_full: np.ndarray, v_full: np.ndarray, rough: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Replace the matrices of `rough` SNPs in place: which were replaced, which are definite, largest change of a Z."""
    before = _z(s_full, v_full)
    smoothed = np.zeros(len(rough), bool)
    for matrix in (s_full, v_full):
        matrix[rough], replaced = positive_definite(matrix[rough])
        smoothed[rough] |= replaced
    definite = np.isfinite(s_full).all((1, 2)) & np.isfinite(v_full).all((1, 2))
    for matrix in (s_full, v_full):
        matrix[~definite] = np.eye(matrix.shape[1])
    return smoothed, definite, np.where(smoothed, np.abs(_z(s_full, v_full) - before).max(1), 0.0)


def _z(s_full: np.ndarray, v_full: np.ndarray) -> np.ndarray:
    """Z of the SNP's covariance with each trait, (n, traits)."""
    error = np.sqrt(np.einsum("nkk->nk", v_full)[:, 1 : s_full.shape[1]])
    return np.asarray(s_full[:, 1:, 0] / error)


def likelihood_weighted(sigma: np.ndarray, jacobian: np.ndarray, unweighted: Sequence[int]) -> np.ndarray:
    """W J (n, K, p) of the normal-theory weight at Sigma, given as its lower triangle (n, K).

    unweighted: rows of variances and covariances among exogenous variables, whose weight lavaan sets to zero (fixed.x).
    """
    inverse = np.linalg.inv(unvech(sigma))
    kept = np.array(jacobian.transpose(0, 2, 1))
    kept[..., unweighted] = 0.0
    weighted = vech(inverse[:, None] @ unvech(kept) @ inverse[:, None])
    row, column = vech_indices(inverse.shape[-1])
    weighted *= np.where(row == column, 1.0, 2.0)
    weighted[..., unweighted] = 0.0
    return weighted.transpose(0, 2, 1) / 2.0


def sandwich(jacobian: np.ndarray, weighted: np.ndarray, v_full: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Omega (n, p, p), and where J'WJ is singular, bool (n,); there Omega means nothing."""
    normal = jacobian.transpose(0, 2, 1) @ weighted
    scale = np.sqrt(np.einsum("npp->np", normal))
    scale[~(scale > 0)] = 1.0
    scaled = normal / scale[:, :, None] / scale[:, None, :]
    singular = ~np.isfinite(scaled).all((1, 2))
    scaled[singular] = 0.0
    singular |= np.linalg.eigvalsh(scaled)[:, 0] <= _SINGULAR
    scaled[singular] = np.eye(scaled.shape[1])
    bread = np.linalg.inv(scaled) / scale[:, :, None] / scale[:, None, :]
    influence = weighted @ bread
    return influence.transpose(0, 2, 1) @ v_full @ influence, singular


def chi_square(residual: np.ndarray, v: np.ndarray) -> np.ndarray:
    """e' V^-1 e (n,) of residuals (n, K) and V (n, K, K)."""
    # The sum along a contiguous axis: its order, and so the bits, do not depend on n.
    right = np.ascontiguousarray(residual)
    return np.asarray((right * np.linalg.solve(v, right[..., None])[..., 0]).sum(axis=-1))


class OneByOne:
    """The parameters of each SNP by sequential quadratic programming: for constraints that are not linear equations."""

    def __init__(self, fitted: PerSnpStructure, constraints: Constraints, estimation: str, start: np.ndarray):
        numbers = fitted.numbers
        structure = fitted.structure
        renumber = np.argsort([*numbers, *range(len(numbers), structure.n_variables)])
        self._structure = replace(
            structure,
            observed=tuple(structure.observed[i] for i in numbers),
            row=renumber[structure.row].astype(np.int32),
            column=renumber[structure.column].astype(np.int32),
            start=start,
        )
        self._constraints, self._estimation = constraints, estimation
        variance = (self._structure.row == 0) & (self._structure.column == 0) & (structure.matrix != DIRECTED)
        self._sampled = variance & (structure.parameter < 0) & fitted.sampled

    def solve(self, inputs: np.ndarray, outcome: np.ndarray) -> np.ndarray:
        """See `Solver`; without given parameters."""
        rows = inputs.shape[0] // 2
        theta = np.full((self._structure.n_parameters, inputs.shape[1]), np.nan)
        for snp in np.flatnonzero(outcome != SKIPPED):
            sample, w = unvech(inputs[:rows, snp]), inputs[rows:, snp]
            structure = replace(self._structure, value=np.where(self._sampled, sample[0, 0], self._structure.value))
            discrepancy: Discrepancy = WeightedLeastSquares(sample, w)
            if self._estimation == "ML":
                discrepancy = MaximumLikelihood(sample)
            found = estimate(Problem(structure, discrepancy, self._constraints))
            theta[:, snp] = found.theta
            outcome[snp] = CONVERGED if found.converged else NOT_CONVERGED
        return theta
