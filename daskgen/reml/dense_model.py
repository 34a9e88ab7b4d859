"""REML with dense relationship matrices in float64: exact, for as many samples as n x n matrices fit in memory.

The matrices are projected once, K = M K_g M, so that the restricted likelihood is an ordinary one on n - c dimensions:
V = sum theta_g K_g + theta_e M + s Q Q' has the inverse P + Q Q' / s and the determinant |.|_{n-c} s^c for any s > 0.
One matrix: its eigenvalues (`one_component`). Several: average-information steps under theta >= 0 (non-negative least
squares, components at 0 re-enter when their score is positive), then Newton steps with the observed information.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import lapack

from daskgen.linalg.non_negative import non_negative_minimum
from daskgen.reml.design import Design
from daskgen.reml.estimates import Estimates
from daskgen.reml.one_component import maximise
from daskgen.reml.spectrum import ExactSpectrum

__all__ = ["DenseModel", "non_negative_step"]

_MAX_ITERATIONS = 200
_FLOOR = 1e-9  # least residual variance, as a share of the phenotype's


@dataclass
class DenseModel:
    """The relationship matrices (G, n, n) of one set of samples, and their fixed effects; fits any number of y."""

    matrices: np.ndarray
    design: Design

    def __post_init__(self) -> None:
        q = self.design.basis
        # K_g Q, Q'K_g Q and M K_g M, once for all phenotypes.
        self.products = np.stack([k @ q for k in self.matrices])
        self.squares = np.stack([q.T @ kq for kq in self.products])
        self._eigen: tuple[np.ndarray, np.ndarray] | None = None
        self._projected: np.ndarray | None = None

    @property
    def dimension(self) -> int:
        """n - c."""
        return self.design.basis.shape[0] - self.design.rank

    def project(self, g: int) -> np.ndarray:
        """M K_g M, symmetric to the last bit."""
        q, kq = self.design.basis, self.products[g]
        half = kq - q @ (self.squares[g] / 2)
        cross = half @ q.T
        out = self.matrices[g] - cross - cross.T
        return np.asarray((out + out.T) / 2)

    def fit(self, y: np.ndarray) -> Estimates:
        """Estimates for one phenotype (n,)."""
        estimates = self._fit_one(y) if len(self.matrices) == 1 else self._fit_several(y)
        theta = estimates.theta
        q, basis = estimates.projected, self.design.basis
        hq = np.einsum("g,gnc->nc", theta[:-1], self.products) + theta[-1] * basis
        kq = np.einsum("g,gnm,m->n", theta[:-1], self.matrices, q, optimize=True)
        estimates.gamma = basis.T @ (y - kq)
        estimates.gamma_covariance = basis.T @ hq - hq.T @ self.inverse_times(theta, hq)
        return estimates

    # -- one matrix ----------------------------------------------------------------------------------------
    def eigen(self) -> tuple[np.ndarray, np.ndarray]:
        """(eigenvalues (n - c,), eigenvectors (n, n - c)) of M K M on the space that X leaves."""
        if self._eigen is None:
            projected = self.project(0)
            shift = max(float(np.trace(projected)) / max(self.dimension, 1), 1e-300)
            projected -= shift * (self.design.basis @ self.design.basis.T)  # its eigenvalues there come first: -shift
            values, vectors = np.linalg.eigh(projected)
            c = self.design.rank
            self._eigen = np.maximum(values[c:], 0.0), vectors[:, c:]
        return self._eigen

    def _fit_one(self, y: np.ndarray) -> Estimates:
        values, vectors = self.eigen()
        coordinates = vectors.T @ self.design.residual(y)
        estimates = maximise(ExactSpectrum(values, coordinates**2), self.design.log_determinant)
        estimates.projected = vectors @ (coordinates / (estimates.theta[0] * values + estimates.theta[1]))
        if not estimates.reason:
            estimates.reason = "Newton steps below 1e-12"
        return estimates

    def inverse_times(self, theta: np.ndarray, vectors: np.ndarray) -> np.ndarray:
        """P V for V (n, r)."""
        if len(self.matrices) == 1:
            values, u = self.eigen()
            return np.asarray(u @ ((u.T @ vectors) / (theta[0] * values + theta[1])[:, None]))
        return np.asarray(self.inverse(theta)[0] @ vectors)

    # -- several -------------------------------------------------------------------------------------------
    @property
    def projected(self) -> np.ndarray:
        """M K_g M of every component (G, n, n)."""
        if self._projected is None:
            self._projected = np.stack([self.project(g) for g in range(len(self.matrices))])
        return self._projected

    def inverse(self, theta: np.ndarray) -> tuple[np.ndarray, float]:
        """(P (n, n), log determinant of H on the n - c dimensions)."""
        basis = self.design.basis
        v = np.einsum("g,gnm->nm", theta[:-1], self.projected)
        v[np.diag_indices_from(v)] += theta[-1]
        size = float(np.trace(v)) / len(v)
        v += (size - theta[-1]) * (basis @ basis.T)
        factor, info = lapack.dpotrf(v, lower=1, overwrite_a=1)
        if info:
            raise np.linalg.LinAlgError(f"H is not positive definite at {theta}")
        log_determinant = 2 * np.log(np.diag(factor)).sum() - self.design.rank * np.log(size)
        inverse, _ = lapack.dpotri(factor, lower=1, overwrite_c=1)
        inverse = np.tril(inverse) + np.tril(inverse, -1).T
        inverse -= (basis @ basis.T) / size
        return inverse, float(log_determinant)

    def log_likelihood(self, y: np.ndarray, py: np.ndarray, log_determinant: float) -> float:
        """l from P y and the log determinant of H on the n - c dimensions."""
        constant = self.dimension * np.log(2 * np.pi) + self.design.log_determinant
        return float(-0.5 * (constant + log_determinant + y @ py))

    def evaluate(
        self, y: np.ndarray, theta: np.ndarray, inverse: tuple[np.ndarray, float], *, expected: bool = False
    ) -> _Point:
        """Likelihood, score and informations at theta, whose `inverse` is given.

        expected: also E, at the price of G products of n x n.
        """
        p, log_determinant = inverse
        q = p @ y
        columns = np.column_stack([*(k @ q for k in self.projected), q])
        traces = np.array([*(float(np.vdot(p, k)) for k in self.projected), float(np.trace(p))])
        score = 0.5 * (columns.T @ q - traces)
        average = 0.5 * (columns.T @ (p @ columns))
        information = None
        if expected:
            blocks = [*(p @ k for k in self.projected), p]
            information = np.array([[0.5 * float(np.vdot(a, b.T)) for b in blocks] for a in blocks])
        found = self.log_likelihood(y, q, log_determinant)
        return _Point(theta, found, score, (average + average.T) / 2, information, q)

    def _fit_several(self, y: np.ndarray) -> Estimates:
        rest = self.design.residual(y)
        variance = float(rest @ rest) / self.dimension
        rest = rest / np.sqrt(variance)
        start = self._start(rest)
        point = self.evaluate(rest, start, self.inverse(start))
        history: list[dict[str, float]] = []
        newton, reason, converged = False, f"no maximum in {_MAX_ITERATIONS} iterations", False
        for _ in range(_MAX_ITERATIONS):
            history.append({"log_likelihood": point.log_likelihood, "largest_score": float(np.abs(point.score).max())})
            step, exact = self._step(point, newton)
            size = float(np.abs(step).max())
            if size <= 1e-12:
                converged, reason = True, "Newton steps below 1e-12"
                break
            if newton and not exact and float(step @ point.score) <= 1e-10:
                # The information is singular: components that cannot be told apart.
                converged, reason = True, "a step would raise the log-likelihood by less than 1e-10"
                break
            moved = self._line_search(rest, point, step)
            if moved is None:
                converged = size < 1e-7
                reason = "no step raises the likelihood" if not converged else "steps are rounding"
                break
            newton = size < 1e-3
            point = self.evaluate(rest, *moved, expected=newton)
        return self._estimates(rest, point, variance, converged, reason, history)

    def _start(self, rest: np.ndarray) -> np.ndarray:
        """Haseman-Elston estimates, kept inside the bounds."""
        parts = [*self.projected]
        traces = [float(np.trace(k)) for k in parts]
        g = len(parts)
        normal = np.empty((g + 1, g + 1))
        normal[:g, :g] = [[float(np.vdot(a, b)) for b in parts] for a in parts]
        normal[g, :g] = normal[:g, g] = traces
        normal[g, g] = self.dimension
        right = np.array([*(float(rest @ (k @ rest)) for k in parts), float(rest @ rest)])
        start = non_negative_minimum(normal, right)
        start[-1] = max(start[-1], 0.05)
        return np.asarray(start)

    def _step(self, point: _Point, newton: bool) -> tuple[np.ndarray, bool]:
        """(the step, whether it is one of Newton's)."""
        if newton and point.expected is not None:
            free = (point.theta > 0) | (point.score > 0)
            free[-1] = point.theta[-1] > _FLOOR or point.score[-1] > 0
            observed = (2 * point.average - point.expected)[np.ix_(free, free)]
            values = np.linalg.eigvalsh(observed)
            if values[0] > 1e-12 * values[-1]:
                step = np.zeros_like(point.theta)
                step[free] = np.linalg.solve(observed, point.score[free])
                target = point.theta + step
                if (target[:-1] >= 0).all() and target[-1] >= _FLOOR:
                    return step, True
        target = non_negative_step(point.theta, point.score, point.average)
        target[-1] = max(target[-1], _FLOOR)
        return target - point.theta, False

    def _line_search(
        self, rest: np.ndarray, point: _Point, step: np.ndarray
    ) -> tuple[np.ndarray, tuple[np.ndarray, float]] | None:
        """(theta, its inverse) of the longest of step, step / 2, ... that does not lower the likelihood."""
        for halving in range(12):
            theta = np.maximum(point.theta + step * 0.5**halving, 0.0)
            theta[-1] = max(theta[-1], _FLOOR)
            try:
                p, log_determinant = self.inverse(theta)
            except np.linalg.LinAlgError:
                continue
            found = self.log_likelihood(rest, p @ rest, log_determinant)
            if found >= point.log_likelihood - 1e-9 * abs(point.log_likelihood):
                return theta, (p, log_determinant)
        return None

    def _estimates(
        self,
        rest: np.ndarray,
        point: _Point,
        variance: float,
        converged: bool,
        reason: str,
        history: list[dict[str, float]],
    ) -> Estimates:
        """Back from the scale on which y has variance 1."""
        shift = -0.5 * self.dimension * np.log(variance)
        g = len(self.matrices)
        null = -0.5 * (
            self.dimension * (np.log(2 * np.pi) + np.log(float(rest @ rest) / self.dimension) + 1)
            + self.design.log_determinant
        )
        at_bound = point.theta <= 0
        at_bound[-1] = point.theta[-1] <= _FLOOR
        for line in history:
            line["log_likelihood"] += shift
        return Estimates(
            point.theta * variance,
            point.score / variance,
            point.average / variance**2,
            at_bound,
            point.log_likelihood + shift,
            null + shift,
            np.zeros((g + 1, g + 1)),
            0.0,
            converged,
            reason,
            projected=point.projected / np.sqrt(variance),
            history=history,
        )


@dataclass(frozen=True)
class _Point:
    theta: np.ndarray
    log_likelihood: float
    score: np.ndarray
    average: np.ndarray
    expected: np.ndarray | None
    projected: np.ndarray


def non_negative_step(theta: np.ndarray, score: np.ndarray, information: np.ndarray) -> np.ndarray:
    """The theta >= 0 that maximises s'd - 1/2 d'A d, d = theta - `theta`: non-negative least squares."""
    return non_negative_minimum(information, information @ theta + score)
