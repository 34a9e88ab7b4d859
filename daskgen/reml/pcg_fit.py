"""REML with several relationship matrices at any n: conjugate gradients, fixed probes, average-information steps.

With H = sum theta_g K_g + theta_e I in the space that the fixed effects leave, q = H^-1 y and x_j = H^-1 z_j,

    score_g = 1/2 [q'K_g q - tr(H^-1 K_g)],      tr(H^-1 K_g) = mean_j x_j'K_g z_j with control variates,
    AI_gh   = 1/2 (K_g q)'H^-1 (K_h q),          theta tr(H^-1 .) summed over all parts = n - c exactly.

Control variates: z'A_i z for A = (I, K_1, ..., K_G), whose traces are known, with the coefficients that are best in the
Frobenius norm, T b_g = r_g, T_ij = tr(A_i A_j), r_gi = tr(H^-1 K_g A_i); both are estimated from products that are at
hand. The probes stay the same, so the estimates are the zero of a smooth function, and iteration ends where the next
step is small against its Monte-Carlo error or the standard errors. A solve is warm-started by the last one, and a pass
costs the same for one component as for many.

Source: Loh et al. (2015), Nature Genetics 47:1385 (streamed REML); Gilmour, Thompson, Cullis (1995), Biometrics 51:1440
(average information).
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from daskgen.linalg.conjugate_gradient import conjugate_gradient
from daskgen.linalg.non_negative import non_negative_minimum
from daskgen.linalg.quadrature import Recurrences
from daskgen.passes import Checkpoint
from daskgen.reml.dense_model import non_negative_step
from daskgen.reml.design import Design
from daskgen.reml.estimates import Estimates
from daskgen.reml.probes import enough_dimensions, signs
from daskgen.reml.spectrum import SampledSpectrum

__all__ = ["PcgFit", "Products"]

log = logging.getLogger("daskgen.reml")

FIRST_PROBES, MOST_PROBES = 24, 256
MONTE_CARLO_SHARE = 0.1
"""Monte-Carlo error of a variance, as a share of its standard error, that the automatic number of probes aims at."""

MOST_ITERATIONS = 40
ROUGH, FINE = 3e-3, 1e-4
"""Relative residuals of solves: while theta still moves, and at the end."""

_SHRINK = 3.0  # the residual variance falls at most by this factor in one iteration
_FLOOR = 1e-4  # least residual variance, as a share of the phenotype's
_WIDE_BYTES = 1_000_000_000  # products by component that may be held


class Products(Protocol):
    """K_g V by component (G, n, r), and sum_g theta_g K_g V (n, r): one pass each."""

    def products(self, vectors: np.ndarray, *, label: str = ...) -> np.ndarray: ...

    def combined(self, theta: np.ndarray, vectors: np.ndarray, *, label: str = ...) -> np.ndarray: ...


@dataclass
class _Point:
    """What is known at one theta: solutions (n, 1 + R), their products by component, score, deviations (R, G + 1)."""

    theta: np.ndarray
    solutions: np.ndarray
    by_component: np.ndarray
    score: np.ndarray
    deviations: np.ndarray
    y_py: float


@dataclass
class _Run:
    """Where an iteration stands. solved: H^-1 of the columns of the information; near: theta hardly moves."""

    point: _Point
    information: np.ndarray | None = None
    solved: np.ndarray | None = None
    near: bool = False
    history: list[dict[str, float]] = field(default_factory=list)


@dataclass
class PcgFit:
    """Several relationship matrices of the same samples; `traces` (G,): tr K_g exactly. See `LanczosFit`."""

    kernels: Products
    design: Design
    rows: np.ndarray
    traces: np.ndarray
    seed: int = 0
    n_probes: int | None = None
    tol: float = 1e-3

    def __post_init__(self) -> None:
        basis = self.design.basis
        self.dimension = enough_dimensions(self.design)
        self._kq = self.kernels.products(basis, label="K Q")
        self._traces = self.traces - np.array([float(np.vdot(basis, k)) for k in self._kq])
        self._probes = np.empty((basis.shape[0], 0))
        self._kz = np.empty((len(self.traces), basis.shape[0], 0), np.float32)
        self._batches: list[int] = []
        self._extend(self.n_probes or FIRST_PROBES)

    def _extend(self, probes: int) -> None:
        """As many probes as that: their products by component are kept (float32)."""
        fresh = self.design.residual(signs(self.rows, self._probes.shape[1], probes, self.seed))
        kz = self._by_component(fresh, "K Z").astype(np.float32)
        self._probes = np.hstack([self._probes, fresh])
        self._kz = np.concatenate([self._kz, kz], axis=2)
        self._batches.append(probes)
        parts = [*self._kz, self._probes]
        # T_ij = tr(A_i A_j), residual last.
        self._normal = np.array([[float(np.vdot(a, b)) for b in parts] for a in parts]) / probes
        self._normal[-1, :] = self._normal[:, -1] = [*self._traces, self.dimension]

    # -- products ------------------------------------------------------------------------------------------
    def _by_component(self, vectors: np.ndarray, label: str) -> np.ndarray:
        """M K_g V (G, n, r), as many columns at a time as may be held."""
        g, n = len(self.traces), vectors.shape[0]
        together = max(1, _WIDE_BYTES // (8 * g * n))
        parts = [
            self.kernels.products(vectors[:, first : first + together], label=label)
            for first in range(0, vectors.shape[1], together)
        ]
        found = parts[0] if len(parts) == 1 else np.concatenate(parts, axis=2)
        return np.stack([self.design.residual(k) for k in found])

    def _h_times(self, theta: np.ndarray, vectors: np.ndarray) -> np.ndarray:
        genetic = self.kernels.combined(theta[:-1], vectors, label="REML")
        return self.design.residual(genetic) + theta[-1] * vectors

    def _solve(
        self, theta: np.ndarray, right: np.ndarray, tol: float, start: np.ndarray | None, h_start: np.ndarray | None
    ) -> np.ndarray:
        found = conjugate_gradient(
            lambda v, _: self._h_times(theta, v), right, tol=tol, start=start, product_of_start=h_start
        )
        return self.design.residual(found.solution)

    # -- the fit -------------------------------------------------------------------------------------------
    def fit(self, y: np.ndarray, saved: Checkpoint | None = None) -> Estimates:
        """Estimates for one phenotype (n,); `saved` keeps the state after each iteration."""
        rest = self.design.residual(y)
        variance = float(rest @ rest) / self.dimension
        rest = rest / np.sqrt(variance)
        run = self._resumed(rest, saved) or _Run(self._point(rest, self._start(rest), ROUGH, None))
        converged = False
        while len(run.history) < MOST_ITERATIONS:
            point = run.point
            if run.information is None or not run.near:
                run.information, run.solved = self._information(point, ROUGH, run.solved)
            target = non_negative_step(point.theta, point.score, run.information)
            # The quadratic model is good for factors of a few: a residual that fell too low would come back slowly.
            target[-1] = max(target[-1], point.theta[-1] / _SHRINK, _FLOOR)
            errors, monte_carlo = self._errors(point, run.information)
            step = np.abs(target - point.theta)
            size = step / np.maximum(errors, 1e-6)
            enough = (size <= self.tol) | (step <= 0.1 * np.sqrt(np.diag(monte_carlo)))
            h2 = self._share(point.theta)
            run.history.append({"iteration": len(run.history), "h2": h2, "step": float(size.max()), "y_py": point.y_py})
            log.info("iteration %d: h2 %.4f, step %.2g SE", len(run.history), h2, size.max())
            if enough.all() and run.near:
                wanted = self._wanted_probes(point, errors, monte_carlo)
                converged = wanted == self._probes.shape[1]
                if converged:
                    break
                log.info("%d probes: the Monte-Carlo error was above %g SE", wanted, MONTE_CARLO_SHARE)
                self._extend(wanted)
                target = point.theta
            if not run.near and (size <= 0.3).all():
                # From here on the information hardly changes; what is left are the last digits of the score.
                run.near = True
                run.information, run.solved = self._information(point, ROUGH, run.solved)
            run.point = self._point(rest, target, FINE if run.near else ROUGH, point)
            self._save(run, saved)
        return self._finish(y, rest, variance, run, converged)

    def _save(self, run: _Run, saved: Checkpoint | None) -> None:
        if saved is None or run.information is None or run.solved is None:
            return
        saved.save(
            {
                "theta": run.point.theta,
                "solutions": run.point.solutions,
                "y_py": run.point.y_py,
                "information": run.information,
                "solved": run.solved,
                "near": run.near,
                "history": json.dumps(run.history),
                "batches": np.array(self._batches),
            },
            force=len(run.history) == 1,
        )

    def _resumed(self, rest: np.ndarray, saved: Checkpoint | None) -> _Run | None:
        state = None if saved is None else saved.load()
        if state is None:
            return None
        for probes in state["batches"].tolist():
            if probes > self._probes.shape[1]:
                self._extend(probes)
        point = self._completed(rest, state["theta"], state["solutions"], float(state["y_py"]))
        history = json.loads(str(state["history"]))
        return _Run(point, state["information"], state["solved"], bool(state["near"]), history)

    def _start(self, rest: np.ndarray) -> np.ndarray:
        """Haseman-Elston estimates from the cached products, inside the bounds."""
        ky = self._by_component(rest[:, None], "K y")[:, :, 0]
        right = np.append(ky @ rest, rest @ rest)
        theta = non_negative_minimum(self._normal, right)
        theta[-1] = max(theta[-1], 0.1)
        return theta

    def _point(self, rest: np.ndarray, theta: np.ndarray, tol: float, before: _Point | None) -> _Point:
        """Solutions at theta (rescaled so that y'Py = n - c), and the score."""
        right = np.column_stack([rest, self._probes])
        start, h_start = None, None
        if before is not None:
            start = np.zeros_like(right)
            known = before.solutions.shape[1]
            start[:, :known] = before.solutions
            h_start = np.zeros_like(right)
            h_start[:, :known] = np.tensordot(theta[:-1], before.by_component, 1) + theta[-1] * before.solutions
        x = self._solve(theta, right, tol, start, h_start)
        y_py = float(rest @ x[:, 0])
        # Profile out the scale: theta s has the solutions x / s.
        scale = y_py / self.dimension
        return self._completed(rest, theta * scale, x / scale, y_py / scale)

    def _completed(self, rest: np.ndarray, theta: np.ndarray, x: np.ndarray, y_py: float) -> _Point:
        """The score from the solutions at theta. One pass."""
        by_component = self._by_component(x, "K X")
        q, probes = x[:, 0], x[:, 1:]
        traces, deviations = self._trace(theta, probes, by_component[:, :, 1:])
        quadratic = np.append(by_component[:, :, 0] @ q, q @ q)
        return _Point(theta, x, by_component, 0.5 * (quadratic - traces), -0.5 * deviations, y_py)

    def _trace(self, theta: np.ndarray, x: np.ndarray, kx: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """tr(H^-1 A_i), (G + 1,), and each probe's deviation from it, (R, G + 1)."""
        r = x.shape[1]
        g = len(self.traces)
        # z'H^-1 K_g z, and the control variates z'A_i z, by probe.
        raw = np.einsum("nr,gnr->rg", x, self._kz)
        variates = np.column_stack(
            [
                *(np.einsum("nr,nr->r", self._probes, k) for k in self._kz),
                np.einsum("nr,nr->r", self._probes, self._probes),
            ]
        )
        right = np.empty((g + 1, g))
        right[:g] = np.einsum("gnr,inr->ig", kx, self._kz) / r
        right[g] = raw.mean(axis=0)
        coefficients = np.linalg.lstsq(self._normal, right, rcond=1e-10)[0]  # (variates, components)
        known = np.append(self._traces, self.dimension)
        rest = raw - variates @ coefficients
        traces = known @ coefficients + rest.mean(axis=0)
        deviations = rest - rest.mean(axis=0)
        # All parts of H H^-1 together have the trace n - c.
        residual = (self.dimension - theta[:-1] @ traces) / theta[-1]
        return np.append(traces, residual), np.column_stack([deviations, -deviations @ theta[:-1] / theta[-1]])

    def _information(self, point: _Point, tol: float, start: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
        """(average information, H^-1 of its columns)."""
        columns = np.column_stack([*(k[:, 0] for k in point.by_component), point.solutions[:, 0]])
        solved = self._solve(point.theta, columns, tol, start, None)
        found = 0.5 * (columns.T @ solved)
        return (found + found.T) / 2, solved

    def _errors(self, point: _Point, information: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(standard errors, Monte-Carlo covariance) of theta; components at 0 as if they were free, and without."""
        free = point.theta > 0
        inverse = np.zeros_like(information)
        inverse[np.ix_(free, free)] = np.linalg.pinv(information[np.ix_(free, free)], rcond=1e-12, hermitian=True)
        r = len(point.deviations)
        spread = point.deviations.T @ point.deviations / (r * (r - 1))
        errors = np.sqrt(np.diag(np.linalg.pinv(information, rcond=1e-12, hermitian=True)))
        return errors, inverse @ spread @ inverse

    def _wanted_probes(self, point: _Point, errors: np.ndarray, monte_carlo: np.ndarray) -> int:
        """The number of probes that brings the Monte-Carlo errors to their share of the standard errors."""
        probes = self._probes.shape[1]
        worst = float((np.sqrt(np.diag(monte_carlo)) / errors)[point.theta > 0].max(initial=0.0))
        if self.n_probes is not None or worst <= MONTE_CARLO_SHARE or probes >= MOST_PROBES:
            return probes
        return int(min(MOST_PROBES, np.ceil(1.1 * probes * (worst / MONTE_CARLO_SHARE) ** 2)))

    def _share(self, theta: np.ndarray) -> float:
        variances = np.append(theta[:-1] * self._traces, theta[-1] * self.dimension)
        return float(variances[:-1].sum() / variances.sum())

    # -- the end -------------------------------------------------------------------------------------------
    def _finish(
        self,
        y: np.ndarray,
        rest: np.ndarray,
        variance: float,
        run: _Run,
        converged: bool,
    ) -> Estimates:
        point = run.point
        basis, g, c, theta = self.design.basis, len(self.traces), self.design.rank, point.theta
        hq = np.tensordot(theta[:-1], self._kq, 1)
        crossed = self.design.residual(hq)
        columns = np.column_stack([*(k[:, 0] for k in point.by_component), point.solutions[:, 0], crossed])
        start = None if run.solved is None else np.column_stack([run.solved, np.zeros_like(crossed)])
        solved = self._solve(theta, columns, 10 * FINE, start, None)
        information = 0.5 * (columns[:, : g + 1].T @ solved[:, : g + 1])
        information = (information + information.T) / 2
        inside = basis.T @ hq + theta[-1] * np.eye(c)
        covariance = inside - crossed.T @ solved[:, g + 1 :]
        _, monte_carlo = self._errors(point, information)
        log_determinant, spread = self._log_determinant(theta)
        constant = self.dimension * np.log(2 * np.pi) + self.design.log_determinant
        shift = -0.5 * self.dimension * np.log(variance)
        log_likelihood = -0.5 * (constant + log_determinant + point.y_py) + shift
        null = -0.5 * (constant + float(rest @ rest)) + shift
        at_bound = theta <= 0
        at_bound[-1] = theta[-1] <= _FLOOR * 1.01
        q = point.solutions[:, 0] / np.sqrt(variance)
        kq = np.einsum("g,gnc,n->c", theta[:-1] * variance, self._kq, q)
        reason = f"steps are below {self.tol:g} SE or a tenth of their Monte-Carlo error"
        return Estimates(
            theta * variance,
            point.score / variance,
            information / variance**2,
            at_bound,
            float(log_likelihood) if (theta[:-1] > 0).any() else float(null),
            float(null),
            monte_carlo * variance**2,
            0.5 * spread if (theta[:-1] > 0).any() else 0.0,
            converged,
            reason if converged else f"no maximum in {MOST_ITERATIONS} iterations",
            projected=q,
            gamma=basis.T @ y - kq,
            gamma_covariance=(covariance + covariance.T) / 2 * variance,
            history=run.history,
            n_probes=self._probes.shape[1],
        )

    def _log_determinant(self, theta: np.ndarray) -> tuple[float, float]:
        """log|H| on the n - c dimensions by Gauss quadrature at the probes, and its Monte-Carlo standard error."""
        trace = float(theta[:-1] @ self._traces + theta[-1] * self.dimension)
        recurrences = Recurrences.start(self._probes)
        before, found, error = np.inf, 0.0, 0.0
        r = self._probes.shape[1]
        while not recurrences.exhausted and recurrences.steps < min(60, self.dimension):
            recurrences.step(lambda v: self._h_times(theta, v))
            nodes, weights = recurrences.rule()
            nodes = np.maximum(nodes, theta[-1])
            empty = np.empty(0)
            spectrum = SampledSpectrum(empty, empty, nodes, weights, self.dimension, trace)
            value, deviations = spectrum.trace(lambda values: np.log(values)[None])
            found, error = float(value[0]), float(np.sqrt((deviations**2).sum() / (r * (r - 1))))
            if abs(found - before) <= max(0.05 * error, 1e-6 * self.dimension):
                break
            before = found
        return found, error
