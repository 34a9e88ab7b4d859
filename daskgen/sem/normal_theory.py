"""The normal-theory weight of maximum likelihood on a tape, without ever writing it down as a matrix.

Over (SNP, traits), W = 1/2 D'(Sigma^-1 x Sigma^-1) D with D the duplication matrix. What a parameter does to Sigma is a
sum of x y' + y x' over its cells (see `algebra`), so that products with W are products of vectors:

    (W d sigma)_rs = (X_r Y_s + Y_r X_s), halved where r = s,      X = Sigma^-1 x, Y = Sigma^-1 y,
    d sigma_a' W d sigma_b = (x_a'X_b)(y_a'Y_b) + (x_a'Y_b)(y_a'X_b),
    d sigma_a' W vech(S - Sigma) = X_a'(S - Sigma) Y_a.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from daskgen.kernels.tape import TapeBuilder, Value
from daskgen.sem.algebra import ModelAlgebra
from daskgen.sem.per_snp_structure import PerSnpStructure
from daskgen.sem.structure import DIRECTED

__all__ = ["NormalTheory", "Slopes"]

Slopes = list[tuple[float, int, int]]
"""What a parameter does to Sigma: the sum of scale (x y' + y x'), vectors by their number in `NormalTheory`."""


class NormalTheory:
    """Products with the weight at Sigma; `inverse` are the slots of Sigma^-1, row by row."""

    def __init__(self, tape: TapeBuilder, inverse: Sequence[int], order: int):
        self._tape, self._order = tape, range(order)
        self._inverse = [inverse[i * order : (i + 1) * order] for i in range(order)]
        self._vectors: list[list[Value]] = []
        self._numbers: dict[tuple[bool, int], int] = {}
        self._solved: dict[int, list[Value]] = {}
        self._misfit: dict[int, list[Value]] = {}

    def inverse(self, r: int, s: int) -> int:
        """Element of Sigma^-1."""
        return self._inverse[r][s]

    def slopes(self, model: PerSnpStructure, algebra: ModelAlgebra, parameter: int) -> Slopes:
        """d Sigma of a parameter."""
        structure, out = model.structure, []
        for cell in (structure.parameter == parameter).nonzero()[0]:
            i, j = int(structure.row[cell]), int(structure.column[cell])
            directed = bool(structure.matrix[cell] == DIRECTED)
            second = algebra.covariance if directed else algebra.total_effect
            first = self._number((False, i), [algebra.total_effect(i, v) for v in model.numbers])
            other = self._number((directed, j), [second(j, v) for v in model.numbers])
            out.append((0.5 if not directed and i == j else 1.0, first, other))
        return out

    def inner(self, first: Slopes, second: Slopes) -> Value:
        """d sigma_a' W d sigma_b."""
        terms = []
        for scale_1, x, y in first:
            for scale_2, u, v in second:
                both = [(self._product(x, u), self._product(y, v)), (self._product(x, v), self._product(y, u))]
                terms.append((scale_1 * scale_2, self._tape.products(both)))
        return self._tape.combination(terms)

    def misfit(self, slopes: Slopes, off: Mapping[tuple[int, int], Value]) -> Value:
        """d sigma' W vech(S - Sigma), `off` being S - Sigma, both triangles."""
        return self._tape.products((scale, self._misfit_product(x, y, off)) for scale, x, y in slopes)

    def weighted(self, slopes: Slopes, r: int, s: int) -> Value:
        """(W d sigma) at row (r, s)."""
        half = 0.5 if r == s else 1.0
        terms = []
        for scale, x, y in slopes:
            first, second = self._times_inverse(x), self._times_inverse(y)
            both = self._tape.products([(first[r], second[s]), (second[r], first[s])])
            terms.append((half * scale, both))
        return self._tape.combination(terms)

    def _number(self, key: tuple[bool, int], vector: list[Value]) -> int:
        """The number of a vector, entered when it is first seen."""
        if key not in self._numbers:
            self._numbers[key] = len(self._vectors)
            self._vectors.append(vector)
        return self._numbers[key]

    def _times_inverse(self, x: int) -> list[Value]:
        if x not in self._solved:
            vector = self._vectors[x]
            self._solved[x] = [
                self._tape.products((self._inverse[r][s], vector[s]) for s in self._order) for r in self._order
            ]
        return self._solved[x]

    def _product(self, x: int, y: int) -> Value:
        """x' Sigma^-1 y."""
        x, y = min(x, y), max(x, y)
        solved = self._times_inverse(x)
        return self._tape.products((solved[r], self._vectors[y][r]) for r in self._order)

    def _misfit_product(self, x: int, y: int, off: Mapping[tuple[int, int], Value]) -> Value:
        """X'(S - Sigma) Y."""
        x, y = min(x, y), max(x, y)
        if x not in self._misfit:
            solved = self._times_inverse(x)
            self._misfit[x] = [self._tape.products((off[r, s], solved[s]) for s in self._order) for r in self._order]
        solved = self._times_inverse(y)
        return self._tape.products((self._misfit[x][r], solved[r]) for r in self._order)
