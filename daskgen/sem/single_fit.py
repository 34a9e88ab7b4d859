"""One model fitted to one covariance structure: estimates, GenomicSEM's standard errors, what the model implies.

The standard errors are those of the sandwich, for DWLS and ML alike,

    Omega = B D'W V W D B,     B = (D'W D)^-1,     D = d vech(Sigma) / d theta,

with V the full sampling covariance and W the weights of the fit (ML: lavaan's normal-theory matrix at the solution).
D has a column for every free row of the table: parameters that share a label, or that a constraint ties to others, have
the errors that they would have without, as in GenomicSEM. `constrained_se` has them with it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from daskgen.linalg.vech import vech_length
from daskgen.sem.discrepancy import Discrepancy, MaximumLikelihood, WeightedLeastSquares
from daskgen.sem.estimation import Estimate, Problem, estimate
from daskgen.sem.identification import check_identified, lacking
from daskgen.sem.moments import Moments
from daskgen.sem.orientation import factor_flips, oriented
from daskgen.sem.parameters import ParameterTable
from daskgen.sem.structure import Structure

__all__ = ["TableFit", "fit_table"]

_SINGULAR = 1e-7
"""Singular value of D, its columns at length one, below which a parameter has no standard error."""


@dataclass(frozen=True, eq=False)
class TableFit:
    """A parameter table at its estimates.

    theta: float64 (parameters,). sigma: implied covariance (k, k), observed in the order of `moments`. omega: sampling
    covariance of the free rows, each a parameter of its own; where only the ties between parameters identify the
    model (`ties_identify`) that of the tied ones; NaN where the information is singular. solution: how the
    minimisation ended. n_constraints: independent equality constraints.
    """

    table: ParameterTable
    moments: Moments
    estimation: str
    structure: Structure
    solution: Estimate
    theta: np.ndarray
    sigma: np.ndarray
    omega: np.ndarray
    n_constraints: int
    ties_identify: bool = False

    @property
    def converged(self) -> bool:
        """Whether gradient and constraints are zero, where the information about the parameters is not singular."""
        return self.solution.converged and bool(np.isfinite(self.omega).all())

    @property
    def values(self) -> np.ndarray:
        """Every row of the table at the estimates."""
        return self.table.values(self.theta)

    @property
    def se(self) -> np.ndarray:
        """Standard errors of the rows; NaN for fixed ones."""
        out = np.full(len(self.table.rows), np.nan)
        with np.errstate(invalid="ignore"):
            out[[row.free for row in self.table.rows]] = np.sqrt(np.diag(self.omega))
        return out

    @property
    def n_parameters(self) -> int:
        """Free parameters less equality constraints: R's npar."""
        return len(self.theta) - self.n_constraints

    @property
    def df(self) -> int:
        """Covariances that are modelled less parameters."""
        fixed = sum(row.exogenous for row in self.table.rows)
        return vech_length(len(self.moments.traits)) - fixed - self.n_parameters

    def defined(self) -> tuple[np.ndarray, np.ndarray]:
        """Values and standard errors (delta method, J Omega J') of the := parameters."""
        functions = self.table.defined()
        jacobian = functions.jacobian(self.theta) @ _first_rows(self.table)
        with np.errstate(invalid="ignore"):
            return functions.value(self.theta), np.sqrt(np.diag(jacobian @ self.omega @ jacobian.T))

    @property
    def is_tied(self) -> bool:
        """Whether labels or equality constraints tie parameters to each other."""
        return self.n_constraints > 0 or len(self.theta) < sum(row.free for row in self.table.rows)

    def constrained_omega(self) -> np.ndarray:
        """Sampling covariance (parameters, parameters) that honours labels and equality constraints.

        With Z a basis of the directions that the constraints allow, Z (Z'D'WDZ)^-1 Z'D'WVWDZ (Z'D'WDZ)^-1 Z'.
        """
        jacobian = self.structure.jacobian(self.theta)
        binding = self.table.constraints().equality.jacobian(self.theta)
        _, singular, right = np.linalg.svd(binding) if len(binding) else (0, np.zeros(0), np.eye(len(self.theta)))
        basis = right[int((singular > 1e-10).sum()) :].T
        inner = _sandwich(
            jacobian @ basis, self.moments.v, _discrepancy(self.table, self.moments, self.estimation), self.sigma
        )
        return np.asarray(basis @ inner @ basis.T)

    def constrained_se(self) -> np.ndarray:
        """Standard errors (rows,) of `constrained_omega`; NaN for fixed rows."""
        held = self.table.parameter_of_row
        if not len(self.theta):
            return np.full(len(held), np.nan)
        with np.errstate(invalid="ignore"):
            return np.where(held >= 0, np.sqrt(np.diag(self.constrained_omega()))[held], np.nan)


def fit_table(table: ParameterTable, moments: Moments, *, estimation: str = "DWLS") -> TableFit:
    """Fit a table to S and V; `moments` has the observed variables of the table, in any order.

    estimation: "DWLS" or "ML". Raises InputError where the model is not identified.
    """
    structure = table.structure(moments.traits, sample=moments.s)
    constraints = table.constraints()
    check_identified(structure, constraints, table.parameters)
    discrepancy = _discrepancy(table, moments, estimation)
    problem = Problem(structure, discrepancy, constraints)
    solution = estimate(problem)
    flips = factor_flips(table)
    theta = oriented(solution.theta, flips, lambda theta: problem.violation(theta) < 1e-8)
    sigma = structure.implied(theta)
    by_row = table.structure(moments.traits, sample=moments.s, by_row=True)
    free = np.array([row.free for row in table.rows], bool)
    omega = _sandwich(by_row.jacobian(table.values(theta)[free]), moments.v, discrepancy, sigma)
    tied = lacking(constraints.equality.jacobian(theta))[0] if len(constraints.equality) else 0
    fit = TableFit(table, moments, estimation, structure, solution, theta, sigma, omega, tied)
    if np.isfinite(omega).all() or not fit.is_tied:
        return fit
    shared = table.parameter_of_row[free]
    return replace(fit, omega=fit.constrained_omega()[np.ix_(shared, shared)], ties_identify=True)


def _discrepancy(table: ParameterTable, moments: Moments, estimation: str) -> Discrepancy:
    if estimation == "ML":
        known = {row.lhs for row in table.rows if row.exogenous}
        return MaximumLikelihood(moments.s, [i for i, name in enumerate(moments.traits) if name in known])
    return WeightedLeastSquares(moments.s, 1.0 / np.diag(moments.v))


def _sandwich(jacobian: np.ndarray, v: np.ndarray, discrepancy: Discrepancy, sigma: np.ndarray) -> np.ndarray:
    """B D'W V W D B, (parameters, parameters); NaN where D'W D is singular."""
    p = jacobian.shape[1]
    if lacking(jacobian, _SINGULAR)[0] < p:
        return np.full((p, p), np.nan)
    weighted = discrepancy.weighted(sigma, jacobian)
    bread = np.linalg.inv(jacobian.T @ weighted)
    half = weighted @ bread
    return np.asarray(half.T @ v @ half)


def _first_rows(table: ParameterTable) -> np.ndarray:
    """(parameters, free rows): one where a free row is the first of its parameter."""
    rows = [i for i, row in enumerate(table.rows) if row.free]
    held = table.parameter_of_row[rows]
    out = np.zeros((len(table.parameters), len(rows)))
    for p in range(len(out)):
        out[p, np.flatnonzero(held == p)[:1]] = 1.0
    return out
