"""What conjugate-gradient fits of the same samples share: products with several relationship matrices, probes, solves,
the preconditioner, and from these the traces and log|H|.

Control variates: z'A_i z for A = (I, K_1, ..., K_G), whose traces are known, with the coefficients that are best in the
Frobenius norm, T b_g = r_g, T_ij = tr(A_i A_j), r_gi = tr(H^-1 K_g A_i); both are estimated from products that are at
hand. Where solves take many steps, the matrices have large eigenvalues; their space is then found in a few passes and
serves as preconditioner and as control variate (`core`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable

import numpy as np

from daskgen.linalg.conjugate_gradient import ConjugateGradients
from daskgen.linalg.krylov_space import KrylovSpace
from daskgen.linalg.quadrature import Recurrences
from daskgen.reml.asking import Asking, Kernels, Request
from daskgen.reml.core import Core, CoreProbes
from daskgen.reml.design import Design
from daskgen.reml.journal import Journal
from daskgen.reml.probes import MOST_PROBES, enough_dimensions, signs
from daskgen.reml.spectrum import SampledSpectrum

__all__ = ["SharedProducts"]

log = logging.getLogger("daskgen.reml")

CORE_PASSES, CORE_COLUMNS = 16, 32
"""Products with so many columns that may be spent on finding the space of large eigenvalues."""

_LARGE, _ROUGHLY = 3.0, 0.3
"""Directions of the core: eigenvalues this much above the mean of what is left, to this relative residual."""

_TRIED, _GAIN = 2, 4
"""After so many products the search goes on as long as each of them adds so many directions."""

_WIDE_BYTES = 1_000_000_000  # products by component that may be held


class SharedProducts:
    """Products of the kernels in the space that the fixed effects leave.

    rows (n,): the samples' rows in the store, which probes depend on; traces (G,): tr K_g exactly. After `begin`:
    projected_traces (G,): tr M K_g; kq (G, n, c): K_g Q; z (n, R): probes, kz (G, n, R): M K_g Z in float32; core: the
    preconditioner where one was made.
    """

    def __init__(
        self, kernels: Kernels, design: Design, rows: np.ndarray, traces: np.ndarray, seed: int, journal: Journal
    ):
        self.kernels, self.design, self.rows, self.traces = kernels, design, rows, traces
        self.seed, self.journal = seed, journal
        self.dimension = enough_dimensions(design)
        n, g = len(rows), len(traces)
        self.z = np.empty((n, 0))
        self.kz = np.empty((g, n, 0), np.float32)
        self.kq = np.empty((g, n, 0))
        self.projected_traces = traces
        self.core: Core | None = None
        self._core_made = False
        self._busy = False
        self.batches: list[int] = []  # numbers of probes after each extension

    def begin(self, probes: int) -> Asking[None]:
        """What every phenotype needs."""
        (self.kq,) = yield [Request(self.kernels, self.design.basis)]
        self.projected_traces = self.traces - np.array([float(np.vdot(self.design.basis, k)) for k in self.kq])
        yield from self.extend(probes)

    # -- products ------------------------------------------------------------------------------------------
    def by_component(self, vectors: np.ndarray) -> Asking[np.ndarray]:
        """M K_g V (G, n, r), as many columns at a time as may be held."""
        g, n = len(self.traces), vectors.shape[0]
        together = max(1, _WIDE_BYTES // (8 * g * n))
        parts = []
        for first in range(0, vectors.shape[1], together):
            (found,) = yield [Request(self.kernels, vectors[:, first : first + together])]
            parts.append(found)
        whole = parts[0] if len(parts) == 1 else np.concatenate(parts, axis=2)
        return np.stack([self.design.residual(k) for k in whole])

    def h_times(self, theta: np.ndarray, vectors: np.ndarray) -> Asking[np.ndarray]:
        (genetic,) = yield [Request(self.kernels, vectors, theta[:-1])]
        return self.design.residual(genetic) + theta[-1] * vectors

    def solve(
        self,
        journal: Journal,
        name: str,
        theta: np.ndarray,
        right: np.ndarray,
        tol: float,
        with_core: bool,
        start: np.ndarray | None = None,
        h_start: np.ndarray | None = None,
    ) -> Asking[tuple[np.ndarray, int]]:
        """(H^-1 of the columns, steps that it took); with_core: with the preconditioner where there is one."""
        precondition = None
        if with_core and self.core is not None:
            at = self.core.at(theta)
            precondition = lambda vectors, _: at.power(-1.0, vectors)  # noqa: E731
        run = ConjugateGradients(right, tol=tol, start=start, product_of_start=h_start, precondition=precondition)
        known = journal.known(name)
        if known is not None:
            run.restore(known)
        journal.keep(name, run.as_arrays)
        while (wanted := run.wanted) is not None:
            run.advance((yield from self.h_times(theta, wanted[0])))
        return self.design.residual(run.x), run.iteration

    # -- probes --------------------------------------------------------------------------------------------
    def extend(self, probes: int) -> Asking[None]:
        """At least as many probes: their products by component are kept (float32)."""
        yield from self._alone(lambda: self._extend(probes))

    def _extend(self, probes: int) -> Asking[None]:
        known = self.z.shape[1]
        if known >= probes:
            return
        fresh = self.design.residual(signs(self.rows, known, probes, self.seed))
        kz = yield from self.by_component(fresh)
        self.z = np.hstack([self.z, fresh])
        self.kz = np.concatenate([self.kz, kz.astype(np.float32)], axis=2)
        self.batches.append(probes)

    def _alone(self, work: Callable[[], Asking[None]]) -> Asking[None]:
        """Do what all phenotypes share when no other of them is doing such a thing: else the same would be done twice.

        Who waits asks for nothing in a pass.
        """
        while self._busy:
            yield []
        self._busy = True
        yield from work()
        self._busy = False

    def normal(self, probes: int) -> np.ndarray:
        """T_ij = tr(A_i A_j) (G + 1, G + 1) from so many probes, residual last."""
        parts = [*self.kz[:, :, :probes], self.z[:, :probes]]
        found = np.array([[float(np.vdot(a, b)) for b in parts] for a in parts]) / probes
        found[-1, :] = found[:, -1] = [*self.projected_traces, self.dimension]
        return found

    # -- preconditioner ------------------------------------------------------------------------------------
    def make_core(self) -> Asking[None]:
        """The leading eigenspace of sum K_g, and the matrices on it.

        It starts at signs that are no probes: a control variate must not depend on the probes it is used with.
        """
        yield from self._alone(self._make_core)

    def _make_core(self) -> Asking[None]:
        if self._core_made:
            return
        g, n = len(self.traces), len(self.rows)
        known = self.journal.known("core")
        counts: list[int] = [] if known is None else known["counts"].tolist()  # directions after each product
        if known is None:
            space = KrylovSpace(
                self.design.residual(signs(self.rows, MOST_PROBES, MOST_PROBES + CORE_COLUMNS, self.seed))
            )
        else:
            space = KrylovSpace.from_arrays(known)
        self.journal.keep("core", lambda: {**space.as_arrays(), "counts": np.array(counts, np.int64)})
        most = min(CORE_PASSES, max(_WIDE_BYTES // (4 * n * CORE_COLUMNS), _TRIED))
        while space.pending.shape[1] and len(counts) < most:
            if len(counts) >= _TRIED and counts[-1] < counts[-2] + _GAIN:
                break
            (product,) = yield [Request(self.kernels, space.pending, np.ones(g))]
            space.advance(self.design.residual(product))
            counts.append(len(self._large(space)))
        large = self._large(space)[::-1][: _WIDE_BYTES // (4 * g * n)]
        if not len(large):
            log.info("preconditioner: no large eigenvalue was found")
            self._core_made = True
            return
        vectors = space.basis[:, : space.size] @ space.galerkin().vectors[:, large].astype(np.float32)
        products = (yield from self.by_component(vectors)).astype(np.float32)
        self._core_made = True
        self.core = Core.of(vectors, products, self.projected_traces, self.dimension)
        log.info("preconditioner: %d directions", len(large))

    def _large(self, space: KrylovSpace) -> np.ndarray:
        """Which Ritz pairs of the space make a core."""
        found = space.galerkin()
        mean = (float(self.projected_traces.sum()) - found.values.sum()) / max(self.dimension - space.size, 1)
        return np.flatnonzero((found.values > _LARGE * max(mean, 0.0)) & found.accurate(_ROUGHLY))

    # -- traces --------------------------------------------------------------------------------------------
    def trace(self, theta: np.ndarray, x: np.ndarray, kx: np.ndarray, with_core: bool) -> tuple[np.ndarray, np.ndarray]:
        """tr(H^-1 A_i), (G + 1,), and each probe's deviation from it, (R, G + 1).

        What the core says of a probe counts with the factor that leaves the smallest spread, between 0 and 1: where its
        directions are eigenvectors of the sum of the K_g but not of each, it may tell little.
        """
        r, g = x.shape[1], len(self.traces)
        z, kz, normal = self.z[:, :r], self.kz[:, :, :r], self.normal(r)
        # z'H^-1 K_g z, and the control variates z'A_i z, by probe.
        raw = np.einsum("nr,gnr->rg", x, kz)
        variates = np.column_stack([*(np.einsum("nr,nr->r", z, k) for k in kz), np.einsum("nr,nr->r", z, z)])
        right = np.empty((g + 1, g))
        right[:g] = np.einsum("gnr,inr->ig", kx, kz) / r
        right[g] = raw.mean(axis=0)
        expected = np.append(self.projected_traces, self.dimension)
        coefficients = np.linalg.lstsq(normal, right, rcond=1e-10)[0]  # (variates, components)
        rest = raw - variates @ coefficients
        traces = expected @ coefficients + rest.mean(axis=0)
        core = self.core.at(theta) if with_core and self.core is not None else None
        if core is not None:
            in_core = self._core_probes(r)
            coefficients = np.linalg.lstsq(normal, core.products(normal, in_core), rcond=1e-10)[0]
            of_core = core.of_probes(variates[:, :g], in_core) - variates @ coefficients
            mean = of_core.mean(axis=0)
            spread = np.einsum("rg,rg->g", of_core - mean, of_core - mean)
            shared = np.einsum("rg,rg->g", of_core - mean, rest)
            factor = np.clip(np.divide(shared, spread, out=np.zeros(g), where=spread > 0), 0.0, 1.0)
            traces += factor * (core.traces() - expected @ coefficients - mean)
            # The factor is one more thing that was estimated.
            rest = (rest - factor * of_core) * np.sqrt((r - 1) / max(r - 2, 1))
        deviations = rest - rest.mean(axis=0)
        # All parts of H H^-1 together have the trace n - c.
        residual = (self.dimension - theta[:-1] @ traces) / theta[-1]
        return np.append(traces, residual), np.column_stack([deviations, -deviations @ theta[:-1] / theta[-1]])

    def _core_probes(self, probes: int) -> CoreProbes:
        """What the core's directions are to the probes."""
        assert self.core is not None
        return self.core.with_probes(self.z[:, :probes], self.kz[:, :, :probes])

    def log_determinant(
        self, theta: np.ndarray, probes: int, with_core: bool, journal: Journal
    ) -> Asking[tuple[float, float]]:
        """log|H| on the n - c dimensions by Gauss quadrature at so many probes, and its Monte-Carlo standard error.

        With a core log|H| = log|M| + log|M^-1/2 H M^-1/2|, and the quadrature is of the second.
        """
        core = self.core.at(theta) if with_core and self.core is not None else None
        trace = float(theta[:-1] @ self.projected_traces + theta[-1] * self.dimension)
        least, first = float(theta[-1]), 0.0
        if core is not None:
            trace = float(theta[:-1] @ core.traces() + theta[-1] * core.inverse_trace())
            least, first = 1e-6, core.log_determinant
        known = journal.known("determinant")
        recurrences = Recurrences.start(self.z[:, :probes]) if known is None else Recurrences.from_arrays(known)
        before, found, error = np.inf, 0.0, 0.0
        journal.keep("determinant", recurrences.as_arrays)
        while not recurrences.exhausted and recurrences.steps < min(60, self.dimension):
            vectors = recurrences.vectors if core is None else core.power(-0.5, recurrences.vectors)
            product = yield from self.h_times(theta, vectors)
            recurrences.advance(product if core is None else core.power(-0.5, product))
            nodes, weights = recurrences.rule()
            nodes = np.maximum(nodes, least)
            empty = np.empty(0)
            spectrum = SampledSpectrum(empty, empty, nodes, weights, self.dimension, trace)
            value, covariance = spectrum.trace(lambda values: np.log(values)[None])
            found, error = float(value[0]), float(np.sqrt(covariance[0, 0]))
            if abs(found - before) <= max(0.05 * error, 1e-6 * self.dimension):
                break
            before = found
        return first + found, error
