"""REML with several relationship matrices at any n: conjugate gradients, fixed probes, average-information steps.

With H = sum theta_g K_g + theta_e I in the space that the fixed effects leave, q = H^-1 y and x_j = H^-1 z_j,

    score_g = 1/2 [q'K_g q - tr(H^-1 K_g)],      tr(H^-1 K_g) = mean_j x_j'K_g z_j with control variates,
    AI_gh   = 1/2 (K_g q)'H^-1 (K_h q),          theta tr(H^-1 .) summed over all parts = n - c exactly.

The probes stay the same, so the estimates are the zero of a smooth function, and iteration ends where the next step is
small against its Monte-Carlo error or the standard errors. A solve is warm-started by the last one, and a pass costs
the same for one component as for many. What it is made of is in `pcg_products`.

Source: Loh et al. (2015), Nature Genetics 47:1385 (streamed REML); Gilmour, Thompson, Cullis (1995), Biometrics 51:1440
(average information).
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass, field

import numpy as np

from daskgen.linalg.non_negative import non_negative_minimum
from daskgen.reml.asking import Asking, Kernels, together
from daskgen.reml.dense_model import non_negative_step
from daskgen.reml.design import Design
from daskgen.reml.estimates import Estimates
from daskgen.reml.journal import Journal
from daskgen.reml.pcg_products import SharedProducts
from daskgen.reml.probes import FIRST_PROBES, MOST_PROBES

__all__ = ["PcgFit"]

log = logging.getLogger("daskgen.reml")

MONTE_CARLO_SHARE = 0.1
"""Monte-Carlo error of a variance, as a share of its standard error, that the automatic number of probes aims at."""

MOST_ITERATIONS = 40
ROUGH, FINE = 3e-3, 1e-4
"""Relative residuals of solves: while theta still moves, and at the end."""

CORE_STEPS = 4
"""A first solve of more steps than that may be due to large eigenvalues."""

_SHRINK = 3.0  # the residual variance falls at most by this factor in one iteration
_FLOOR = 1e-4  # least residual variance, as a share of the phenotype's


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
    """Where an iteration stands. probes: how many; solved: H^-1 of the columns of the information; near: theta hardly
    moves; with_core, tried: the preconditioner is used, was looked for."""

    point: _Point
    probes: int
    information: np.ndarray = field(default_factory=lambda: np.empty((0, 0)))
    solved: np.ndarray = field(default_factory=lambda: np.empty((0, 0)))
    near: bool = False
    with_core: bool = False
    tried: bool = False
    history: list[dict[str, float]] = field(default_factory=list)


class PcgFit:
    """Several relationship matrices of the same samples; `traces` (G,): tr K_g exactly. See `LanczosFit`.

    core: "auto" looks for a preconditioner where the first solve takes many steps or probes do not suffice; True and
    False decide before.
    """

    def __init__(
        self,
        kernels: Kernels,
        design: Design,
        y: np.ndarray,
        rows: np.ndarray,
        traces: np.ndarray,
        *,
        seed: int = 0,
        n_probes: int | None = None,
        tol: float = 1e-3,
        core: bool | str = "auto",
        journal: Journal | None = None,
    ):
        self.design, self.y = design, y
        self.n_probes, self.tol, self.core = n_probes, tol, core
        self.journal = journal or Journal()
        self.shared = SharedProducts(kernels, design, rows, traces, seed, self.journal)
        self.dimension = self.shared.dimension

    def fit(self) -> Asking[list[Estimates]]:
        """Estimates of every phenotype (the columns of y)."""
        yield from self.shared.begin(self.n_probes or FIRST_PROBES)
        columns = range(self.y.shape[1])
        return (
            yield from together(
                [self._fit_one(np.ascontiguousarray(self.y[:, t]), self.journal.within(f"trait {t}")) for t in columns]
            )
        )

    def _fit_one(self, y: np.ndarray, journal: Journal) -> Asking[Estimates]:
        """Estimates of one phenotype (n,)."""
        rest = self.design.residual(y)
        variance = float(rest @ rest) / self.dimension
        rest = rest / np.sqrt(variance)
        run = yield from self._begun(rest, journal)
        converged, resumed = False, journal.known("iteration") is not None
        while len(run.history) < MOST_ITERATIONS:
            if not resumed:  # else the journal has this iteration, and the solves that it has made
                self._keep(run, journal)
            resumed = False
            point = run.point
            if not run.information.size or not run.near:
                yield from self._informed(run, journal, "information")
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
                wanted = self._wanted_probes(run, errors, monte_carlo)
                converged = wanted == run.probes
                if converged:
                    break
                target = point.theta
                if not (yield from self._try_core(run)):
                    log.info("%d probes: the Monte-Carlo error was above %g SE", wanted, MONTE_CARLO_SHARE)
                    yield from self.shared.extend(wanted)
                    run.probes = wanted
            if not run.near and (size <= 0.3).all():
                # From here on the information hardly changes; what is left are the last digits of the score.
                run.near = True
                yield from self._informed(run, journal, "information near")
            run.point = yield from self._point(rest, target, run, journal)
        return (yield from self._finish(y, rest, variance, run, converged, journal))

    def _begun(self, rest: np.ndarray, journal: Journal) -> Asking[_Run]:
        """The run where it was left, or at the Haseman-Elston estimates."""
        state = journal.known("iteration")
        if state is not None:
            run = _Run(
                _unknown(state["theta"]),
                int(state["probes"]),
                state["information"],
                state["solved"],
                bool(state["near"]),
                bool(state["with_core"]),
                bool(state["tried"]),
                json.loads(str(state["history"])),
            )
            for probes in state["batches"].tolist():
                yield from self.shared.extend(probes)
            if run.with_core:
                yield from self.shared.make_core()
            run.point = yield from self._completed(rest, state["theta"], state["solutions"], float(state["y_py"]), run)
            return run
        probes = self.n_probes or FIRST_PROBES
        start = yield from self._start(rest)
        run = _Run(_unknown(start), probes)
        if self.core is True:
            yield from self._try_core(run)
        run.point = yield from self._point(rest, start, run, journal)
        return run

    def _try_core(self, run: _Run) -> Asking[bool]:
        """Use the core from now on if there is one; whether that is new."""
        if self.core is False or run.tried:
            return False
        run.tried = True
        yield from self.shared.make_core()
        run.with_core = self.shared.core is not None
        return run.with_core

    def _keep(self, run: _Run, journal: Journal) -> None:
        """From here on the state is that of this iteration; solves before it are no longer needed."""
        journal.forget()
        state = {
            "theta": run.point.theta,
            "solutions": run.point.solutions,
            "y_py": run.point.y_py,
            "information": run.information,
            "solved": run.solved,
            "near": run.near,
            "with_core": run.with_core,
            "tried": run.tried,
            "probes": run.probes,
            "batches": np.array(self.shared.batches),
            "history": json.dumps(run.history),
        }
        journal.keep("iteration", lambda: state)

    def _start(self, rest: np.ndarray) -> Asking[np.ndarray]:
        """Haseman-Elston estimates from the cached products, inside the bounds."""
        ky = (yield from self.shared.by_component(rest[:, None]))[:, :, 0]
        theta = non_negative_minimum(
            self.shared.normal(self.n_probes or FIRST_PROBES), np.append(ky @ rest, rest @ rest)
        )
        theta[-1] = max(theta[-1], 0.1)
        return theta

    def _point(self, rest: np.ndarray, theta: np.ndarray, run: _Run, journal: Journal) -> Asking[_Point]:
        """Solutions at theta (rescaled so that y'Py = n - c), and the score."""
        right = np.column_stack([rest, self.shared.z[:, : run.probes]])
        start, h_start = None, None
        before = run.point.solutions
        if before.size:
            start, h_start = np.zeros_like(right), np.zeros_like(right)
            known = before.shape[1]
            start[:, :known] = before
            h_start[:, :known] = np.tensordot(theta[:-1], run.point.by_component, 1) + theta[-1] * before
        x, steps = yield from self.shared.solve(
            journal, "point", theta, right, FINE if run.near else ROUGH, run.with_core, start, h_start
        )
        if not before.size and steps > CORE_STEPS:
            yield from self._try_core(run)
        y_py = float(rest @ x[:, 0])
        # Profile out the scale: theta s has the solutions x / s.
        scale = y_py / self.dimension
        return (yield from self._completed(rest, theta * scale, x / scale, y_py / scale, run))

    def _completed(self, rest: np.ndarray, theta: np.ndarray, x: np.ndarray, y_py: float, run: _Run) -> Asking[_Point]:
        """The score from the solutions at theta. One pass."""
        by_component = yield from self.shared.by_component(x)
        q = x[:, 0]
        traces, deviations = self.shared.trace(theta, x[:, 1:], by_component[:, :, 1:], run.with_core)
        quadratic = np.append(by_component[:, :, 0] @ q, q @ q)
        return _Point(theta, x, by_component, 0.5 * (quadratic - traces), -0.5 * deviations, y_py)

    def _informed(self, run: _Run, journal: Journal, name: str) -> Asking[None]:
        """The average information at the run's point, and H^-1 of its columns."""
        point = run.point
        columns = np.column_stack([*(k[:, 0] for k in point.by_component), point.solutions[:, 0]])
        start = run.solved if run.solved.size else None
        run.solved, _ = yield from self.shared.solve(journal, name, point.theta, columns, ROUGH, run.with_core, start)
        found = 0.5 * (columns.T @ run.solved)
        run.information = (found + found.T) / 2

    def _errors(self, point: _Point, information: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(standard errors, Monte-Carlo covariance) of theta; components at 0 as if they were free, and without."""
        free = point.theta > 0
        inverse = np.zeros_like(information)
        inverse[np.ix_(free, free)] = np.linalg.pinv(information[np.ix_(free, free)], rcond=1e-12, hermitian=True)
        r = len(point.deviations)
        spread = point.deviations.T @ point.deviations / (r * (r - 1))
        errors = np.sqrt(np.diag(np.linalg.pinv(information, rcond=1e-12, hermitian=True)))
        return errors, inverse @ spread @ inverse

    def _wanted_probes(self, run: _Run, errors: np.ndarray, monte_carlo: np.ndarray) -> int:
        """The number of probes that brings the Monte-Carlo errors to their share of the standard errors."""
        worst = float((np.sqrt(np.diag(monte_carlo)) / errors)[run.point.theta > 0].max(initial=0.0))
        if self.n_probes is not None or worst <= MONTE_CARLO_SHARE or run.probes >= MOST_PROBES:
            return run.probes
        # The spread of some dozen probes is known to 10 or 15 %, and every extension costs the solves of new columns.
        return int(min(MOST_PROBES, np.ceil(run.probes * max(1.2 * (worst / MONTE_CARLO_SHARE) ** 2, 1.5))))

    def _share(self, theta: np.ndarray) -> float:
        variances = np.append(theta[:-1] * self.shared.projected_traces, theta[-1] * self.dimension)
        return float(variances[:-1].sum() / variances.sum())

    # -- the end -------------------------------------------------------------------------------------------
    def _finish(
        self, y: np.ndarray, rest: np.ndarray, variance: float, run: _Run, converged: bool, journal: Journal
    ) -> Asking[Estimates]:
        point = run.point
        basis, c, theta = self.design.basis, self.design.rank, point.theta
        g = len(theta) - 1
        hq = np.tensordot(theta[:-1], self.shared.kq, 1)
        crossed = self.design.residual(hq)
        columns = np.column_stack([*(k[:, 0] for k in point.by_component), point.solutions[:, 0], crossed])
        start = None if not run.solved.size else np.column_stack([run.solved, np.zeros_like(crossed)])
        solved, _ = yield from self.shared.solve(journal, "last", theta, columns, 10 * FINE, run.with_core, start)
        information = 0.5 * (columns[:, : g + 1].T @ solved[:, : g + 1])
        information = (information + information.T) / 2
        inside = basis.T @ hq + theta[-1] * np.eye(c)
        covariance = inside - crossed.T @ solved[:, g + 1 :]
        _, monte_carlo = self._errors(point, information)
        log_determinant, spread = yield from self.shared.log_determinant(theta, run.probes, run.with_core, journal)
        constant = self.dimension * np.log(2 * np.pi) + self.design.log_determinant
        shift = -0.5 * self.dimension * np.log(variance)
        log_likelihood = -0.5 * (constant + log_determinant + point.y_py) + shift
        null = -0.5 * (constant + float(rest @ rest)) + shift
        at_bound = theta <= 0
        at_bound[-1] = theta[-1] <= _FLOOR * 1.01
        q = point.solutions[:, 0] / np.sqrt(variance)
        kq = np.einsum("g,gnc,n->c", theta[:-1] * variance, self.shared.kq, q)
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
            n_probes=run.probes,
        )


def _unknown(theta: np.ndarray) -> _Point:
    """A point of which nothing is known yet."""
    nothing = np.empty((0, 0))
    return _Point(theta, nothing, nothing, np.empty(0), nothing, np.nan)
