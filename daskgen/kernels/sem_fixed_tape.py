"""The fit of a SNP with the measurement part fixed, written on a tape: what `sem_fixed` computes for each SNP.

Symbols are those of `sem_fixed`. The tape has four stages: the data and the weighted least squares of a SNP; the normal
equations of a Newton step at (eta, p); bread and meat at the solution; and what is reported, from their sandwich.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from daskgen.kernels.tape import Tape, TapeBuilder, Value

__all__ = ["DATA", "LAYOUT", "RESULTS", "SOLUTION", "STEP", "FixedConstants", "FixedTape"]

Float64 = npt.NDArray[np.float64]

DATA, STEP, SOLUTION, RESULTS = range(4)
"""Stages."""

LAYOUT = (
    *("beta", "se", "phi", "eta", "p", "normal", "right", "factor", "move", "next_p", "solution", "solution_p"),
    *("information", "filling", "information_factor", "bread", "work", "covariance", "outside"),
)
"""What the loops find on a tape, in the order of `FixedTape.layout`. normal, right: a t x t system and its right side
(negative gradient), factor and move its Cholesky factor and solution. information, filling: bread^-1 and meat of
(eta, p / s), then factor, bread, room to work, and their sandwich. outside: phi b'S^-1 b.
"""


@dataclass(frozen=True, eq=False)
class FixedConstants:
    """What is the same at every SNP, for k traits, t effects and T = t (t + 1) / 2 products of effects.

    Products are in the order (1, 1), (1, 2), ..., (1, t), (2, 2), ... All float64.

    gc           (k,) factors g of the standard errors, by genomic control
    effects      L (k, t), effects of the SNP on the traits by unit of each path coefficient
    correlation  R (k, k), positive definite, diagonal 1: V_SNP = D R D with D = diag(se g phi)
    s            (k, k) covariance of the traits, positive definite
    h, g, m      (T,), (T, T), (T, T): of the objective and of the meat
    fit_0, fit_1, fit_2   scalar, (T,), (T, T): fit_0 - 2 fit_1'v + v'fit_2 v, chi-square of the traits' covariances
    others_start, others_slope, others_covariance, others_cross   (m,), (m, T), (m, m), (T, m): the free variances and
                 covariances nu = start - slope v of the model; K V K' and Z of `daskgen.sem.folding`
    indicators   rows of the traits that measure each factor with a Q_SNP
    snp_se       s, standard error of the SNP's variance, positive
    n_parameters free parameters of the model, for the AIC
    """

    gc: Float64
    effects: Float64
    correlation: Float64
    s: Float64
    h: Float64
    g: Float64
    m: Float64
    fit_0: float
    fit_1: Float64
    fit_2: Float64
    others_start: Float64
    others_slope: Float64
    others_covariance: Float64
    others_cross: Float64
    indicators: tuple[tuple[int, ...], ...]
    snp_se: float
    n_parameters: int

    @property
    def n_traits(self) -> int:
        return self.effects.shape[0]

    @property
    def n_effects(self) -> int:
        return self.effects.shape[1]

    @cached_property
    def s_root(self) -> Float64:
        """A with A'A = S^-1, lower triangle."""
        return _inverse_root(self.s)

    @cached_property
    def correlation_root(self) -> Float64:
        """A with A'A = R^-1, lower triangle."""
        return _inverse_root(self.correlation)

    @cached_property
    def factor_roots(self) -> tuple[Float64, ...]:
        """Of each factor with a Q_SNP, A (its indicators, k) with A'A the inverse of their part of R."""
        out = []
        for rows in self.indicators:
            root = np.zeros((len(rows), self.n_traits))
            root[:, list(rows)] = _inverse_root(self.correlation[np.ix_(rows, rows)])
            out.append(root)
        return tuple(out)

    @property
    def n_others(self) -> int:
        return len(self.others_start)

    @cached_property
    def effects_tape(self) -> FixedTape:
        """The tape that reports the path coefficients of the SNP."""
        return _Writer(self).write()

    @cached_property
    def parameters_tape(self) -> FixedTape:
        """The tape that reports every parameter."""
        return _Writer(self).write(parameters=True)

    @cached_property
    def covariances_tape(self) -> FixedTape:
        """The tape that reports every parameter and their sampling covariances."""
        return _Writer(self).write(parameters=True, covariances=True)


@dataclass(frozen=True, eq=False)
class FixedTape:
    """layout: int64, first slots of what `LAYOUT` names. results: int64, slots of theta (t), their standard errors (t),
    p, chi-square, AIC, Q_SNP by factor, and then of what else is reported: the standard error of p, nu (m) and its
    standard errors (m), and the upper triangle of the sampling covariance of (theta, p, nu).
    """

    tape: Tape
    layout: npt.NDArray[np.int64]
    results: npt.NDArray[np.int64]


class _Writer:
    """Writes the tape of some constants; `_derivative` and `_curvature` hold the calculus of q(eta)."""

    def __init__(self, constants: FixedConstants):
        self.constants, self.b = constants, TapeBuilder()
        t = constants.n_effects
        self.first, self.second = (index.tolist() for index in np.triu_indices(t))
        self.pair = np.zeros((t, t), np.int64)
        self.pair[self.first, self.second] = self.pair[self.second, self.first] = np.arange(len(self.first))

    def write(self, *, parameters: bool = False, covariances: bool = False) -> FixedTape:
        c, b, t = self.constants, self.b, self.constants.n_effects
        order = t + 1
        packed, packed_order = len(self.first), order * (order + 1) // 2
        beta, se = b.slots(c.n_traits), b.slots(c.n_traits)
        eta, right, move, solution = (b.slots(t) for _ in range(4))
        normal, factor = b.slots(packed), b.slots(packed)
        information, information_factor, covariance = (b.slots(packed_order) for _ in range(3))
        filling, bread, work = (b.slots(order * order) for _ in range(3))
        phi, p, next_p, solution_p, outside = b.slots(5)

        weight = [b.reciprocal(b.combination([(g, error)])) for g, error in zip(c.gc.tolist(), se, strict=True)]
        z = [b.product(w, effect) for w, effect in zip(weight, beta, strict=True)]
        b.put(outside, [(phi, self._sum_of_squares(c.s_root, beta))])
        gram, meat = self._weighted(np.eye(c.n_traits), weight), self._weighted(c.correlation, weight)
        pull = [b.product(w, x) for w, x in zip(weight, z, strict=True)]
        linear = [b.combination(zip(column, pull, strict=True)) for column in c.effects.T.tolist()]
        self._put_packed(normal, lambda a, o: gram[self.pair[a, o]], t)
        for slot, value in zip(right, linear, strict=True):
            b.put(slot, [(value, 1.0)])
        b.end_stage()

        self._newton_step(eta, p, phi, gram, linear, normal, right, next_p)
        b.end_stage()

        q, scale = self._products(solution), b.product(b.product(phi, phi), b.reciprocal(solution_p))
        last = b.combination([(-c.snp_se, b.product(scale, b.reciprocal(solution_p)))])  # dv / d(p / s) = last q
        bread_inverse = self._sandwich_part(c.g, gram, solution, q, scale, last)
        meat_of_all = self._sandwich_part(c.m, meat, solution, q, scale, last)
        self._put_packed(information, bread_inverse, order)
        for a in range(order):
            for o in range(order):
                b.put(filling[a * order + o], [(meat_of_all(max(a, o), min(a, o)), 1.0)])
        b.end_stage()

        theta, slopes = self._to_theta(solution, solution_p, phi)
        omega = {(a, o): covariance[a * (a + 1) // 2 + o] for a in range(order) for o in range(a + 1)}
        inverse = {(a, o): bread[a * order + o] for a in range(order) for o in range(a + 1)}
        errors = [b.root(self._transformed(omega, slopes, a, a)) for a in range(t)]
        results: list[Value] = [*theta, *errors, solution_p, *self._fit(weight, z, solution, q, scale, phi, solution_p)]
        if parameters:
            nu, elements = self._others(solution, q, scale, last, omega, inverse, slopes)
            results.append(b.root(self._transformed(omega, slopes, t, t)))
            results += [*nu, *(b.root(elements(order + j, order + j)) for j in range(c.n_others))]
            if covariances:
                rows, columns = np.triu_indices(order + c.n_others)
                results += [elements(a, o) for a, o in zip(rows.tolist(), columns.tolist(), strict=True)]
        slots = np.array([b.constant(value) for value in results], np.int64)
        where = {
            "beta": beta[0],
            "se": se[0],
            "phi": phi,
            "eta": eta[0],
            "p": p,
            "normal": normal[0],
            "right": right[0],
            "factor": factor[0],
            "move": move[0],
            "next_p": next_p,
            "solution": solution[0],
            "solution_p": solution_p,
            "information": information[0],
            "filling": filling[0],
            "information_factor": information_factor[0],
            "bread": bread[0],
            "work": work[0],
            "covariance": covariance[0],
            "outside": outside,
        }
        return FixedTape(b.tape(), np.array([where[name] for name in LAYOUT], np.int64), slots)

    def _newton_step(
        self,
        eta: list[int],
        p: int,
        phi: int,
        gram: list[Value],
        linear: list[Value],
        normal: list[int],
        right: list[int],
        next_p: int,
    ) -> None:
        """The Hessian and the negative gradient by eta, halved, and the p that follows from eta."""
        c, b, t = self.constants, self.b, len(eta)
        q, inverse = self._products(eta), b.reciprocal(p)
        scale = b.product(b.product(phi, phi), inverse)
        negative = b.combination([(-1.0, scale)])
        # h - G v
        lack = [b.products([(x, 1.0), (negative, y)]) for x, y in zip(c.h.tolist(), self._times(c.g, q), strict=True)]
        curvature = self._curvature(c.g, eta)
        squared = b.product(scale, scale)

        def hessian(a: int, o: int) -> Value:
            bend = (b.combination([(2.0, lack[self.pair[a, o]])]) if a == o else lack[self.pair[a, o]], negative)
            return b.products([(gram[self.pair[a, o]], 1.0), (squared, curvature(a, o)), bend])

        self._put_packed(normal, hessian, t)
        for a in range(t):
            explained = [(b.combination([(-1.0, gram[self.pair[a, o]])]), eta[o]) for o in range(t)]
            b.put(right[a], [(linear[a], 1.0), (scale, self._derivative(eta, a, lack)), *explained])
        excess = b.combination([(-(self.constants.snp_se**2), b.products(zip(q, lack, strict=True)))])
        b.put(next_p, [(phi, 1.0), (b.product(scale, inverse), excess)])

    def _fit(
        self, weight: list[Value], z: list[Value], eta: list[int], q: list[Value], scale: Value, phi: int, p: int
    ) -> list[Value]:
        """Chi-square, AIC, and Q_SNP by factor."""
        c, b = self.constants, self.b
        implied = [b.combination(zip((-row).tolist(), eta, strict=True)) for row in c.effects]
        left = [b.products([(x, 1.0), (w, m)]) for x, w, m in zip(z, weight, implied, strict=True)]
        shift = b.combination([(1 / c.snp_se, phi), (-1 / c.snp_se, p)])
        v = [b.product(scale, x) for x in q]
        bent = [
            b.combination([(-2.0, x), (1.0, y)]) for x, y in zip(c.fit_1.tolist(), self._times(c.fit_2, v), strict=True)
        ]
        total = b.products(
            [
                (self._sum_of_squares(c.correlation_root, left), 1.0),
                (c.fit_0, 1.0),
                (shift, shift),
                *zip(v, bent, strict=True),
            ]
        )
        q_snp = [self._sum_of_squares(root, left) for root in c.factor_roots]
        return [total, b.combination([(1.0, total), (2.0 * c.n_parameters, 1.0)]), *q_snp]

    def _others(
        self,
        eta: list[int],
        q: list[Value],
        scale: Value,
        last: Value,
        omega: dict[tuple[int, int], int],
        bread: dict[tuple[int, int], int],
        slopes: list[dict[int, Value]],
    ) -> tuple[list[Value], Callable[[int, int], Value]]:
        """nu, and the sampling covariance of (theta, p, nu) as a function of row and column, row <= column.

        With u = (eta, p / s), moves = H E and shared = B E'Z: Cov(u, nu) = shared - Omega moves', Cov(nu) = K V K' +
        moves Omega moves' - moves shared - (moves shared)'.
        """
        c, b, order = self.constants, self.b, len(eta) + 1

        def by_u(row: list[float]) -> list[Value]:
            """row E, for the derivative E of v by u."""
            along = [b.product(scale, self._derivative(eta, a, row)) for a in range(order - 1)]
            return [*along, b.product(last, b.combination(zip(row, q, strict=True)))]

        def times(matrix: dict[tuple[int, int], int], x: list[Value]) -> list[Value]:
            return [b.products([(matrix[max(a, o), min(a, o)], x[o]) for o in range(order)]) for a in range(order)]

        moves = [by_u(row) for row in c.others_slope.tolist()]
        spread = [times(omega, x) for x in moves]
        shared = [[b.combination([(-1.0, x)]) for x in times(bread, by_u(row))] for row in c.others_cross.T.tolist()]

        def element(i: int, j: int) -> Value:
            if j < order:
                return self._transformed(omega, slopes, i, j)
            j -= order
            if i < order:
                both = [b.combination([(-1.0, x), (-1.0, y)]) for x, y in zip(shared[j], spread[j], strict=True)]
                return b.products([(x, both[a]) for a, x in slopes[i].items()])
            i -= order
            terms: list[tuple[Value, Value]] = [(float(c.others_covariance[i, j]), 1.0)]
            for x, y in ((moves[i], spread[j]), (moves[i], shared[j]), (moves[j], shared[i])):
                terms += zip(x, y, strict=True)
            return b.products(terms)

        nu = []
        for start, row in zip(c.others_start.tolist(), c.others_slope.tolist(), strict=True):
            explained = b.product(scale, b.combination(zip(row, q, strict=True)))
            nu.append(b.combination([(start, 1.0), (-1.0, explained)]))
        return nu, element

    def _products(self, x: Sequence[Value]) -> list[Value]:
        return [self.b.product(x[a], x[o]) for a, o in zip(self.first, self.second, strict=True)]

    def _times(self, matrix: Float64, x: Sequence[Value]) -> list[Value]:
        return [self.b.combination(zip(row, x, strict=True)) for row in matrix.tolist()]

    def _sum_of_squares(self, matrix: Float64, x: Sequence[Value]) -> Value:
        return self.b.products([(value, value) for value in self._times(matrix, x)])

    def _weighted(self, matrix: Float64, weight: list[Value]) -> list[Value]:
        """L' diag(w) A diag(w) L of a symmetric A, by products of effects."""
        c = self.constants
        i, j = np.triu_indices(c.n_traits)
        both = [self.b.product(weight[x], weight[y]) for x, y in zip(i.tolist(), j.tolist(), strict=True)]
        out = []
        for a, o in zip(self.first, self.second, strict=True):
            outer = c.effects[i, a] * c.effects[j, o] + c.effects[j, a] * c.effects[i, o]
            out.append(
                self.b.combination(zip((outer * matrix[i, j] * np.where(i == j, 0.5, 1.0)).tolist(), both, strict=True))
            )
        return out

    def _derivative(self, eta: Sequence[Value], a: int, x: Sequence[Value]) -> Value:
        """(dq / d eta_a)'x: q_ac changes by eta_c, q_aa by 2 eta_a."""
        b = self.b
        twice = [b.combination([(2.0 if o == a else 1.0, value)]) for o, value in enumerate(eta)]
        return b.products([(twice[o], x[self.pair[a, o]]) for o in range(len(eta))])

    def _curvature(self, matrix: Float64, eta: Sequence[Value]) -> Callable[[int, int], Value]:
        """(dq / d eta_a)' A (dq / d eta_o) as a function of a and o."""
        t = len(eta)
        twice = 1.0 + np.eye(t)
        columns = [
            [self.b.combination(zip((row[self.pair[o]] * twice[o]).tolist(), eta, strict=True)) for row in matrix]
            for o in range(t)
        ]
        return lambda a, o: self._derivative(eta, a, columns[o])

    def _sandwich_part(
        self, matrix: Float64, gram: list[Value], eta: list[int], q: list[Value], scale: Value, last: Value
    ) -> Callable[[int, int], Value]:
        """diag(gram, 1) + E'A E of (eta, p / s), lower triangle, as a function of row and column."""
        b, t = self.b, len(eta)
        curvature, aq = self._curvature(matrix, eta), self._times(matrix, q)
        squared, mixed = b.product(scale, scale), b.product(scale, last)

        def element(a: int, o: int) -> Value:
            if a < t:
                return b.products([(gram[self.pair[a, o]], 1.0), (squared, curvature(a, o))])
            if o < t:
                return b.product(mixed, self._derivative(eta, o, aq))
            return b.products([(1.0, 1.0), (b.product(last, last), b.products(zip(q, aq, strict=True)))])

        return element

    def _to_theta(self, eta: list[int], p: int, phi: int) -> tuple[list[Value], list[dict[int, Value]]]:
        """theta = eta phi / p, and the non-zero derivatives of theta and of p by (eta, p / s)."""
        b, s, t = self.b, self.constants.snp_se, len(eta)
        inverse = b.reciprocal(p)
        ratio = b.product(phi, inverse)
        theta = [b.product(x, ratio) for x in eta]
        by_p = [b.combination([(-s, b.product(x, inverse))]) for x in theta]
        return theta, [*({a: ratio, t: by_p[a]} for a in range(t)), {t: s}]

    def _transformed(self, matrix: dict[tuple[int, int], int], slopes: list[dict[int, Value]], a: int, o: int) -> Value:
        """Element (a, o) of J A J' for a symmetric A (lower triangle) and the rows `slopes` of J."""
        terms = [
            (self.b.product(x, y), matrix[max(i, j), min(i, j)])
            for i, x in slopes[a].items()
            for j, y in slopes[o].items()
        ]
        return self.b.products(terms)

    def _put_packed(self, slots: list[int], element: Callable[[int, int], Value], order: int) -> None:
        """Write the lower triangle of a matrix to slots."""
        for a in range(order):
            for o in range(a + 1):
                self.b.put(slots[a * (a + 1) // 2 + o], [(element(a, o), 1.0)])


def _inverse_root(matrix: Float64) -> Float64:
    """A with A'A the inverse of the positive definite matrix."""
    return np.linalg.inv(np.linalg.cholesky(matrix))
