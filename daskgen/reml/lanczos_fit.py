"""REML with one relationship matrix at any n: one Krylov space per vector serves every variance ratio.

The columns are y of every phenotype (projected, M y) and random probes M z. Each Lanczos step multiplies all of them in
one pass; the tridiagonals give y'f(K)y and z'f(K)z for every f (`linalg.quadrature`), so that the likelihood can be
maximised anew after each pass without further ones. It ends when estimates change by less than a small share of their
standard errors. Conjugate gradients at the estimates then give P y and the covariance of fixed effects.

Source: Border and Becker (2019), BMC Bioinformatics 20:411 (shifted Krylov spaces for REML); Hutchinson (1989) for the
probes.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from daskgen.linalg.conjugate_gradient import conjugate_gradient
from daskgen.linalg.quadrature import Recurrences
from daskgen.passes import Checkpoint
from daskgen.reml.design import Design
from daskgen.reml.estimates import Estimates
from daskgen.reml.one_component import maximise
from daskgen.reml.probes import enough_dimensions, signs
from daskgen.reml.spectrum import SampledSpectrum

__all__ = ["LanczosFit"]

log = logging.getLogger("daskgen.reml")

FIRST_PROBES = 24
MOST_PROBES = 256
MONTE_CARLO_SHARE, SHARE_OF_MANY, MANY = 0.05, 0.10, 10_000
"""Monte-Carlo error of a variance, as a share of its standard error, that the automatic number of probes aims at: up to
10,000 samples, and for more of them. Shares of 5 and 10 % add 0.25 and 1 % to the variance of an estimate."""

LEAST_STEPS, EDGE_STEPS, MOST_STEPS = 4, 40, 200
SOLVE_TOLERANCE = 1e-5
_COLUMNS = 96  # right-hand sides that are solved together


@dataclass
class LanczosFit:
    """One relationship matrix, known by `apply` (K V, one pass), for phenotypes of the same samples.

    y (n, T); rows (n,): the samples' rows in the store, which their probes depend on; trace: tr K exactly;
    n_probes: a number, or None for the automatic one.
    """

    apply: Callable[[np.ndarray], np.ndarray]
    design: Design
    y: np.ndarray
    rows: np.ndarray
    trace: float
    seed: int = 0
    n_probes: int | None = None
    tol: float = 1e-3
    saved: Checkpoint | None = None

    def __post_init__(self) -> None:
        enough_dimensions(self.design)
        t = self.y.shape[1]
        self._estimates: list[Estimates] = []
        self._histories: list[list[dict[str, float]]] = [[] for _ in range(t)]
        self._steps = [0] * t  # after which each phenotype had converged; 0: not yet

    def fit(self) -> list[Estimates]:
        """Estimates of every phenotype."""
        t = self.y.shape[1]
        rest = self.design.residual(self.y)
        self._lengths = np.linalg.norm(rest, axis=0)
        state = (None if self.saved is None else self.saved.load()) or {}
        self._kq = state["kq"] if "kq" in state else self.apply(self.design.basis)
        self._trace = self.trace - float(np.vdot(self.design.basis, self._kq))
        probes = self.n_probes or FIRST_PROBES
        if "alpha" in state:
            main = Recurrences.from_arrays(dict(state))
            self._histories = json.loads(str(state["history"]))
            self._steps = state["converged_after"].tolist()
        else:
            main = Recurrences.start(np.hstack([rest / self._lengths, self._probes(0, probes)]))
        self._iterate(main)
        wanted = [self._wanted_probes(e, probes) for e in self._estimates]
        if max(wanted) > probes:
            log.info("%d more probes: the Monte-Carlo error was above %g SE", max(wanted) - probes, self._aim)
            more = self._more(main, probes, max(wanted), state)
            for i in range(t):
                if wanted[i] > probes:
                    extra = more.after(self._steps[i]).rule(slice(0, wanted[i] - probes))
                    before, self._estimates[i] = self._estimates[i], self._maximised(main, i, self._steps[i], extra)
                    self._estimates[i].converged, self._estimates[i].reason = before.converged, before.reason
        self._solve()
        for estimates, history in zip(self._estimates, self._histories, strict=True):
            estimates.history = history
        return self._estimates

    # -- Lanczos -------------------------------------------------------------------------------------------
    @property
    def _aim(self) -> float:
        return MONTE_CARLO_SHARE if len(self.rows) <= MANY else SHARE_OF_MANY

    @property
    def _dimension(self) -> int:
        return self.y.shape[0] - self.design.rank

    def _projected(self, vectors: np.ndarray) -> np.ndarray:
        return self.design.residual(self.apply(vectors))

    def _probes(self, first: int, last: int) -> np.ndarray:
        return self.design.residual(signs(self.rows, first, last, self.seed))

    def _save(self, main: Recurrences, more: Recurrences | None = None) -> None:
        if self.saved is None:
            return
        extra = {} if more is None else {f"more_{name}": array for name, array in more.as_arrays().items()}
        state = {"kq": self._kq, **main.as_arrays(), **extra, "converged_after": np.array(self._steps)}
        self.saved.save({**state, "history": json.dumps(self._histories)}, force=main.steps == 1)

    def _iterate(self, main: Recurrences) -> None:
        """Lanczos steps until all estimates stay; what is saved is the state before a step was looked at."""
        t = self.y.shape[1]
        limit = min(MOST_STEPS, self._dimension)
        resumed = main.steps > 0
        self._estimates = [
            self._maximised(main, i, self._steps[i] or main.steps - 1) if main.steps > 1 else _unknown()
            for i in range(t)
        ]
        while True:
            if not resumed:
                main.step(self._projected)
                self._save(main)
            resumed = False
            whole = main.exhausted or main.steps == self._dimension
            for i in range(t):
                if not self._steps[i] and self._look(main, i, whole, main.steps >= limit):
                    self._steps[i] = main.steps
            log.info(
                "pass %d: h2 %s, largest change %.2g SE",
                main.steps,
                _shown(self._estimates, self._trace / self._dimension),
                max(history[-1]["change"] for history in self._histories),
            )
            if all(self._steps):
                return

    def _look(self, main: Recurrences, i: int, whole: bool, last: bool) -> bool:
        """New estimates of phenotype `i`, and whether they are final."""
        before, e = self._estimates[i], self._maximised(main, i, main.steps)
        self._estimates[i] = e
        change = _change(before, e)
        share = _share(e, self._trace / self._dimension)
        self._histories[i].append({"pass": main.steps, "h2": share, "change": min(change, 1e9)})
        # A rule of few nodes sees no small eigenvalue, and takes the residual variance for 0.
        least = EDGE_STEPS if e.at_bound[1] else LEAST_STEPS
        small = main.steps >= least and change <= self.tol
        e.converged = small or whole
        reason = f"estimates change by less than {self.tol:g} SE" if small else f"{main.steps} steps were made"
        e.reason = f"{reason}; {e.reason}" if e.reason else reason
        return e.converged or last

    def _more(self, main: Recurrences, first: int, last: int, state: Mapping[str, np.ndarray]) -> Recurrences:
        """The recurrences of further probes, as many steps as the first ones made."""
        arrays = {name.removeprefix("more_"): array for name, array in state.items() if name.startswith("more_")}
        more = Recurrences.from_arrays(arrays) if arrays else Recurrences.start(self._probes(first, last))
        while more.steps < main.steps:
            more.step(self._projected)
            self._save(main, more)
        return more

    def _maximised(
        self, main: Recurrences, i: int, steps: int, extra: tuple[np.ndarray, np.ndarray] | None = None
    ) -> Estimates:
        """Estimates of phenotype `i` from the first `steps` steps; extra: nodes and weights of further probes."""
        t, known = self.y.shape[1], main.after(steps)
        (nodes,), (weights,) = known.rule(slice(i, i + 1))
        of_probes = known.rule(slice(t, None))
        if extra is not None:
            of_probes = np.concatenate([of_probes[0], extra[0]]), np.concatenate([of_probes[1], extra[1]])
        spectrum = SampledSpectrum(
            np.maximum(nodes, 0),
            weights * self._lengths[i] ** 2,
            np.maximum(of_probes[0], 0),
            of_probes[1],
            self._dimension,
            self._trace,
        )
        return maximise(spectrum, self.design.log_determinant)

    def _wanted_probes(self, e: Estimates, probes: int) -> int:
        """The number of probes that brings the Monte-Carlo error to its share of the standard error."""
        if self.n_probes is not None or e.at_bound.any():
            return probes
        worst = float(np.sqrt(np.diag(e.monte_carlo) / np.diag(e.covariance)).max())
        if worst <= self._aim:
            return probes
        return int(min(MOST_PROBES, np.ceil(1.1 * probes * (worst / self._aim) ** 2)))

    # -- solves --------------------------------------------------------------------------------------------
    def _solve(self) -> None:
        """P y, and the fixed effects with their covariance, at the estimates of each phenotype."""
        basis, c = self.design.basis, self.design.rank
        together = max(1, _COLUMNS // (1 + c))
        for first in range(0, self.y.shape[1], together):
            chosen = range(first, min(first + together, self.y.shape[1]))
            theta = np.array([self._estimates[t].theta for t in chosen])
            rest = self.design.residual(self.y[:, list(chosen)])
            crossed = self.design.residual(self._kq)
            blocks = [np.column_stack([rest[:, i], theta[i, 0] * crossed]) for i in range(len(chosen))]
            genetic, residual = (np.repeat(theta[:, k], 1 + c) for k in (0, 1))

            def product(
                vectors: np.ndarray, columns: np.ndarray, g: np.ndarray = genetic, e: np.ndarray = residual
            ) -> np.ndarray:
                return np.asarray(g[columns] * self._projected(vectors) + e[columns] * vectors)

            solved = conjugate_gradient(product, np.hstack(blocks), tol=SOLVE_TOLERANCE)
            for i, t in enumerate(chosen):
                part = solved.solution[:, i * (1 + c) : (i + 1) * (1 + c)]
                q, p_hq = self.design.residual(part[:, 0]), part[:, 1:]
                estimates = self._estimates[t]
                estimates.projected = q
                # Q'K q = (K Q)'q.
                estimates.gamma = basis.T @ self.y[:, t] - theta[i, 0] * (self._kq.T @ q)
                inside = theta[i, 0] * (basis.T @ self._kq) + theta[i, 1] * np.eye(c)
                found = inside - theta[i, 0] * (crossed.T @ p_hq)
                estimates.gamma_covariance = (found + found.T) / 2


def _unknown() -> Estimates:
    """What is known before the first pass."""
    nothing, square = np.full(2, np.nan), np.full((2, 2), np.nan)
    return Estimates(nothing, nothing, square, np.zeros(2, bool), np.nan, np.nan, square, np.nan, False, "")


def _change(before: Estimates, after: Estimates) -> float:
    """Largest change of a variance, in standard errors; infinite where nothing was known."""
    size = np.maximum(np.sqrt(np.diag(after.covariance)), 1e-3 * after.theta.sum())
    change = float((np.abs(after.theta - before.theta) / size).max())
    return change if np.isfinite(change) else np.inf


def _share(estimates: Estimates, mean: float) -> float:
    genetic = estimates.theta[0] * mean
    return float(genetic / (genetic + estimates.theta[1]))


def _shown(estimates: Sequence[Estimates], mean: float) -> str:
    text = ", ".join(f"{_share(e, mean):.4f}" for e in estimates[:4])
    return text + (", ..." if len(estimates) > 4 else "")
