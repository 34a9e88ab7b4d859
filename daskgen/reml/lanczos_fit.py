"""REML with one relationship matrix at any n: one Krylov space serves every variance ratio, trace and solve.

Each pass multiplies a block: random probes M z and M K Q (Q: the basis of the fixed effects), whose Krylov space V is
kept whole (`linalg.krylov_space`), and for each phenotype y one direction of its own beside V. They give, for every
variance ratio at once,

    tr f(K)      over the eigenvalues that V knows as good as exactly, for the rest as the mean over probes,
    y'f(K)y      on the Krylov space of the block and y,

so that the likelihood is maximised anew after each pass without further ones. It ends when estimates change by less
than a small share of their standard errors. P y and the covariance of fixed effects come from the same space, refined
by some steps of conjugate gradients whose preconditioner is what V knows of K.

Phenotypes do not change what is known for each other: V depends on samples, fixed effects and probes alone. One that
needs more probes goes to a space with as many.

Source: Border and Becker (2019), BMC Bioinformatics 20:411 (shifted Krylov spaces for REML); Hutchinson (1989) for the
probes; Meyer, Musco, Musco and Woodruff (2021), SOSA, 142 (what is known taken out of a trace).
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from daskgen.linalg.conjugate_gradient import ConjugateGradients
from daskgen.linalg.krylov_space import Companion, Galerkin, KrylovSpace
from daskgen.linalg.quadrature import Recurrences
from daskgen.reml.asking import Asking, Kernels, Request, together
from daskgen.reml.design import Design
from daskgen.reml.estimates import Estimates
from daskgen.reml.journal import Arrays, Journal
from daskgen.reml.one_component import EDGES, maximise
from daskgen.reml.probes import MANY, MOST_PROBES, enough_dimensions, first_probes, more_probes, signs
from daskgen.reml.spectrum import SampledSpectrum

__all__ = ["LanczosFit"]

log = logging.getLogger("daskgen.reml")

MONTE_CARLO_SHARE, SHARE_OF_MANY = 0.05, 0.10
"""Monte-Carlo error of a variance, as a share of its standard error, that the automatic number of probes aims at: up to
`MANY` samples, and for more of them. Shares of 5 and 10 % add 0.25 and 1 % to the variance of an estimate."""

PROBES_DECIDED = 8
"""The pass after which a phenotype may ask for more probes."""

LEAST_STEPS, EDGE_STEPS, MOST_STEPS = 4, 40, 200
SOLVE_TOLERANCE = 1e-5

_CALM = 0.2  # changes that are below this share of the Monte-Carlo error twice are part of it
_COUNTS = ("steps", "probes", "calm", "settled")
_KNOWN = 0.003  # relative residual of an eigenpair that counts as known; its square is the error of a trace
_RULE_NODES = 200
_COLUMNS = 96  # right-hand sides that are solved together
_SMALL = 800  # a space up to this size is looked at after every pass, a larger one when it has grown by a tenth


@dataclass
class LanczosFit:
    """One relationship matrix for phenotypes of the same samples.

    kernels: its products; y (n, T); rows (n,): the samples' rows in the store, which their probes depend on; trace:
    tr K exactly; n_probes: a number, or None for the automatic one; most_columns: size that the space may have
    (memory); journal: where the state is kept.
    """

    kernels: Kernels
    design: Design
    y: np.ndarray
    rows: np.ndarray
    trace: float
    seed: int = 0
    n_probes: int | None = None
    tol: float = 1e-3
    most_columns: int = 100_000
    journal: Journal = field(default_factory=Journal)

    def __post_init__(self) -> None:
        self.dimension = enough_dimensions(self.design)
        self.rest = self.design.residual(self.y)
        self.kq = np.empty((len(self.y), 0))
        self.projected_trace = self.trace

    def fit(self) -> Asking[list[Estimates]]:
        """Estimates of every phenotype."""
        known = self.journal.known("kq")
        if known is None:
            (kq,) = yield [Request(self.kernels, self.design.basis, np.ones(1))]
            known = {"kq": kq}
            self.journal.keep("kq", lambda: {"kq": kq})
        self.kq = known["kq"]
        self.projected_trace = self.trace - float(np.vdot(self.design.basis, self.kq))
        everyone = list(range(self.y.shape[1]))
        return (yield from self._fit_with(self.n_probes or first_probes(len(self.rows), 1), everyone))

    def _fit_with(self, probes: int, columns: Sequence[int]) -> Asking[list[Estimates]]:
        """Estimates of some phenotypes with as many probes, or with more where they turn out to be needed."""
        run = _Run(self, probes, columns)
        yield from run.iterate()
        moved = run.moved()
        parts = [run.solved(), *(self._fit_with(more, group) for more, group in moved.items())]
        groups = [[trait.column for trait in run.staying], *moved.values()]
        found: dict[int, Estimates] = {}
        for group, estimates in zip(groups, (yield from together(parts)), strict=True):
            found |= dict(zip(group, estimates, strict=True))
        return [found[column] for column in columns]

    def product(self, vectors: np.ndarray) -> Asking[np.ndarray]:
        """M K V."""
        (found,) = yield [Request(self.kernels, vectors, np.ones(1))]
        return self.design.residual(found)

    @property
    def aim(self) -> float:
        """The share of the standard error that the Monte-Carlo error should have."""
        return MONTE_CARLO_SHARE if len(self.rows) <= MANY else SHARE_OF_MANY


@dataclass
class _Trait:
    """A phenotype in a space.

    steps: passes after which it had converged or was moved (0: not yet); probes: how many it wants (0: not decided);
    calm: looks since estimates moved; settled: passes after which they first stayed; solutions (n, 1 + c):
    H^-1 [M y, theta M K Q] as the space has them.
    """

    column: int
    length: float
    companion: Companion
    estimates: Estimates
    history: list[dict[str, float]] = field(default_factory=list)
    steps: int = 0
    probes: int = 0
    calm: int = 0
    settled: int = 0
    solutions: np.ndarray = field(default_factory=lambda: np.empty((0, 0)))


class _Run:
    """The space of some probes, and the phenotypes that are estimated with it."""

    def __init__(self, fit: LanczosFit, probes: int, columns: Sequence[int]):
        self.fit, self.probes = fit, probes
        self.journal = fit.journal.within(f"{probes} probes")
        self.decides = fit.n_probes is None and probes < MOST_PROBES
        known = self.journal.known("space")
        if known is None:
            z = fit.design.residual(signs(fit.rows, 0, probes, fit.seed))
            self.space = KrylovSpace(np.hstack([z, fit.design.residual(fit.kq)]))
        else:
            self.space = KrylovSpace.from_arrays(known)
        self.passes = 0 if known is None else int(known["passes"])
        self.looked = 0 if known is None else int(known["looked"])
        self.traits = [self._trait(column) for column in columns]
        self.journal.keep("space", lambda: {**self.space.as_arrays(), "passes": self.passes, "looked": self.looked})
        for trait in self.traits:
            self.journal.keep(f"trait {trait.column}", _state_of(trait))

    def _trait(self, column: int) -> _Trait:
        length = float(np.linalg.norm(self.fit.rest[:, column]))
        known = self.journal.known(f"trait {column}")
        if known is None:
            return _Trait(column, length, Companion(self.space, self.fit.rest[:, column] / length), _unknown())
        trait = _Trait(column, length, Companion.from_arrays(known), _unknown(), json.loads(str(known["history"])))
        for name in _COUNTS:
            setattr(trait, name, int(known[name]))
        trait.solutions = known["solutions"]
        trait.estimates = self.journal.estimates(f"trait {column} estimates") or trait.estimates
        return trait

    @property
    def staying(self) -> list[_Trait]:
        """Phenotypes that end here."""
        return [trait for trait in self.traits if trait.probes <= self.probes]

    def moved(self) -> dict[int, list[int]]:
        """Number of probes -> phenotypes that want so many."""
        found: dict[int, list[int]] = {}
        for trait in self.traits:
            if trait.probes > self.probes:
                found.setdefault(trait.probes, []).append(trait.column)
        return found

    # -- passes --------------------------------------------------------------------------------------------
    def iterate(self) -> Asking[None]:
        """Passes until all estimates stay."""
        space = self.space
        while active := [trait for trait in self.traits if not trait.steps]:
            own = [trait.companion.pending for trait in active]
            blocks = [space.pending, *(block for block in own if block is not None)]
            width = blocks[0].shape[1]
            product = yield from self.fit.product(np.hstack(blocks))
            if width:
                space.advance(product[:, :width])
            for trait, block in zip(active, own, strict=True):
                trait.companion.advance(space, None if block is None else product[:, width : width + 1])
                width += block is not None
            self.passes += 1
            full = space.size == self.fit.dimension
            ended = not space.pending.shape[1] and all(trait.companion.pending is None for trait in active)
            last = self.passes >= MOST_STEPS or space.basis.shape[1] > self.fit.most_columns
            if not (full or ended or last) and _SMALL < space.size < 1.1 * self.looked:
                continue
            self.looked = space.size
            galerkin = space.galerkin()
            for trait in active:
                self._look(trait, galerkin, full or ended, last)
            log.info(
                "pass %d: h2 %s, largest change %.2g SE",
                self.passes,
                self._shown([trait.estimates for trait in active]),
                max(trait.history[-1]["change"] for trait in active),
            )

    def _look(self, trait: _Trait, galerkin: Galerkin, whole: bool, last: bool) -> None:
        """New estimates of a phenotype; whether they are final, and whether it needs more probes."""
        matrix, y, to_basis = trait.companion.joined(self.space)
        known = self._known(galerkin)
        spectrum = self._spectrum(trait, galerkin, known, matrix, y)
        before, e = trait.estimates, maximise(spectrum, self.fit.design.log_determinant)
        trait.estimates, e.n_probes = e, self.probes
        change = _change(before, e)
        trait.history.append({"pass": self.passes, "h2": self._share(e), "change": min(change, 1e9)})
        # A space of few dimensions sees no small eigenvalue, and takes the residual variance for 0.
        least = EDGE_STEPS if e.at_bound[1] else LEAST_STEPS
        share, share_before = _monte_carlo_share(e), _monte_carlo_share(before)
        # Eigenpairs that become known take their random error out of the estimates, which moves them as much.
        moved = np.sqrt(max(share_before**2 - share**2, 0.0))
        trait.calm = trait.calm + 1 if change <= max(self.fit.tol, _CALM * share, 2 * moved) else 0
        small = self.passes >= least and (change <= self.fit.tol or trait.calm >= 2)
        if small and not trait.settled:
            trait.settled = self.passes
        # What a space finds of a structured population makes the random error smaller pass by pass.
        finding = 10 * int(known.sum()) >= self.space.size and self.passes < 2 * trait.settled
        if small and self.decides and share > self.fit.aim and finding:
            small = False
        e.converged = small or whole
        reason = f"estimates change by less than {self.fit.tol:g} SE or are part of their Monte-Carlo error"
        e.reason = reason if small else f"{self.passes} passes were made"
        if e.at_bound.any():
            e.reason += f"; {EDGES[int(e.at_bound.argmax())]}"
        final = e.converged or last
        early = self.passes == PROBES_DECIDED and change <= 0.5 and not finding
        if self.decides and not trait.probes and (final or early) and share > self.fit.aim:
            trait.probes = more_probes(self.probes, share, self.fit.aim)
            if trait.probes > self.probes:
                log.info("%d probes: with %d the Monte-Carlo error is %.2g SE", trait.probes, self.probes, share)
        if final or trait.probes > self.probes:
            trait.steps = self.passes
        if final and trait.probes <= self.probes:
            trait.solutions = self._solutions(trait, galerkin, matrix, y, to_basis)
        self.journal.keep_estimates(f"trait {trait.column} estimates", e)

    def _known(self, galerkin: Galerkin) -> np.ndarray:
        """bool (k,): eigenpairs that are as good as exact, so that they do not depend on the probes.

        Which pairs are accurate does: among neighbours those to which the probes happen to have large coordinates come
        first, and would leave to the probes those with small ones. So pairs count from the largest eigenvalue down to
        the first that is not accurate. And where more eigenvalues lie side by side than there are probes, the space
        has accurate vectors that the probes chose among them. Their squared coordinates are larger than 1 on average,
        and tell.
        """
        known = np.logical_and.accumulate(galerkin.accurate(_KNOWN)[::-1])[::-1]
        r = min(self.probes, galerkin.coordinates.shape[1])
        found = np.flatnonzero(known)[::-1]
        weights = (galerkin.coordinates[found, :r] ** 2).mean(axis=1)
        known[found[weights > 1 + 6 * np.sqrt(2 / r)]] = False
        for first in range(0, len(found), r):
            part = weights[first : first + r]
            if part.mean() > 1 + 4 * np.sqrt(2 / (r * len(part))):
                known[found[first:]] = False
                break
        return known

    def _spectrum(
        self, trait: _Trait, galerkin: Galerkin, known: np.ndarray, matrix: np.ndarray, y: np.ndarray
    ) -> SampledSpectrum:
        rule = Recurrences.start(y[:, None])
        while rule.steps < min(len(y), _RULE_NODES) and not rule.exhausted:
            rule.step(lambda v: matrix @ v)
        (nodes,), (weights,) = rule.rule()
        values = np.maximum(galerkin.values, 0)
        return SampledSpectrum(
            np.maximum(nodes, 0),
            weights * trait.length**2,
            values[~known][None],
            galerkin.coordinates[~known, : self.probes].T ** 2,
            self.fit.dimension - int(known.sum()),
            self.fit.projected_trace - float(values[known].sum()),
            values[known],
        )

    def _solutions(
        self, trait: _Trait, galerkin: Galerkin, matrix: np.ndarray, y: np.ndarray, to_basis: np.ndarray
    ) -> np.ndarray:
        """H^-1 [M y, theta_g M K Q] (n, 1 + c) as the space has them."""
        genetic, residual = trait.estimates.theta
        if not residual > 0:
            residual = 1e-6 * genetic * self.fit.projected_trace / self.fit.dimension
        inner = np.linalg.solve(genetic * matrix + residual * np.eye(len(matrix)), y * trait.length)
        of_y = trait.companion.expand(self.space, inner, to_basis)
        d = genetic * np.maximum(galerkin.values, 0) + residual
        crossed = galerkin.vectors @ (genetic * galerkin.coordinates[:, self.probes :] / d[:, None])
        return np.column_stack([of_y, self.space.basis[:, : self.space.size] @ crossed.astype(np.float32)])

    def _share(self, e: Estimates) -> float:
        genetic = e.theta[0] * self.fit.projected_trace / self.fit.dimension
        return float(genetic / (genetic + e.theta[1]))

    def _shown(self, estimates: Sequence[Estimates]) -> str:
        text = ", ".join(f"{self._share(e):.4f}" for e in estimates[:4])
        return text + (", ..." if len(estimates) > 4 else "")

    # -- solves --------------------------------------------------------------------------------------------
    def solved(self) -> Asking[list[Estimates]]:
        """The estimates of the phenotypes that stay, with P y, fixed effects and their covariance."""
        staying, width = self.staying, 1 + self.fit.design.rank
        together = max(1, _COLUMNS // width)
        if staying:
            galerkin = self.space.galerkin()
            known = galerkin.accurate(_KNOWN)
            self._vectors = self.space.basis[:, : self.space.size] @ galerkin.vectors[:, known].astype(np.float32)
            self._values = galerkin.values[known]
        for first in range(0, len(staying), together):
            yield from self._solve(staying[first : first + together], width)
        return [trait.estimates for trait in staying]

    def _solve(self, traits: Sequence[_Trait], width: int) -> Asking[None]:
        fit, basis, c = self.fit, self.fit.design.basis, self.fit.design.rank
        theta = np.repeat(np.array([trait.estimates.theta for trait in traits]), width, axis=0)
        crossed = fit.design.residual(fit.kq)
        right = np.hstack([np.column_stack([fit.rest[:, t.column], t.estimates.theta[0] * crossed]) for t in traits])
        known = np.maximum(self._values, 0)
        rest = (fit.projected_trace - known.sum()) / max(fit.dimension - len(known), 1)
        scale = theta[:, 0] * max(rest, 0.0) + theta[:, 1]
        shares = 1 / (np.outer(known, theta[:, 0]) + theta[:, 1]) - 1 / scale

        def precondition(vectors: np.ndarray, columns: np.ndarray) -> np.ndarray:
            inside = self._vectors.T @ vectors.astype(np.float32)
            return vectors / scale[columns] + self._vectors @ (shares[:, columns] * inside).astype(np.float32)

        start = np.hstack([trait.solutions for trait in traits])
        run = ConjugateGradients(right, tol=SOLVE_TOLERANCE, start=start, precondition=precondition)
        name = f"solve {traits[0].column}"
        state = self.journal.known(name)
        if state is not None:
            run.restore(state)
        self.journal.keep(name, run.as_arrays)
        while (wanted := run.wanted) is not None:
            vectors, columns = wanted
            product = yield from fit.product(vectors)
            run.advance(theta[columns, 0] * product + theta[columns, 1] * vectors)
        for i, trait in enumerate(traits):
            part = run.x[:, i * width : (i + 1) * width]
            q, p_hq = fit.design.residual(part[:, 0]), part[:, 1:]
            e = trait.estimates
            e.projected, e.history = q, trait.history
            # Q'K q = (K Q)'q.
            e.gamma = basis.T @ fit.y[:, trait.column] - e.theta[0] * (fit.kq.T @ q)
            inside = e.theta[0] * (basis.T @ fit.kq) + e.theta[1] * np.eye(c)
            found = inside - e.theta[0] * (crossed.T @ p_hq)
            e.gamma_covariance = (found + found.T) / 2


def _state_of(trait: _Trait) -> Callable[[], Arrays]:
    """What is kept of a phenotype, at the time of writing."""
    return lambda: {
        **trait.companion.as_arrays(),
        "history": json.dumps(trait.history),
        **{name: getattr(trait, name) for name in _COUNTS},
        "solutions": trait.solutions,
    }


def _unknown() -> Estimates:
    """What is known before the first pass."""
    nothing, square = np.full(2, np.nan), np.full((2, 2), np.nan)
    return Estimates(nothing, nothing, square, np.zeros(2, bool), np.nan, np.nan, square, np.nan, False, "")


def _monte_carlo_share(e: Estimates) -> float:
    """Largest Monte-Carlo error of a variance, in standard errors; 0 at a bound."""
    if e.at_bound.any():
        return 0.0
    return float(np.sqrt(np.diag(e.monte_carlo) / np.diag(e.covariance)).max())


def _change(before: Estimates, after: Estimates) -> float:
    """Largest change of a variance, in standard errors; infinite where nothing was known."""
    size = np.maximum(np.sqrt(np.diag(after.covariance)), 1e-3 * after.theta.sum())
    change = float((np.abs(after.theta - before.theta) / size).max())
    return change if np.isfinite(change) else np.inf
