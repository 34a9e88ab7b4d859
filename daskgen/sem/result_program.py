"""Standard errors and fit of a solution, written on a tape: with the usual V, V_full = diag(snp_se^2, D R D, V).

With J = d sigma / d theta over the rows, e = s - sigma and the weight W at the solution (DWLS: diag(w)),

    N = J'WJ,   M = J'W V_full W J,   Omega = N^-1 M N^-1,   chi-square = e' V_full^-1 e.

The blocks keep it cheap: with X = D W J the SNP's rows need X'RX, the rows of the traits a product with constants. A
saturated parameter tau of row i (DWLS) is s_i - sigma_i: with B = N^-1, j = d sigma_i / d theta and q = J'W V_.i,

    Var(tau) = V_ii - 2 j'B q + j'Omega j,   Cov(tau, theta) = B q - Omega j,
    Cov(tau, tau') = V_ii' - j'B q' - j''B q + j'Omega j'.

Q_SNP of a factor is z' R_f^-1 z over the SNP rows of its indicators, z = D^-1 e.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from daskgen.kernels.sem_fit import triangle
from daskgen.kernels.sem_sandwich import ResultSlots
from daskgen.kernels.tape import Tape, TapeBuilder, Value
from daskgen.sem.algebra import ModelAlgebra
from daskgen.sem.normal_theory import NormalTheory
from daskgen.sem.per_snp_structure import PerSnpStructure, SnpData
from daskgen.sem.snp_covariance import SnpCovariance

__all__ = ["ResultProgram", "result_program"]


@dataclass(frozen=True, eq=False)
class ResultProgram:
    """A tape for `compute_results`: estimates, chi-square, Q_SNP by factor, and variances or the packed Omega."""

    tape: Tape
    slots: ResultSlots
    results: list[int]


def result_program(
    fitted: PerSnpStructure,
    reported: PerSnpStructure,
    covariance: SnpCovariance,
    report: Sequence[int],
    indicators: Sequence[Sequence[int]],
    *,
    unweighted: Sequence[int] | None = None,
    with_covariance: bool = False,
) -> ResultProgram:
    """`reported` has the cells of `fitted` with every free row a parameter of its own: the J of the standard errors.

    report: the parameters of `reported` that are results. indicators: traits (numbers) of the factors with a Q_SNP.
    unweighted: rows without weight under ML; None under DWLS.
    """
    tape, p = TapeBuilder(), len(reported.iterated)
    n_data = SnpData.n_inputs(covariance, moments=False)
    sigma_order = 0 if unweighted is None else covariance.n_traits + 1
    slots = ResultSlots.on(tape, n_data + len(fitted.given), fitted.n_coordinates, p, sigma_order)
    data = SnpData.on(tape, slots.inputs[:n_data], covariance, moments=False)
    values, algebra = fitted.solution(tape, data.s, slots.theta, slots.inputs[n_data:])
    residual = fitted.residuals(tape, algebra, data.s)
    for i, (r, c) in enumerate(fitted.rows if sigma_order else ()):
        tape.put(slots.sigma[triangle(r) + c], [(fitted.implied(algebra, i), 1.0)])
    tape.end_stage()

    blocks = _Blocks(tape, covariance, data)
    chisq, q_snp = blocks.chi_square(residual), [blocks.q_snp(residual, own) for own in indicators]
    rows = reported.fitted_rows()
    slope = {i: [reported.slope(algebra, a, i) for a in reported.iterated] for i in rows}
    if unweighted is None:
        half = {i: [tape.product(data.w[i], x) for x in slope[i]] for i in rows}
    else:
        theory = NormalTheory(tape, slots.inverse, sigma_order)
        half = _likelihood_weighted(tape, theory, reported, algebra, slope, unweighted)
    pairs = blocks.factors(half, p)
    for a in range(p):
        for b in range(a + 1):
            terms = ((slope[i][a], half[i][b]) for i in rows)
            tape.put(slots.normal[triangle(a) + b], ((x, y) for x, y in terms if x != 0.0 and y != 0.0))
            value = tape.products((one[a], other[b]) for one, other in pairs)
            tape.put(slots.filling[a * p + b], [(value, 1.0)])
            tape.put(slots.filling[b * p + a], [(value, 1.0)])
    needed = [reported.saturated[a] for a in report if a in reported.saturated]
    crossed = {row: blocks.crossed(rows, half, row, p) for row in needed}
    own = {row: [reported.slope(algebra, a, row) for a in reported.iterated] for row in needed}
    tape.end_stage()

    omega = _Omega(tape, slots, p, reported, covariance, own, crossed)
    results = [*(values[reported.like(fitted, a)] for a in report), chisq, *q_snp]
    for place, a in enumerate(report):
        results += [omega.value(a, b) for b in (report[: place + 1] if with_covariance else [a])]
    places = [tape.constant(value) for value in results]
    return ResultProgram(tape.tape(), slots, places)


def _likelihood_weighted(
    tape: TapeBuilder,
    theory: NormalTheory,
    reported: PerSnpStructure,
    algebra: ModelAlgebra,
    slope: dict[int, list[Value]],
    unweighted: Sequence[int],
) -> dict[int, list[Value]]:
    """W J by row: of the normal-theory weight whose rows and columns `unweighted` are zero, as lavaan's (fixed.x)."""
    everything = [theory.slopes(reported, algebra, a) for a in reported.iterated]
    half: dict[int, list[Value]] = {}
    for i, (r, s) in enumerate(reported.rows):
        half[i] = [0.0] * len(everything)
        if i in unweighted:
            continue
        removed = []
        for j in unweighted:
            u, v = reported.rows[j]
            pairs = [(theory.inverse(r, u), theory.inverse(s, v)), (theory.inverse(r, v), theory.inverse(s, u))]
            removed.append((j, tape.product(tape.products(pairs if u != v else pairs[:1]), 0.5 if r == s else 1.0)))
        for place, slopes in enumerate(everything):
            without = tape.products((slope[j][place], value) for j, value in removed)
            half[i][place] = tape.combination([(1.0, theory.weighted(slopes, r, s)), (-1.0, without)])
    return half


class _Blocks:
    """Products with V_full and its inverse, block by block."""

    def __init__(self, tape: TapeBuilder, covariance: SnpCovariance, data: SnpData):
        self._tape, self._cov, self._data = tape, covariance, data
        self._k = covariance.n_traits

    def chi_square(self, residual: Sequence[Value]) -> Value:
        """e' V_full^-1 e."""
        tape, k = self._tape, self._k
        terms = [(tape.product(residual[0], self._cov.snp_se**-2), residual[0])]
        standard = self._standard(residual, range(k))
        terms += self._quadratic(standard, np.linalg.inv(self._cov.R))
        return tape.products([*terms, *self._quadratic(residual[k + 1 :], np.linalg.inv(self._cov.V))])

    def q_snp(self, residual: Sequence[Value], indicators: Sequence[int]) -> Value:
        """z' R_f^-1 z."""
        inverse = np.linalg.inv(self._cov.R[np.ix_(indicators, indicators)])
        return self._tape.products(self._quadratic(self._standard(residual, indicators), inverse))

    def _standard(self, residual: Sequence[Value], traits: Sequence[int]) -> list[Value]:
        """z = D^-1 e of the SNP rows of some traits."""
        return [self._tape.product(residual[t + 1], self._data.precision[t]) for t in traits]

    def _quadratic(self, vector: Sequence[Value], matrix: np.ndarray) -> list[tuple[Value, Value]]:
        """Pairs whose products add up to x' A x."""
        places = [i for i, x in enumerate(vector) if x != 0.0]
        rows = (self._tape.combination((float(matrix[i, j]), vector[j]) for j in places) for i in places)
        return [(row, vector[i]) for i, row in zip(places, rows, strict=True)]

    def factors(self, half: dict[int, list[Value]], p: int) -> list[tuple[list[Value], list[Value]]]:
        """Pairs of vectors (parameters,) whose outer products add up to M = half' V_full half."""
        tape, k, out = self._tape, self._k, []
        if 0 in half:
            out.append(([tape.product(x, self._cov.snp_se**2) for x in half[0]], half[0]))
        scaled = {i: [tape.product(self._data.scale[i - 1], x) for x in half[i]] for i in range(1, k + 1) if i in half}
        out += self._weighted(scaled, self._cov.R, 1, p)
        out += self._weighted({i: x for i, x in half.items() if i > k}, self._cov.V, k + 1, p)
        return out

    def _weighted(
        self, rows: dict[int, list[Value]], matrix: np.ndarray, first: int, p: int
    ) -> list[tuple[list[Value], list[Value]]]:
        out = []
        for i, own in rows.items():
            product = [
                self._tape.combination((float(matrix[i - first, j - first]), other[a]) for j, other in rows.items())
                for a in range(p)
            ]
            out.append((own, product))
        return out

    def crossed(self, rows: Sequence[int], half: dict[int, list[Value]], row: int, p: int) -> list[Value]:
        """q = J'W V_.i of a row of traits."""
        first = self._k + 1
        column = self._cov.V[:, row - first]
        below = [i for i in rows if i >= first]
        return [self._tape.combination((float(column[i - first]), half[i][a]) for i in below) for a in range(p)]


class _Omega:
    """Elements of the covariance of all reported parameters."""

    def __init__(
        self,
        tape: TapeBuilder,
        slots: ResultSlots,
        p: int,
        reported: PerSnpStructure,
        covariance: SnpCovariance,
        own: dict[int, list[Value]],
        crossed: dict[int, list[Value]],
    ):
        self._tape, self._slots, self._p = tape, slots, p
        self._reported, self._v, self._first = reported, covariance.V, covariance.n_traits + 1
        self._own, self._crossed = own, crossed
        self._place = {a: i for i, a in enumerate(reported.iterated)}

    def value(self, a: int, b: int) -> Value:
        tape, saturated = self._tape, self._reported.saturated
        if a in self._place and b in self._place:
            return self._iterated(self._place[a], self._place[b])
        if a in self._place:
            a, b = b, a
        row = saturated[a]
        if b in self._place:
            place = self._place[b]
            return tape.combination([(1.0, self._bread(place, row)), (-1.0, self._times_slope(place, row))])
        other = saturated[b]
        slope, slope_2 = self._own[row], self._own[other]
        quadratic = tape.products((x, self._times_slope(i, other)) for i, x in enumerate(slope) if x != 0.0)
        cross = tape.products((x, self._bread(i, other)) for i, x in enumerate(slope) if x != 0.0)
        cross_2 = tape.products((x, self._bread(i, row)) for i, x in enumerate(slope_2) if x != 0.0)
        sampling = float(self._v[row - self._first, other - self._first])
        return tape.combination([(sampling, 1.0), (1.0, quadratic), (-1.0, cross), (-1.0, cross_2)])

    def _iterated(self, i: int, j: int) -> int:
        return self._slots.covariance[triangle(max(i, j)) + min(i, j)]

    def _bread(self, place: int, row: int) -> Value:
        """(B q)_place."""
        bread = self._slots.bread[place * self._p : (place + 1) * self._p]
        return self._tape.products(zip(bread, self._crossed[row], strict=True))

    def _times_slope(self, place: int, row: int) -> Value:
        """(Omega j)_place."""
        slope = self._own[row]
        return self._tape.products((self._iterated(place, i), x) for i, x in enumerate(slope) if x != 0.0)
