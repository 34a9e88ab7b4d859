"""One fit per SNP of any structural model: DWLS or ML, all parameters free or some, bounds, constraints, smoothing.

The model is written on tapes once (`fit_program`, `result_program`); the kernels go through them for groups of SNPs
side by side. SNPs whose S_full or V_full is not positive definite go through the same fit with moments and weights of
their own, and full matrices for what follows (`dense_fit`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, overload

import numpy as np

from daskgen.errors import UsageError
from daskgen.kernels.nearest_pd import positive_definite
from daskgen.kernels.sem_fit import CONVERGED, SKIPPED, fit_parameters
from daskgen.kernels.sem_sandwich import compute_results
from daskgen.linalg.vech import vech, vech_length
from daskgen.sem.constraints import Constraints
from daskgen.sem.dense_fit import DenseFit, OneByOne, statuses
from daskgen.sem.factor_sign import turned_like_start
from daskgen.sem.fit_program import FitProgram, least_squares_program, likelihood_program
from daskgen.sem.per_snp import SnpFits, Status
from daskgen.sem.per_snp_structure import PerSnpStructure
from daskgen.sem.result_program import ResultProgram, result_program
from daskgen.sem.snp_covariance import SnpCovariance
from daskgen.sem.structure import Structure

__all__ = ["GeneralFit"]

_TOLERANCE = {"DWLS": 1e-16, "ML": 1e-22}
"""What may be left of F. DWLS: of chi-square, so 1e-8 of a standard error. ML: of squared relative changes of Sigma."""


class GeneralFit:
    """The fit of `structure` at every SNP.

    structure: observed variables are `snp` and the traits of `covariance`, in any order; bounds are honoured.
    reported: the same cells with every free row a parameter of its own (default: structure); estimates and standard
    errors are of its parameters, and its Jacobian makes the standard errors, as in R GenomicSEM. report: which of them,
    default all that are not given. given: parameters of `structure` that `fit` takes as data of each SNP.
    indicators: traits, by name, of each factor that has a Q_SNP.
    constraints: equations and inequalities of the parameters. Linear equations cost nothing; with others each SNP is
    fitted alone, thousands of times slower.
    sampled: a fixed variance of the SNP is that of the data, as in lavaan under ML. exogenous: observed variables of
    which ML gives no weight to variances and covariances, as lavaan does (default: the SNP). n_parameters: of the AIC,
    default those of `structure`.

    Whether the model is identified is for the caller to check; SNPs that don't tell a parameter have a status.
    Raises UsageError for another estimation.
    """

    def __init__(
        self,
        structure: Structure,
        covariance: SnpCovariance,
        *,
        estimation: str = "DWLS",
        snp: str = "SNP",
        reported: Structure | None = None,
        report: Sequence[int] | None = None,
        given: Sequence[int] = (),
        indicators: Sequence[Sequence[str]] = (),
        constraints: Constraints | None = None,
        sampled: bool = False,
        exogenous: Sequence[str] | None = None,
        n_parameters: int | None = None,
    ):
        if estimation not in _TOLERANCE:
            raise UsageError("this estimation is not known.", found=estimation, expected=", ".join(_TOLERANCE))
        self.covariance, self.estimation = covariance, estimation
        self.n_parameters = structure.n_parameters if n_parameters is None else n_parameters
        alone = constraints is not None and bool(constraints) and not _linear(constraints, structure)
        tied = np.flatnonzero(constraints.matrix.any(0)) if constraints and not alone else np.zeros(0, np.int64)

        def per_snp(cells: Structure, given: Sequence[int] = (), tied: Sequence[int] = ()) -> PerSnpStructure:
            saturate = estimation == "DWLS" and not alone
            return PerSnpStructure.of(
                cells, covariance, snp, given=given, tied=tied, saturate=saturate, sampled=sampled
            )

        self.fitted = per_snp(structure, given, tied.tolist())
        if constraints and not alone:
            self.fitted = self.fitted.under(constraints.matrix, constraints.right)
        if reported is None:
            self.reported = per_snp(structure, given)
        else:
            shared = dict(zip(reported.parameter.tolist(), structure.parameter.tolist(), strict=True))
            self.reported = per_snp(reported, [a for a, b in shared.items() if b in given])
        free = [a for a in range(self.reported.structure.n_parameters) if a not in self.reported.given]
        self.report = free if report is None else list(report)
        self.indicators = [[covariance.traits.index(name) for name in names] for names in indicators]
        self._program = self._fit_program(moments=False)
        self._v_definite = all(np.linalg.eigvalsh(m)[0] > 0 for m in (covariance.R, covariance.V))
        self._s_inverse = np.linalg.inv(covariance.S) if np.linalg.eigvalsh(covariance.S)[0] > 0 else None
        self._results: dict[bool, ResultProgram] = {}
        self._dense_only = alone or not self._v_definite or self._s_inverse is None
        variables = (snp, *covariance.traits)
        external = [variables.index(name) for name in ((snp,) if exogenous is None else exogenous)]
        self._unweighted: list[int] | None = None
        if estimation == "ML":
            self._unweighted = [i for i, (r, c) in enumerate(self.fitted.rows) if r in external and c in external]
        self.dense = DenseFit(
            self.fitted, self.reported, covariance, self.report, self.indicators, unweighted=self._unweighted
        )
        self._moment_program = self._fit_program(moments=True)
        self._start = self.fitted.coordinates(structure.start)[:, None]
        self._one_by_one: OneByOne | None = None
        if not given:
            self._start = self._solution_without_effect()
        if alone:
            assert constraints is not None
            self._one_by_one = OneByOne(self.fitted, constraints, estimation, self._start[:, 0])

    @overload
    def fit(
        self,
        beta: np.ndarray,
        se: np.ndarray,
        variance: np.ndarray,
        *,
        given: np.ndarray | None = None,
        covariance: Literal[False] = False,
    ) -> SnpFits: ...

    @overload
    def fit(
        self,
        beta: np.ndarray,
        se: np.ndarray,
        variance: np.ndarray,
        *,
        given: np.ndarray | None = None,
        covariance: Literal[True],
    ) -> tuple[SnpFits, np.ndarray]: ...

    def fit(
        self,
        beta: np.ndarray,
        se: np.ndarray,
        variance: np.ndarray,
        *,
        given: np.ndarray | None = None,
        covariance: bool = False,
    ) -> SnpFits | tuple[SnpFits, np.ndarray]:
        """Fit n SNPs: beta, se float64 (traits, n), variance float64 (n,), given float64 (given, n).

        With `covariance` also the covariances of the reported parameters, (report, report, n).
        """
        n, count, factors = len(variance), len(self.report), len(self.indicators)
        data = np.concatenate([beta, se, variance[None], np.empty((0, n)) if given is None else given])
        usable, rough = self._sorted(beta, se, variance, data)
        row, column = np.tril_indices(count) if covariance else (np.arange(count), np.arange(count))
        values = np.full((count + 1 + factors + len(row), n), np.nan)
        z_smooth = np.where(usable, 0.0, np.nan)
        status = np.full(n, Status.BAD_INPUT, np.int16)
        dense = usable if self._dense_only else rough
        if (usable & ~dense).any():
            outcome = np.where(usable & ~dense, CONVERGED, SKIPPED).astype(np.int16)
            theta = self._solve(self._program, data, outcome)
            program = self._result_program(covariance)
            values = compute_results(program.tape, program.slots, program.results, data, theta, outcome)
            status = statuses(outcome)
        if dense.any():
            at = np.flatnonzero(dense)
            for part in np.array_split(at, -(-len(at) // self._dense_block)):
                own = self.dense.fit(data[:, part], rough[part], self._solve_moments)
                triangle = own.omega[:, row, column].T
                values[:, part] = np.concatenate([own.estimate, own.chisq[None], own.q_snp, triangle])
                z_smooth[part], status[part] = own.z_smooth, own.status
        estimate, chisq, q_snp = values[:count], values[count], values[count + 1 : count + 1 + factors]
        covariances = values[count + 1 + factors :]
        with np.errstate(invalid="ignore"):
            errors = np.sqrt(covariances[row == column])
        fits = SnpFits(estimate, errors, chisq, chisq + 2 * self.n_parameters, q_snp, z_smooth, status)
        if not covariance:
            return fits
        omega = np.empty((count, count, n))
        omega[row, column] = omega[column, row] = covariances
        return fits, omega

    @property
    def bytes_per_snp(self) -> int:
        """Work space of `fit` per SNP of a block, results included."""
        size = (
            4 * self.covariance.n_traits
            + 2
            + 3 * len(self.report)
            + len(self.indicators)
            + len(self.fitted.iterated)
            + 8
        )
        return 8 * size

    @property
    def notes(self) -> tuple[str, ...]:
        """What makes the fit slow, in words."""
        out = []
        if self._one_by_one is not None:
            out.append(
                "constraints that are not linear equations: every SNP is fitted alone, some tens of SNPs a second"
            )
        if not self._v_definite:
            out.append(
                "V or the matrix of intercepts is not positive definite: V is smoothed at every SNP, which is slow"
            )
        if self._s_inverse is None:
            out.append("S is not positive definite: it is smoothed at every SNP, which is slow")
        return tuple(out)

    @property
    def _dense_block(self) -> int:
        """SNPs whose full matrices take some MB."""
        return max(1, 2**22 // (8 * vech_length(self.covariance.n_traits + 1) ** 2))

    def _sorted(
        self, beta: np.ndarray, se: np.ndarray, variance: np.ndarray, data: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Which SNPs can be fitted, and which of them need smoothing.

        S_full is positive definite if S is and v b' S^-1 b < 1.
        """
        with np.errstate(invalid="ignore"):
            usable: np.ndarray = np.isfinite(data).all(0) & (se > 0).all(0) & (variance > 0)
            if not self._v_definite or self._s_inverse is None:
                return usable, usable.copy()
            explained = variance * np.einsum("in,ij,jn->n", beta, self._s_inverse, beta)
            return usable, usable & ~(explained < 1.0)

    def _fit_program(self, *, moments: bool) -> FitProgram:
        write = likelihood_program if self.estimation == "ML" else least_squares_program
        return write(self.fitted, self.covariance, moments=moments)

    def _result_program(self, covariance: bool) -> ResultProgram:
        if covariance not in self._results:
            self._results[covariance] = result_program(
                self.fitted,
                self.reported,
                self.covariance,
                self.report,
                self.indicators,
                unweighted=self._unweighted,
                with_covariance=covariance,
            )
        return self._results[covariance]

    def _solve_moments(self, inputs: np.ndarray, outcome: np.ndarray) -> np.ndarray:
        if self._one_by_one is not None:
            return self._one_by_one.solve(inputs, outcome)
        return self._solve(self._moment_program, inputs, outcome)

    def _solve(self, program: FitProgram, inputs: np.ndarray, outcome: np.ndarray) -> np.ndarray:
        structure = self.fitted.structure
        return fit_parameters(
            program.tape,
            program.slots,
            inputs,
            self._start,
            np.ascontiguousarray(self.fitted.coordinates(structure.lower)),
            np.ascontiguousarray(self.fitted.coordinates(structure.upper)),
            outcome,
            tolerance=_TOLERANCE[self.estimation],
        )

    def _solution_without_effect(self) -> np.ndarray:
        """The coordinates (coordinates, 1) at beta = 0, where every SNP starts, factors turned as the start says."""
        k, variance = self.covariance.n_traits, np.array([0.3])
        s_full = self.covariance.s_full(np.zeros((k, 1)), variance)
        s_full[:, 1:, 1:] = positive_definite(self.covariance.S)[0]
        v_full = self.covariance.v_full(np.full((k, 1), 0.01), variance)
        inputs = np.concatenate([vech(s_full), 1.0 / np.einsum("nkk->nk", v_full)], axis=1).T
        outcome = np.array([CONVERGED], np.int16)
        theta = self.fitted.structure.start.copy()
        found = self._solve(self._moment_program, inputs, outcome)
        theta[[self.fitted.iterated[place] for place in self.fitted.independent]] = found[:, 0]
        return self.fitted.coordinates(turned_like_start(self.fitted.structure, theta))[:, None]


def _linear(constraints: Constraints, structure: Structure) -> bool:
    """Whether all constraints are linear equations of parameters without bounds."""
    bounded = np.isfinite(structure.lower) | np.isfinite(structure.upper)
    return constraints.all_linear and not (constraints.matrix.any(0) & bounded).any()
