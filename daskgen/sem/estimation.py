"""The parameters of one model at one covariance matrix: the minimum of a discrepancy under bounds and constraints.

First steps are damped Gauss-Newton ones, H = 2 D'W D with D = d sigma / d theta; general constraints go through
sequential quadratic programming. From there Newton's method on the conditions of Karush, Kuhn and Tucker,

    grad F(theta) - J(theta)' lambda = 0,    c(theta) = 0 (the active constraints, Jacobian J),    lambda >= 0,

runs to the last digits. A fit has converged where that Newton step is below 1e-6 of a standard error of the weighted
fit, and no constraint is violated.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from daskgen.sem.constraints import Constraints
from daskgen.sem.discrepancy import Discrepancy
from daskgen.sem.structure import Structure

__all__ = ["Estimate", "Problem", "estimate"]

_STEP = 1e-6
"""Largest Newton step of a converged fit, in units of sqrt(2 F)."""
_VIOLATION = 1e-8
_STALLED = 1e-9
"""Decrease of F, as chi-square, of a step that is hardly one: three of them end the first search."""
_ITERATIONS = 500
_POLISHING = 30
_ACTIVE = 1e-6


@dataclass(frozen=True, eq=False)
class Estimate:
    """Where the minimisation ended. step: length of the Newton step that is left, in standard errors; violation:
    largest of a constraint or bound; active: whether a bound or inequality holds with equality.
    """

    theta: np.ndarray
    value: float
    step: float
    violation: float
    iterations: int
    active: bool

    @property
    def converged(self) -> bool:
        """Gradient, on what the constraints leave free, and constraints are zero."""
        return bool(self.step < _STEP and self.violation < _VIOLATION and np.isfinite(self.value))


class Problem:
    """F and its derivatives as functions of theta, with bounds and constraints."""

    def __init__(self, structure: Structure, discrepancy: Discrepancy, constraints: Constraints):
        self.structure, self.discrepancy, self.constraints = structure, discrepancy, constraints
        self.lower, self.upper = structure.lower, structure.upper

    def value(self, theta: np.ndarray) -> float:
        """F, infinite where Sigma does not exist."""
        try:
            sigma = self.structure.implied(theta)
        except np.linalg.LinAlgError:
            return float("inf")
        value = self.discrepancy.value(sigma) if np.isfinite(sigma).all() else np.inf
        return value if np.isfinite(value) else float("inf")

    def gradient(self, theta: np.ndarray) -> np.ndarray:
        """dF / dtheta, (parameters,)."""
        slope = self.discrepancy.slope(self.structure.implied(theta))
        return np.asarray(self.structure.jacobian(theta).T @ slope)

    def gauss_newton(self, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(dF / dtheta, 2 D'W D)."""
        sigma, jacobian = self.structure.implied(theta), self.structure.jacobian(theta)
        hessian = 2.0 * jacobian.T @ self.discrepancy.weighted(sigma, jacobian)
        return jacobian.T @ self.discrepancy.slope(sigma), hessian

    def violation(self, theta: np.ndarray) -> float:
        """The largest violation of a bound or constraint."""
        parts = [self.lower - theta, theta - self.upper]
        parts += [np.abs(self.constraints.equality.value(theta)), -self.constraints.inequality.value(theta)]
        return max(0.0, *(float(part.max(initial=0.0)) for part in parts))


def estimate(problem: Problem) -> Estimate:
    """Minimise from the starting values of the structure; where that does not converge, from others near them."""
    start = problem.structure.start
    best: Estimate | None = None
    for factor in (1.0, 0.6, 1.4, 0.3):
        theta = np.clip(start * factor, problem.lower, problem.upper)
        found = _from(problem, theta)
        if best is None or (found.converged, -found.value) > (best.converged, -best.value):
            best = found
        if best.converged or not len(start):
            break
    assert best is not None
    return best


def _from(problem: Problem, theta: np.ndarray) -> Estimate:
    constraints = problem.constraints
    bounded = np.isfinite(problem.lower).any() or np.isfinite(problem.upper).any()
    if not constraints:
        theta, iterations = _gauss_newton(problem, theta, np.eye(len(theta)))
    elif constraints.all_linear and not bounded:
        on_plane, basis = _plane(constraints, theta)
        theta, iterations = _gauss_newton(problem, on_plane, basis)
    else:
        theta, iterations = _sequential_quadratic(problem, theta)
    with np.errstate(all="ignore"):
        return _polished(problem, theta, iterations)


def _plane(constraints: Constraints, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The point of matrix @ theta == right nearest to theta, and an orthonormal basis (parameters, m) of directions."""
    matrix = constraints.matrix
    _, singular, right = np.linalg.svd(matrix)
    rank = int((singular > 1e-12 * singular.max(initial=0.0)).sum())
    nearest = theta - np.linalg.lstsq(matrix, matrix @ theta - constraints.right, rcond=None)[0]
    return nearest, right[rank:].T


def _gauss_newton(problem: Problem, theta: np.ndarray, basis: np.ndarray) -> tuple[np.ndarray, int]:
    """Damped Gauss-Newton steps along the columns of `basis`, or within bounds where it is the identity."""
    value, damping, stalled = problem.value(theta), 1e-3, 0
    for iteration in range(_ITERATIONS):
        gradient, hessian = problem.gauss_newton(theta)
        gradient, hessian = basis.T @ gradient, basis.T @ hessian @ basis
        free = np.ones(len(gradient), bool)
        if len(gradient) == len(theta):
            free = ~(((theta <= problem.lower) & (gradient > 0)) | ((theta >= problem.upper) & (gradient < 0)))
        g, h = gradient[free], hessian[np.ix_(free, free)]
        scale = np.diag(h).copy()
        scale[~(scale > 0)] = 1.0
        improved = False
        while damping < 1e12:
            step = np.zeros(len(gradient))
            step[free] = -_solve(h + damping * np.diag(scale), g)
            trial = np.clip(theta + basis @ step, problem.lower, problem.upper)
            trial_value = problem.value(trial)
            if trial_value < value:
                improved = True
                break
            damping *= 8.0
        if not improved:
            return theta, iteration
        stalled = stalled + 1 if (value - trial_value) * problem.discrepancy.unit < _STALLED else 0
        theta, value, damping = trial, trial_value, max(damping / 10.0, 1e-14)
        if stalled == 3:
            return theta, iteration + 1
    return theta, _ITERATIONS


def _sequential_quadratic(problem: Problem, theta: np.ndarray) -> tuple[np.ndarray, int]:
    from scipy.optimize import minimize

    constraints = problem.constraints
    size = max(abs(problem.value(theta)), 1.0)
    bounds = [
        (low if np.isfinite(low) else None, high if np.isfinite(high) else None)
        for low, high in zip(problem.lower, problem.upper, strict=True)
    ]
    functions = [
        {"type": kind, "fun": one.value, "jac": one.jacobian}
        for kind, one in (("eq", constraints.equality), ("ineq", constraints.inequality))
        if len(one)
    ]

    def value(x: np.ndarray) -> float:
        return min(problem.value(x) / size, 1e12)

    def gradient(x: np.ndarray) -> np.ndarray:
        return problem.gradient(x) / size

    found = minimize(
        value,
        theta,
        jac=gradient,
        bounds=bounds,
        constraints=functions,
        method="SLSQP",
        options={"maxiter": 1000, "ftol": 1e-15},
    )
    x = np.asarray(found.x)
    return (np.clip(x, problem.lower, problem.upper) if np.isfinite(x).all() else theta), int(found.nit)


def _polished(problem: Problem, theta: np.ndarray, iterations: int) -> Estimate:
    """Newton's method on the active constraints; those whose multiplier has the wrong sign are let go."""
    active = _near_bounds(problem, theta)
    before = problem.value(theta)
    best = Estimate(theta, before, np.inf, problem.violation(theta), iterations, bool(active))
    for _ in range(len(theta) + len(problem.constraints.inequality) + 1):
        theta, step, multiplier = _newton(problem, theta, active)
        violated = _violated(problem, theta, active)
        wrong = multiplier < -1e-9 * max(1.0, np.abs(multiplier).max(initial=0.0))
        value = problem.value(theta)
        found = Estimate(
            theta, value, np.inf if wrong.any() else step, problem.violation(theta), iterations, bool(len(active))
        )
        if value <= before + 1e-6 * (1.0 + abs(before)) or found.violation < best.violation - _VIOLATION:
            if found.converged or not best.converged:
                best = found
        if found.converged or not (wrong.any() or violated):
            break
        gone = {active[int(np.argmin(multiplier))]} if wrong.any() else set()
        active = sorted((set(active) - gone) | set(violated))
        theta = np.clip(theta, problem.lower, problem.upper)
    return best


Active = tuple[str, int]
"""("lower" | "upper" | "inequality", number): a bound of a parameter or an inequality that holds with equality."""


def _near_bounds(problem: Problem, theta: np.ndarray) -> list[Active]:
    size = _ACTIVE * (1.0 + np.abs(theta))
    near = [("lower", int(i)) for i in np.flatnonzero(theta - problem.lower < size)]
    near += [("upper", int(i)) for i in np.flatnonzero(problem.upper - theta < size)]
    return near + [
        ("inequality", int(i)) for i in np.flatnonzero(problem.constraints.inequality.value(theta) < _ACTIVE)
    ]


def _violated(problem: Problem, theta: np.ndarray, active: list[Active]) -> list[Active]:
    out = [("lower", int(i)) for i in np.flatnonzero(theta < problem.lower - _VIOLATION)]
    out += [("upper", int(i)) for i in np.flatnonzero(theta > problem.upper + _VIOLATION)]
    out += [("inequality", int(i)) for i in np.flatnonzero(problem.constraints.inequality.value(theta) < -_VIOLATION)]
    return [one for one in out if one not in active]


def _conditions(problem: Problem, theta: np.ndarray, active: list[Active]) -> tuple[np.ndarray, np.ndarray]:
    """Values and Jacobian of the equalities and of what is active, each as a function that should be zero, and grows
    into the allowed side.
    """
    p = len(theta)
    values = [problem.constraints.equality.value(theta)]
    jacobians = [problem.constraints.equality.jacobian(theta)]
    inequality = problem.constraints.inequality
    value, jacobian = inequality.value(theta), inequality.jacobian(theta)
    for kind, i in active:
        row = np.zeros((1, p))
        if kind == "inequality":
            values.append(value[i : i + 1])
            row = jacobian[i : i + 1]
        else:
            sign = 1.0 if kind == "lower" else -1.0
            row[0, i] = sign
            bound = problem.lower[i] if kind == "lower" else problem.upper[i]
            values.append(np.array([sign * (theta[i] - bound)]))
        jacobians.append(row)
    return np.concatenate(values), np.concatenate(jacobians)


def _newton(problem: Problem, theta: np.ndarray, active: list[Active]) -> tuple[np.ndarray, float, np.ndarray]:
    """(theta, Newton step left in standard errors, multipliers of `active`)."""
    p, n_equal = len(theta), len(problem.constraints.equality)
    if not p:
        return theta, 0.0, np.zeros(0)
    left, multiplier = np.inf, np.zeros(0)
    for _ in range(_POLISHING):
        value, jacobian = _conditions(problem, theta, active)
        gradient = problem.gradient(theta)
        multiplier = np.linalg.lstsq(jacobian.T, gradient, rcond=None)[0] if len(value) else np.zeros(0)
        hessian = _lagrangian_hessian(problem, theta, active, multiplier)
        curvature = problem.gauss_newton(theta)[1]
        system = np.block([[hessian, jacobian.T], [jacobian, np.zeros((len(value), len(value)))]])
        step = _solve(system, -np.concatenate([gradient - jacobian.T @ multiplier, value]))[:p]
        length = _length(theta, step, curvature, problem.discrepancy.unit)
        if not np.isfinite(length):
            break
        if length >= 0.5 * left:
            left = min(left, length)
            break
        left = length
        trial = theta + step
        if not np.isfinite(problem.value(trial)) or length > 1e3:
            break
        theta = trial
        if length < 1e-14:
            break
    return theta, float(left), multiplier[n_equal:]


def _length(theta: np.ndarray, step: np.ndarray, curvature: np.ndarray, unit: float) -> float:
    """sqrt(step' D'W D step), the step in units of the standard error of its direction; at least a hundredth of the
    largest relative change, which stays large where F falls for ever towards a limit.
    """
    size = np.maximum(np.abs(theta), 1e-2 * np.abs(theta).max() + 1e-300)
    errors = np.sqrt(max(unit * step @ curvature @ step / 2.0, 0.0))
    return float(max(errors, 0.01 * np.abs(step / size).max()))


def _lagrangian_hessian(
    problem: Problem, theta: np.ndarray, active: list[Active], multiplier: np.ndarray
) -> np.ndarray:
    """Second derivatives of F - lambda'c, by central differences of the gradient."""
    p = len(theta)
    hessian = np.empty((p, p))

    def gradient(x: np.ndarray) -> np.ndarray:
        jacobian = _conditions(problem, x, active)[1]
        return problem.gradient(x) - jacobian.T @ multiplier

    for i in range(p):
        step = 1e-5 * max(abs(theta[i]), 1e-2 * np.abs(theta).max(), 1e-8)
        up, down = theta.copy(), theta.copy()
        up[i] += step
        down[i] -= step
        hessian[:, i] = (gradient(up) - gradient(down)) / (up[i] - down[i])
    return (hessian + hessian.T) / 2.0


def _solve(matrix: np.ndarray, right: np.ndarray) -> np.ndarray:
    try:
        return np.linalg.solve(matrix, right)
    except np.linalg.LinAlgError:
        return np.asarray(np.linalg.lstsq(matrix, right, rcond=None)[0])
